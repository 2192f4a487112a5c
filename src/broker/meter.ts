/**
 * Counts of one thing over time. The hot path adds to plain numbers; a sampler looks at them now
 * and then, and rates are differences of samples.
 */

/** A fixed number of samples of a growing count, newest last, evenly spaced. */
export class SampleRing {
  readonly #counts: Float64Array
  readonly #timesMs: Float64Array
  #next = 0
  #size = 0

  constructor(capacity: number) {
    this.#counts = new Float64Array(capacity)
    this.#timesMs = new Float64Array(capacity)
  }

  add(count: number, nowMs: number): void {
    this.#counts[this.#next] = count
    this.#timesMs[this.#next] = nowMs
    this.#next = (this.#next + 1) % this.#counts.length
    this.#size = Math.min(this.#size + 1, this.#counts.length)
  }

  /** How much `count` grew since the sample `back` samples ago, or the oldest there is. */
  growth(count: number, back: number): number {
    return count - this.#at(this.#counts, back, count)
  }

  /** Growth a second over the same stretch, which counts as `spanMsMin` when it is shorter. */
  ratePerSecond(count: number, nowMs: number, back: number, spanMsMin: number): number {
    const spanMs = nowMs - this.#at(this.#timesMs, back, nowMs)
    return (this.growth(count, back) * 1000) / Math.max(spanMs, spanMsMin)
  }

  #at(values: Float64Array, back: number, otherwise: number): number {
    if (this.#size === 0) return otherwise
    const steps = Math.min(Math.max(back, 1), this.#size)
    const at = (this.#next - steps + values.length * 2) % values.length
    return values[at] ?? otherwise
  }
}

const MINUTE_SAMPLES = 7
const HOUR_SAMPLES = 7
const DAY_SAMPLES = 25
/** A thing that just began to count has no rate of a minute yet. */
const SPAN_MS_MIN = 10_000

/** What VIEW_BROKER_STATS_DATA tells about one thing over one stretch of time. */
export interface MeterWindow {
  readonly sum: number
  /** Per second. */
  readonly tps: number
  /** Average per call. */
  readonly avgpt: number
}

/** A count with the last minute, hour and day. Source of the spans: apache/rocketmq common/…/stats/StatsItem.java. */
export class Meter {
  count = 0
  calls = 0
  readonly #counts = [
    new SampleRing(MINUTE_SAMPLES),
    new SampleRing(HOUR_SAMPLES),
    new SampleRing(DAY_SAMPLES),
  ] as const
  readonly #calls = [
    new SampleRing(MINUTE_SAMPLES),
    new SampleRing(HOUR_SAMPLES),
    new SampleRing(DAY_SAMPLES),
  ] as const
  lastChangeMs: number
  #lastCount = 0

  constructor(nowMs: number) {
    this.lastChangeMs = nowMs
    for (const span of [0, 1, 2] as const) {
      this.#counts[span].add(0, nowMs)
      this.#calls[span].add(0, nowMs)
    }
  }

  add(amount: number): void {
    this.count += amount
    this.calls++
  }

  /** @param span 0 every 10 s, 1 every 10 min, 2 every hour */
  sample(span: 0 | 1 | 2, nowMs: number): void {
    if (this.count !== this.#lastCount) {
      this.#lastCount = this.count
      this.lastChangeMs = nowMs
    }
    this.#counts[span].add(this.count, nowMs)
    this.#calls[span].add(this.calls, nowMs)
  }

  window(span: 0 | 1 | 2, nowMs: number): MeterWindow {
    const back = span === 2 ? DAY_SAMPLES : MINUTE_SAMPLES
    const sum = this.#counts[span].growth(this.count, back)
    const calls = this.#calls[span].growth(this.calls, back)
    return {
      sum,
      tps: this.#counts[span].ratePerSecond(this.count, nowMs, back, SPAN_MS_MIN),
      avgpt: calls === 0 ? 0 : sum / calls,
    }
  }
}
