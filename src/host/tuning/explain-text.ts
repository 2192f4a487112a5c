/** One check explained: as data, for people, and as a section of the documentation. */
import { profiles, severityIn, type Severity } from './check.ts'
import type { Explanation } from './explain/explanation.ts'
import { explanationOf } from './explanations.ts'
import { knownCheck, registry } from './registry.ts'

export interface Explained extends Explanation {
  readonly id: string
  readonly title: string
  readonly category: string
  readonly severity: Readonly<Record<string, Severity | null>>
}

/** Throws VALUE_INVALID with a suggestion for an unknown id. */
export function explain(id: string): Explained {
  const check = knownCheck(id, 'explain')
  return {
    id: check.id,
    title: check.title,
    category: check.category,
    severity: Object.fromEntries(profiles.map((profile) => [profile, severityIn(check, profile)])),
    ...explanationOf(check.id),
  }
}

const sections = [
  ['what', 'what'],
  ['why', 'why'],
  ['jvm', 'JVM broker'],
  ['node', 'Node broker'],
  ['load', 'load generator'],
  ['who', 'who says what'],
  ['read', 'by hand'],
  ['origin', 'origin advice'],
] as const

interface Paints {
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
}

export function explainText(explained: Explained, paint: Paints, width: number): string {
  const indent = 16
  const columns = Math.max(40, Math.min(width, 110)) - indent
  const lines = [`${paint.bold(explained.id)}  ${explained.title}`, '']
  for (const [key, head] of sections) {
    const wrapped = key === 'read' ? [explained[key]] : wrap(explained[key], columns)
    wrapped.forEach((line, index) => {
      lines.push(`${(index === 0 ? head : '').padEnd(indent)}${line}`)
    })
  }
  const weights = Object.entries(explained.severity)
    .map(([profile, severity]) => `${profile} ${severity ?? 'not run'}`)
    .join(', ')
  lines.push(`${'severity'.padEnd(indent)}${weights}`)
  explained.refs.forEach((ref, index) => {
    lines.push(`${(index === 0 ? 'see' : '').padEnd(indent)}${paint.dim(ref)}`)
  })
  return lines.join('\n')
}

function wrap(text: string, columns: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length + 1 > columns) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  lines.push(line)
  return lines
}

/** The table of docs/tune-os.md, in the order of reports. */
export function checksMarkdown(): string {
  const letters = (severity: Severity | null) => (severity === null ? '–' : severity)
  const cell = (text: string) => text.replaceAll('|', '\\|')
  return [
    '| id | jvm-broker | node-broker | loadgen | what it means |',
    '|---|---|---|---|---|',
    ...registry.map((check) => {
      const { what, why } = explanationOf(check.id)
      const weights = profiles
        .filter((profile) => profile !== 'dev')
        .map((profile) => letters(severityIn(check, profile)))
      return `| \`${check.id}\` | ${weights.join(' | ')} | ${cell(what)} Why: ${cell(why)}. |`
    }),
  ].join('\n')
}
