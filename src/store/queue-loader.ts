/**
 * Finds the consume queues that are on the disk: where each begins and ends. Runs before the log is
 * scanned, for thousands of queues, so it reads little: one block a queue in the common case.
 *
 * `limit` is a position of the log up to which the units are known to be on the disk. Units behind it
 * are taken away (recovery puts them again from the log); after a crash they may be torn, missing in
 * between, or left over. Unit n is valid when it has a size and a position below the limit, and that
 * is true for a prefix of the queue and false behind it.
 */
import path from 'node:path'
import { fitsI64, readI64 } from '../base/i64.ts'
import type { Logger } from '../base/logger.ts'
import { faultOfTopic } from '../protocol/names.ts'
import { PHYSICAL_OFFSET_AT, QUEUE_OFFSET_AT } from '../protocol/record.ts'
import type { Disk, DiskFile } from '../world/disk.ts'
import { readSpan, syncFile } from '../world/disk.ts'
import { BATCH_UNIT_BYTES, type BatchUnit, batchForm, readBatchUnit } from './batch-unit.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import type { OpenFiles } from './open-files.ts'
import { HOLE_SIZE, type Queue } from './queue.ts'
import type { Segments } from './segments.ts'
import { correctMinOffset } from './retention.ts'

const PARALLEL = 8
const BLOCK_UNITS = 3_200
/** Units at the end that may be checked against the log before the queue counts as damaged. */
const CHECKED_UNITS_MAX = 64

export interface QueueLoaderParts {
  readonly disk: Disk
  readonly queues: ConsumeQueues
  readonly files: OpenFiles
  readonly segments: Segments
  readonly logger: Logger
}

export interface LoadedQueues {
  /** A queue whose files cannot be what a broker left: all have to be built again. */
  readonly damaged: string | null
  /** Behind the last record that any unit points to; −1 when there is none. */
  readonly endPhysicalOffset: number
  /** Whether there are files of plain queues, and of batch queues. */
  readonly hasPlain: boolean
  readonly hasBatch: boolean
}

interface Found {
  readonly topic: string
  readonly queueId: number
  /** Lies among the units of batch queues. */
  readonly isBatch: boolean
}

/** Where the units of a queue lie, and the batch queue that they are of. */
interface Home {
  readonly queues: ConsumeQueues
  readonly batch: Queue | null
}

export class QueueLoader {
  readonly #parts: QueueLoaderParts
  #damaged: string | null = null
  readonly #damagedQueues = new Map<Queue, Home>()
  #endPhysicalOffset = -1
  #found: Found[] | null = null

  constructor(parts: QueueLoaderParts) {
    this.#parts = parts
  }

  /** Opens all queues up to `limit` (Infinity: as far as their units go). `tidy` takes away what lies behind. */
  async load(limit: number, tidy: boolean): Promise<LoadedQueues> {
    this.#damaged = null
    this.#damagedQueues.clear()
    this.#endPhysicalOffset = -1
    this.#found ??= await this.#find()
    const found = this.#found
    let next = 0
    const work = async () => {
      for (let item = found[next++]; item; item = found[next++]) {
        await this.#loadFound(item, limit, tidy)
      }
    }
    await Promise.all(Array.from({ length: PARALLEL }, work))
    return {
      damaged: this.#damaged,
      endPhysicalOffset: this.#endPhysicalOffset,
      hasPlain: found.some(({ isBatch }) => !isBatch),
      hasBatch: found.some(({ isBatch }) => isBatch),
    }
  }

  /** Removes the files of queues that cannot be what a broker left; their offsets come from the log. */
  async removeDamaged(): Promise<void> {
    const { disk, files } = this.#parts
    for (const [queue, { queues, batch }] of this.#damagedQueues) {
      const dir = queues.dirOf(queue)
      for (const { name } of await disk.list(dir)) files.drop(path.join(dir, name))
      await disk.removeTree(dir)
      await disk.syncDirectory(path.dirname(dir))
      queues.startAt(queue, 0)
      queue.firstFileOffset = queue.lastFileOffset = -1
      if (batch !== null) this.#parts.queues.startAt(batch, 0)
    }
  }

  #damage(home: Home, queue: Queue, what: string): void {
    this.#damagedQueues.set(queue, home)
    this.#damaged ??= what
  }

  async #find(): Promise<Found[]> {
    const { queues } = this.#parts
    const found = await this.#findIn(queues.dir, false)
    if (queues.batchUnits === null) return found
    const batches = await this.#findIn(queues.batchUnits.dir, true)
    for (const { topic } of batches) queues.batchTopics.add(topic)
    return [...found, ...batches]
  }

  async #findIn(dir: string, isBatch: boolean): Promise<Found[]> {
    const { disk } = this.#parts
    const found: Found[] = []
    for (const topic of await disk.list(dir)) {
      if (!topic.isDirectory || faultOfTopic(topic.name) !== null) continue
      for (const entry of await disk.list(path.join(dir, topic.name))) {
        if (!entry.isDirectory || !/^\d{1,9}$/.test(entry.name)) continue
        found.push({ topic: topic.name, queueId: Number(entry.name), isBatch })
      }
    }
    return found
  }

  /** Files of a form that the topic does not have stay as they are. */
  async #loadFound(
    { topic, queueId, isBatch }: Found,
    limit: number,
    tidy: boolean,
  ): Promise<void> {
    const { queues } = this.#parts
    const queue = queues.queue(topic, queueId)
    const { units } = queue
    if (isBatch !== (units !== null)) return
    if (units === null) await this.#loadQueue({ queues, batch: null }, queue, limit, tidy)
    else if (queues.batchUnits !== null) {
      await this.#loadQueue({ queues: queues.batchUnits, batch: queue }, units, limit, tidy)
      await this.#loadBatch(queue, units)
    }
  }

  /** The offsets of a batch queue, once its units are known. */
  async #loadBatch(queue: Queue, units: Queue): Promise<void> {
    const { queues } = this.#parts
    const { batchUnits } = queues
    const unitAt = (index: number) =>
      batchUnits === null || index < 0 ? null : this.#batchUnit(batchUnits, units, index)
    const last = units.maxOffset > 0 ? await unitAt(units.maxOffset - 1) : null
    queues.startAt(queue, last === null ? 0 : last.base + last.messages)
    const first = units.minOffset < units.maxOffset ? await unitAt(units.minOffset) : null
    if (first !== null) queue.minOffset = first.base
  }

  async #loadQueue(home: Home, queue: Queue, limit: number, tidy: boolean): Promise<void> {
    const { disk } = this.#parts
    const { queues } = home
    const { unitBytes } = queues.form
    const dir = queues.dirOf(queue)
    const { unitsPerFile } = queues
    queues.startAt(queue, 0)
    queue.firstFileOffset = queue.lastFileOffset = -1
    const names = (await disk.list(dir)).filter((entry) => !entry.isDirectory)
    const starts: number[] = []
    for (const { name } of names) {
      const first = Number(name) / unitBytes
      const before = starts[starts.length - 1]
      const follows =
        before === undefined ? first % unitsPerFile === 0 : first === before + unitsPerFile
      if (!/^\d{20}$/.test(name) || !Number.isSafeInteger(first) || !follows) {
        this.#damage(home, queue, `${dir} holds ${name}`)
        return
      }
      starts.push(first)
    }
    // The last file is looked at when it is opened.
    for (const first of starts.slice(0, -1)) {
      const at = queues.pathOf(queue, first)
      const facts = await disk.facts(at)
      if (facts?.sizeBytes === unitsPerFile * unitBytes) continue
      this.#damage(home, queue, `${at} has ${facts?.sizeBytes ?? 0} bytes`)
      return
    }
    const oldest = starts[0]
    if (oldest === undefined) return
    let end = -1
    let kept = starts.length
    while (kept > 0 && end < 0) {
      end = await this.#endInFile(home, queue, starts[kept - 1] ?? 0, limit, kept === starts.length)
      if (this.#damagedQueues.has(queue)) return
      if (end < 0) kept--
    }
    if (end >= 0 && tidy) end = await this.#checkAgainstLog(home, queue, oldest, end)
    if (tidy) kept = await this.#tidy(queues, queue, starts, end)
    if (end < 0 || kept === 0) return
    queue.firstFileOffset = oldest
    queue.lastFileOffset = starts[kept - 1] ?? oldest
    queues.startAt(queue, end)
    queue.minOffset = oldest
    await this.#findMin(queues, queue)
    const last = await this.#unit(queues, queue, end - 1)
    if (last && last.size !== HOLE_SIZE) {
      this.#endPhysicalOffset = Math.max(this.#endPhysicalOffset, last.physicalOffset + last.size)
    }
  }

  /** Offset behind the last valid unit of the file that starts at `first`; −1 when it has none. */
  async #endInFile(
    home: Home,
    queue: Queue,
    first: number,
    limit: number,
    last: boolean,
  ): Promise<number> {
    const { files } = this.#parts
    const { queues } = home
    const { unitBytes, validUnits } = queues.form
    const at = queues.pathOf(queue, first)
    const fileBytes = queues.unitsPerFile * unitBytes
    const file = await files.acquire(at)
    try {
      const sizeBytes = await file.sizeBytes()
      if (sizeBytes !== fileBytes) {
        if (sizeBytes > fileBytes || !last) {
          this.#damage(home, queue, `${at} has ${sizeBytes} bytes, expected ${fileBytes}`)
          return -1
        }
        await file.truncate(fileBytes)
      }
      let low = 0
      let high = queues.unitsPerFile
      // Most queues end in the first block of their last file; then this is the only read.
      let step = Math.min(BLOCK_UNITS, high)
      while (low < high) {
        const block = await readSpan(file, low * unitBytes, step * unitBytes)
        const count = validUnits(block, limit)
        if (count < step) {
          low += count
          break
        }
        low += step
        // Full so far: look for the block where it ends.
        let far = high
        while (far - low > BLOCK_UNITS) {
          const middle = low + Math.floor((far - low) / 2)
          const unit = await readSpan(file, middle * unitBytes, unitBytes)
          if (validUnits(unit, limit) === 1) low = middle + 1
          else far = middle
        }
        high = far
        step = Math.min(BLOCK_UNITS, high - low)
      }
      return low > 0 ? first + low : -1
    } finally {
      files.release(at, file)
    }
  }

  /** Steps back over units at the end that do not point to their own record. */
  async #checkAgainstLog(home: Home, queue: Queue, oldest: number, end: number): Promise<number> {
    const { queues } = home
    let checked = 0
    for (let offset = end - 1; offset >= oldest; offset--) {
      const unit = await this.#unit(queues, queue, offset)
      if (unit && (unit.size === HOLE_SIZE || (await this.#pointsToItsRecord(queue, unit)))) {
        return offset + 1
      }
      if (++checked > CHECKED_UNITS_MAX) {
        this.#damage(home, queue, `${queues.dirOf(queue)} does not fit the log`)
        return -1
      }
    }
    return -1
  }

  async #pointsToItsRecord(queue: Queue, unit: LoadedUnit): Promise<boolean> {
    const { segments, files } = this.#parts
    const segment = segments.find(unit.physicalOffset)
    // A record that retention has taken cannot be looked at; its unit is older than the checkpoint.
    if (segment === null) return unit.physicalOffset < segments.first.from
    const file = await files.acquire(segment.path)
    try {
      const header = await readSpan(file, unit.physicalOffset - segment.from, 36)
      if (header.length < 36) return false
      return (
        header.readInt32BE(0) === unit.size &&
        header.readInt32BE(12) === queue.queueId &&
        fitsI64(header, QUEUE_OFFSET_AT) &&
        readI64(header, QUEUE_OFFSET_AT) === unit.queueOffset &&
        fitsI64(header, PHYSICAL_OFFSET_AT) &&
        readI64(header, PHYSICAL_OFFSET_AT) === unit.physicalOffset
      )
    } finally {
      files.release(segment.path, file)
    }
  }

  /** Zeroes what lies behind `end` in its file and removes the files behind it; returns how many stay. */
  async #tidy(
    queues: ConsumeQueues,
    queue: Queue,
    starts: readonly number[],
    end: number,
  ): Promise<number> {
    const { files, disk } = this.#parts
    const { unitBytes } = queues.form
    let kept = starts.length
    while (kept > 0 && (starts[kept - 1] ?? 0) >= end) {
      kept--
      const at = queues.pathOf(queue, starts[kept] ?? 0)
      files.drop(at)
      await disk.remove(at)
    }
    if (kept < starts.length) await disk.syncDirectory(queues.dirOf(queue))
    const first = starts[kept - 1]
    if (first !== undefined && end < first + queues.unitsPerFile) {
      const at = queues.pathOf(queue, first)
      const file = await files.acquire(at)
      try {
        await zeroBehind(file, (end - first) * unitBytes, queues.unitsPerFile * unitBytes)
      } finally {
        files.release(at, file)
      }
    }
    return kept
  }

  /** Skips holes at the head and units whose records are gone. */
  async #findMin(queues: ConsumeQueues, queue: Queue): Promise<void> {
    const logStart = this.#parts.segments.first.from
    const first = await this.#unit(queues, queue, queue.minOffset)
    if (first && first.size !== HOLE_SIZE && first.physicalOffset >= logStart) return
    await correctMinOffset(queue, Math.max(1, logStart), async (_queue, offset) => {
      const unit = await this.#unit(queues, queue, offset)
      return unit === null || unit.size === HOLE_SIZE ? -1 : Math.max(1, unit.physicalOffset)
    })
  }

  async #unit(queues: ConsumeQueues, queue: Queue, offset: number): Promise<LoadedUnit | null> {
    if (queues.form === batchForm) {
      const unit = await this.#batchUnit(queues, queue, offset)
      return unit === null ? null : { ...unit, queueOffset: unit.base }
    }
    const bytes = await this.#unitBytes(queues, queue, offset)
    if (queues.form.validUnits(bytes, Infinity) === 0) return null
    return {
      physicalOffset: readI64(bytes, 0),
      size: bytes.readInt32BE(8),
      queueOffset: offset,
    }
  }

  async #batchUnit(queues: ConsumeQueues, queue: Queue, index: number): Promise<BatchUnit | null> {
    const bytes = await this.#unitBytes(queues, queue, index)
    return bytes.length < BATCH_UNIT_BYTES ? null : readBatchUnit(bytes, 0)
  }

  async #unitBytes(queues: ConsumeQueues, queue: Queue, offset: number): Promise<Buffer> {
    const { files } = this.#parts
    const { unitBytes } = queues.form
    const at = queues.pathOf(queue, offset)
    const file = await files.acquire(at)
    try {
      return await readSpan(file, (offset % queues.unitsPerFile) * unitBytes, unitBytes)
    } finally {
      files.release(at, file)
    }
  }
}

interface LoadedUnit {
  readonly physicalOffset: number
  readonly size: number
  /** What its record says of itself. */
  readonly queueOffset: number
}

/** Makes every byte from `position` on zero, without writing them. */
export async function zeroBehind(
  file: DiskFile,
  position: number,
  fileBytes: number,
): Promise<void> {
  await file.truncate(position)
  await file.truncate(fileBytes)
  await syncFile(file)
}
