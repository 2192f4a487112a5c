/**
 * The body of a batch send: items back to back, big-endian.
 *
 *   i32 totalSize (of the item)  i32 magic  i32 bodyCrc  i32 flag  i32 bodyLength, body  i16 propertiesLength, properties
 *
 * Magic and CRC are written as 0 and read by nobody. Topic, queue, sysFlag and born time of all
 * items stand in the request header.
 * Source: apache/rocketmq common/…/message/MessageDecoder.java (encodeMessages, decodeMessages).
 */
import { PROPERTIES_BYTES_MAX } from './properties.ts'

/** Of an item without body and properties. */
export const BATCH_ITEM_BYTES_MIN = 22

/**
 * Walks over the items of a batch without making anything. `next` moves on; after it returned
 * false, `fault` tells whether the body ended there (null) or is no batch.
 */
export class BatchReader {
  flag = 0
  bodyStart = 0
  bodyEnd = 0
  propertiesStart = 0
  propertiesEnd = 0
  fault: string | null = null
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0
  #end = 0

  /** Starts at byte `start` of `bytes`; forgets what was read before. */
  open(bytes: Buffer, start: number, end: number): void {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
    this.fault = null
  }

  next(): boolean {
    const bytes = this.#bytes
    const start = this.#at
    const room = this.#end - start
    if (room === 0) return false
    if (room < BATCH_ITEM_BYTES_MIN) return this.#stop('item header cut off')
    const size = bytes.readInt32BE(start)
    if (size < BATCH_ITEM_BYTES_MIN || size > room) return this.#stop('item size')
    const bodyLength = bytes.readInt32BE(start + 16)
    if (bodyLength < 0 || bodyLength > size - BATCH_ITEM_BYTES_MIN) return this.#stop('body length')
    const propertiesAt = start + 20 + bodyLength
    const propertiesLength = bytes.readInt16BE(propertiesAt)
    if (propertiesLength < 0 || BATCH_ITEM_BYTES_MIN + bodyLength + propertiesLength !== size) {
      return this.#stop('lengths that do not add up')
    }
    this.flag = bytes.readInt32BE(start + 12)
    this.bodyStart = start + 20
    this.bodyEnd = propertiesAt
    this.propertiesStart = propertiesAt + 2
    this.propertiesEnd = start + size
    this.#at = start + size
    return true
  }

  #stop(fault: string): boolean {
    this.fault = fault
    this.#at = this.#end
    return false
  }
}

export interface BatchItem {
  readonly flag: number
  readonly body: Buffer
  /** In stored form, see properties.ts; at most 32,767 bytes. */
  readonly properties: Buffer
}

/** The body of a batch send. Throws a RangeError when an item's properties are too long. */
export function encodeBatch(items: readonly BatchItem[]): Buffer {
  let size = 0
  for (const item of items) size += BATCH_ITEM_BYTES_MIN + item.body.length + item.properties.length
  const target = Buffer.allocUnsafe(size)
  let at = 0
  for (const { flag, body, properties } of items) {
    if (properties.length > PROPERTIES_BYTES_MAX) {
      throw new RangeError(`properties of ${properties.length} bytes; at most 32767 are allowed`)
    }
    at = target.writeInt32BE(BATCH_ITEM_BYTES_MIN + body.length + properties.length, at)
    at = target.writeInt32BE(0, at)
    at = target.writeInt32BE(0, at)
    at = target.writeInt32BE(flag, at)
    at = target.writeInt32BE(body.length, at)
    at += body.copy(target, at)
    at = target.writeInt16BE(properties.length, at)
    at += properties.copy(target, at)
  }
  return target
}
