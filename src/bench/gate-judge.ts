/**
 * The verdict of a gate, from pairs of runs: pure. For each metric and pair the logarithm of head
 * over base is one value; noise that a machine has for a while hits both runs of a pair.
 *
 * A change counts when three things agree: an exact sign-flip test, corrected after Holm for the
 * number of primary metrics, finds it unlikely to be chance; Student's interval lies beyond "no
 * change"; and the change is larger than the smallest that matters and than what this machine shows
 * between two runs of the same thing (the floor). "ok" needs proof as well: the whole interval
 * within the smallest change that matters. Everything else is inconclusive, and never a pass.
 */
import type { GateVerdict, JudgedMetric } from './gate-result.ts'
import { hodgesLehmann, holm, mean, pairedInterval, signFlipP, variance } from './statistics.ts'

/** Values of one metric; all above 0. */
export interface MetricPairs {
  readonly metric: string
  /** Decides about the verdict; others inform. */
  readonly primary: boolean
  readonly higherIsBetter: boolean
  /** The smallest change that matters, as a share, above 0. */
  readonly minEffect: number
  readonly pairs: readonly { readonly base: number; readonly head: number }[]
  /** The same thing against itself, for the floor. */
  readonly same: readonly { readonly base: number; readonly head: number }[]
}

export interface GateJudgement {
  readonly metrics: readonly JudgedMetric[]
  readonly verdict: GateVerdict
}

/** Fewer pairs than this can never be significant: 2 / 2^6 is above what Holm asks of three metrics. */
export const PAIRS_MIN = 8
const FLOOR_DRAWS_MIN = 3
const TWO_SIDED_95 = 1.96

/** @param alpha chance of a false alarm that is accepted at this look, 0 … 1 */
export function judgeGate(metrics: readonly MetricPairs[], alpha: number): GateJudgement {
  const measured = metrics.filter(({ pairs }) => pairs.length >= 2)
  const logs = measured.map(({ pairs }) => pairs.map(({ base, head }) => Math.log(head / base)))
  const ps = logs.map((values) => signFlipP(values))
  const primary = measured.flatMap((one, index) => (one.primary ? [index] : []))
  const corrected = holm(primary.map((index) => ps[index] ?? 1))
  const judged = measured.map((one, index) => {
    const rank = primary.indexOf(index)
    const pCorrected = rank < 0 ? null : (corrected[rank] ?? 1)
    return judge(one, logs[index] ?? [], ps[index] ?? 1, pCorrected, alpha)
  })
  return { metrics: judged, verdict: overall(judged) }
}

function judge(
  one: MetricPairs,
  logs: readonly number[],
  p: number,
  pCorrected: number | null,
  alpha: number,
): JudgedMetric {
  const { metric, primary, higherIsBetter, pairs } = one
  const { estimate, low, high } = pairedInterval(logs, 1 - alpha)
  const floor = floorOf(one)
  const limit = Math.max(Math.log(1 + one.minEffect), floor ?? 0)
  const [verdict, why] = verdictOf(
    one,
    { estimate, low, high, floor, limit },
    pCorrected ?? p,
    alpha,
  )
  const share = (log: number) => Math.exp(log) - 1
  return {
    metric,
    primary,
    higherIsBetter,
    pairs: pairs.length,
    base: mean(pairs.map(({ base }) => base)),
    head: mean(pairs.map(({ head }) => head)),
    change: share(estimate),
    low: share(low),
    high: share(high),
    medianChange: share(hodgesLehmann(logs)),
    p,
    pCorrected,
    floor: floor === null ? null : share(floor),
    limit: share(limit),
    verdict,
    why,
    pairsNeeded: neededFor(logs, Math.log(1 + one.minEffect)),
  }
}

interface Seen {
  readonly estimate: number
  readonly low: number
  readonly high: number
  readonly floor: number | null
  readonly limit: number
}

function verdictOf(
  { pairs, higherIsBetter, minEffect }: MetricPairs,
  { estimate, low, high, floor, limit }: Seen,
  p: number,
  alpha: number,
): [GateVerdict, string] {
  if (pairs.length < PAIRS_MIN) {
    return ['inconclusive', `${pairs.length} pairs; a verdict needs ${PAIRS_MIN}`]
  }
  const beyond = low > 0 || high < 0
  if (beyond && p <= alpha && Math.abs(estimate) > limit) {
    const better = estimate > 0 === higherIsBetter
    return [better ? 'improved' : 'regressed', 'test, interval and size of the change agree']
  }
  // A noisy machine must not make more pass: what is ok is held against what matters, not the floor.
  const allowed = Math.log(1 + minEffect)
  if (low > -allowed && high < allowed) {
    return ['ok', 'the whole interval lies within the smallest change that matters']
  }
  if (beyond && p <= alpha && limit === floor) {
    return ['inconclusive', 'the change is within what this machine shows between equal runs']
  }
  return ['inconclusive', 'the interval is too wide to rule a change in or out']
}

/** In logarithms; null with fewer than three draws. */
function floorOf({ same, pairs }: MetricPairs): number | null {
  if (same.length < FLOOR_DRAWS_MIN) return null
  const squares = same.map(({ base, head }) => Math.log(head / base) ** 2)
  return (TWO_SIDED_95 * Math.sqrt(mean(squares))) / Math.sqrt(pairs.length)
}

/** So many that the interval around no change at all would fit within the limit. */
function neededFor(logs: readonly number[], limit: number): number | null {
  const needed = Math.ceil((2.5 * Math.sqrt(variance(logs))) ** 2 / limit ** 2)
  return needed > logs.length ? needed : null
}

function overall(judged: readonly JudgedMetric[]): GateVerdict {
  const verdicts = judged.filter(({ primary }) => primary).map(({ verdict }) => verdict)
  if (verdicts.includes('regressed')) return 'regressed'
  if (verdicts.length === 0 || verdicts.includes('inconclusive')) return 'inconclusive'
  return verdicts.includes('improved') ? 'improved' : 'ok'
}
