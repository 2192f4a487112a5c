/**
 * What HEAD promises and breaks in a gate, where BASE keeps it: the thresholds of the scenario, and
 * that sends succeed. Pure.
 *
 * A rate and a percentile are means and ranks of what was answered; a head that refuses a few
 * messages in a hundred is as fast as before with the others. So the pairs in which one side alone
 * broke a threshold are counted, and judged by the sign test: were both sides alike, each of these
 * pairs would be one or the other's with equal chance. What both break is no change.
 */
import { PAIRS_MIN } from './gate-judge.ts'
import type { GatePair, GateVerdict, JudgedThreshold } from './gate-result.ts'
import type { BenchResult } from './result.ts'

/** More failed sends than this are a broken promise, whether the scenario has a threshold on them or not. */
const FAILED_MAX = 0.001
const FEW_FAILED = 'errors.rate <= 0.1%'
/** The chance of a false alarm that all thresholds together add to that of the metrics. */
export const THRESHOLDS_ALPHA = 0.005
/** Up to this chance it is not told from nothing, and no pass either. */
const DOUBT = 0.25

/** What a run broke, each once. */
export function brokenIn({ thresholds, totals }: BenchResult): string[] {
  const broken = new Set(thresholds.filter(({ pass }) => !pass).map(nameOf))
  if (totals.failed > totals.sent * FAILED_MAX) broken.add(FEW_FAILED)
  return [...broken]
}

/** How many thresholds a run was judged by: the repetitions of a phase have one and the same. */
export function thresholdCount({ thresholds }: BenchResult): number {
  return new Set(thresholds.map(nameOf)).size
}

function nameOf({ expression, phase }: BenchResult['thresholds'][number]): string {
  return phase === null ? expression : `${expression} in ${phase}`
}

/**
 * Each threshold that either side broke in some pair.
 *
 * @param kept thresholds of the scenario: more of them, and each needs more evidence
 */
export function judgeBroken(
  pairs: readonly GatePair[],
  kept: number,
  alpha: number,
): JudgedThreshold[] {
  const compared = pairs.filter(({ same }) => !same)
  const all = new Set(compared.flatMap(({ base, head }) => [...base.broken, ...head.broken]))
  return [...all].map((threshold) => {
    const brokenBy = (side: 'base' | 'head') =>
      compared.filter((pair) => pair[side].broken.includes(threshold))
    const [base, head] = [brokenBy('base'), brokenBy('head')]
    const onlyHead = head.filter((pair) => !base.includes(pair)).length
    const onlyBase = base.filter((pair) => !head.includes(pair)).length
    const p = atLeast(onlyHead, onlyHead + onlyBase)
    // Of two that are alike the head alone breaks it in a quarter of the pairs at most, and in all
    // of eight one time in 65,536. That the sign test, which knows nothing of this, can never tell
    // more of eight pairs than 1 in 256 must not keep the clearest of all changes from being told.
    const isAlways = onlyHead === compared.length && compared.length >= PAIRS_MIN
    const isTold = isAlways || p <= alpha / (kept + 1)
    const verdict: JudgedThreshold['verdict'] = isTold
      ? 'regressed'
      : p <= DOUBT
        ? 'inconclusive'
        : 'ok'
    return {
      threshold,
      pairs: compared.length,
      base: base.length,
      head: head.length,
      onlyHead,
      onlyBase,
      p,
      verdict,
      why: `broken by ${head.length} of ${compared.length} runs of the head and ${base.length} of the base`,
    }
  })
}

/** The verdict of the metrics, unless a threshold has worse news. */
export function withBroken(
  verdict: GateVerdict,
  thresholds: readonly JudgedThreshold[],
): GateVerdict {
  const verdicts = [verdict, ...thresholds.map((one) => one.verdict)]
  if (verdicts.includes('regressed')) return 'regressed'
  return verdicts.includes('inconclusive') ? 'inconclusive' : verdict
}

/** The chance of at least `hits` heads in `tosses` of a fair coin. */
function atLeast(hits: number, tosses: number): number {
  let [ways, sum] = [1, 0]
  for (let count = 0; count <= tosses; count += 1) {
    if (count >= hits) sum += ways
    ways *= (tosses - count) / (count + 1)
  }
  return sum / 2 ** tosses
}
