/**
 * The highest rate that keeps a promise. Rates are tried one after the other, each with a moment to
 * settle that counts nowhere and counters of its own: twice the last one while it holds, then the
 * middle between the highest that held and the lowest that did not. The rate that is found must
 * hold once more, with fresh counters, before it is called sustainable.
 *
 * A rate holds when every expression of the SLA does, no more than a thousandth of its messages
 * stayed unsent, and at least 99 % of it were acknowledged.
 */
import type { RateTrials } from './rate-trial.ts'
import type { Trial } from './result.ts'
import { type PlannedStage, TRIALS_MAX } from './stages.ts'

export interface SearchRecord {
  readonly sla: readonly string[]
  readonly trials: readonly Trial[]
  readonly sustainablePerSecond: number | null
  readonly failedPerSecond: number | null
  readonly text: string
}

export const RESOLUTION = 0.05

/** What a search asks next: a pure state machine, so that its steps can be tested without a broker. */
export class Bisection {
  held: number | null = null
  failed: number | null = null
  readonly #from: number
  readonly #to: number
  readonly #resolution: number

  constructor(from: number, to: number, resolution: number) {
    this.#from = from
    this.#to = to
    this.#resolution = resolution
  }

  /** The next rate; null when the bracket is as narrow as it should be, or there is none to find. */
  next(): number | null {
    const { held, failed } = this
    if (held === null) {
      if (failed === null) return this.#from
      // Even the first rate failed: look below it, down to a hundredth.
      return failed / 2 >= this.#from / 100 ? failed / 2 : null
    }
    if (failed === null) return held >= this.#to ? null : Math.min(this.#to, held * 2)
    return failed / held <= 1 + this.#resolution ? null : Math.sqrt(held * failed)
  }

  tell(rate: number, pass: boolean): void {
    if (pass) this.held = Math.max(this.held ?? 0, rate)
    else this.failed = Math.min(this.failed ?? Number.POSITIVE_INFINITY, rate)
    // A rate that failed and then held below a lower failure: the lower failure stands.
    if (this.held !== null && this.failed !== null && this.held >= this.failed) this.held = null
  }
}

export class RateSearch {
  readonly #trials: Pick<RateTrials, 'run' | 'isCut'>

  constructor(trials: Pick<RateTrials, 'run' | 'isCut'>) {
    this.#trials = trials
  }

  async run(planned: PlannedStage): Promise<SearchRecord> {
    const { from = 1, to = 1, resolution = RESOLUTION, maxTrials = TRIALS_MAX } = planned.stage
    const sla = [planned.stage.sla ?? []].flat()
    const bisection = new Bisection(from, to, resolution)
    const trials: Trial[] = []
    let sustainable: number | null = null
    while (trials.length < maxTrials && !this.#trials.isCut) {
      // The last trial belongs to the confirmation, however wide the bracket still is.
      const wanted = trials.length < maxTrials - 1 ? bisection.next() : null
      const rate = wanted ?? bisection.held
      if (rate === null) break
      const name = wanted === null ? `${planned.name} confirmed` : planned.name
      const trial = await this.#trials.run(planned, rate, sla, name)
      if (this.#wasCut()) break
      trials.push(trial)
      if (wanted !== null) {
        bisection.tell(rate, trial.pass)
      } else if (trial.pass) {
        sustainable = rate
        break
      } else {
        bisection.tell(rate, false)
        bisection.held = lastHeldBelow(trials, rate)
      }
    }
    const { failed } = bisection
    return {
      sla,
      trials,
      sustainablePerSecond: sustainable,
      failedPerSecond: failed,
      text: textOf(trials, sustainable, failed, to),
    }
  }

  #wasCut(): boolean {
    return this.#trials.isCut
  }
}

/** Why no higher rate was tried although none had failed. */
export function unboundedText(held: number, to: number): string {
  return held < to
    ? `and the trials ran out below ${to}/s: it may be higher`
    : `the highest that was asked for (${to}/s)`
}

export function lastHeldBelow(trials: readonly Trial[], rate: number): number | null {
  const held = trials.filter(({ pass, ratePerSecond }) => pass && ratePerSecond < rate)
  return held.length === 0 ? null : Math.max(...held.map(({ ratePerSecond }) => ratePerSecond))
}

function textOf(
  trials: readonly Trial[],
  sustainable: number | null,
  failed: number | null,
  to: number,
): string {
  const tried = `${trials.length} rates were tried`
  if (sustainable === null) return `no rate held and was confirmed; ${tried}`
  const rate = `${Math.round(sustainable)} messages a second hold`
  if (failed === null) return `${rate}, ${unboundedText(sustainable, to)}; ${tried}`
  const [first] = trials.filter(({ ratePerSecond, pass }) => !pass && ratePerSecond === failed)
  return `${rate}; ${Math.round(failed)} do not (${first?.reasons[0] ?? 'it failed'}); ${tried}`
}
