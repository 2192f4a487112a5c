/**
 * Closed load: every slot of the line is a synchronous sender that sends its next message as soon
 * as it has the answer to the last. Counted is *service time*: from the turn that staged a message
 * to the turn that read its answer. Both turns start when bytes arrive, so the time includes what
 * the client itself takes to build and to send, and its resolution is one turn of the event loop
 * (tens of microseconds); it never comes out too short.
 *
 * A message belongs to the phase in which it was sent.
 */
import { assert } from '../base/assert.ts'
import { LocalOutcome, type ProducerLine } from '../drivers/driver.ts'
import { LatencyHistogram } from './histogram.ts'
import { HEADER_BYTES, SEQUENCE_MAX, seal, writeHeader } from './message.ts'
import { Ledger, type PackedLedger } from './ledger.ts'
import type { PayloadPool } from './payload.ts'

export interface ProducerLoadOptions {
  /** Number of this producer instance in the run, 0 … 65,535. */
  readonly producer: number
  readonly runId: number
  readonly slots: number
  /** Each message carries its identity. */
  readonly sequence: boolean
  /** … and a checksum. */
  readonly checksum: boolean
}

/** The window of the run that counts, on the monotonic clock of this host. */
export interface Window {
  readonly startNs: number
  readonly endNs: number
}

/** What a producer counted since its last report, of messages sent inside the window. */
export interface ProducerCounts {
  sent: number
  acked: number
  failed: number
}

export class ProducerLoad {
  readonly pool: PayloadPool
  readonly ledger: Ledger
  readonly interval = new LatencyHistogram()
  /** By outcome, for messages of the window that were not acknowledged. */
  readonly errors = new Map<number, number>()
  counts: ProducerCounts = { sent: 0, acked: 0, failed: 0 }
  /** The whole run, warm-up included. */
  totalSent = 0
  totalAcked = 0
  totalFailed = 0
  pending = 0
  /** Messages of the window that have no outcome yet. */
  windowPending = 0
  broken: string | null = null
  readonly #options: ProducerLoadOptions
  readonly #sentNs: Float64Array
  readonly #sequenceOf: Uint32Array
  readonly #isPending: Uint8Array
  #line: ProducerLine | null = null
  #window: Window = { startNs: Number.POSITIVE_INFINITY, endNs: Number.POSITIVE_INFINITY }
  #sequence = 0
  #lane = 0
  #body = 0
  #sending = false

  constructor(pool: PayloadPool, options: ProducerLoadOptions) {
    assert(!options.sequence || pool.sizeBytes >= HEADER_BYTES, 'a checked body holds its header')
    this.pool = pool
    this.#options = options
    this.ledger = new Ledger()
    this.#sentNs = new Float64Array(options.slots)
    this.#sequenceOf = new Uint32Array(options.slots)
    this.#isPending = new Uint8Array(options.slots)
  }

  get halted(): boolean {
    return !this.#sending
  }

  /** Begins to send on all slots. Lanes are used in turn, each producer starting at another. */
  start(line: ProducerLine, window: Window): void {
    this.#line = line
    this.#window = window
    this.#lane = this.#options.producer % line.lanes.length
    this.#sending = true
    line.turn(() => {
      for (let slot = 0; slot < this.#options.slots; slot += 1) this.#send(line, slot)
    })
  }

  /** Sends nothing new; what is under way still settles. */
  halt(): void {
    this.#sending = false
  }

  onSettled(slot: number, outcome: number): void {
    const line = this.#line
    if (line === null) return
    const sentNs = this.#sentNs[slot] ?? 0
    const inWindow = sentNs >= this.#window.startNs
    this.pending -= 1
    this.#isPending[slot] = 0
    if (inWindow) this.windowPending -= 1
    if (outcome === 0) {
      this.totalAcked += 1
      if (inWindow) {
        this.counts.acked += 1
        this.interval.record(line.nowNs - sentNs)
      }
      this.#send(line, slot)
      return
    }
    this.#onFailure(slot, outcome, inWindow)
  }

  onBroken(why: string): void {
    this.broken ??= why
    this.halt()
  }

  /** To be called once, at the end: what is still under way is without an outcome, stored or not. */
  packedLedger(): PackedLedger {
    for (let slot = 0; slot < this.#options.slots; slot += 1) {
      if (this.#isPending[slot] === 1) this.ledger.add(this.#sequenceOf[slot] ?? 0)
    }
    return this.ledger.pack(this.#sequence)
  }

  #onFailure(slot: number, outcome: number, inWindow: boolean): void {
    this.totalFailed += 1
    if (this.#options.sequence) this.ledger.add(this.#sequenceOf[slot] ?? 0)
    if (inWindow) {
      this.counts.failed += 1
      this.errors.set(outcome, (this.errors.get(outcome) ?? 0) + 1)
    }
    // The sender goes on with its next message, as a program that logs the error would.
    const line = this.#line
    if (line !== null && outcome !== LocalOutcome.connectionLost) this.#send(line, slot)
  }

  #send(line: ProducerLine, slot: number): void {
    const { nowNs } = line
    if (!this.#sending) return
    if (nowNs >= this.#window.endNs) {
      this.#sending = false
      return
    }
    const { pool } = this
    const { runId, producer, sequence, checksum } = this.#options
    const body = this.#body
    this.#body = body + 1 === pool.count ? 0 : body + 1
    const lane = this.#lane
    this.#lane = lane + 1 === line.lanes.length ? 0 : lane + 1
    const number = this.#sequence
    assert(number < SEQUENCE_MAX, 'a producer sends fewer than 2^32 messages a run')
    this.#sequence = number + 1
    this.#sequenceOf[slot] = number
    this.#sentNs[slot] = nowNs
    const start = body * pool.sizeBytes
    if (sequence) {
      writeHeader(pool.bytes, start, runId, producer, slot, number, nowNs, lane)
      if (checksum) seal(pool.bytes, start, pool.payloadCrc(body))
    }
    this.pending += 1
    this.#isPending[slot] = 1
    this.totalSent += 1
    if (nowNs >= this.#window.startNs) {
      this.counts.sent += 1
      this.windowPending += 1
    }
    line.send(slot, lane, pool.bytes, start, start + pool.sizeBytes)
  }
}
