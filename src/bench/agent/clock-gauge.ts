/**
 * How far another host's monotonic clock is ahead of ours. A question that left at a, was answered
 * when their clock said t, and came back at b tells: their clock is ahead by t − (a + b) / 2, and
 * that is off by (b − a) / 2 at most, however the way there and the way back differ. So the
 * shortest round trip tells most.
 */
export interface ClockReading {
  /** Their clock minus ours, nanoseconds. */
  readonly offsetNs: number
  /** The true offset is not farther away than this. */
  readonly uncertaintyNs: number
}

export class ClockGauge {
  #best: ClockReading | null = null

  /** One round trip: when it left and came back on our clock, and what theirs said meanwhile. */
  add(leftNs: number, theirNs: number, backNs: number): void {
    const uncertaintyNs = (backNs - leftNs) / 2
    if (
      uncertaintyNs < 0 ||
      (this.#best?.uncertaintyNs ?? Number.POSITIVE_INFINITY) <= uncertaintyNs
    )
      return
    this.#best = { offsetNs: theirNs - leftNs - uncertaintyNs, uncertaintyNs }
  }

  /** The best that is known since the last `restart`; null before the first round trip. */
  get reading(): ClockReading | null {
    return this.#best
  }

  restart(): void {
    this.#best = null
  }
}

/**
 * How wrong the first reading may have been at any moment up to the second: clocks drift, and the
 * drift between the two is in it. Nanoseconds.
 */
export function errorOver(first: ClockReading, second: ClockReading): number {
  const moved = Math.abs(second.offsetNs - first.offsetNs)
  return Math.max(first.uncertaintyNs, moved + second.uncertaintyNs)
}
