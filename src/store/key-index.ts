/**
 * Messages by key: which records carry `topic#key`. Hash slots with chains of units, newest first,
 * in files that can always be built again from the log.
 *
 * Units are only ever appended, so they are written behind through small pages. The slot table of
 * the file being filled stays in memory, in the byte order of the file; its dirty pages and the
 * header follow at a slower pace, because after a crash the table is rebuilt from the units that the
 * last checkpoint vouches for. Nothing enters before its record is confirmed: the index is never
 * ahead of the log.
 * Source: apache/rocketmq store/…/index/{IndexService,IndexFile}.java.
 */
import path from 'node:path'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Clock } from '../world/clock.ts'
import type { Disk } from '../world/disk.ts'
import type { ReadGate } from './block-cache.ts'
import { indexFileName, type IndexShape } from './index-file.ts'
import type { KeyBatch } from './key-batch.ts'
import { KeyFile } from './key-file.ts'
import { type IndexPosition, KeyLoader } from './key-loader.ts'
import { KeySearch } from './key-search.ts'
import { KeyWriter } from './key-writer.ts'
import type { OpenFiles } from './open-files.ts'
import type { StoreSettings } from './options.ts'

/** Pages of units that may wait for the disk before dispatch pauses: 16 MB. */
const PAGES_MAX = 256
/** Slots and header follow the units at least this often. */
const SLOTS_INTERVAL_MS = 60_000

export class KeyIndex {
  readonly dir: string
  readonly #shape: IndexShape
  readonly #disk: Disk
  readonly #clock: Clock
  readonly #settings: StoreSettings
  readonly #files: OpenFiles
  readonly #loader: KeyLoader
  readonly #search: KeySearch
  readonly #writer: KeyWriter
  readonly #logger: Logger
  /** Oldest first; the last one is being filled. */
  readonly #list: KeyFile[] = []
  #current: KeyFile | null = null
  #writing: Promise<boolean> | null = null
  #lastTickMs = 0
  #lastSlotsMs = 0
  #lastErrorMs = -Infinity

  constructor(
    settings: StoreSettings,
    disk: Disk,
    clock: Clock,
    files: OpenFiles,
    gate: ReadGate,
    logger: Logger,
  ) {
    this.#settings = settings
    this.#disk = disk
    this.#clock = clock
    this.#files = files
    this.#logger = logger
    this.#shape = { slots: settings.indexSlots, units: settings.indexUnits }
    this.dir = path.join(settings.dir, 'index')
    const shape = this.#shape
    this.#loader = new KeyLoader({ dir: this.dir, shape, disk, files, logger })
    this.#search = new KeySearch(shape, clock, files, gate)
    this.#writer = new KeyWriter(shape, disk, files)
    this.#lastSlotsMs = clock.monotonicMs()
  }

  // ---- put -------------------------------------------------------------------------------------

  /** Whether so much waits for the disk that no more should come. */
  get congested(): boolean {
    // Asked for every record: no index below 0, which would be looked up as the name of a property.
    const list = this.#list
    const third = list.length - 3
    let pages = 0
    for (let i = list.length - 1; i >= 0 && i >= third; i--) pages += list[i]?.pages.length ?? 0
    if (pages > PAGES_MAX) return true
    const unfinished = third < 0 ? null : list[third]?.slots
    return unfinished !== undefined && unfinished !== null
  }

  /** Position of the last indexed record; −1 when there is none. What lies before is indexed already. */
  get endPhysicalOffset(): number {
    return this.#current?.header.endPhysicalOffset ?? -1
  }

  /** Store time of the newest indexed record, and its position; 0 when there is none. */
  get lastUpdate(): { timestamp: number; physicalOffset: number } {
    const header = this.#current?.header
    return {
      timestamp: header?.endTimestamp ?? 0,
      physicalOffset: header?.endPhysicalOffset ?? 0,
    }
  }

  get position(): IndexPosition {
    const file = this.#current
    return { name: file?.name ?? '', unitCount: file?.header.unitCount ?? 0 }
  }

  /** End time of the newest file that is complete and on the disk (Apache's indexMsgTimestamp). */
  get completeTimestamp(): number {
    for (let i = this.#list.length - 1; i >= 0; i--) {
      const file = this.#list[i]
      if (file && file !== this.#current && file.slots === null) return file.header.endTimestamp
    }
    return 0
  }

  /** Adds a key of the record. `hash` is not negative; records come in the order of the log. */
  put(hash: number, physicalOffset: number, storeTimestamp: number): void {
    if (this.#fileWithRoom().put(hash, physicalOffset, storeTimestamp)) this.#startWrite()
  }

  /** Puts all keys of the batch, as `put` would one after the other, and empties it. */
  putAll(batch: KeyBatch): void {
    for (let from = 0; from < batch.count;) {
      const file = this.#fileWithRoom()
      const to = Math.min(batch.count, from + file.room)
      if (file.putRun(batch, from, to)) this.#startWrite()
      from = to
    }
    batch.count = 0
  }

  #fileWithRoom(): KeyFile {
    const file = this.#current
    return file === null || file.room <= 0 ? this.#newFile() : file
  }

  #newFile(): KeyFile {
    const last = this.#current
    let ms = Math.floor(this.#clock.wallMs())
    let name = indexFileName(ms)
    const newest = this.#list[this.#list.length - 1]?.name ?? ''
    // Names sort by age; two files within a millisecond, or a clock that went back, must not disturb that.
    while (name <= newest) {
      ms = Math.max(ms + 1, newest > indexFileName(ms + 3_600_000) ? ms + 3_600_000 : ms + 1)
      name = indexFileName(ms)
    }
    const file = new KeyFile(this.dir, name, this.#shape)
    if (last) {
      const { endTimestamp, endPhysicalOffset } = last.header
      file.header.beginTimestamp = file.header.endTimestamp = endTimestamp
      file.header.beginPhysicalOffset = file.header.endPhysicalOffset = endPhysicalOffset
    }
    file.openSlots()
    this.#list.push(file)
    this.#current = file
    return file
  }

  // ---- write behind ----------------------------------------------------------------------------

  /** To be called some ten times a second. */
  tick(): void {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#lastTickMs < this.#settings.queueFlushIntervalMs) return
    this.#lastTickMs = nowMs
    const file = this.#firstUnwritten()
    if (file && (file !== this.#current || file.writtenUnits < file.header.unitCount)) {
      this.#startWrite()
    }
  }

  #startWrite(): void {
    if (this.#writing) return
    this.#writing = this.#write().then((done) => {
      this.#writing = null
      if (done && this.#firstUnwritten()?.hasFullPage === true) this.#startWrite()
      return done
    })
  }

  #firstUnwritten(): KeyFile | undefined {
    return this.#list.find(
      (file) => file.pages.length > 0 || (file.slots && file !== this.#current),
    )
  }

  #hasOlderUnfinished(file: KeyFile): boolean {
    const first = this.#list.find((candidate) => candidate.slots !== null)
    return first !== undefined && first !== file && first.name < file.name
  }

  /** Writes what waits in the oldest file that has something; completes it when it is full. */
  async #write(): Promise<boolean> {
    const file = this.#firstUnwritten()
    if (!file) return true
    try {
      await this.#writer.writeUnits(file)
      if (file !== this.#current && file.pages.length === 0) await this.#writer.complete(file)
      return true
    } catch (error) {
      this.#complain(error)
      return false
    }
  }

  /**
   * Makes every unit that is there now durable, with the header; `slots` too when asked for or when
   * it was long ago. False when something could not be written, and may be tried again; rejects when
   * a sync failed, ever: what the disk has is unknown then.
   */
  async flushAll(slots: boolean): Promise<boolean> {
    const goal = this.#current
    if (goal === null) return true
    const units = goal.header.unitCount
    let good = true
    while (good && (goal.writtenUnits < units || this.#hasOlderUnfinished(goal))) {
      if (!this.#writing) this.#startWrite()
      good = (await this.#writing) !== false
    }
    if (good && this.#writer.syncError === null) good = await this.#finish(goal, slots)
    if (this.#writer.syncError) throw this.#writer.syncError
    return good
  }

  /**
   * The newest file's slots, if asked for or due, and header, synced; before it `goal`, when it became
   * full meanwhile and is not completed yet. False when that failed.
   */
  async #finish(goal: KeyFile, slots: boolean): Promise<boolean> {
    const nowMs = this.#clock.monotonicMs()
    try {
      if (goal !== this.#current && goal.slots !== null) await this.#writer.sync(goal)
      const file = this.#current
      if (!file?.exists) return true
      if (slots || nowMs - this.#lastSlotsMs >= SLOTS_INTERVAL_MS) {
        await this.#writer.writeSlots(file)
        this.#lastSlotsMs = nowMs
      }
      await this.#writer.sync(file)
      return true
    } catch (error) {
      this.#complain(error)
      return false
    }
  }

  /** Resolves when no write is in flight. */
  async quiet(): Promise<void> {
    await this.#writing
  }

  #complain(error: unknown): void {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#lastErrorMs < 30_000) return
    this.#lastErrorMs = nowMs
    this.#logger.error('the key index could not be written; it stays in memory', {
      why: messageOf(error),
    })
  }

  // ---- load ------------------------------------------------------------------------------------

  /**
   * Opens what is there, as KeyLoader says. Returns false when files are missing, so that the whole
   * index has to be built again.
   */
  async load(clean: boolean, position: IndexPosition | null, completeMs: number): Promise<boolean> {
    const { list, complete } = await this.#loader.load(clean, position, completeMs)
    this.#list.push(...list)
    this.#current = list[list.length - 1] ?? null
    return complete
  }

  /** Takes all files away, to build the index from the log. */
  async clear(): Promise<void> {
    await this.#writing
    for (const file of this.#list.splice(0)) {
      this.#files.drop(file.path)
      this.#search.forget(file)
      await this.#disk.remove(file.path)
    }
    this.#current = null
  }

  // ---- query -----------------------------------------------------------------------------------

  /**
   * Positions of records that carry a key with this hash and were stored in [beginMs, endMs], newest
   * first, at most `max`. Keys with the same hash pass; callers compare the text.
   */
  async query(hash: number, max: number, beginMs: number, endMs: number): Promise<number[]> {
    const found: number[] = []
    for (let i = this.#list.length - 1; i >= 0 && found.length < max; i--) {
      const file = this.#list[i]
      if (!file) break
      const { beginTimestamp, endTimestamp } = file.header
      if (beginTimestamp <= endMs && endTimestamp >= beginMs) {
        await this.#search.follow(file, hash, max, beginMs, endMs, found)
      }
      if (beginTimestamp < beginMs) break
    }
    return found
  }

  // ---- deletion --------------------------------------------------------------------------------

  /** Removes files, except the last, that only point to records before `physicalOffset`. */
  async removeBefore(physicalOffset: number): Promise<void> {
    while (this.#list.length > 1) {
      const file = this.#list[0]
      if (!file || file.slots !== null || file.header.endPhysicalOffset >= physicalOffset) return
      this.#list.shift()
      this.#files.drop(file.path)
      this.#search.forget(file)
      await this.#disk.remove(file.path)
      await this.#disk.syncDirectory(this.dir)
    }
  }
}
