/**
 * Rate against latency, step by step. Rates grow by the same factor from step to step, so that the
 * curve has as many points where it is flat as where it rises; it ends after two steps in a row
 * that the target did not carry, because beyond them nothing new can be seen.
 *
 * The knee is the step that was carried and has the most *power*: rate divided by mean response
 * time. Below it more load costs little time, above it time grows faster than the rate. Source: L. Kleinrock, "Power and
 * deterministic rules of thumb for probabilistic problems in computer communications", 1979.
 */
import type { RateTrials } from './rate-trial.ts'
import type { Trial } from './result.ts'
import { type PlannedStage, CURVE_STEPS } from './stages.ts'

const KNEE_METHOD =
  'the carried step with the highest rate ÷ mean response time (Kleinrock’s power)'

export interface CurveRecord {
  readonly steps: readonly Trial[]
  /** Null when no step was carried. */
  readonly knee: Pick<Trial, 'ratePerSecond' | 'meanMs' | 'p99Ms'> | null
  readonly method: string
  readonly highestAckedPerSecond: number
  readonly text: string
}

/** Rates from one to another, each the same factor above the last. */
export function geometricRates(from: number, to: number, steps: number): number[] {
  return Array.from({ length: steps }, (_, step) => from * (to / from) ** (step / (steps - 1)))
}

export function kneeOf(steps: readonly Trial[]): Trial | null {
  let knee: Trial | null = null
  let most = 0
  for (const step of steps) {
    if (!step.pass || step.meanMs === null || step.meanMs <= 0) continue
    const power = step.ratePerSecond / step.meanMs
    if (power <= most) continue
    most = power
    knee = step
  }
  return knee
}

export async function runCurve(trials: RateTrials, planned: PlannedStage): Promise<CurveRecord> {
  const { from = 1, to = 1, steps = CURVE_STEPS } = planned.stage
  const done: Trial[] = []
  for (const rate of geometricRates(from, to, steps)) {
    if (trials.isCut) break
    const trial = await trials.run(planned, rate, [], planned.name)
    if (wasCut(trials)) break
    done.push(trial)
    const lastTwo = done.slice(-2)
    if (lastTwo.length === 2 && lastTwo.every(({ pass }) => !pass)) break
  }
  return curveOf(done)
}

/** Apart from the loop, which has asked before: the answer may be another one now. */
function wasCut(trials: RateTrials): boolean {
  return trials.isCut
}

export function curveOf(steps: readonly Trial[]): CurveRecord {
  const knee = kneeOf(steps)
  const highestAckedPerSecond = Math.max(0, ...steps.map(({ ackedPerSecond }) => ackedPerSecond))
  return {
    steps,
    knee:
      knee === null
        ? null
        : { ratePerSecond: knee.ratePerSecond, meanMs: knee.meanMs, p99Ms: knee.p99Ms },
    method: KNEE_METHOD,
    highestAckedPerSecond,
    text: textOf(steps, knee, highestAckedPerSecond),
  }
}

function textOf(steps: readonly Trial[], knee: Trial | null, highest: number): string {
  const tried = `${steps.length} rates were tried`
  if (knee === null) return `the target carried none of the rates; ${tried}`
  const at = Math.round(knee.ratePerSecond)
  const most = `the most that was acknowledged are ${Math.round(highest)}/s`
  const isLast = knee === steps.at(-1)
  if (isLast) return `the knee lies at ${at}/s or above, the highest rate that was tried; ${tried}`
  return `the knee lies at ${at}/s; ${most}; ${tried}`
}
