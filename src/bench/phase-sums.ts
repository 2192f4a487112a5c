/** The sums of one phase over all load processes, histograms merged without loss. */
import { Counts, addCounts } from './counts.ts'
import { LatencyHistogram, type PackedHistogram } from './histogram.ts'
import {
  type PackedReceipts,
  type PackedTally,
  producerLatencies,
  type ProducerLatency,
} from './tally.ts'

export type LatencyKind = ProducerLatency | 'endToEnd'

export class PhaseSums extends Counts {
  received = 0
  receivedBytes = 0
  /** By outcome. */
  readonly errors = new Map<number, number>()
  readonly #latency = new Map<LatencyKind, LatencyHistogram>()

  /** @param onHistogram sees every histogram of the tally before it is given back */
  addTally(
    tally: PackedTally,
    onHistogram: (kind: LatencyKind, histogram: LatencyHistogram) => void = () => undefined,
  ): void {
    addCounts(this, tally)
    for (const [outcome, count] of tally.errors) {
      this.errors.set(outcome, (this.errors.get(outcome) ?? 0) + count)
    }
    for (const kind of producerLatencies) {
      this.#addPacked(kind, tally.latency[kind] ?? null, onHistogram)
    }
  }

  addReceipts(receipts: PackedReceipts): void {
    this.received += receipts.received
    this.receivedBytes += receipts.receivedBytes
    this.#addPacked('endToEnd', receipts.endToEnd)
  }

  /** Everything of another phase as well, for sums over several. */
  add(other: PhaseSums): void {
    addCounts(this, other)
    this.received += other.received
    this.receivedBytes += other.receivedBytes
    for (const [outcome, count] of other.errors) {
      this.errors.set(outcome, (this.errors.get(outcome) ?? 0) + count)
    }
    for (const [kind, histogram] of other.#latency) this.#of(kind).add(histogram)
  }

  /** Null when nothing of the kind was recorded. */
  latency(kind: LatencyKind): LatencyHistogram | null {
    const histogram = this.#latency.get(kind)
    return histogram === undefined || histogram.count === 0 ? null : histogram
  }

  #addPacked(
    kind: LatencyKind,
    packed: PackedHistogram | null,
    onHistogram?: (kind: LatencyKind, histogram: LatencyHistogram) => void,
  ): void {
    if (packed === null) return
    const histogram = LatencyHistogram.decode(packed)
    this.#of(kind).add(histogram)
    onHistogram?.(kind, histogram)
    histogram.destroy()
  }

  #of(kind: LatencyKind): LatencyHistogram {
    let histogram = this.#latency.get(kind)
    if (histogram === undefined) {
      histogram = new LatencyHistogram()
      this.#latency.set(kind, histogram)
    }
    return histogram
  }
}
