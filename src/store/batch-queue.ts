/**
 * A batch queue: its offsets count messages, its units records (batch-unit.ts). The queue that the
 * rest of the store sees has the offsets; `queue.units` has the units, pages and files, and lies in
 * `queues.batchUnits`.
 *
 * A record gets a unit when its properties say how many messages it holds (INNER_NUM) and which
 * offset the first of them has (INNER_BASE), as at Apache; the store adds both to whatever is
 * appended to such a queue, also to what comes by itself.
 */
import { assert } from '../base/assert.ts'
import { parseProperties, PropertyName } from '../protocol/properties.ts'
import type { RecordView } from '../protocol/record.ts'
import { SysFlag } from '../protocol/sys-flag.ts'
import {
  BATCH_MESSAGES_MAX,
  BATCH_UNIT_BYTES,
  type BatchUnit,
  writeBatchUnit,
} from './batch-unit.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import type { DispatchRing } from './dispatch-ring.ts'
import type { Queue } from './queue.ts'

const unitBytes = Buffer.alloc(BATCH_UNIT_BYTES)

/** Makes a record of a batch queue visible: the row at the front of the ring. */
export function putBatch(
  queues: ConsumeQueues,
  queue: Queue,
  units: Queue,
  { physicalOffset, size, tagsCode, storeTimestamp, queueOffset, messages }: DispatchRing,
): void {
  addUnit(queues, queue, units, {
    physicalOffset,
    size,
    tagsCode,
    storeTimestamp,
    base: queueOffset,
    messages,
  })
}

function addUnit(queues: ConsumeQueues, queue: Queue, units: Queue, unit: BatchUnit): void {
  const { batchUnits } = queues
  assert(batchUnits !== null, 'units of batch queues have a place')
  writeBatchUnit(unitBytes, unit)
  batchUnits.putUnit(units, unitBytes)
  queues.endAt(queue, unit.base + unit.messages)
}

/**
 * Adds the unit of a record that recovery found. Units that are there already are kept; a queue that
 * has none starts here; offsets that are missing between belong to nobody.
 */
export function restoreBatch(
  queues: ConsumeQueues,
  queue: Queue,
  units: Queue,
  unit: BatchUnit,
): void {
  if (unit.base < queue.maxOffset) return
  if (units.maxOffset === units.minOffset && queue.maxOffset === 0) {
    queues.startAt(queue, unit.base)
  }
  addUnit(queues, queue, units, unit)
  queue.nextOffset = queue.maxOffset
}

/** What the properties of a record of a batch queue say that it holds; null when they do not. */
export function innerOf(
  bytes: Buffer,
  start: number,
  end: number,
): { base: number; messages: number } | null {
  const properties = parseProperties(bytes.toString('utf8', start, end))
  const base = wholeNumber(properties[PropertyName.innerBase])
  const messages = wholeNumber(properties[PropertyName.innerNum])
  return messages > 0 && messages <= BATCH_MESSAGES_MAX && base >= 0 ? { base, messages } : null
}

/**
 * Whether a record says of itself that it was appended to a batch queue, at `queueOffset`. The same
 * properties from a sender stand before what the broker adds, and are none of a record of its own.
 */
export function isOfBatchQueue(
  bytes: Buffer,
  { sysFlag, queueOffset, propertiesStart, propertiesEnd }: RecordView,
): boolean {
  const inner = innerOf(bytes, propertiesStart, propertiesEnd)
  if (inner?.base !== queueOffset) return false
  if ((sysFlag & SysFlag.innerBatch) !== 0) return true
  const added = innerProperties(inner.base, inner.messages)
  const from = propertiesEnd - added.length
  return from >= propertiesStart && added.compare(bytes, from, propertiesEnd) === 0
}

function wholeNumber(text: string | undefined): number {
  const value = text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : -1
  return Number.isSafeInteger(value) ? value : -1
}

/** The properties that say it. */
export function innerProperties(base: number, messages: number): Buffer {
  return Buffer.from(`INNER_NUM\x01${messages}\x02INNER_BASE\x01${base}\x02`)
}
