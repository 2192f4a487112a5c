/**
 * What to do with a unit of a consume queue that does not lead to its record: look for the record in
 * the log between its neighbours' records, and write the unit again; when there is no whole record,
 * it is the log that is damaged, and the offset is skipped from then on.
 */
import { PropertyScan } from '../protocol/properties.ts'
import { RecordVerdict, RecordView } from '../protocol/record.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import { UnitCursor } from './consume-queues.ts'
import type { LogReader } from './log-reader.ts'
import { RECORD_BYTES_MAX } from './options.ts'
import type { Queue } from './queue.ts'
import { unitAt } from './time-search.ts'
import type { Segments } from './segments.ts'
import { tagsCodeOf } from './tags-code.ts'
import type { Watermarks } from './watermarks.ts'

/** Neighbours that are asked for where the record may lie. */
const NEIGHBOURS_MAX = 64
const READ_BYTES = 1024 * 1024
/** Log that is searched for one record. */
const SEARCH_BYTES_MAX = 256 * 1024 * 1024

export interface RepairParts {
  readonly queues: ConsumeQueues
  readonly reader: LogReader
  readonly segments: Segments
  readonly watermarks: Watermarks
}

/** Makes the unit at `offset` right, or marks it as bad. Rejects with the disk's error. */
export async function repairUnit(parts: RepairParts, queue: Queue, offset: number): Promise<void> {
  const { queues, reader } = parts
  if (queue.units !== null) {
    // Of a batch queue, where units say more than a record by itself does: it is passed over.
    queue.units.badUnits.add(offset)
    reader.reportBad(-1, queue.topic, queue.queueId, offset)
    return
  }
  const range = await rangeOf(parts, queue, offset)
  const found = await search(parts, queue, offset, range)
  if (found === null) {
    const unit = await unitAt(queues, queue, offset, new UnitCursor())
    queue.badUnits.add(offset)
    reader.reportBad(unit?.physicalOffset ?? -1, queue.topic, queue.queueId, offset)
    return
  }
  await queues.rewrite(queue, offset, found.physicalOffset, found.size, found.tagsCode)
}

interface Range {
  readonly from: number
  readonly to: number
}

/** Part of the log in which the record must lie: behind the record before it, before the record behind it. */
async function rangeOf(parts: RepairParts, queue: Queue, offset: number): Promise<Range> {
  const { segments, watermarks } = parts
  let from = segments.first.from
  for (let i = offset - 1; i >= Math.max(queue.minOffset, offset - NEIGHBOURS_MAX); i--) {
    const end = await endOfRecord(parts, queue, i)
    if (end < 0) continue
    from = end
    break
  }
  let to = watermarks.dispatched
  for (let i = offset + 1; i < Math.min(queue.maxOffset, offset + NEIGHBOURS_MAX); i++) {
    const end = await endOfRecord(parts, queue, i)
    if (end < 0) continue
    to = end
    break
  }
  return { from, to: Math.min(to, from + SEARCH_BYTES_MAX) }
}

/** End of the record that the unit leads to; −1 when it does not lead to its own. */
async function endOfRecord(parts: RepairParts, queue: Queue, offset: number): Promise<number> {
  const unit = await unitAt(parts.queues, queue, offset, new UnitCursor())
  if (unit === null) return -1
  const record = await parts.reader.recordAt(unit.physicalOffset)
  if (record?.length !== unit.size) return -1
  const view = new RecordView()
  view.check(record, 0, record.length, false)
  return view.queueId === queue.queueId && view.queueOffset === offset
    ? unit.physicalOffset + unit.size
    : -1
}

async function search(
  parts: RepairParts,
  queue: Queue,
  offset: number,
  range: Range,
): Promise<{ physicalOffset: number; size: number; tagsCode: number } | null> {
  const { reader, segments } = parts
  const view = new RecordView()
  let position = range.from
  let readBytes = READ_BYTES
  while (position < range.to) {
    const segment = segments.find(position)
    if (segment === null) return null
    const bytes = await reader.readBytes(position, readBytes)
    let at = 0
    let verdict: RecordVerdict = RecordVerdict.partial
    while (at < bytes.length) {
      verdict = view.check(bytes, at, bytes.length, true)
      if (verdict !== RecordVerdict.ok) break
      if (
        view.queueOffset === offset &&
        view.queueId === queue.queueId &&
        queue.topicBytes.equals(bytes.subarray(view.topicStart, view.topicEnd))
      ) {
        const scan = new PropertyScan()
        scan.scan(bytes, view.propertiesStart, view.propertiesEnd)
        const tagsCode = tagsCodeOf(queue, bytes, scan, view.storeTimestamp)
        return { physicalOffset: position + at, size: view.size, tagsCode }
      }
      at += view.size
    }
    position += at
    if (verdict === RecordVerdict.blank) position = segment.end
    else if (verdict === RecordVerdict.bad) return null
    else if (at === 0) {
      // Nothing whole in what was read: the record is longer, or the log ends here.
      if (bytes.length < readBytes || view.size <= readBytes) return null
      if (view.size > RECORD_BYTES_MAX) return null
      readBytes = view.size
    } else readBytes = READ_BYTES
  }
  return null
}
