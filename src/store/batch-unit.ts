/**
 * The unit of a batch queue: one a record, which holds one message or many.
 *
 *    0 i64 physicalOffset     8 i32 size of the record    12 i64 tagsCode (of the record's own tag)
 *   20 i64 store time, ms    28 i64 queue offset of its first message
 *   36 i16 messages          38 i32 compacted offset (−1)                 42 i32 reserved (0)
 *
 * Units stand back to back in files named by the byte offset of their first one, in
 * `batchconsumequeue/<topic>/<queueId>/`. Unlike in other queues the offset of a message does not say
 * where its unit stands: it is looked for by bisection. There are no holes.
 * Source: apache/rocketmq store/…/queue/BatchConsumeQueue.java.
 */
import { readI32, writeI32 } from '../base/bytes.ts'
import { fitsI64, readI64, writeI64 } from '../base/i64.ts'
import type { UnitForm } from './queue.ts'

export const BATCH_UNIT_BYTES = 46
/** Messages that one record can hold: the field is a short. */
export const BATCH_MESSAGES_MAX = 32_767
const COMPACTED_NOT = -1

export interface BatchUnit {
  readonly physicalOffset: number
  readonly size: number
  readonly tagsCode: number
  readonly storeTimestamp: number
  /** Queue offset of its first message. */
  readonly base: number
  readonly messages: number
}

export const batchForm: UnitForm = {
  dir: 'batchconsumequeue',
  fileBytes: 'batchQueueFileBytes',
  unitBytes: BATCH_UNIT_BYTES,
  validUnits: (block, limit) => {
    const count = Math.floor(block.length / BATCH_UNIT_BYTES)
    for (let i = 0; i < count; i++) {
      if (!isValid(block, i * BATCH_UNIT_BYTES, limit)) return i
    }
    return count
  },
}

function isValid(bytes: Buffer, at: number, limit: number): boolean {
  if (readI32(bytes, at + 8) <= 0 || messagesAt(bytes, at) <= 0) return false
  if (!fitsI64(bytes, at) || !fitsI64(bytes, at + 20) || !fitsI64(bytes, at + 28)) return false
  const physicalOffset = readI64(bytes, at)
  return physicalOffset >= 0 && physicalOffset < limit && baseAt(bytes, at) >= 0
}

/** The fields by themselves, for searches that look at many units. */
export function baseAt(bytes: Buffer, at: number): number {
  return fitsI64(bytes, at + 28) ? readI64(bytes, at + 28) : -1
}

export function messagesAt(bytes: Buffer, at: number): number {
  return bytes.readInt16BE(at + 36)
}

/** The unit at byte `at`; null when it is none. */
export function readBatchUnit(bytes: Buffer, at: number): BatchUnit | null {
  if (!isValid(bytes, at, Infinity)) return null
  return {
    physicalOffset: readI64(bytes, at),
    size: readI32(bytes, at + 8),
    tagsCode: fitsI64(bytes, at + 12) ? readI64(bytes, at + 12) : 0,
    storeTimestamp: readI64(bytes, at + 20),
    base: baseAt(bytes, at),
    messages: messagesAt(bytes, at),
  }
}

/** The same without making anything; `target` has room for one. */
export function writeBatchUnit(target: Buffer, unit: BatchUnit): void {
  writeI64(target, unit.physicalOffset, 0)
  writeI32(target, unit.size, 8)
  writeI64(target, unit.tagsCode, 12)
  writeI64(target, unit.storeTimestamp, 20)
  writeI64(target, unit.base, 28)
  target.writeInt16BE(unit.messages, 36)
  writeI32(target, COMPACTED_NOT, 38)
  writeI32(target, 0, 42)
}
