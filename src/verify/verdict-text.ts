/** A verdict for people: the judgement first, then counts, then what was found. Pure. */
import { formatCount } from '../base/units.ts'
import type { Verdict, VerdictCounts } from './verdict.ts'

/** Colours, if any. */
export interface VerdictPaint {
  readonly good: (text: string) => string
  readonly bad: (text: string) => string
  readonly dim: (text: string) => string
}

const asIs = (text: string) => text
export const plainPaint: VerdictPaint = { good: asIs, bad: asIs, dim: asIs }

const WITNESSES_SHOWN = 3

/** Text without a final newline. */
export function verdictText(verdict: Verdict, paint: VerdictPaint = plainPaint): string {
  const { feature, violations, reasons, outages, history } = verdict
  const color = verdict.verdict === 'valid' ? paint.good : paint.bad
  const lines = [color(`${feature}: ${verdict.verdict}`)]
  for (const reason of reasons) lines.push(`  ${reason}`)
  for (const line of countLines(verdict.counts)) lines.push(paint.dim(`  ${line}`))
  const gaps = outages.flatMap(({ gapMs }) => (gapMs === null ? [] : [`${gapMs} ms`]))
  if (gaps.length > 0) lines.push(paint.dim(`  without an acknowledgement: ${gaps.join(', ')}`))
  for (const { kind, count, meaning, witnesses } of violations) {
    lines.push(paint.bad(`  ${kind}: ${formatCount(count)} (${meaning})`))
    for (const { value, text, lines: at } of witnesses.slice(0, WITNESSES_SHOWN)) {
      const where = at.length === 0 ? '' : `, events ${at.join(', ')}`
      lines.push(`    ${value}: ${text}${where}`)
    }
  }
  if (violations.length > 0) {
    lines.push(
      paint.dim(`  messages are named by their key: mqctl message find --topic ${verdict.topic}`),
    )
  }
  if (history !== null) lines.push(paint.dim(`  history ${history}`))
  return lines.join('\n')
}

function countLines(counts: VerdictCounts): string[] {
  const { sent, acknowledged, refused, unknown, kills } = counts
  const text = (pairs: readonly (readonly [what: string, count: number])[]) =>
    pairs
      .filter(([, count]) => count > 0)
      .map(([what, count]) => `${formatCount(count)} ${what}`)
      .join(', ')
  return [
    text([
      ['sent', sent],
      ['acknowledged', acknowledged],
      ['refused', refused],
      ['unknown', unknown],
      ['kills', kills],
    ]),
    text([
      ['first deliveries', counts.firstDeliveries],
      ['further ones', counts.redelivered],
      ['processed', counts.processed],
      ['tries failed', counts.failedTries],
      ['dead letters', counts.deadLetters],
      ['kept from a reader', counts.excluded],
    ]),
    text([
      ['committed', counts.committed],
      ['rolled back', counts.rolledBack],
      ['asked about', counts.checks],
    ]),
    text([
      ['in the topic', counts.stored],
      ['of them copies', counts.storedTwice],
    ]),
  ].filter((line) => line !== '')
}
