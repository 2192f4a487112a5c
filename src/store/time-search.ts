/**
 * Offset by time in a consume queue, with exactly Apache's answers (also its odd ones): the file is
 * chosen first, then the binary search runs inside it.
 * Source: apache/rocketmq store/…/ConsumeQueue.java (binarySearchInQueueByTime),
 * store/…/MappedFileQueue.java (getConsumeQueueMappedFileByTime).
 */
import { fitsI64, readI64 } from '../base/i64.ts'
import type { ConsumeQueues, UnitCursor } from './consume-queues.ts'
import { UnitCursor as Cursor } from './consume-queues.ts'
import type { LogReader } from './log-reader.ts'
import { HOLE_SIZE, type Queue } from './queue.ts'
import type { Segments } from './segments.ts'

/** LOWER: first offset with store time ≥ the time; UPPER: last offset with store time ≤ the time. */
export type TimeBoundary = 'LOWER' | 'UPPER'

export interface Unit {
  readonly physicalOffset: number
  readonly size: number
  readonly tagsCode: number
  /** Of a batch queue: the offset of the first message in the record, and how many there are. */
  readonly base?: number
  readonly messages?: number
}

/** The unit at the offset, read when it has to be; null outside of the queue's files and for holes. */
export async function unitAt(
  queues: ConsumeQueues,
  queue: Queue,
  offset: number,
  cursor: UnitCursor,
): Promise<Unit | null> {
  if (offset < queue.firstFileOffset || offset >= queue.maxOffset) {
    const inMemory = offset >= 0 && offset < queue.maxOffset && queues.locate(queue, offset, cursor)
    if (!inMemory) return null
  }
  if (!queues.locate(queue, offset, cursor)) {
    await queues.readUnits(queue, offset)
    if (!queues.locate(queue, offset, cursor)) return null
  }
  const { bytes, at } = cursor
  const size = bytes.readInt32BE(at + 8)
  if (size <= 0 || size === HOLE_SIZE || !fitsI64(bytes, at)) return null
  const tagsCode = fitsI64(bytes, at + 12) ? readI64(bytes, at + 12) : 0
  return { physicalOffset: readI64(bytes, at), size, tagsCode }
}

export async function offsetByTime(
  queues: ConsumeQueues,
  log: LogReader,
  segments: Segments,
  queue: Queue,
  ms: number,
  boundary: TimeBoundary,
): Promise<number> {
  const cursor = new Cursor()
  const { minOffset, maxOffset } = queue
  const clamp = (offset: number) => Math.max(minOffset, Math.min(maxOffset, offset))
  if (maxOffset === minOffset) return clamp(0)
  /** −2: its bytes lie before the log; −1: unreadable. */
  const timeOf = async (offset: number): Promise<number> => {
    const unit = await unitAt(queues, queue, offset, cursor)
    if (unit === null) return -1
    if (unit.physicalOffset < segments.first.from) return -2
    return log.storeTimeAt(unit.physicalOffset)
  }
  const file = await chooseFile(queues, queue, ms, boundary, timeOf)
  const floor = Math.max(file.first, minOffset)
  const ceiling = file.last

  if ((await timeOf(ceiling)) < ms) return clamp(boundary === 'LOWER' ? ceiling + 1 : ceiling)
  if ((await timeOf(floor)) > ms) return clamp(boundary === 'LOWER' ? file.first : 0)

  let low = floor
  let high = ceiling
  let left = -1
  let right = -1
  let target = -1
  while (high >= low) {
    const middle = Math.floor((low + high) / 2)
    const time = await timeOf(middle)
    if (time === -2) {
      low = middle + 1
      left = middle
    } else if (time < 0) return clamp(0)
    else if (time === ms) {
      target = middle
      break
    } else if (time > ms) {
      high = middle - 1
      right = middle
    } else {
      low = middle + 1
      left = middle
    }
  }
  if (target < 0) return clamp(boundary === 'LOWER' ? right : left)
  const step = boundary === 'LOWER' ? -1 : 1
  const stop = boundary === 'LOWER' ? floor : ceiling
  while (target !== stop && (await timeOf(target + step)) === ms) target += step
  return clamp(target)
}

async function chooseFile(
  queues: ConsumeQueues,
  queue: Queue,
  ms: number,
  boundary: TimeBoundary,
  timeOf: (offset: number) => Promise<number>,
): Promise<{ first: number; last: number }> {
  const { unitsPerFile } = queues
  const newest = queue.maxOffset - 1 - ((queue.maxOffset - 1) % unitsPerFile)
  const oldest = queue.minOffset - (queue.minOffset % unitsPerFile)
  const fileAt = (first: number) => ({
    first,
    last: Math.min(first + unitsPerFile, queue.maxOffset) - 1,
  })
  if (boundary === 'LOWER') {
    for (let first = oldest; first < newest; first += unitsPerFile) {
      const file = fileAt(first)
      if ((await timeOf(file.last)) >= ms) return file
    }
    return fileAt(newest)
  }
  for (let first = newest; first > oldest; first -= unitsPerFile) {
    if ((await timeOf(Math.max(first, queue.minOffset))) <= ms) return fileAt(first)
  }
  return fileAt(oldest)
}
