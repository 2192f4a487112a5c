/** What the orchestrator and its load processes say to each other. Histograms travel packed, the rest is plain data. */
import type { MessageKind } from '../drivers/driver.ts'
import type { DriverName } from '../drivers/open-driver.ts'
import type { RuntimeFigures } from '../host/node-runtime.ts'
import type { PackedLedger } from './ledger.ts'
import type { Segment } from './load-program.ts'
import type { MessageMix } from './message-mix.ts'
import type { WeightedSize } from './payload.ts'
import type { Receipts } from './receipt-check.ts'
import type { PackedReceipts, PackedTally } from './tally.ts'

interface Target {
  readonly driver: DriverName
  readonly endpoints: readonly string[]
  readonly topics: readonly string[]
  readonly group: string
  readonly runId: number
  readonly sequence: boolean
  readonly checksum: boolean
}

export interface ProducerSetup extends Target {
  readonly kind: 'producer'
  readonly producer: number
  /** Instances that share the load's schedule. */
  readonly producers: number
  readonly slots: number
  readonly timeoutMs: number
  readonly oneWay: boolean
  readonly batchSize: number
  readonly lingerMs: number
  readonly kinds: readonly MessageKind[]
  readonly mix: MessageMix
  readonly sizes: readonly WeightedSize[]
  readonly pool: number
  readonly entropy: number
  readonly seed: number
}

export interface ConsumerSetup extends Target {
  readonly kind: 'consumer'
  /** Number of its group, from 0. */
  readonly groupIndex: number
  readonly producers: number
  readonly sendersOfEach: number
  readonly lanes: readonly { readonly lane: number; readonly offset: number }[]
  readonly laneCount: number
  readonly batch: number
  /** Work on each message, milliseconds. */
  readonly processingMs: number
  /** Share of messages that cannot be worked on at the first try, and of the further ones at each. */
  readonly failRate: number
  /** Rest of a lane after that, milliseconds. */
  readonly retryMs: number
  readonly seed: number
  /** Null when all producers read the same clock as this consumer. */
  readonly producerClocks: ProducerClocks | null
}

export type RoleSetup = ProducerSetup | ConsumerSetup

/** By producer: what the clock of its host says, seen from the consumer's host. */
export interface ProducerClocks {
  /** To be added to a producer's time to have it on the consumer's clock, nanoseconds. */
  readonly aheadNs: readonly number[]
  /** A message may seem to arrive so much before it was sent, nanoseconds; it then counts as 0. */
  readonly toleranceNs: readonly number[]
}

export type ToRole =
  | {
      readonly kind: 'setup'
      readonly setup: RoleSetup
      /** The only targets that it may connect to, as HOST:PORT or HOST; absent for all. */
      readonly allowed?: readonly string[]
    }
  /** Everybody is ready: begin with these segments. Ticks come at whole seconds from `gridNs`. */
  | { readonly kind: 'start'; readonly gridNs: number; readonly segments: readonly Segment[] }
  /** More to do; after the final ones there is no more. */
  | { readonly kind: 'extend'; readonly segments: readonly Segment[]; readonly final: boolean }
  /** How the clocks of a consumer's producers stand now. */
  | { readonly kind: 'clocks'; readonly clocks: ProducerClocks }
  /** Send nothing more; the window ends now. */
  | { readonly kind: 'halt' }
  /** Report progress now. */
  | { readonly kind: 'poll' }
  /** Give your last report. */
  | { readonly kind: 'finish' }
  /** At an agent, every second: from the first on, a process that hears none for long ends. */
  | { readonly kind: 'alive' }

/** Figures of the process at the edges of the window. */
export interface WindowFigures {
  readonly start: RuntimeFigures
  readonly end: RuntimeFigures
}

export interface ProducerTick {
  readonly kind: 'producer-tick'
  readonly atNs: number
  readonly tallies: readonly PackedTally[]
  /** Acknowledged; of one-way messages, handed to the network. */
  readonly totalAcked: number
  readonly pending: number
  readonly broken: string | null
}

/**
 * Where a consumer is in one lane: the next queue offset that it asks for, the lane's end when the
 * broker last answered, and when the last message that it read was sent (0 when there was none).
 */
export type LanePosition = readonly [
  lane: number,
  position: number,
  endOffset: number,
  lastSentNs: number,
]

export interface ConsumerTick {
  readonly kind: 'consumer-tick'
  readonly groupIndex: number
  readonly atNs: number
  /** It was asked for, in the middle of a second; others come at the end of theirs. */
  readonly polled: boolean
  readonly receipts: readonly PackedReceipts[]
  readonly totalReceived: number
  readonly lanes: readonly LanePosition[]
  readonly broken: string | null
}

export interface ProducerReport {
  readonly kind: 'producer-report'
  readonly ledger: PackedLedger
  readonly sent: number
  readonly acked: number
  readonly failed: number
  readonly unanswered: number
  readonly pending: number
  /** Messages of a phase without an outcome. */
  readonly pendingByPhase: readonly (readonly [phase: number, count: number])[]
  readonly wireBytesSent: number
  readonly haltedAtNs: number
  readonly figures: WindowFigures
  readonly strayAnswers: number
  readonly compressRatio: number
  readonly broken: string | null
}

export interface ConsumerReport {
  readonly kind: 'consumer-report'
  readonly groupIndex: number
  readonly receipts: Receipts
  readonly figures: WindowFigures
  readonly troubles: readonly (readonly [outcome: number, count: number])[]
  readonly batches: number
  readonly broken: string | null
}

export interface RoleFailure {
  readonly kind: 'failed'
  readonly code: string
  readonly details: Readonly<Record<string, string | number | boolean>>
  readonly message: string
}

export type FromRole =
  | { readonly kind: 'ready' }
  | { readonly kind: 'listening'; readonly port: number }
  | ProducerTick
  | ConsumerTick
  | ProducerReport
  | ConsumerReport
  | RoleFailure
