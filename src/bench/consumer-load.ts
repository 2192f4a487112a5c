/**
 * Reads lanes to their end and beyond, and looks at every message. Counts go to the window by the
 * time of receipt; end-to-end latency counts messages that were sent inside the window.
 */
import type { ConsumerLine } from '../drivers/driver.ts'
import { LatencyHistogram } from './histogram.ts'
import type { Window } from './producer-load.ts'
import { ReceiptCheck, type ReceiptCheckOptions, type Receipts } from './receipt-check.ts'

export interface ConsumerLoadOptions extends ReceiptCheckOptions {
  /** Messages carry their identity; without it they are only counted. */
  readonly sequence: boolean
}

export class ConsumerLoad {
  readonly interval = new LatencyHistogram()
  /** Received inside the window since the last report. */
  received = 0
  receivedBytes = 0
  totalReceived = 0
  /** By outcome: requests that failed and were repeated. */
  readonly troubles = new Map<number, number>()
  broken: string | null = null
  readonly #options: ConsumerLoadOptions
  readonly #check: ReceiptCheck
  /** By lane: messages between where this consumer is and the lane's end. */
  readonly #behind: Float64Array
  #line: ConsumerLine | null = null
  #window: Window = { startNs: Number.POSITIVE_INFINITY, endNs: Number.POSITIVE_INFINITY }

  constructor(options: ConsumerLoadOptions) {
    this.#options = options
    this.#check = new ReceiptCheck(options)
    this.#behind = new Float64Array(options.lanes)
  }

  start(line: ConsumerLine): void {
    this.#line = line
    line.start()
  }

  /** From when on to count. */
  setWindow(window: Window): void {
    this.#window = window
  }

  onMessage(lane: number, _queueOffset: number, bytes: Buffer, start: number, end: number): void {
    const nowNs = this.#line?.nowNs ?? 0
    this.totalReceived += 1
    if (nowNs >= this.#window.startNs && nowNs < this.#window.endNs) {
      this.received += 1
      this.receivedBytes += end - start
    }
    if (!this.#options.sequence) return
    this.#check.onMessage(lane, bytes, start, end)
    const { sentNs } = this.#check
    if (sentNs >= this.#window.startNs) this.interval.record(nowNs - sentNs)
  }

  onProgress(lane: number, nextOffset: number, endOffset: number): void {
    this.#behind[lane] = Math.max(0, endOffset - nextOffset)
  }

  onTrouble(outcome: number): void {
    this.troubles.set(outcome, (this.troubles.get(outcome) ?? 0) + 1)
  }

  onBroken(why: string): void {
    this.broken ??= why
  }

  /** Messages that were behind this consumer's position when the broker last answered. */
  lag(): number {
    let sum = 0
    for (const behind of this.#behind) sum += behind
    return sum
  }

  receipts(): Receipts {
    if (this.#options.sequence) return this.#check.receipts()
    return {
      received: this.totalReceived,
      duplicated: 0,
      reordered: 0,
      corrupted: 0,
      foreign: 0,
      misplaced: 0,
      seen: [],
    }
  }
}
