/** What a load process counts for one phase between two reports, and how it travels. */
import { Counts, copyOfCounts, isNothing, resetCounts } from './counts.ts'
import { LatencyHistogram, type PackedHistogram } from './histogram.ts'

/** Kinds of latency that a producer knows. */
export const producerLatencies = ['response', 'service', 'sendDelay', 'pacing'] as const
export type ProducerLatency = (typeof producerLatencies)[number]

export interface PackedTally extends Readonly<Counts> {
  readonly phase: number
  readonly errors: readonly (readonly [outcome: number, count: number])[]
  readonly latency: Readonly<Partial<Record<ProducerLatency, PackedHistogram>>>
}

export class Tally extends Counts {
  readonly phase: number
  /** By outcome, of messages that were not acknowledged. */
  readonly errors = new Map<number, number>()
  readonly service = new LatencyHistogram()
  /** Only in an open load: from the intended time. */
  readonly response: LatencyHistogram | null
  readonly sendDelay: LatencyHistogram | null
  /** Lateness of sends for which a sender was free: the generator's own error. */
  readonly pacing: LatencyHistogram | null

  constructor(phase: number, isOpen: boolean) {
    super()
    this.phase = phase
    this.response = isOpen ? new LatencyHistogram() : null
    this.sendDelay = isOpen ? new LatencyHistogram() : null
    this.pacing = isOpen ? new LatencyHistogram() : null
  }

  get isEmpty(): boolean {
    return isNothing(this)
  }

  addError(outcome: number, messages: number): void {
    this.errors.set(outcome, (this.errors.get(outcome) ?? 0) + messages)
  }

  pack(): PackedTally {
    const latency: Partial<Record<ProducerLatency, PackedHistogram>> = {}
    for (const kind of producerLatencies) {
      const histogram = this[kind]
      if (histogram !== null && histogram.count > 0) latency[kind] = histogram.pack()
    }
    return { ...copyOfCounts(this), phase: this.phase, errors: [...this.errors], latency }
  }

  reset(): void {
    resetCounts(this)
    this.errors.clear()
    for (const kind of producerLatencies) this[kind]?.reset()
  }

  /** Frees the histograms. */
  destroy(): void {
    for (const kind of producerLatencies) this[kind]?.destroy()
  }
}

/** What a consumer counts for one phase: by the time of receipt, latency by the intended time. */
export interface PackedReceipts {
  readonly phase: number
  readonly received: number
  readonly receivedBytes: number
  readonly endToEnd: PackedHistogram | null
}
