/**
 * Keeps cold work from holding the event loop: long walks over topics, groups and offsets look at
 * `spent` between items and wait for the next turn, so that sends and pulls go on in between.
 *
 *     const budget = new TurnBudget(clock)
 *     for (const topic of topics) {
 *       …
 *       if (budget.spent) await budget.nextTurn()
 *     }
 */
import type { Clock } from '../world/clock.ts'

/** Longest stretch of cold work in one turn. */
const TURN_MS = 5

export class TurnBudget {
  readonly #clock: Clock
  readonly #turnMs: number
  #endMs: number

  constructor(clock: Clock, turnMs = TURN_MS) {
    this.#clock = clock
    this.#turnMs = turnMs
    this.#endMs = clock.monotonicMs() + turnMs
  }

  get spent(): boolean {
    return this.#clock.monotonicMs() >= this.#endMs
  }

  /** Resolves after everybody else had a turn. */
  nextTurn(): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.atEndOfTurn(() => {
        this.#endMs = this.#clock.monotonicMs() + this.#turnMs
        resolve()
      })
    })
  }
}
