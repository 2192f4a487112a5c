/** What the orchestrator and its load processes say to each other. Histograms travel packed, the rest is plain data. */
import type { DriverName } from '../drivers/open-driver.ts'
import type { RuntimeFigures } from '../host/node-runtime.ts'
import type { PackedHistogram } from './histogram.ts'
import type { PackedLedger } from './ledger.ts'
import type { ProducerCounts, Window } from './producer-load.ts'
import type { Receipts } from './receipt-check.ts'

interface Target {
  readonly driver: DriverName
  readonly endpoints: readonly string[]
  readonly topic: string
  readonly group: string
  readonly runId: number
  readonly sequence: boolean
  readonly checksum: boolean
}

export interface ProducerSetup extends Target {
  readonly kind: 'producer'
  readonly producer: number
  readonly slots: number
  readonly timeoutMs: number
  readonly tag: string | null
  readonly sizeBytes: number
  readonly pool: number
  readonly entropy: number
  readonly seed: number
}

export interface ConsumerSetup extends Target {
  readonly kind: 'consumer'
  readonly producers: number
  readonly sendersOfEach: number
  readonly lanes: readonly { readonly lane: number; readonly offset: number }[]
  readonly laneCount: number
  readonly batch: number
}

export type ToRole =
  | { readonly kind: 'setup'; readonly setup: ProducerSetup | ConsumerSetup }
  /** Everybody is ready: begin. The window lies ahead. */
  | { readonly kind: 'start'; readonly window: Window }
  /** Send nothing more; the window ends now. */
  | { readonly kind: 'halt' }
  /** Report progress now. */
  | { readonly kind: 'poll' }
  /** Give your last report. */
  | { readonly kind: 'finish' }

/** Figures of the process at the edges of the window. */
export interface WindowFigures {
  readonly start: RuntimeFigures
  readonly end: RuntimeFigures
}

export interface ProducerTick {
  readonly kind: 'producer-tick'
  readonly atNs: number
  readonly counts: ProducerCounts
  readonly errors: readonly (readonly [outcome: number, count: number])[]
  readonly latency: PackedHistogram | null
  readonly totalAcked: number
  readonly pending: number
  readonly broken: string | null
}

export interface ConsumerTick {
  readonly kind: 'consumer-tick'
  readonly atNs: number
  readonly received: number
  readonly receivedBytes: number
  readonly latency: PackedHistogram | null
  readonly totalReceived: number
  readonly lag: number
  readonly broken: string | null
}

export interface ProducerReport {
  readonly kind: 'producer-report'
  readonly ledger: PackedLedger
  readonly sent: number
  readonly acked: number
  readonly failed: number
  readonly pending: number
  readonly windowPending: number
  readonly wireBytesSent: number
  readonly haltedAtNs: number
  readonly figures: WindowFigures
  readonly strayAnswers: number
  readonly compressRatio: number
  readonly broken: string | null
}

export interface ConsumerReport {
  readonly kind: 'consumer-report'
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
