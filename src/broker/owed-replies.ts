/**
 * Replies that are owed: sends that are in the log, waiting for the watermark that their
 * acknowledgement stands for. A ring of numbers, oldest first, so that nothing is allocated a
 * message and answering is a walk from the head.
 *
 *   end             the log position that has to be reached, bytes
 *   connection      whom to answer
 *   opaque          under which number
 *   queueId, queueOffset, physicalOffset   what the answer says
 *   serializeType   header form of the request
 *   ids             comma-joined message ids of a batch; null for a single message
 *   extra           what the answer says besides; null for most
 *   appendedMs      when it was appended, monotonic
 */
import type { ExtValues } from '../protocol/command.ts'
import type { Connection } from '../remoting/connection.ts'

const INITIAL_SLOTS = 1024

export class OwedReplies {
  #mask = INITIAL_SLOTS - 1
  #head = 0
  #size = 0
  #end = new Float64Array(INITIAL_SLOTS)
  #appendedMs = new Float64Array(INITIAL_SLOTS)
  #queueOffset = new Float64Array(INITIAL_SLOTS)
  #physicalOffset = new Float64Array(INITIAL_SLOTS)
  #opaque = new Int32Array(INITIAL_SLOTS)
  #queueId = new Int32Array(INITIAL_SLOTS)
  #serializeType = new Uint8Array(INITIAL_SLOTS)
  #connection = new Array<Connection | null>(INITIAL_SLOTS).fill(null)
  #ids = new Array<string | null>(INITIAL_SLOTS).fill(null)
  #extras = new Array<ExtValues | null>(INITIAL_SLOTS).fill(null)

  // The reply that `take` left behind; valid until the next call.
  connection: Connection | null = null
  opaque = 0
  queueId = 0
  queueOffset = 0
  physicalOffset = 0
  serializeType = 0
  ids: string | null = null
  extra: ExtValues | null = null

  get size(): number {
    return this.#size
  }

  /** Log position that the oldest reply waits for; Infinity when none is owed. */
  get firstEnd(): number {
    return this.#size === 0 ? Infinity : (this.#end[this.#head] ?? Infinity)
  }

  /** When the oldest was appended; Infinity when none is owed. */
  get firstAppendedMs(): number {
    return this.#size === 0 ? Infinity : (this.#appendedMs[this.#head] ?? Infinity)
  }

  add(
    connection: Connection,
    opaque: number,
    serializeType: number,
    queueId: number,
    queueOffset: number,
    physicalOffset: number,
    end: number,
    appendedMs: number,
    ids: string | null,
    extra: ExtValues | null,
  ): void {
    if (this.#size > this.#mask) this.#grow()
    const slot = (this.#head + this.#size) & this.#mask
    this.#size++
    this.#end[slot] = end
    this.#appendedMs[slot] = appendedMs
    this.#queueOffset[slot] = queueOffset
    this.#physicalOffset[slot] = physicalOffset
    this.#opaque[slot] = opaque
    this.#queueId[slot] = queueId
    this.#serializeType[slot] = serializeType
    this.#connection[slot] = connection
    this.#ids[slot] = ids
    this.#extras[slot] = extra
  }

  /** Takes the oldest reply out, into the fields above. There must be one. */
  take(): void {
    const slot = this.#head
    this.connection = this.#connection[slot] ?? null
    this.opaque = this.#opaque[slot] ?? 0
    this.queueId = this.#queueId[slot] ?? 0
    this.queueOffset = this.#queueOffset[slot] ?? 0
    this.physicalOffset = this.#physicalOffset[slot] ?? 0
    this.serializeType = this.#serializeType[slot] ?? 0
    this.ids = this.#ids[slot] ?? null
    this.extra = this.#extras[slot] ?? null
    this.#connection[slot] = null
    this.#ids[slot] = null
    this.#extras[slot] = null
    this.#head = (slot + 1) & this.#mask
    this.#size--
  }

  #grow(): void {
    const slots = (this.#mask + 1) * 2
    const from = (i: number) => (this.#head + i) & this.#mask
    const numbers = (old: Float64Array<ArrayBuffer>) => {
      const larger = new Float64Array(slots)
      for (let i = 0; i < this.#size; i++) larger[i] = old[from(i)] ?? 0
      return larger
    }
    const integers = (old: Int32Array<ArrayBuffer>) => {
      const larger = new Int32Array(slots)
      for (let i = 0; i < this.#size; i++) larger[i] = old[from(i)] ?? 0
      return larger
    }
    const serializeType = new Uint8Array(slots)
    const connection = new Array<Connection | null>(slots).fill(null)
    const ids = new Array<string | null>(slots).fill(null)
    const extras = new Array<ExtValues | null>(slots).fill(null)
    for (let i = 0; i < this.#size; i++) {
      serializeType[i] = this.#serializeType[from(i)] ?? 0
      connection[i] = this.#connection[from(i)] ?? null
      ids[i] = this.#ids[from(i)] ?? null
      extras[i] = this.#extras[from(i)] ?? null
    }
    this.#end = numbers(this.#end)
    this.#appendedMs = numbers(this.#appendedMs)
    this.#queueOffset = numbers(this.#queueOffset)
    this.#physicalOffset = numbers(this.#physicalOffset)
    this.#opaque = integers(this.#opaque)
    this.#queueId = integers(this.#queueId)
    this.#serializeType = serializeType
    this.#connection = connection
    this.#ids = ids
    this.#extras = extras
    this.#head = 0
    this.#mask = slots - 1
  }
}
