/**
 * Latencies in nanoseconds, every one counted: an HDR histogram with three digits of precision
 * (a value is at most 0.1 % off) from 1 ns to 24 h, in WebAssembly (17 ns a value). Histograms of
 * several processes and seconds are merged without loss; percentiles are never averaged.
 */
import hdr from 'hdr-histogram-js'

type Hdr = ReturnType<typeof hdr.build>

const PRECISION_DIGITS = 3
/** The longest that a stage may last: a backlog is no older. Some 0.3 MB for each histogram. */
const HIGHEST_NS = 86_400e9
/** A percentile is told when at least this many samples lie above it. */
export const SAMPLES_ABOVE_MIN = 10

const options = {
  useWebAssembly: true,
  bitBucketSize: 64,
  numberOfSignificantValueDigits: PRECISION_DIGITS,
  highestTrackableValue: HIGHEST_NS,
  lowestDiscernibleValue: 1,
  autoResize: false,
} as const

/** To be awaited once before the first histogram is made. */
export async function loadHistograms(): Promise<void> {
  await hdr.initWebAssembly()
}

export interface LatencySummary {
  readonly count: number
  readonly minMs: number
  readonly meanMs: number
  /** By percentile ("50" … "99.99"); null when fewer than ten samples lie above it, or when it is above 24 h. */
  readonly percentilesMs: Readonly<Record<string, number | null>>
  readonly maxMs: number
  /** Values that could not be: an arrival before its sending, counted as 0. */
  readonly negative: number
  /** Values above 24 h: no percentile is told that falls among them, and the mean counts them as 24 h. */
  readonly clamped: number
  readonly precisionDigits: number
  /** HdrHistogram's compressed form in base64, unit nanoseconds. */
  readonly histogram: string
}

const percentiles = [50, 90, 95, 99, 99.9, 99.99] as const

export class LatencyHistogram {
  readonly #histogram: Hdr
  negative = 0
  /** How far below 0 the least value was, nanoseconds. */
  earlyNs = 0
  clamped = 0
  #maxNs = 0
  #minNs = Number.POSITIVE_INFINITY

  constructor(histogram: Hdr = hdr.build(options)) {
    this.#histogram = histogram
  }

  /** From the compressed form and the exact extremes that came with it. */
  static decode(packed: PackedHistogram): LatencyHistogram {
    const decoded = new LatencyHistogram(hdr.decodeFromCompressedBase64(packed.histogram, 64, true))
    decoded.negative = packed.negative
    decoded.earlyNs = packed.earlyNs
    decoded.clamped = packed.clamped
    decoded.#minNs = packed.minNs ?? Number.POSITIVE_INFINITY
    decoded.#maxNs = packed.maxNs
    return decoded
  }

  get count(): number {
    return this.#histogram.totalCount
  }

  /** @param count values that are the same */
  record(ns: number, count = 1): void {
    let value = ns
    if (value > this.#maxNs) this.#maxNs = value
    if (value < 0) {
      this.negative += count
      this.earlyNs = Math.max(this.earlyNs, -value)
      value = 0
    } else if (value > HIGHEST_NS) {
      this.clamped += count
      value = HIGHEST_NS
    }
    if (value < this.#minNs) this.#minNs = value
    if (count === 1) this.#histogram.recordValue(value)
    else this.#histogram.recordValueWithCount(value, count)
  }

  add(other: LatencyHistogram): void {
    this.#histogram.add(other.#histogram)
    this.negative += other.negative
    this.earlyNs = Math.max(this.earlyNs, other.earlyNs)
    this.clamped += other.clamped
    this.#maxNs = Math.max(this.#maxNs, other.#maxNs)
    this.#minNs = Math.min(this.#minNs, other.#minNs)
  }

  reset(): void {
    this.#histogram.reset()
    this.negative = 0
    this.earlyNs = 0
    this.clamped = 0
    this.#maxNs = 0
    this.#minNs = Number.POSITIVE_INFINITY
  }

  /** Frees the memory outside of JavaScript's heap. */
  destroy(): void {
    this.#histogram.destroy()
  }

  /** Milliseconds at a percentile, whatever the number of samples; 0 when there are none. */
  atMs(percentile: number): number {
    if (this.count === 0) return 0
    // A bucket's upper edge may lie above the largest value that was recorded.
    return Math.min(this.#histogram.getValueAtPercentile(percentile), this.#maxNs) / 1e6
  }

  get maxMs(): number {
    return this.#maxNs / 1e6
  }

  pack(): PackedHistogram {
    return {
      histogram: hdr.encodeIntoCompressedBase64(this.#histogram),
      negative: this.negative,
      earlyNs: this.earlyNs,
      clamped: this.clamped,
      minNs: Number.isFinite(this.#minNs) ? this.#minNs : null,
      maxNs: this.#maxNs,
    }
  }

  /** Milliseconds; null when too few samples lie above it to call it a percentile. */
  percentileMs(percentile: number): number | null {
    const above = this.count * (1 - percentile / 100)
    const isKnown = above >= SAMPLES_ABOVE_MIN - 1e-9 * this.count && above >= this.clamped
    return isKnown ? this.atMs(percentile) : null
  }

  /** Null when nothing was recorded. */
  summary(): LatencySummary | null {
    const { count } = this
    if (count === 0) return null
    const percentilesMs: Record<string, number | null> = {}
    for (const percentile of percentiles) {
      percentilesMs[String(percentile)] = this.percentileMs(percentile)
    }
    return {
      count,
      minMs: this.#minNs / 1e6,
      meanMs: this.#histogram.mean / 1e6,
      percentilesMs,
      maxMs: this.#maxNs / 1e6,
      negative: this.negative,
      clamped: this.clamped,
      precisionDigits: PRECISION_DIGITS,
      histogram: this.pack().histogram,
    }
  }
}

/** How a histogram goes from one process to another. */
export interface PackedHistogram {
  readonly histogram: string
  readonly negative: number
  readonly earlyNs: number
  readonly clamped: number
  readonly minNs: number | null
  readonly maxNs: number
}
