/**
 * Finds units of batch queues: by the offset of a message, and by time. What is not in memory is
 * named (`missing`), for the caller to read.
 * Source: apache/rocketmq store/…/queue/BatchConsumeQueue.java (getBatchMsgIndexBuffer,
 * getOffsetInQueueByTime, binarySearchRight).
 */
import { type BatchUnit, baseAt, messagesAt, readBatchUnit } from './batch-unit.ts'
import { type ConsumeQueues, UnitCursor } from './consume-queues.ts'
import type { Queue } from './queue.ts'
import type { TimeBoundary } from './time-search.ts'

/** Offsets of a queue of which it is remembered where their unit stands: one a reader, so few do. */
const HINTS_MAX = 64
/** Reads that one search may need: each halves what is left. */
const READS_MAX = 64

export class BatchSearch {
  /** After `find` returned −1: the unit that has to be read first; −1 when there is none to find. */
  missing = -1
  readonly #queues: ConsumeQueues
  readonly #cursor = new UnitCursor()
  readonly #hints = new WeakMap<Queue, Map<number, number>>()

  constructor(queues: ConsumeQueues) {
    this.#queues = queues
  }

  /** Shows unit `index` in the cursor; false when it has to be read first. */
  locate(units: Queue, index: number, cursor: UnitCursor): boolean {
    return this.#queues.batchUnits?.locate(units, index, cursor) ?? false
  }

  /** Reads the units around `index`; then `locate` finds them. */
  async read(units: Queue, index: number): Promise<void> {
    await this.#queues.batchUnits?.readUnits(units, index)
  }

  /** Which unit holds the message at `offset`, or the first one behind it where there is none; −1: see `missing`. */
  find(units: Queue, offset: number): number {
    this.missing = -1
    const hint = this.#hints.get(units)?.get(offset)
    if (hint !== undefined && hint >= units.minOffset && hint < units.maxOffset) return hint
    let low = units.minOffset
    let high = units.maxOffset
    const cursor = this.#cursor
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (!this.locate(units, middle, cursor)) {
        this.missing = middle
        return -1
      }
      const end = baseAt(cursor.bytes, cursor.at) + messagesAt(cursor.bytes, cursor.at)
      if (end > offset) high = middle
      else low = middle + 1
    }
    return low < units.maxOffset ? low : -1
  }

  /** A reader will come for `offset` next, whose unit is this one. */
  remember(units: Queue, offset: number, index: number): void {
    const hints = this.#hints.get(units) ?? new Map<number, number>()
    this.#hints.set(units, hints)
    hints.delete(offset)
    hints.set(offset, index)
    if (hints.size <= HINTS_MAX) return
    for (const oldest of hints.keys()) {
      hints.delete(oldest)
      return
    }
  }

  /** The unit that holds the message at `offset`; null when none does. Rejects with the disk's error. */
  async unitOf(queue: Queue, units: Queue, offset: number): Promise<BatchUnit | null> {
    if (offset < 0 || offset >= queue.maxOffset) return null
    for (let reads = 0; reads < READS_MAX; reads++) {
      const index = this.find(units, offset)
      if (index < 0 && this.missing < 0) return null
      if (index < 0) {
        await this.read(units, this.missing)
        continue
      }
      const unit = await this.unitAt(units, index)
      return unit !== null && unit.base <= offset ? unit : null
    }
    return null
  }

  /** The unit with this index; null when there is none. */
  async unitAt(units: Queue, index: number): Promise<BatchUnit | null> {
    const cursor = this.#cursor
    if (index < 0 || index >= units.maxOffset) return null
    if (!this.locate(units, index, cursor)) {
      await this.read(units, index)
      if (!this.locate(units, index, cursor)) return null
    }
    return readBatchUnit(cursor.bytes, cursor.at)
  }

  /**
   * The offset that belongs to a time, with exactly Apache's answers (also its odd ones): of a whole
   * unit, and at most that of the last one. The file is chosen first, then bisected.
   */
  async offsetByTime(
    queue: Queue,
    units: Queue,
    ms: number,
    boundary: TimeBoundary,
  ): Promise<number> {
    const { minOffset, maxOffset } = queue
    const clamp = (offset: number) => Math.max(minOffset, Math.min(maxOffset, offset))
    const oldest = Math.max(0, units.firstFileOffset, units.minOffset)
    if (units.maxOffset <= oldest) return clamp(-1)
    const timeAt = async (index: number) => (await this.unitAt(units, index))?.storeTimestamp ?? -1
    const baseOf = async (index: number) => (await this.unitAt(units, index))?.base ?? -1
    const { first, last } = await this.#fileOf(units, oldest, ms, timeAt)
    if (ms >= (await timeAt(last))) return clamp(await baseOf(last))
    let low = first
    let high = last
    while (low <= high) {
      const middle = Math.floor((low + high) / 2)
      const time = await timeAt(middle)
      if (middle === high) return clamp(time >= ms ? await baseOf(middle) : -1)
      if (middle === low) {
        if (time >= ms) return clamp(await baseOf(middle))
        low = middle + 1
      } else if (boundary === 'LOWER') {
        if (time < ms) low = middle + 1
        else high = middle
      } else if (time <= ms) low = middle
      else high = middle - 1
    }
    return clamp(-1)
  }

  /** The newest file whose first unit is not younger than the time; else the oldest one. */
  async #fileOf(
    units: Queue,
    oldest: number,
    ms: number,
    timeAt: (index: number) => Promise<number>,
  ): Promise<{ first: number; last: number }> {
    const unitsPerFile = this.#queues.batchUnits?.unitsPerFile ?? 1
    for (let end = units.maxOffset; ;) {
      const start = end - 1 - ((end - 1) % unitsPerFile)
      const first = Math.max(start, oldest)
      if (first === oldest || (await timeAt(first)) <= ms) return { first, last: end - 1 }
      end = start
    }
  }
}
