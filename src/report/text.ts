/** The report for a terminal or a log: one page, the verdict first. */
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

/** Colours, if any; the command passes those of its terminal. */
export interface Paint {
  readonly strong: (text: string) => string
  readonly good: (text: string) => string
  readonly bad: (text: string) => string
  readonly dim: (text: string) => string
}

const asIs = (text: string) => text
export const noPaint: Paint = { strong: asIs, good: asIs, bad: asIs, dim: asIs }

const LABEL_WIDTH = 13

/** Text without a final newline. */
export function textReport(result: BenchResult, paint: Paint = noPaint): string {
  const isGood = result.verdict === 'ok'
  const lines: string[] = [(isGood ? paint.good : paint.bad)(headline(result))]
  for (const reason of result.reasons) lines.push(`  ${paint.bad(reason)}`)
  lines.push('', ...labelled(summaryLines(result), paint))
  for (const table of [thresholdTable(result), searchTable(result)]) {
    if (table.rows.length > 0) lines.push('', ...columns(table, paint))
  }
  const latency = latencyTable(result)
  if (latency.rows.length > 0) {
    lines.push(
      '',
      ...columns(latency, paint),
      ...latencyNotes(result).map((note) => paint.dim(note)),
    )
  }
  const phases = phaseTable(result)
  if (phases.rows.length > 0) lines.push('', ...columns(phases, paint))
  lines.push('', ...columns(processTable(result), paint))
  lines.push(...processNotes(result).map((note) => paint.dim(note)))
  lines.push('', ...labelled(hostLines(result), paint))
  lines.push('', ...labelled(limitLines(result), paint))
  const warnings = warningLines(result)
  if (warnings.length > 0) lines.push('')
  for (const { text, hint } of warnings) {
    lines.push(`warning      ${text}`)
    if (hint !== null) lines.push(paint.dim(`${' '.repeat(LABEL_WIDTH)}${hint}`))
  }
  return lines.join('\n')
}

function labelled(rows: readonly [label: string, text: string][], paint: Paint): string[] {
  return rows.map(([label, text]) => `${paint.strong(label.padEnd(LABEL_WIDTH))}${text}`)
}

/** Aligned columns; those without any value are left out. */
function columns(table: Table, paint: Paint): string[] {
  const used = table.heads.map(
    (_, index) => index === 0 || table.rows.some((row) => (row[index] ?? '-') !== '-'),
  )
  const widths = table.heads.map((head, index) =>
    Math.max(head.length, ...table.rows.map((row) => (row[index] ?? '').length)),
  )
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, index) => {
        const width = widths[index] ?? 0
        return index >= table.rightFrom ? cell.padStart(width) : cell.padEnd(width)
      })
      .filter((_, index) => used[index] === true)
      .join('  ')
      .trimEnd()
  return [paint.strong(line(table.heads)), ...table.rows.map(line)]
}
