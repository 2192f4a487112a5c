/** A clock that stands still until told, and a queue of what is to happen: one order for one seed. */
import type { Clock, Stop } from '../../src/world/clock.ts'

interface Event {
  readonly atMs: number
  readonly order: number
  readonly run: () => void
  stopped: boolean
}

/** Small generator of whole numbers, the same for the same seed. */
export function randomFrom(seed: number): (bound: number) => number {
  let state = seed | 0 || 1
  return (bound) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % bound
  }
}

export class SimClock implements Clock {
  nowMs = 1_800_000_000_000
  #events: Event[] = []
  #order = 0

  wallMs(): number {
    return this.nowMs
  }
  monotonicMs(): number {
    return this.nowMs - 1_799_999_000_000
  }
  monotonicNs(): bigint {
    return BigInt(Math.floor(this.monotonicMs() * 1e6))
  }

  every(periodMs: number, tick: () => void): Stop {
    let stopped = false
    const arm = (): Event =>
      this.#push(this.nowMs + periodMs, () => {
        if (stopped) return
        event = arm()
        tick()
      })
    let event = arm()
    return () => {
      stopped = true
      event.stopped = true
    }
  }

  after(delayMs: number, run: () => void): Stop {
    const event = this.#push(this.nowMs + delayMs, run)
    return () => {
      event.stopped = true
    }
  }

  atEndOfTurn(run: () => void): void {
    this.#push(this.nowMs, run)
  }

  #push(atMs: number, run: () => void): Event {
    const event = { atMs, order: this.#order++, run, stopped: false }
    this.#events.push(event)
    return event
  }

  /** Runs the next event at or before `untilMs`; false when there is none. */
  step(untilMs: number): boolean {
    let next: Event | undefined
    for (const event of this.#events) {
      if (event.atMs > untilMs) continue
      if (
        !next ||
        event.atMs < next.atMs ||
        (event.atMs === next.atMs && event.order < next.order)
      ) {
        next = event
      }
    }
    if (!next) {
      this.nowMs = Math.max(this.nowMs, untilMs)
      return false
    }
    this.#events.splice(this.#events.indexOf(next), 1)
    this.nowMs = Math.max(this.nowMs, next.atMs)
    if (!next.stopped) next.run()
    return true
  }

  /** Lets `ms` pass. Promises settle after every event. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms
    await settle()
    while (this.step(untilMs)) await settle()
  }
}

/** Lets promises make some headway: a fixed number of microtask rounds, so that a run stays the same. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 8; i++) await Promise.resolve()
}
