/**
 * What was appended and is not yet visible: one row a record, in the order of the log, as plain
 * numbers. Dispatch takes rows from the front once they are confirmed; a failed write takes rows
 * from the back. The live path never parses the log again.
 *
 * A ring with power-of-two capacity that doubles up to a limit; `full` beyond it is flow control.
 */
import { assert } from '../base/assert.ts'
import type { Queue } from './queue.ts'

const CAPACITY_START = 1024
const KEYS_MASK = 0xffff

function grownF64(old: Float64Array<ArrayBuffer>, head: number, size: number, capacity: number) {
  const grown = new Float64Array(capacity)
  for (let i = 0; i < size; i++) grown[i] = old[(head + i) & (old.length - 1)] ?? 0
  return grown
}

function grownI32(old: Int32Array<ArrayBuffer>, head: number, size: number, capacity: number) {
  const grown = new Int32Array(capacity)
  for (let i = 0; i < size; i++) grown[i] = old[(head + i) & (old.length - 1)] ?? 0
  return grown
}

export class DispatchRing {
  /** The row at the front, set by `look`. */
  physicalOffset = 0
  size = 0
  queueOffset = 0
  tagsCode = 0
  storeTimestamp = 0
  keyCount = 0
  queue: Queue | null = null
  /** Messages that the record adds to its queue; 0 when it gets no unit there. */
  messages = 0

  readonly #max: number
  #head = 0
  #count = 0
  #keyHead = 0
  #keyCount = 0
  #physical = new Float64Array(CAPACITY_START)
  #queueOffset = new Float64Array(CAPACITY_START)
  #time = new Float64Array(CAPACITY_START)
  #size = new Int32Array(CAPACITY_START)
  /** A hash of 32 bits, or a time in ms. */
  #tags = new Float64Array(CAPACITY_START)
  /** Messages × 65,536 plus number of keys: neither can be more than 32,767. */
  #messagesAndKeys = new Int32Array(CAPACITY_START)
  #queues: (Queue | null)[] = new Array<Queue | null>(CAPACITY_START).fill(null)
  #keys = new Int32Array(CAPACITY_START * 2)

  constructor(max: number) {
    this.#max = max
  }

  get count(): number {
    return this.#count
  }

  /** Whether `records` more would pass the limit. */
  full(records: number): boolean {
    return this.#count + records > this.#max
  }

  push(
    queue: Queue,
    messages: number,
    physicalOffset: number,
    size: number,
    queueOffset: number,
    tagsCode: number,
    storeTimestamp: number,
  ): void {
    if (this.#count === this.#physical.length) this.#grow()
    const at = (this.#head + this.#count) & (this.#physical.length - 1)
    this.#physical[at] = physicalOffset
    this.#queueOffset[at] = queueOffset
    this.#time[at] = storeTimestamp
    this.#size[at] = size
    this.#tags[at] = tagsCode
    this.#messagesAndKeys[at] = messages << 16
    this.#queues[at] = queue
    this.#count++
  }

  /** Adds an index key to the row pushed last. */
  pushKey(hash: number): void {
    if (this.#keyCount === this.#keys.length) {
      this.#keys = grownI32(this.#keys, this.#keyHead, this.#keyCount, this.#keys.length * 2)
      this.#keyHead = 0
    }
    this.#keys[(this.#keyHead + this.#keyCount) & (this.#keys.length - 1)] = hash
    this.#keyCount++
    const at = (this.#head + this.#count - 1) & (this.#physical.length - 1)
    this.#messagesAndKeys[at] = (this.#messagesAndKeys[at] ?? 0) + 1
  }

  /** Shows the row at the front in the fields; false when there is none. */
  look(): boolean {
    if (this.#count === 0) return false
    const at = this.#head
    this.physicalOffset = this.#physical[at] ?? 0
    this.size = this.#size[at] ?? 0
    this.queueOffset = this.#queueOffset[at] ?? 0
    this.tagsCode = this.#tags[at] ?? 0
    this.storeTimestamp = this.#time[at] ?? 0
    const messagesAndKeys = this.#messagesAndKeys[at] ?? 0
    this.keyCount = messagesAndKeys & KEYS_MASK
    this.messages = messagesAndKeys >>> 16
    this.queue = this.#queues[at] ?? null
    return true
  }

  /** Takes the next key of the row at the front. */
  takeKey(): number {
    const hash = this.#keys[this.#keyHead] ?? 0
    this.#keyHead = (this.#keyHead + 1) & (this.#keys.length - 1)
    this.#keyCount--
    return hash
  }

  /** Drops the row at the front; its keys must have been taken. */
  shift(): void {
    this.#queues[this.#head] = null
    this.#head = (this.#head + 1) & (this.#physical.length - 1)
    this.#count--
  }

  /** Drops rows that lie at or behind `physicalOffset`, newest first, and gives their queue offsets back. */
  rewind(physicalOffset: number): number {
    const mask = this.#physical.length - 1
    let dropped = 0
    while (this.#count > 0) {
      const at = (this.#head + this.#count - 1) & mask
      if ((this.#physical[at] ?? 0) < physicalOffset) break
      const messagesAndKeys = this.#messagesAndKeys[at] ?? 0
      const queue = this.#queues[at]
      if (queue && messagesAndKeys >>> 16 > 0) queue.nextOffset = this.#queueOffset[at] ?? 0
      this.#keyCount -= messagesAndKeys & KEYS_MASK
      this.#queues[at] = null
      this.#count--
      dropped++
    }
    assert(this.#keyCount >= 0, 'keys belong to rows')
    return dropped
  }

  #grow(): void {
    const { length } = this.#physical
    const capacity = length * 2
    const head = this.#head
    const count = this.#count
    this.#physical = grownF64(this.#physical, head, count, capacity)
    this.#queueOffset = grownF64(this.#queueOffset, head, count, capacity)
    this.#time = grownF64(this.#time, head, count, capacity)
    this.#size = grownI32(this.#size, head, count, capacity)
    this.#tags = grownF64(this.#tags, head, count, capacity)
    this.#messagesAndKeys = grownI32(this.#messagesAndKeys, head, count, capacity)
    const queues = new Array<Queue | null>(capacity).fill(null)
    for (let i = 0; i < count; i++) queues[i] = this.#queues[(head + i) & (length - 1)] ?? null
    this.#queues = queues
    this.#head = 0
  }
}
