/**
 * Reading what is stored: pulls, single records, times, keys. What is in memory is answered in the
 * same turn (`pullNow`); everything else is read first and never more at once than the gate lets through.
 */
import { indexHashOf } from './log-scan.ts'
import { type ConsumeQueues, UnitCursor } from './consume-queues.ts'
import { BatchSearch } from './batch-search.ts'
import type { KeyIndex } from './key-index.ts'
import type { LogReader, ReplyBuffer } from './log-reader.ts'
import type { StoreSettings } from './options.ts'
import { type Accept, type PullOutcome, PullScan, type Select } from './pull.ts'
import type { Queue } from './queue.ts'
import { correctMinOffset } from './retention.ts'
import type { Segments } from './segments.ts'
import { offsetByTime, type TimeBoundary, type Unit, unitAt } from './time-search.ts'
import { repairUnit } from './unit-repair.ts'
import type { Watermarks } from './watermarks.ts'

export interface KeyQueryResult {
  /** Whole records, oldest first. */
  readonly records: Buffer[]
  /** Newest record in the index. */
  readonly lastUpdateTimestamp: number
  readonly lastUpdatePhysicalOffset: number
}

/** Rounds of reading that one pull may need before it answers with what it has. */
const PULL_LOADS_MAX = 8
const PULL_ROUNDS_MAX = 64

interface Parts {
  readonly settings: StoreSettings
  readonly queues: ConsumeQueues
  readonly reader: LogReader
  readonly segments: Segments
  readonly watermarks: Watermarks
  readonly index: KeyIndex | null
}

/** The methods have the names and contracts of the store's, which calls them. */
export class Reading {
  readonly #parts: Parts
  readonly #scan: PullScan
  readonly #batches: BatchSearch

  constructor(parts: Parts) {
    this.#parts = parts
    const { queues, reader, segments, settings } = parts
    this.#batches = new BatchSearch(queues)
    this.#scan = new PullScan(queues, reader, segments, settings.filterUnitsMax, this.#batches)
  }

  pullNow(
    queue: Queue,
    offset: number,
    messagesMax: number,
    bytesMax: number,
    accept: Accept,
    target: ReplyBuffer,
    select: Select,
  ): PullOutcome | null {
    return this.#scan.scan(queue, offset, messagesMax, bytesMax, accept, target, true, select)
  }

  async pull(
    queue: Queue,
    offset: number,
    messagesMax: number,
    bytesMax: number,
    accept: Accept,
    target: ReplyBuffer,
    select: Select,
  ): Promise<PullOutcome> {
    const { queues, reader } = this.#parts
    const scan = this.#scan
    for (let round = 0; round < PULL_ROUNDS_MAX; round++) {
      const partial = round === 0 || round > PULL_LOADS_MAX
      // Other pulls use the same scan while this one waits, so what it says is taken along at once.
      const look = () => {
        const outcome = scan.scan(
          queue,
          offset,
          messagesMax,
          bytesMax,
          accept,
          target,
          partial,
          select,
        )
        const { missingUnit, missingRecord, missingSize, missingOffset, suspectUnit } = scan
        return { outcome, missingUnit, missingRecord, missingSize, missingOffset, suspectUnit }
      }
      let found = look()
      if (found.outcome === null && found.missingRecord >= 0) {
        const places = scan.sparse(queue, found.missingOffset, messagesMax, bytesMax, accept)
        if (places !== null) found = await reader.withEach(places, look)
      }
      if (found.outcome !== null) return found.outcome
      const { missingUnit, missingRecord, missingSize, suspectUnit } = found
      if (suspectUnit >= 0) await repairUnit(this.#parts, queue, suspectUnit)
      else if (missingUnit >= 0) await queues.readUnits(queue, missingUnit)
      else await reader.load(missingRecord, missingSize)
    }
    const { minOffset, maxOffset } = queue
    const status = 'OFFSET_FOUND_NULL'
    return { status, nextBeginOffset: offset, minOffset, maxOffset, count: 0, bytes: 0 }
  }

  recordAt(physicalOffset: number): Promise<Buffer | null> {
    const { reader } = this.#parts
    return this.#isThere(physicalOffset) ? reader.recordAt(physicalOffset) : Promise.resolve(null)
  }

  #isThere(physicalOffset: number): boolean {
    return (
      Number.isSafeInteger(physicalOffset) &&
      physicalOffset >= 0 &&
      physicalOffset < this.#parts.watermarks.confirmed
    )
  }

  recordInMemory(physicalOffset: number, target: ReplyBuffer): number {
    return this.#isThere(physicalOffset) ? this.#parts.reader.copyHeld(physicalOffset, target) : 0
  }

  async storeTimeOf(queue: Queue, offset: number): Promise<number> {
    const physicalOffset = await this.physicalOffsetOf(queue, offset)
    return physicalOffset < 0 ? -1 : this.#parts.reader.storeTimeAt(physicalOffset)
  }

  unitAt(queue: Queue, offset: number): Promise<Unit | null> {
    if (queue.units !== null) return this.#batches.unitOf(queue, queue.units, offset)
    return unitAt(this.#parts.queues, queue, offset, new UnitCursor())
  }

  /** Where the record of a queue offset begins in the log; −1 when it is not there. */
  async physicalOffsetOf(queue: Queue, offset: number): Promise<number> {
    const unit = await this.unitAt(queue, offset)
    return unit?.physicalOffset ?? -1
  }

  /** Moves the first offset of a batch queue to the first record at or behind `logStart`. */
  async correctBatchMin(queue: Queue, units: Queue, logStart: number): Promise<void> {
    await correctMinOffset(units, logStart, async (_units, index) => {
      const unit = await this.#batches.unitAt(units, index)
      return unit?.physicalOffset ?? -1
    })
    const first = await this.#batches.unitAt(units, units.minOffset)
    queue.minOffset = Math.max(queue.minOffset, first?.base ?? queue.maxOffset)
  }

  offsetByTime(queue: Queue, ms: number, boundary: TimeBoundary): Promise<number> {
    const { queues, reader, segments } = this.#parts
    if (queue.units !== null) {
      return this.#batches.offsetByTime(queue, queue.units, ms, boundary)
    }
    return offsetByTime(queues, reader, segments, queue, ms, boundary)
  }

  async queryKey(
    topic: string,
    key: string,
    max: number,
    beginMs: number,
    endMs: number,
    bytesMax: number,
  ): Promise<KeyQueryResult> {
    const records: Buffer[] = []
    let bytes = 0
    const { index, settings } = this.#parts
    if (index !== null) {
      const hash = indexHashOf(topic, key)
      const limit = Math.min(max, settings.indexQueryMax)
      const offsets = await index.query(hash, limit, beginMs, endMs)
      for (const physicalOffset of offsets.sort((a, b) => a - b)) {
        const record = await this.recordAt(physicalOffset)
        if (record === null) continue
        bytes += record.length
        if (records.length > 0 && bytes > bytesMax) break
        records.push(record)
      }
    }
    const update = index?.lastUpdate
    return {
      records,
      lastUpdateTimestamp: update?.timestamp ?? 0,
      lastUpdatePhysicalOffset: update?.physicalOffset ?? 0,
    }
  }
}
