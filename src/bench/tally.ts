/** What a load process counts for one phase between two reports, and how it travels. */
import { LatencyHistogram, type PackedHistogram } from './histogram.ts'

/** Kinds of latency that a producer knows. */
export const producerLatencies = ['response', 'service', 'sendDelay', 'pacing'] as const
export type ProducerLatency = (typeof producerLatencies)[number]

export interface PackedTally {
  readonly phase: number
  /** Messages that became due by the schedule; 0 in a closed load. */
  readonly scheduled: number
  readonly sent: number
  readonly sentBytes: number
  readonly acked: number
  readonly failed: number
  /** One-way messages that were handed to the network: of these nobody says more. */
  readonly unanswered: number
  /** Due, and never sent: the phase was over before a sender was free. */
  readonly unsent: number
  /** Sent late because no sender was free. */
  readonly blocked: number
  readonly errors: readonly (readonly [outcome: number, count: number])[]
  readonly latency: Readonly<Partial<Record<ProducerLatency, PackedHistogram>>>
}

export class Tally {
  readonly phase: number
  scheduled = 0
  sent = 0
  sentBytes = 0
  acked = 0
  failed = 0
  unanswered = 0
  unsent = 0
  blocked = 0
  /** By outcome, of messages that were not acknowledged. */
  readonly errors = new Map<number, number>()
  readonly service = new LatencyHistogram()
  /** Only in an open load: from the intended time. */
  readonly response: LatencyHistogram | null
  readonly sendDelay: LatencyHistogram | null
  /** Lateness of sends for which a sender was free: the generator's own error. */
  readonly pacing: LatencyHistogram | null

  constructor(phase: number, isOpen: boolean) {
    this.phase = phase
    this.response = isOpen ? new LatencyHistogram() : null
    this.sendDelay = isOpen ? new LatencyHistogram() : null
    this.pacing = isOpen ? new LatencyHistogram() : null
  }

  get isEmpty(): boolean {
    return (
      this.sent + this.acked + this.failed + this.unanswered + this.unsent + this.scheduled === 0
    )
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
    const { phase, scheduled, sent, sentBytes, acked, failed, unanswered, unsent, blocked } = this
    return {
      phase,
      scheduled,
      sent,
      sentBytes,
      acked,
      failed,
      unanswered,
      unsent,
      blocked,
      errors: [...this.errors],
      latency,
    }
  }

  reset(): void {
    this.scheduled = 0
    this.sent = 0
    this.sentBytes = 0
    this.acked = 0
    this.failed = 0
    this.unanswered = 0
    this.unsent = 0
    this.blocked = 0
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
