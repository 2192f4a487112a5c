/**
 * How far another host's monotonic clock is ahead of ours, from round trips for as long as a run
 * lasts. A question that left at a, was answered when their clock said t, and came back at b tells
 * that they are between t − b and t − a ahead, however the way there and the way back differ. What
 * was known before is as wide as the clocks may have drifted since; where both hold lies the truth.
 */
export interface ClockReading {
  /** Their clock minus ours, nanoseconds. */
  readonly offsetNs: number
  /** The true offset is not farther away than this. */
  readonly uncertaintyNs: number
}

/**
 * What two clocks drift apart in a second, at most: crystals are some 50 millionths off, and time
 * daemons correct them by a little more. A clock that moves faster than that is read anew.
 */
const DRIFT_MAX = 200e-6

export class ClockGauge {
  #lowNs = Number.NEGATIVE_INFINITY
  #highNs = Number.POSITIVE_INFINITY
  /** When that was known, on our clock; null before the first round trip. */
  #atNs: number | null = null
  #first: ClockReading | null = null
  /** What is reckoned with. */
  #told: ClockReading | null = null
  #errorNs = 0
  #movedNs = 0

  /** One round trip: when it left and came back on our clock, and what theirs said meanwhile. */
  add(leftNs: number, theirNs: number, backNs: number): void {
    if (backNs < leftNs) return
    const [lowNs, highNs] = [theirNs - backNs, theirNs - leftNs]
    const aged = DRIFT_MAX * Math.max(0, backNs - (this.#atNs ?? backNs))
    const [lowest, highest] = [this.#lowNs - aged, this.#highNs + aged]
    const isApart = highNs < lowest || lowNs > highest
    this.#lowNs = isApart ? lowNs : Math.max(lowNs, lowest)
    this.#highNs = isApart ? highNs : Math.min(highNs, highest)
    this.#atNs = backNs
    this.#errorNs = this.#told === null ? 0 : Math.max(this.#errorNs, this.#farthest(this.#told))
    this.#movedNs = this.#first === null ? 0 : Math.max(this.#movedNs, this.#farthest(this.#first))
  }

  /** What is known now; null before the first round trip. */
  get reading(): ClockReading | null {
    if (this.#atNs === null) return null
    const uncertaintyNs = (this.#highNs - this.#lowNs) / 2
    return { offsetNs: this.#lowNs + uncertaintyNs, uncertaintyNs }
  }

  /** What is known now, for others to reckon with until it is told again; null before the first round trip. */
  tell(): ClockReading | null {
    const { reading } = this
    if (reading === null) return null
    this.#first ??= reading
    this.#told = reading
    this.#errorNs = Math.max(this.#errorNs, reading.uncertaintyNs)
    return reading
  }

  /** What was told was not farther off than this at any moment until it was told anew. */
  get errorNs(): number {
    return this.#errorNs
  }

  /** At no moment was the clock farther than this from what was told first. */
  get movedNs(): number {
    return this.#movedNs
  }

  #farthest({ offsetNs }: ClockReading): number {
    return Math.max(this.#highNs - offsetNs, offsetNs - this.#lowNs)
  }
}
