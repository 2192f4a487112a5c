/**
 * The highest rate at which no resource is above a given share: the question of a pressure test that
 * looks for the balance between rate and what the machine can bear. Searched as an SLA is
 * (`rate-search.ts`), with the shares of the resources over each trial as the promise.
 */
import { Bisection, RESOLUTION, lastHeldBelow, unboundedText } from './rate-search.ts'
import { type ResourceName, resourceNames } from './host-look.ts'
import type { RateTrials } from './rate-trial.ts'
import type { Trial } from './result.ts'
import { type PlannedStage, TRIALS_MAX } from './stages.ts'

export type ResourceLimits = Readonly<Partial<Record<ResourceName, number | undefined>>>

/** What is kept free when nothing else is said; what a host does not tell is left out then. */
const DEFAULT_LIMITS: ResourceLimits = { cpu: 0.7, disk: 0.7, nic: 0.7 }

export interface BalanceRecord {
  readonly limits: Readonly<Record<string, number>>
  readonly steps: readonly Trial[]
  /** The highest rate that held, and held again; null when none did. */
  readonly balancedPerSecond: number | null
  readonly failedPerSecond: number | null
  /** The resource that was above its share at the lowest rate that failed; null when it was something else. */
  readonly limitedBy: ResourceName | null
  readonly text: string
}

/**
 * What is above its share in a trial.
 *
 * @param strict a limit on what cannot be told fails, instead of being left out
 * @param first of the first rate: what was told then and is not any more fails in any case
 */
export function overLimit(
  { resources }: Pick<Trial, 'resources'>,
  limits: ResourceLimits,
  strict: boolean,
  first?: Trial['resources'],
): { resource: ResourceName; text: string }[] {
  return resourceNames.flatMap((resource) => {
    const limit = limits[resource]
    if (limit === undefined) return []
    const share = resources[resource]
    if (share === null) {
      const isGone = (first?.[resource] ?? null) !== null
      const text = `${resource}: its share is not known ${isGone ? 'any more' : 'on this host'}`
      return strict || isGone ? [{ resource, text }] : []
    }
    const text = `${resource}: ${percent(share)}, above ${percent(limit)}`
    return share > limit ? [{ resource, text }] : []
  })
}

export async function runBalance(
  trials: Pick<RateTrials, 'run' | 'isCut'>,
  planned: PlannedStage,
): Promise<BalanceRecord> {
  const { from = 1, to = 1, resolution = RESOLUTION, maxTrials = TRIALS_MAX } = planned.stage
  const { max } = planned.stage
  const limits = max ?? DEFAULT_LIMITS
  const sla = [planned.stage.sla ?? []].flat()
  const bisection = new Bisection(from, to, resolution)
  const steps: Trial[] = []
  const overs = new Map<number, ResourceName>()
  let balanced: number | null = null
  while (steps.length < maxTrials) {
    // The last trial belongs to the confirmation, however wide the bracket still is.
    const wanted = steps.length < maxTrials - 1 ? bisection.next() : null
    const rate = wanted ?? bisection.held
    if (rate === null || trials.isCut) break
    const name = wanted === null ? `${planned.name} confirmed` : planned.name
    const tried = await trials.run(planned, rate, sla, name)
    if (wasCut(trials)) break
    const over = overLimit(tried, limits, max !== undefined, steps[0]?.resources)
    const reasons = [...over.map(({ text }) => text), ...tried.reasons]
    const trial = { ...tried, reasons, pass: tried.pass && over.length === 0 }
    steps.push(trial)
    if (over[0] !== undefined) overs.set(rate, over[0].resource)
    if (wanted !== null) {
      bisection.tell(rate, trial.pass)
    } else if (trial.pass) {
      balanced = rate
      break
    } else {
      bisection.tell(rate, false)
      bisection.held = lastHeldBelow(steps, rate)
    }
  }
  const { failed } = bisection
  const limitedBy = failed === null ? null : (overs.get(failed) ?? null)
  return {
    limits: known(limits),
    steps,
    balancedPerSecond: balanced,
    failedPerSecond: failed,
    limitedBy,
    text: textOf(steps, balanced, failed, limits, to),
  }
}

function known(limits: ResourceLimits): Record<string, number> {
  return Object.fromEntries(
    Object.entries(limits).flatMap(([name, share]) => (share === undefined ? [] : [[name, share]])),
  )
}

/** Apart from the loop, which has asked before: the answer may be another one now. */
function wasCut(trials: Pick<RateTrials, 'isCut'>): boolean {
  return trials.isCut
}

function textOf(
  steps: readonly Trial[],
  balanced: number | null,
  failed: number | null,
  limits: ResourceLimits,
  to: number,
): string {
  const tried = `${steps.length} rates were tried`
  const kept = Object.entries(known(limits))
    .map(([name, share]) => `${name} ≤ ${percent(share)}`)
    .join(', ')
  const unknown = resourceNames.filter(
    (name) =>
      limits[name] !== undefined && steps.every(({ resources }) => resources[name] === null),
  )
  const blind = unknown.length === 0 ? '' : `; not known here: ${unknown.join(', ')}`
  const last = steps.findLast(({ ratePerSecond, pass }) => !pass && ratePerSecond === failed)
  const why = last?.reasons[0] ?? 'it failed'
  if (balanced === null) {
    return `no rate kept ${kept} and was confirmed (${why}); ${tried}${blind}`
  }
  const rate = `${Math.round(balanced)} messages a second keep ${kept}`
  if (failed === null) return `${rate}, ${unboundedText(balanced, to)}; ${tried}${blind}`
  return `${rate}; ${Math.round(failed)} do not (${why}); ${tried}${blind}`
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(3))} %`
}
