/** What a gate found, for people: pure. */
import type { GateResult } from '../bench/gate-result.ts'

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
  const { looks, confirmation, metrics, unmeasured, durability, machine } = result
  const notes = looks.map(
    ({ pairs, alpha, verdict }) =>
      `look at ${pairs} pairs, ${(alpha * 100).toFixed(0)} % of false alarms allowed: ${verdict}`,
  )
  if (confirmation !== null) notes.push(`confirming runs: ${confirmation.verdict}`)
  for (const { metric, primary, verdict, pairsNeeded } of metrics) {
    if (!primary || verdict !== 'inconclusive' || pairsNeeded === null) continue
    notes.push(`${metric}: about ${pairsNeeded} pairs would tell, at the noise of this machine`)
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
