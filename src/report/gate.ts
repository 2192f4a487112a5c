/** What a gate found, for people: pure. */
import type { GateResult } from '../bench/gate-result.ts'
import { escapedMarkdown } from './markdown.ts'

const signed = (share: number) => `${share < 0 ? '' : '+'}${(share * 100).toFixed(1)} %`
const figure = (value: number) => String(Number(value.toPrecision(4)))

export function gateHeadline(result: GateResult): string {
  const { verdict, base, head, scenario, exitCode } = result
  return `${verdict.toUpperCase()} · ${scenario.name} · ${head} against ${base} · exit ${exitCode}`
}

export function gateTable({ metrics }: GateResult): { heads: string[]; rows: string[][] } {
  return {
    heads: [
      'METRIC',
      'PAIRS',
      'BASE',
      'HEAD',
      'CHANGE',
      'INTERVAL',
      'P',
      'LIMIT',
      'VERDICT',
      'WHY',
    ],
    rows: metrics.map((one) => [
      one.primary ? one.metric : `(${one.metric})`,
      String(one.pairs),
      figure(one.base),
      figure(one.head),
      signed(one.change),
      `${signed(one.low)} … ${signed(one.high)}`,
      (one.pCorrected ?? one.p).toFixed(4),
      `±${(one.limit * 100).toFixed(1)} %${one.floor === one.limit ? ' (floor)' : ''}`,
      one.verdict,
      one.why,
    ]),
  }
}

export function gateNotes(result: GateResult): string[] {
  const { looks, confirmation, metrics, thresholds, unmeasured, durability, machine } = result
  const notes = looks.map(
    ({ pairs, alpha, verdict }) =>
      `look at ${pairs} pairs, ${(alpha * 100).toFixed(0)} % of false alarms allowed: ${verdict}`,
  )
  const { qualification } = result
  if (qualification !== null) {
    const { plantedShare, planted, same } = qualification
    const share = `${Math.round(plantedShare * 100)} %`
    notes.push(
      `the gate itself: a planted slow-down of ${share} was ${planted}, nothing at all was ${same}`,
    )
  }
  if (confirmation !== null) notes.push(`confirming runs: ${confirmation.verdict}`)
  for (const { metric, primary, verdict, pairsNeeded } of metrics) {
    if (!primary || verdict !== 'inconclusive' || pairsNeeded === null) continue
    notes.push(`${metric}: about ${pairsNeeded} pairs would tell, at the noise of this machine`)
  }
  for (const { threshold, verdict, why } of thresholds) {
    notes.push(`${threshold}: ${verdict}, ${why}`)
  }
  if (unmeasured.length > 0) {
    notes.push(`not judged, because some run has no value of it: ${unmeasured.join(', ')}`)
  }
  if (metrics.some(({ primary }) => !primary)) {
    notes.push('metrics in brackets inform and decide nothing')
  }
  if (durability !== '') notes.push(`an acknowledgement means: ${durability}`)
  if (machine !== '') notes.push(`on ${machine}`)
  return notes
}

/** The same as Markdown, for a step summary or a pull request. */
export function gateMarkdown(result: GateResult): string {
  const { heads, rows } = gateTable(result)
  const line = (cells: readonly string[]) => `| ${cells.map(escapedMarkdown).join(' | ')} |`
  const parts = [
    `# ${escapedMarkdown(gateHeadline(result))}`,
    ...(result.reasons.length === 0
      ? []
      : [result.reasons.map((reason) => `- **${escapedMarkdown(reason)}**`).join('\n')]),
    [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n'),
    gateNotes(result)
      .map((note) => `- ${escapedMarkdown(note)}`)
      .join('\n'),
  ]
  return `${parts.join('\n\n')}\n`
}
