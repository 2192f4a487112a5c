import type { Clock, Stop } from '../../src/world/clock.ts'

interface Timer {
  dueMs: number
  readonly periodMs: number | null
  readonly run: () => void
}

/** A clock that stands still until `advance` is called. The end of a turn is the real one. */
export class ManualClock implements Clock {
  #nowMs: number
  readonly #startMs: number
  readonly #timers = new Set<Timer>()

  constructor(wallMs = 1_700_000_000_000) {
    this.#nowMs = wallMs
    this.#startMs = wallMs
  }

  wallMs(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs - this.#startMs
  }

  monotonicNs(): bigint {
    return BigInt(this.monotonicMs()) * 1_000_000n
  }

  every(periodMs: number, run: () => void): Stop {
    return this.#add({ dueMs: this.#nowMs + periodMs, periodMs, run })
  }

  after(delayMs: number, run: () => void): Stop {
    return this.#add({ dueMs: this.#nowMs + delayMs, periodMs: null, run })
  }

  atEndOfTurn(run: () => void): void {
    setImmediate(run)
  }

  /** Lets time pass and runs what falls due, in order. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms
    for (;;) {
      const next = [...this.#timers]
        .filter((timer) => timer.dueMs <= endMs)
        .sort((a, b) => a.dueMs - b.dueMs)[0]
      if (next === undefined) break
      this.#nowMs = next.dueMs
      if (next.periodMs === null) this.#timers.delete(next)
      else next.dueMs += next.periodMs
      next.run()
    }
    this.#nowMs = endMs
  }

  #add(timer: Timer): Stop {
    this.#timers.add(timer)
    return () => {
      this.#timers.delete(timer)
    }
  }
}
