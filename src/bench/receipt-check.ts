/**
 * Looks at every received message: is it one of this run, whole, in the lane it was sent to, new,
 * and behind its sender's earlier messages in that lane? What is lost can only be said at the end,
 * with the producers' ledgers (`integrity.ts`).
 *
 * Order: RocketMQ keeps the order in which a queue's messages were stored. A synchronous sender
 * has one message under way, so its messages in one queue must come in the order it sent them. Two
 * senders of one producer are concurrent; nothing is promised between them.
 */
import { HEADER_BYTES, MAGIC, isIntact } from './message.ts'
import { type PackedPage, SeenSet } from './seen-set.ts'

export interface ReceiptCheckOptions {
  readonly runId: number
  readonly producers: number
  readonly sendersOfEach: number
  readonly lanes: number
  readonly checksum: boolean
}

/** What a consumer saw, with `seen` by producer. */
export interface Receipts {
  readonly received: number
  readonly duplicated: number
  readonly reordered: number
  readonly corrupted: number
  /** Not of this run, or damaged in the very bytes that say of which one. */
  readonly foreign: number
  /** In another lane than the one it was sent to. */
  readonly misplaced: number
  /** Producer and sequence as corrupted messages name them, at most `DAMAGED_MAX`: they came, so they are not lost as well. */
  readonly damaged: readonly (readonly [producer: number, sequence: number])[]
  readonly seen: readonly (readonly PackedPage[])[]
}

const NEVER = -1
const DAMAGED_MAX = 10_000

export class ReceiptCheck {
  received = 0
  duplicated = 0
  reordered = 0
  corrupted = 0
  foreign = 0
  misplaced = 0
  /** When the last good message was sent; 0 when the last one was not good. */
  sentNs = 0
  /** Who sent it. */
  producer = 0
  readonly #options: ReceiptCheckOptions
  readonly #seen: SeenSet[]
  readonly #damaged: (readonly [number, number])[] = []
  /** By producer, sender and lane: the highest sequence so far. */
  readonly #last: Float64Array

  constructor(options: ReceiptCheckOptions) {
    this.#options = options
    this.#seen = Array.from({ length: options.producers }, () => new SeenSet())
    const cells = options.producers * options.sendersOfEach * options.lanes
    this.#last = new Float64Array(cells).fill(NEVER)
  }

  /** Checks the message with body bytes [start, end) that came from `lane`. True when it is a good new one. */
  onMessage(lane: number, bytes: Buffer, start: number, end: number): boolean {
    this.received += 1
    this.sentNs = 0
    const { runId, producers, sendersOfEach, lanes, checksum } = this.#options
    if (end - start < HEADER_BYTES || bytes.readUInt32BE(start) !== MAGIC) {
      this.foreign += 1
      return false
    }
    // Another run may have sent its messages without a checksum.
    if (bytes.readUInt32BE(start + 4) !== runId) {
      this.foreign += 1
      return false
    }
    if (checksum && !isIntact(bytes, start, end)) {
      this.corrupted += 1
      this.#noteDamaged(bytes, start)
      return false
    }
    const producer = bytes.readUInt16BE(start + 8)
    const sender = bytes.readUInt16BE(start + 10)
    if (producer >= producers) {
      this.foreign += 1
      return false
    }
    const sequence = bytes.readUInt32BE(start + 12)
    if (this.#seen[producer]?.add(sequence) !== true) {
      this.duplicated += 1
      return false
    }
    this.sentNs = bytes.readDoubleBE(start + 16)
    this.producer = producer
    if (bytes.readUInt16BE(start + 24) !== lane || sender >= sendersOfEach) {
      this.misplaced += 1
      return false
    }
    const cell = (producer * sendersOfEach + sender) * lanes + lane
    if (sequence < (this.#last[cell] ?? NEVER)) {
      this.reordered += 1
      return false
    }
    this.#last[cell] = sequence
    return true
  }

  /** Its identity may be what is damaged; whether it names a message that is missing shows at the end. */
  #noteDamaged(bytes: Buffer, start: number): void {
    const producer = bytes.readUInt16BE(start + 8)
    if (producer >= this.#options.producers) return
    if (this.#damaged.length === DAMAGED_MAX) return
    this.#damaged.push([producer, bytes.readUInt32BE(start + 12)])
  }

  receipts(): Receipts {
    return {
      received: this.received,
      duplicated: this.duplicated,
      reordered: this.reordered,
      corrupted: this.corrupted,
      foreign: this.foreign,
      misplaced: this.misplaced,
      damaged: this.#damaged,
      seen: this.#seen.map((seen) => seen.pack()),
    }
  }
}
