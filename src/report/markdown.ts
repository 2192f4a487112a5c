/** The report as Markdown, for a pull request or a page. */
import type { BenchResult } from '../bench/result.ts'
import { headline, hostLines, limitLines, summaryLines, warningLines } from './sections.ts'
import {
  type Table,
  latencyNotes,
  latencyTable,
  phaseTable,
  processNotes,
  processTable,
  searchTable,
  thresholdTable,
} from './tables.ts'

/** Markdown with a final newline. */
export function markdownReport(result: BenchResult): string {
  const parts: string[] = [`# ${escapedMarkdown(headline(result))}`]
  if (result.reasons.length > 0)
    parts.push(result.reasons.map((reason) => `- **${escapedMarkdown(reason)}**`).join('\n'))
  parts.push(labelled(summaryLines(result)))
  for (const one of [thresholdTable(result), searchTable(result)]) {
    if (one.rows.length > 0) parts.push(table(one))
  }
  const latency = latencyTable(result)
  if (latency.rows.length > 0)
    parts.push(table(latency), ...latencyNotes(result).map((note) => `*${escapedMarkdown(note)}*`))
  const phases = phaseTable(result)
  if (phases.rows.length > 0) parts.push(table(phases))
  parts.push(
    table(processTable(result)),
    ...processNotes(result).map((note) => `*${escapedMarkdown(note)}*`),
  )
  parts.push(labelled([...hostLines(result), ...limitLines(result)]))
  const warnings = warningLines(result)
  if (warnings.length > 0) {
    parts.push(
      warnings
        .map(
          ({ text, hint }) =>
            `- warning: ${escapedMarkdown(text)}${hint === null ? '' : ` (${escapedMarkdown(hint)})`}`,
        )
        .join('\n'),
    )
  }
  const { tool, startedAt, scenario } = result
  parts.push(
    `${tool.name} ${tool.version}, Node ${tool.node}, ${tool.platform}; ${startedAt}; scenario hash ${scenario.hash}`,
  )
  return `${parts.join('\n\n')}\n`
}

function labelled(rows: readonly [label: string, text: string][]): string {
  return table({ heads: ['', ''], rightFrom: 2, rows })
}

function table({ heads, rightFrom, rows }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.map(escapedMarkdown).join(' | ')} |`
  const rule = heads.map((_, index) => (index >= rightFrom ? '---:' : '---'))
  return [line(heads), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n')
}

/** Text that Markdown and HTML take for nothing but text. */
export function escapedMarkdown(text: string): string {
  return text
    .replace(/[&<>]/g, (letter) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[letter] ?? letter)
    .replace(/[\\`*_{}[\]|]/g, (letter) => `\\${letter}`)
    .replace(/\s*\n\s*/g, ' ')
}
