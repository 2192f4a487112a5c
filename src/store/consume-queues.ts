/**
 * All consume queues: 20-byte units in files of `queueFileBytes`, one directory a queue; or, as
 * `batchUnits`, the units of batch queues (batch-unit.ts), counted like offsets.
 *
 *    0 i64 physicalOffset    8 i32 size of the record    12 i64 tagsCode (Java hash of the tag, sign-extended;
 *                                                                in the queue of a delay level the time of delivery, ms)
 *
 * Unit n of a queue stands at byte n × 20, counted through its files, whose names are the byte
 * offset of their first unit. A hole (0, 0x7FFFFFFF, 0) stands where there is no message: before
 * the queue's first offset, and where a damaged record was skipped.
 * Source: apache/rocketmq store/…/ConsumeQueue.java.
 *
 * Units are put into pages in memory and written behind: a page when it is full, all others after
 * about a second if few queues grow; of thousands only some each second and the rest at the next
 * checkpoint, so that they cost neither memory nor file descriptors nor a storm of small writes. The log is what counts; a checkpoint says
 * up to where the queues are on the disk, and recovery puts what lies behind it again.
 */
import path from 'node:path'
import { assert } from '../base/assert.ts'
import { writeI32 } from '../base/bytes.ts'
import { messageOf, MqError } from '../base/errors.ts'
import { fitsI64, readI64, writeI64 } from '../base/i64.ts'
import type { Logger } from '../base/logger.ts'
import { delayMsOfQueue, parseDelayLevels } from '../protocol/delay-levels.ts'
import { faultOfTopic } from '../protocol/names.ts'
import type { Clock } from '../world/clock.ts'
import type { Disk, DiskFile } from '../world/disk.ts'
import { isUnopened, syncFile } from '../world/disk.ts'
import { BlockCache, type ReadGate } from './block-cache.ts'
import type { OpenFiles } from './open-files.ts'
import type { StoreSettings } from './options.ts'
import { HOLE_SIZE, Queue, QueuePage, UNIT_BYTES, type UnitForm } from './queue.ts'
import { fileNameOf } from './segments.ts'

/** Units of a page of a quiet queue, and of one that fills a page in less than a second. */
const SMALL_PAGE_UNITS = 200
const LARGE_PAGE_UNITS = 3_000
const HOT_PAGE_MS = 1_000
/**
 * Queues that one tick writes at most; ten ticks a second. Each costs opening, writing and closing a
 * file for a handful of units when there are thousands; a checkpoint writes them all anyway.
 */
const QUEUES_PER_TICK = 20
/** Queues that are written or synced at one time. */
const PARALLEL = 8
/** Older units are read in blocks of 3,200. */
const BLOCK_UNITS = 3_200
const BLOCKS_BYTES_MAX = 8 * 1024 * 1024
/** Units that may wait for the disk before dispatch pauses: 64 MB of pages. */
const UNWRITTEN_UNITS_MAX = 3_200_000
const IDLE_SWEEP_MS = 10_000
/** Share of the memory for newest units that full pages have, however many are being filled. */
const KEPT_SHARE_MIN = 0.25
/** Memory of pages that waits to be used again. */
const FREE_PAGES_MAX = 16

/** A run of units in memory, found by `locate`. Valid until the next await. */
export class UnitCursor {
  bytes: Buffer = Buffer.alloc(0)
  /** Byte of the unit that was asked for. */
  at = 0
  /** Units from there on. */
  count = 0
  /** They were put by this process and never read from the disk. */
  own = false
}

/** Units as most queues have them, written by `put`. */
export const plainForm: UnitForm = {
  dir: 'consumequeue',
  fileBytes: 'queueFileBytes',
  unitBytes: UNIT_BYTES,
  validUnits: (block, limit) => {
    const count = Math.floor(block.length / UNIT_BYTES)
    for (let i = 0; i < count; i++) {
      const at = i * UNIT_BYTES
      if (block.readInt32BE(at + 8) <= 0 || !fitsI64(block, at)) return i
      const physicalOffset = readI64(block, at)
      if (physicalOffset < 0 || physicalOffset >= limit) return i
    }
    return count
  },
}

export class ConsumeQueues {
  /** Sum of all queues' maxOffset: a cheap fingerprint of their completeness. */
  sumOfMax = 0
  readonly unitsPerFile: number
  readonly dir: string
  readonly form: UnitForm
  /** The units of batch queues, which lie in files of another form; null for those themselves. */
  readonly batchUnits: ConsumeQueues | null
  /** Topics of which files of batch units were found, for when nobody else knows their kind. */
  readonly batchTopics = new Set<string>()
  /** Whether a topic's queues are batch queues; null when its owner does not know the topic. */
  isBatchTopic: (topic: string) => boolean | null = () => null
  /** Whether its owner has the topic; true when it cannot say. Asked by recovery. */
  isKnownTopic: (topic: string) => boolean = () => true
  readonly #disk: Disk
  readonly #clock: Clock
  readonly #settings: StoreSettings
  readonly #delayLevelsMs: readonly number[]
  readonly #files: OpenFiles
  readonly #logger: Logger
  readonly #cache: BlockCache
  readonly #topics = new Map<string, (Queue | undefined)[]>()
  #dirty: Queue[] = []
  #unwrittenUnits = 0
  #activeBytes = 0
  #keptBytes = 0
  readonly #kept: QueuePage[] = []
  readonly #freeSmall: Buffer[] = []
  readonly #freeLarge: Buffer[] = []
  #lastSweepMs = 0
  #lastErrorMs = -Infinity

  constructor(
    settings: StoreSettings,
    disk: Disk,
    clock: Clock,
    files: OpenFiles,
    gate: ReadGate,
    logger: Logger,
    batchUnits: ConsumeQueues | null = null,
    form = plainForm,
  ) {
    this.form = form
    this.batchUnits = batchUnits
    this.#settings = settings
    this.#delayLevelsMs = parseDelayLevels(settings.delayLevels) ?? []
    this.#disk = disk
    this.#clock = clock
    this.#files = files
    this.#logger = logger
    this.dir = path.join(settings.dir, form.dir)
    this.unitsPerFile = Math.ceil(settings[form.fileBytes] / form.unitBytes)
    this.#cache = new BlockCache(BLOCK_UNITS * form.unitBytes, BLOCKS_BYTES_MAX, files, gate)
  }

  // ---- handles ---------------------------------------------------------------------------------

  /** The handle of a queue, made at the first call. Throws NAME_ILLEGAL for an illegal topic. */
  queue(topic: string, queueId: number): Queue {
    return this.peek(topic, queueId) ?? this.#make(topic, queueId)
  }

  peek(topic: string, queueId: number): Queue | null {
    return this.#topics.get(topic)?.[queueId] ?? null
  }

  queuesOf(topic: string): Queue[] {
    return (this.#topics.get(topic) ?? []).filter((queue) => queue !== undefined)
  }

  topics(): string[] {
    return [...this.#topics.keys()]
  }

  *all(): Generator<Queue> {
    for (const queues of this.#topics.values()) {
      for (const queue of queues) if (queue) yield queue
    }
  }

  #make(topic: string, queueId: number): Queue {
    const why = faultOfTopic(topic)
    if (why !== null) throw new MqError('NAME_ILLEGAL', { kind: 'topic', name: topic, why })
    assert(Number.isSafeInteger(queueId) && queueId >= 0, 'a queue id is a whole number')
    const { batchUnits } = this
    const isBatch = this.isBatchTopic(topic) ?? this.batchTopics.has(topic)
    const units = isBatch && batchUnits !== null ? batchUnits.queue(topic, queueId) : null
    const delayMs = delayMsOfQueue(topic, queueId, this.#delayLevelsMs)
    const queue = new Queue(topic, queueId, delayMs, units)
    const queues = this.#topics.get(topic)
    if (queues) queues[queueId] = queue
    else {
      const fresh: (Queue | undefined)[] = []
      fresh[queueId] = queue
      this.#topics.set(topic, fresh)
    }
    return queue
  }

  dirOf(queue: Queue): string {
    return path.join(this.dir, queue.topic, String(queue.queueId))
  }

  /** The file that holds the unit at `offset`. */
  pathOf(queue: Queue, offset: number): string {
    const first = offset - (offset % this.unitsPerFile)
    return path.join(this.dirOf(queue), fileNameOf(first * this.form.unitBytes))
  }

  // ---- put -------------------------------------------------------------------------------------

  /** Whether so many units wait for the disk that no more should come. */
  get congested(): boolean {
    return this.#unwrittenUnits > UNWRITTEN_UNITS_MAX || (this.batchUnits?.congested ?? false)
  }

  /** Adds the unit behind the last one and makes it visible. */
  put(queue: Queue, physicalOffset: number, size: number, tagsCode: number): void {
    const page = this.#pageOf(queue)
    const at = page.count * UNIT_BYTES
    const { bytes } = page
    writeI64(bytes, physicalOffset, at)
    writeI32(bytes, size, at + 8)
    writeI64(bytes, tagsCode, at + 12)
    this.#added(queue, page)
  }

  /** Adds a unit as it stands in the files. */
  putUnit(queue: Queue, unit: Buffer): void {
    const page = this.#pageOf(queue)
    unit.copy(page.bytes, page.count * this.form.unitBytes)
    this.#added(queue, page)
  }

  #pageOf(queue: Queue): QueuePage {
    const { pages } = queue
    const page = pages[pages.length - 1]
    return page === undefined || page.count === page.capacity ? this.#newPage(queue) : page
  }

  #added(queue: Queue, page: QueuePage): void {
    page.count++
    queue.maxOffset++
    this.sumOfMax++
    this.#unwrittenUnits++
    if (page.count === page.capacity) this.#startWrite(queue)
    else if (!queue.dirty) this.#markDirty(queue)
  }

  /**
   * Adds the unit of a record that recovery found at `queueOffset`. Units that are there already
   * are kept; a queue that has none starts here; what is missing between becomes holes.
   */
  restore(
    queue: Queue,
    queueOffset: number,
    physicalOffset: number,
    size: number,
    tagsCode: number,
  ): void {
    if (queueOffset < queue.maxOffset) return
    if (queue.firstFileOffset < 0 && queue.pages.length === 0) this.startAt(queue, queueOffset)
    while (queue.maxOffset < queueOffset) this.put(queue, 0, HOLE_SIZE, 0)
    this.put(queue, physicalOffset, size, tagsCode)
    queue.nextOffset = queue.maxOffset
  }

  /** Moves the end of a batch queue, which has no units of its own. */
  endAt(queue: Queue, offset: number): void {
    this.sumOfMax += offset - queue.maxOffset
    queue.maxOffset = queue.writtenOffset = offset
  }

  /** Lets an empty queue begin at `offset`. */
  startAt(queue: Queue, offset: number): void {
    this.sumOfMax += offset - queue.maxOffset
    queue.minOffset = queue.maxOffset = queue.writtenOffset = queue.nextOffset = offset
  }

  #newPage(queue: Queue): QueuePage {
    const { pages } = queue
    const first = queue.maxOffset
    const nowMs = this.#clock.monotonicMs()
    const last = pages[pages.length - 1]
    const hot = last !== undefined && nowMs - last.madeMs < HOT_PAGE_MS
    const units = hot ? LARGE_PAGE_UNITS : SMALL_PAGE_UNITS
    const free = hot ? this.#freeLarge : this.#freeSmall
    const bytes = free.pop() ?? Buffer.allocUnsafeSlow(units * this.form.unitBytes)
    const capacity = Math.min(units, this.unitsPerFile - (first % this.unitsPerFile))
    const page = new QueuePage(queue, bytes, first, capacity, nowMs)
    pages.push(page)
    this.#activeBytes += bytes.length
    return page
  }

  #freePage(page: QueuePage): void {
    const large = page.bytes.length === LARGE_PAGE_UNITS * this.form.unitBytes
    const free = large ? this.#freeLarge : this.#freeSmall
    if (free.length < FREE_PAGES_MAX) free.push(page.bytes)
  }

  #markDirty(queue: Queue): void {
    queue.dirty = true
    queue.dirtySinceMs = this.#clock.monotonicMs()
    this.#dirty.push(queue)
  }

  // ---- write behind ----------------------------------------------------------------------------

  /** To be called some ten times a second: writes what has waited long enough. */
  tick(): void {
    this.batchUnits?.tick()
    const nowMs = this.#clock.monotonicMs()
    const until = nowMs - this.#settings.queueFlushIntervalMs
    let taken = 0
    while (taken < QUEUES_PER_TICK && taken < this.#dirty.length) {
      const queue = this.#dirty[taken]
      if (queue === undefined || queue.dirtySinceMs > until) break
      queue.dirty = false
      taken++
      this.#startWrite(queue)
    }
    if (taken > 0) this.#dirty.splice(0, taken)
    if (nowMs - this.#lastSweepMs >= IDLE_SWEEP_MS) {
      this.#lastSweepMs = nowMs
      const bytes = this.#activeBytes + this.#keptBytes
      if (bytes > this.#settings.queuePagesBytes) this.#dropIdlePages(nowMs)
      this.#dropKeptPages()
    }
  }

  /** Pages of queues that nothing was put into for a while give their memory back. */
  #dropIdlePages(nowMs: number): void {
    for (const queue of this.all()) {
      if (queue.dirty || nowMs - queue.dirtySinceMs < IDLE_SWEEP_MS) continue
      const page = queue.pages[0]
      if (queue.pages.length !== 1 || !page || queue.writing || page.written < page.count) continue
      if (page.count === page.capacity) continue
      queue.pages.length = 0
      this.#activeBytes -= page.bytes.length
      this.#freePage(page)
    }
  }

  #startWrite(queue: Queue): void {
    if (queue.writing || queue.deleted) return
    queue.writing = this.#write(queue).then((done) => {
      queue.writing = null
      if (queue.deleted) return done
      const page = queue.pages.find((candidate) => candidate.written < candidate.count)
      if (page && done && page.count === page.capacity) this.#startWrite(queue)
      else if (page && !queue.dirty) this.#markDirty(queue)
      return done
    })
  }

  /** Writes the oldest page with units that the kernel does not have; false when it failed. */
  async #write(queue: Queue): Promise<boolean> {
    const page = queue.pages.find((candidate) => candidate.written < candidate.count)
    if (!page) return true
    const fileFrom = page.first - (page.first % this.unitsPerFile)
    const file = this.pathOf(queue, page.first)
    try {
      if (fileFrom > queue.lastFileOffset) await this.#makeFile(queue, fileFrom, page.first)
      const open = this.#files.acquireNow(file) ?? (await this.#files.acquire(file))
      const from = page.written
      const to = page.count
      try {
        await this.#writeUnits(open, page, from, to, fileFrom)
      } finally {
        this.#files.release(file, open)
      }
      page.written = to
      queue.writtenOffset = page.first + to
      queue.unsynced.add(fileFrom)
      this.#unwrittenUnits -= to - from
      if (to === page.capacity) this.#keep(page)
      return true
    } catch (error) {
      if (!queue.deleted) this.#complain(file, error)
      return false
    }
  }

  #writeUnits(
    file: DiskFile,
    page: QueuePage,
    from: number,
    to: number,
    fileFrom: number,
  ): Promise<void> {
    const { unitBytes } = this.form
    const position = (page.first - fileFrom + from) * unitBytes
    return new Promise((resolve, reject) => {
      file.write(page.bytes, from * unitBytes, to * unitBytes, position, (error) => {
        if (error) reject(error)
        else resolve()
      })
    })
  }

  /** Makes the file at its full length; units before the queue's first offset become holes. */
  async #makeFile(queue: Queue, fileFrom: number, first: number): Promise<void> {
    if (queue.lastFileOffset < 0) await this.#disk.makeDirectory(this.dirOf(queue))
    const path = this.pathOf(queue, fileFrom)
    const file = await this.#disk.open(path, 'create')
    try {
      await file.truncate(this.unitsPerFile * this.form.unitBytes)
      if (queue.lastFileOffset < 0 && first > fileFrom) {
        const holes = Buffer.alloc((first - fileFrom) * UNIT_BYTES)
        for (let at = 8; at < holes.length; at += UNIT_BYTES) holes.writeInt32BE(HOLE_SIZE, at)
        await new Promise<void>((resolve, reject) => {
          file.write(holes, 0, holes.length, 0, (error) => {
            if (error) reject(error)
            else resolve()
          })
        })
      }
    } catch (error) {
      await file.close()
      throw error
    }
    this.#files.adopt(path, file)
    if (queue.firstFileOffset < 0) queue.firstFileOffset = fileFrom
    queue.lastFileOffset = fileFrom
    queue.unsyncedNames = true
  }

  /** A full page that was written stays in memory until newer ones need the room. */
  #keep(page: QueuePage): void {
    this.#activeBytes -= page.bytes.length
    this.#keptBytes += page.bytes.length
    this.#kept.push(page)
    this.#dropKeptPages()
  }

  /** Pages that are being filled come first: those of thousands of queues are as much as all may have. */
  #dropKeptPages(): void {
    const { queuePagesBytes } = this.#settings
    const bytesMax = Math.max(queuePagesBytes * KEPT_SHARE_MIN, queuePagesBytes - this.#activeBytes)
    while (this.#keptBytes > bytesMax) {
      const oldest = this.#kept.shift()
      if (!oldest) return
      this.#keptBytes -= oldest.bytes.length
      if (oldest.queue.pages[0] === oldest) oldest.queue.pages.shift()
      this.#freePage(oldest)
    }
  }

  #complain(file: string, error: unknown): void {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#lastErrorMs < 30_000) return
    this.#lastErrorMs = nowMs
    this.#logger.error('a consume queue could not be written; it stays in memory', {
      file,
      why: messageOf(error),
    })
  }

  /**
   * Writes and syncs every unit that is there now; false when some could not be written, which may be
   * tried again. Rejects when a sync failed: what the disk has is unknown then. Queues that are
   * deleted meanwhile are left out.
   */
  async flushAll(): Promise<boolean> {
    const targets: { queue: Queue; offset: number }[] = []
    for (const queue of this.all()) {
      const isWritten = queue.writtenOffset >= queue.maxOffset
      if (!isWritten || queue.unsynced.size > 0 || queue.unsyncedNames) {
        targets.push({ queue, offset: queue.maxOffset })
      }
    }
    let good = (await this.batchUnits?.flushAll()) ?? true
    let next = 0
    const work = async () => {
      for (let target = targets[next++]; target; target = targets[next++]) {
        if (!(await this.#flush(target.queue, target.offset))) good = false
      }
    }
    await Promise.all(Array.from({ length: PARALLEL }, work))
    if (targets.some((target) => target.queue.unsyncedNames)) {
      if (!(await this.#syncNames(targets.map((target) => target.queue)))) good = false
    }
    return good
  }

  async #flush(queue: Queue, offset: number): Promise<boolean> {
    while (!queue.deleted && queue.writtenOffset < offset) {
      if (!queue.writing) this.#startWrite(queue)
      if ((await queue.writing) === false) return queue.deleted
    }
    for (const fileFrom of [...queue.unsynced]) {
      const isGone = () => queue.deleted || fileFrom < queue.firstFileOffset
      if (isGone()) continue
      const file = this.pathOf(queue, fileFrom)
      queue.unsynced.delete(fileFrom)
      let open: DiskFile
      try {
        open = await this.#files.acquire(file)
      } catch (error) {
        if (isGone()) continue
        queue.unsynced.add(fileFrom)
        this.#complain(file, error)
        return false
      }
      try {
        await syncFile(open)
      } catch (error) {
        if (!isGone()) throw error
      } finally {
        this.#files.release(file, open)
      }
    }
    return true
  }

  /** Syncs the directories of new files; false when one could not be opened. */
  async #syncNames(queues: readonly Queue[]): Promise<boolean> {
    let good = true
    const topics = new Set<string>()
    for (const queue of queues) {
      if (!queue.unsyncedNames || queue.deleted) continue
      topics.add(queue.topic)
      queue.unsyncedNames = false
      if (!(await this.#syncNamesOf(this.dirOf(queue), [queue]))) good = false
    }
    for (const topic of topics) {
      const own = queues.filter((queue) => queue.topic === topic)
      if (!(await this.#syncNamesOf(path.join(this.dir, topic), own))) good = false
    }
    for (const dir of [this.dir, this.#settings.dir]) {
      if (!(await this.#syncNamesOf(dir, queues))) good = false
    }
    return good
  }

  async #syncNamesOf(dir: string, queues: readonly Queue[]): Promise<boolean> {
    try {
      await this.#disk.syncDirectory(dir)
      return true
    } catch (error) {
      if (queues.every((queue) => queue.deleted)) return true
      if (!isUnopened(error)) throw error
      for (const queue of queues) queue.unsyncedNames = true
      this.#complain(dir, error)
      return false
    }
  }

  /** Resolves when no write is in flight. */
  async quiet(): Promise<void> {
    await this.batchUnits?.quiet()
    for (const queue of this.all()) await queue.writing
  }

  // ---- read ------------------------------------------------------------------------------------

  /** Finds the unit at `offset` in memory; false when it has to be read first (`readUnits`). */
  locate(queue: Queue, offset: number, cursor: UnitCursor): boolean {
    const { pages } = queue
    for (let i = pages.length - 1; i >= 0; i--) {
      const page = pages[i]
      if (page === undefined || offset < page.first) continue
      if (offset >= page.first + page.count) break
      cursor.bytes = page.bytes
      cursor.at = (offset - page.first) * this.form.unitBytes
      cursor.count = page.first + page.count - offset
      cursor.own = true
      return true
    }
    const key = this.#blockOf(offset)
    const block = this.#cache.get(queue, key)
    const { unitBytes } = this.form
    const at = (offset - key) * unitBytes
    if (block === null || at + unitBytes > block.validBytes) return false
    cursor.bytes = block.bytes
    cursor.at = at
    cursor.count = Math.floor((block.validBytes - at) / unitBytes)
    cursor.own = false
    return true
  }

  /** Reads the units around `offset` (of a batch queue: that unit), which must have been written; then `locate` finds them. */
  readUnits(queue: Queue, offset: number): Promise<void> {
    if (queue.units !== null && this.batchUnits !== null) {
      return this.batchUnits.readUnits(queue.units, offset)
    }
    const first = this.#blockOf(offset)
    const fileFrom = first - (first % this.unitsPerFile)
    const end = Math.min(first + BLOCK_UNITS, fileFrom + this.unitsPerFile, queue.writtenOffset)
    return this.#cache.load(
      queue,
      first,
      this.pathOf(queue, first),
      (first - fileFrom) * this.form.unitBytes,
      Math.max(0, end - first) * this.form.unitBytes,
    )
  }

  /** Writes one unit of the files again, which was found damaged. */
  async rewrite(
    queue: Queue,
    offset: number,
    physicalOffset: number,
    size: number,
    tagsCode: number,
  ): Promise<void> {
    const bytes = Buffer.alloc(UNIT_BYTES)
    writeI64(bytes, physicalOffset, 0)
    writeI32(bytes, size, 8)
    writeI64(bytes, tagsCode, 12)
    const at = this.pathOf(queue, offset)
    const file = await this.#files.acquire(at)
    try {
      await new Promise<void>((resolve, reject) => {
        const position = (offset % this.unitsPerFile) * UNIT_BYTES
        file.write(bytes, 0, UNIT_BYTES, position, (error) => {
          if (error) reject(error)
          else resolve()
        })
      })
    } finally {
      this.#files.release(at, file)
    }
    queue.unsynced.add(offset - (offset % this.unitsPerFile))
    this.#cache.drop(queue)
  }

  /** Offset of the first unit of the block that holds `offset`; blocks do not cross files. */
  #blockOf(offset: number): number {
    const inFile = offset % this.unitsPerFile
    return offset - (inFile % BLOCK_UNITS)
  }

  // ---- deletion --------------------------------------------------------------------------------

  /** Removes a topic's queues with their files. */
  async remove(topic: string): Promise<void> {
    const queues = this.queuesOf(topic)
    this.#topics.delete(topic)
    // All at once, before anybody waits: a checkpoint that is under way leaves them out.
    for (const queue of queues) queue.deleted = true
    await this.#removeBatchUnits(topic, queues)
    for (const queue of queues) await this.#letGo(queue)
    this.#dirty = this.#dirty.filter((queue) => !queue.deleted)
    await this.#disk.removeTree(path.join(this.dir, topic))
    await this.#disk.syncDirectory(this.dir)
  }

  async #removeBatchUnits(topic: string, queues: readonly Queue[]): Promise<void> {
    const { batchUnits } = this
    const isBatch = this.batchTopics.delete(topic) || queues.some((queue) => queue.units !== null)
    if (!isBatch || batchUnits === null) return
    await this.#disk.makeDirectory(batchUnits.dir)
    await batchUnits.remove(topic)
  }

  /** Removes one queue with its files; the next call for it makes it anew. */
  async removeQueue(queue: Queue): Promise<void> {
    const queues = this.#topics.get(queue.topic)
    if (queues?.[queue.queueId] === queue) queues[queue.queueId] = undefined
    queue.deleted = true
    if (queue.units !== null) await this.batchUnits?.removeQueue(queue.units)
    await this.#letGo(queue)
    this.#dirty = this.#dirty.filter((other) => other !== queue)
    // A queue that nothing was written of yet has no directory, nor perhaps its topic.
    if (queue.firstFileOffset < 0) return
    await this.#disk.removeTree(this.dirOf(queue))
    await this.#disk.syncDirectory(path.join(this.dir, queue.topic))
  }

  /** Takes a deleted queue out of all sums, and lets its files be closed. */
  async #letGo(queue: Queue): Promise<void> {
    this.sumOfMax -= queue.maxOffset
    this.#cache.drop(queue)
    await queue.writing
    this.#unwrittenUnits -= queue.maxOffset - queue.writtenOffset
    for (const page of queue.pages.splice(0)) {
      // A full page that was written is among those that are kept, and goes with them.
      if (page.written === page.capacity) continue
      this.#activeBytes -= page.bytes.length
      this.#freePage(page)
    }
    for (let from = queue.firstFileOffset; from >= 0 && from <= queue.lastFileOffset;) {
      this.#files.drop(this.pathOf(queue, from))
      from += this.unitsPerFile
    }
  }

  /** Removes the oldest file of a queue. */
  async removeFirstFile(queue: Queue): Promise<void> {
    assert(queue.firstFileOffset < queue.lastFileOffset, 'the last file of a queue stays')
    const file = this.pathOf(queue, queue.firstFileOffset)
    queue.unsynced.delete(queue.firstFileOffset)
    queue.firstFileOffset += this.unitsPerFile
    this.#files.drop(file)
    this.#cache.drop(queue)
    await this.#disk.remove(file)
    // A read that was waiting may have opened it again meanwhile.
    this.#files.drop(file)
    await this.#disk.syncDirectory(this.dirOf(queue))
  }
}
