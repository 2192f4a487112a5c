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
import { readI32, writeI32 } from '../base/bytes.ts'
import { messageOf } from '../base/errors.ts'
import { fitsI64, readI64, writeI64 } from '../base/i64.ts'
import type { Logger } from '../base/logger.ts'
import type { Clock } from '../world/clock.ts'
import type { Disk, DiskFile } from '../world/disk.ts'
import { syncFile } from '../world/disk.ts'
import { type Block, BlockCache, type ReadGate } from './block-cache.ts'
import {
  INDEX_HEADER_BYTES,
  INDEX_UNIT_BYTES,
  IndexHeader,
  indexFileBytes,
  indexFileName,
  type IndexShape,
  SLOT_BYTES,
  slotsEnd,
  unitPosition,
} from './index-file.ts'
import type { KeyBatch } from './key-batch.ts'
import type { OpenFiles } from './open-files.ts'
import type { StoreSettings } from './options.ts'

const PAGE_UNITS = 3_200
const BLOCK_UNITS = 3_200
const BLOCKS_BYTES_MAX = 4 * 1024 * 1024
const SLOT_PAGE_BYTES = 4096
/** Slot pages that one write may carry. */
const SLOT_RUN_PAGES = 256
/** Pages of units that may wait for the disk before dispatch pauses: 16 MB. */
const PAGES_MAX = 256
/** Slots and header follow the units at least this often. */
const SLOTS_INTERVAL_MS = 60_000
/** Steps of a chain between two turns of the event loop. */
const STEPS_A_TURN = 2_000
const SECONDS_MAX = 0x7fffffff

class UnitPage {
  readonly bytes = Buffer.allocUnsafeSlow(PAGE_UNITS * INDEX_UNIT_BYTES)
  /** Number of the first unit. */
  readonly first: number
  readonly capacity: number
  count = 0
  written = 0

  constructor(first: number, capacity: number) {
    this.first = first
    this.capacity = capacity
  }
}

const NO_PAGE = new UnitPage(0, 0)

class IndexFile {
  readonly name: string
  readonly path: string
  readonly header = new IndexHeader()
  readonly blocks = new Map<number, Block>()
  /** Slot table in the file's own byte order; null when the file is complete and on the disk. */
  slots: Buffer | null = null
  /** One byte a page of the slot table: has to be written. */
  dirtySlots: Uint8Array | null = null
  /** Units that were not written, oldest page first, the last one being filled. */
  readonly pages: UnitPage[] = []
  /** Number of the first unit that the kernel does not have. */
  writtenUnits = 1
  exists = false

  constructor(dir: string, name: string) {
    this.name = name
    this.path = path.join(dir, name)
  }
}

/** What a unit says of its record's store time: seconds since the first one of the file. */
function secondsOf(header: IndexHeader, storeTimestamp: number): number {
  const seconds = Math.floor((storeTimestamp - header.beginTimestamp) / 1000)
  if (header.beginTimestamp <= 0 || seconds < 0) return 0
  return Math.min(seconds, SECONDS_MAX)
}

/** Up to where the index goes: enough to find that state again after a crash. */
export interface IndexPosition {
  /** Name of the file being filled, '' when there is none. */
  readonly name: string
  readonly unitCount: number
}

export class KeyIndex {
  readonly dir: string
  readonly #shape: IndexShape
  readonly #disk: Disk
  readonly #clock: Clock
  readonly #settings: StoreSettings
  readonly #files: OpenFiles
  readonly #cache: BlockCache
  readonly #logger: Logger
  /** Oldest first; the last one is being filled. */
  readonly #list: IndexFile[] = []
  #current: IndexFile | null = null
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
    this.#cache = new BlockCache(BLOCK_UNITS * INDEX_UNIT_BYTES, BLOCKS_BYTES_MAX, files, gate)
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
    let file = this.#current
    if (file === null || file.header.unitCount >= this.#shape.units) file = this.#newFile()
    const { header, slots, dirtySlots } = file
    if (slots === null || dirtySlots === null || physicalOffset < header.endPhysicalOffset) return
    const slotAt = (hash % this.#shape.slots) * SLOT_BYTES
    let previous = readI32(slots, slotAt)
    if (previous <= 0 || previous >= header.unitCount) previous = 0
    const unit = header.unitCount
    if (unit <= 1) {
      header.beginTimestamp = storeTimestamp
      header.beginPhysicalOffset = physicalOffset
    }
    const seconds = secondsOf(header, storeTimestamp)
    const page = this.#pageFor(file)
    const at = page.count * INDEX_UNIT_BYTES
    const { bytes } = page
    writeI32(bytes, hash, at)
    writeI64(bytes, physicalOffset, at + 4)
    writeI32(bytes, seconds, at + 12)
    writeI32(bytes, previous, at + 16)
    page.count++
    writeI32(slots, unit, slotAt)
    dirtySlots[(INDEX_HEADER_BYTES + slotAt) >> 12] = 1
    if (previous === 0) header.slotCount++
    header.unitCount++
    header.endPhysicalOffset = physicalOffset
    header.endTimestamp = storeTimestamp
    if (page.count === page.capacity) this.#startWrite()
  }

  /** The page that takes the next unit. */
  #pageFor({ header, pages }: IndexFile): UnitPage {
    let page = pages[pages.length - 1]
    if (page === undefined || page.count === page.capacity) {
      const unit = header.unitCount
      page = new UnitPage(unit, Math.min(PAGE_UNITS, this.#shape.units - unit))
      pages.push(page)
    }
    return page
  }

  /** Puts all keys of the batch, as `put` would one after the other, and empties it. */
  putAll(batch: KeyBatch): void {
    for (let from = 0; from < batch.count;) {
      let file = this.#current
      if (file === null || file.header.unitCount >= this.#shape.units) file = this.#newFile()
      const to = Math.min(batch.count, from + this.#shape.units - file.header.unitCount)
      this.#putRun(file, batch, from, to)
      from = to
    }
    batch.count = 0
  }

  /** Units first, which lie one behind the other; then slots and chains, one part of the table at a time. */
  #putRun(file: IndexFile, batch: KeyBatch, from: number, to: number): void {
    const { header, slots, dirtySlots } = file
    if (slots === null || dirtySlots === null) return
    const { hashes, physicalOffsets, storeTimestamps, units, places } = batch
    const pages: UnitPage[] = []
    let page: UnitPage | null = null
    for (let i = from; i < to; i++) {
      const physicalOffset = physicalOffsets[i] ?? 0
      const storeTimestamp = storeTimestamps[i] ?? 0
      places[i] = -1
      if (physicalOffset < header.endPhysicalOffset) continue
      const unit = header.unitCount
      if (unit <= 1) {
        header.beginTimestamp = storeTimestamp
        header.beginPhysicalOffset = physicalOffset
      }
      if (page === null || page.count === page.capacity) pages.push((page = this.#pageFor(file)))
      const at = page.count * INDEX_UNIT_BYTES
      const { bytes } = page
      writeI32(bytes, hashes[i] ?? 0, at)
      writeI64(bytes, physicalOffset, at + 4)
      writeI32(bytes, secondsOf(header, storeTimestamp), at + 12)
      units[i] = unit
      places[i] = (pages.length - 1) * PAGE_UNITS + page.count
      page.count++
      header.unitCount++
      header.endPhysicalOffset = physicalOffset
      header.endTimestamp = storeTimestamp
    }
    const order = batch.inOrderOfSlots(from, to, this.#shape.slots)
    let slotCount = 0
    for (let n = 0; n < order.length; n++) {
      const i = order[n] ?? 0
      const place = places[i] ?? -1
      if (place < 0) continue
      const unit = units[i] ?? 0
      const slotAt = ((hashes[i] ?? 0) % this.#shape.slots) * SLOT_BYTES
      const found = readI32(slots, slotAt)
      // −1 when nothing right stands there. No branch: half of them would be guessed wrong, and each
      // then waits for the memory by itself (0.26 µs a key).
      const none = ((found - 1) | (unit - 1 - found)) >> 31
      slotCount -= none
      writeI32(slots, unit, slotAt)
      dirtySlots[(INDEX_HEADER_BYTES + slotAt) >> 12] = 1
      const { bytes } = pages[Math.floor(place / PAGE_UNITS)] ?? NO_PAGE
      writeI32(bytes, found & ~none, (place % PAGE_UNITS) * INDEX_UNIT_BYTES + 16)
    }
    header.slotCount += slotCount
    if (pages.some(({ count, capacity }) => count === capacity)) this.#startWrite()
  }

  #newFile(): IndexFile {
    const last = this.#current
    let ms = Math.floor(this.#clock.wallMs())
    let name = indexFileName(ms)
    const newest = this.#list[this.#list.length - 1]?.name ?? ''
    // Names sort by age; two files within a millisecond, or a clock that went back, must not disturb that.
    while (name <= newest) {
      ms = Math.max(ms + 1, newest > indexFileName(ms + 3_600_000) ? ms + 3_600_000 : ms + 1)
      name = indexFileName(ms)
    }
    const file = new IndexFile(this.dir, name)
    if (last) {
      const { endTimestamp, endPhysicalOffset } = last.header
      file.header.beginTimestamp = file.header.endTimestamp = endTimestamp
      file.header.beginPhysicalOffset = file.header.endPhysicalOffset = endPhysicalOffset
    }
    this.#openSlots(file)
    this.#list.push(file)
    this.#current = file
    return file
  }

  #openSlots(file: IndexFile): void {
    file.slots = Buffer.alloc(this.#shape.slots * SLOT_BYTES)
    file.dirtySlots = new Uint8Array((slotsEnd(this.#shape) >> 12) + 1)
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
      const page = this.#firstUnwritten()?.pages[0]
      if (done && page !== undefined && page.count === page.capacity) this.#startWrite()
      return done
    })
  }

  #firstUnwritten(): IndexFile | undefined {
    return this.#list.find(
      (file) => file.pages.length > 0 || (file.slots && file !== this.#current),
    )
  }

  #hasOlderUnfinished(file: IndexFile): boolean {
    const first = this.#list.find((candidate) => candidate.slots !== null)
    return first !== undefined && first !== file && first.name < file.name
  }

  /** Writes what waits in the oldest file that has something; completes it when it is full. */
  async #write(): Promise<boolean> {
    const file = this.#firstUnwritten()
    if (!file) return true
    try {
      await this.#writeUnits(file)
      if (file !== this.#current && file.pages.length === 0) await this.#complete(file)
      return true
    } catch (error) {
      this.#complain(error)
      return false
    }
  }

  async #writeUnits(file: IndexFile): Promise<void> {
    await this.#make(file)
    const open = await this.#files.acquire(file.path)
    try {
      for (let page = file.pages[0]; page; page = file.pages[0]) {
        const from = page.written
        const to = page.count
        if (to > from) {
          await writeSpan(
            open,
            page.bytes,
            from * INDEX_UNIT_BYTES,
            to * INDEX_UNIT_BYTES,
            unitPosition(this.#shape, page.first + from),
          )
          page.written = to
          file.writtenUnits = page.first + to
        }
        if (page.written < page.capacity) return
        file.pages.shift()
      }
    } finally {
      this.#files.release(file.path, open)
    }
  }

  async #make(file: IndexFile): Promise<void> {
    if (file.exists) return
    await this.#disk.makeDirectory(this.dir)
    const made = await this.#disk.open(file.path, 'create')
    try {
      await made.truncate(indexFileBytes(this.#shape))
    } finally {
      await made.close()
    }
    await this.#disk.syncDirectory(this.dir)
    await this.#disk.syncDirectory(this.#settings.dir)
    file.exists = true
  }

  /** Puts a full file on the disk for good and gives its slot table back. */
  async #complete(file: IndexFile): Promise<void> {
    await this.#writeSlots(file)
    await this.#sync(file)
    file.slots = null
    file.dirtySlots = null
  }

  async #writeSlots(file: IndexFile): Promise<void> {
    const { slots, dirtySlots } = file
    if (slots === null || dirtySlots === null) return
    const open = await this.#files.acquire(file.path)
    try {
      for (let page = 0; page < dirtySlots.length; page++) {
        if (dirtySlots[page] !== 1) continue
        const first = page
        while (
          page < dirtySlots.length &&
          page - first < SLOT_RUN_PAGES &&
          dirtySlots[page] === 1
        ) {
          dirtySlots[page] = 0
          page++
        }
        const from = Math.max(INDEX_HEADER_BYTES, first * SLOT_PAGE_BYTES)
        const to = Math.min(slotsEnd(this.#shape), page * SLOT_PAGE_BYTES)
        try {
          await writeSpan(open, slots, from - INDEX_HEADER_BYTES, to - INDEX_HEADER_BYTES, from)
        } catch (error) {
          dirtySlots.fill(1, first, page)
          throw error
        }
        page--
      }
    } finally {
      this.#files.release(file.path, open)
    }
  }

  async #sync(file: IndexFile): Promise<void> {
    const header = file.header.encode()
    const open = await this.#files.acquire(file.path)
    try {
      await writeSpan(open, header, 0, header.length, 0)
      await syncFile(open)
    } finally {
      this.#files.release(file.path, open)
    }
  }

  /**
   * Makes every unit that is there now durable, with the header; `slots` too when asked for or when
   * it was long ago. False when something could not be written.
   */
  async flushAll(slots: boolean): Promise<boolean> {
    const goal = this.#current
    if (goal === null) return true
    const units = goal.header.unitCount
    while (goal.writtenUnits < units || this.#hasOlderUnfinished(goal)) {
      if (!this.#writing) this.#startWrite()
      if ((await this.#writing) === false) return false
    }
    const file = this.#current
    if (!file?.exists) return true
    const nowMs = this.#clock.monotonicMs()
    if (slots || nowMs - this.#lastSlotsMs >= SLOTS_INTERVAL_MS) {
      this.#lastSlotsMs = nowMs
      await this.#writeSlots(file)
    }
    await this.#sync(file)
    return true
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
   * Opens what is there. `position` is the state that a checkpoint of ours vouches for; what lies
   * behind it is taken away, to be put again from the log. Null: the directory was left by an Apache
   * broker; then files that end after `completeMs` go, unless the store was closed cleanly.
   * Returns false when files are missing, so that the whole index has to be built again.
   */
  async load(clean: boolean, position: IndexPosition | null, completeMs: number): Promise<boolean> {
    const entries = await this.#disk.list(this.dir)
    for (const entry of entries) {
      if (entry.isDirectory || !/^\d{17}$/.test(entry.name)) continue
      const file = new IndexFile(this.dir, entry.name)
      const facts = await this.#disk.facts(file.path)
      if (facts?.sizeBytes !== indexFileBytes(this.#shape)) {
        const behind = position === null ? !clean : entry.name > position.name
        if (!behind) {
          this.#logger.warn('an index file of another size is not used', { file: file.path })
          continue
        }
        await this.#disk.remove(file.path)
        continue
      }
      file.exists = true
      if (!(await this.#readHeader(file))) {
        await this.#disk.remove(file.path)
        continue
      }
      const drop =
        position !== null
          ? entry.name > position.name
          : !clean && file.header.endTimestamp > completeMs
      file.writtenUnits = file.header.unitCount
      if (drop) await this.#disk.remove(file.path)
      else this.#list.push(file)
    }
    const last = this.#list[this.#list.length - 1]
    if (position !== null && position.name !== (last?.name ?? '')) {
      for (const file of this.#list.splice(0)) await this.#disk.remove(file.path)
      return position.name === ''
    }
    if (last) {
      this.#current = last
      const count = position?.unitCount ?? last.header.unitCount
      if (clean && last.header.unitCount === count) await this.#loadSlots(last)
      else await this.#rebuildSlots(last, count)
      last.writtenUnits = last.header.unitCount
    }
    return true
  }

  /** Takes all files away, to build the index from the log. */
  async clear(): Promise<void> {
    await this.#writing
    for (const file of this.#list.splice(0)) {
      this.#files.drop(file.path)
      this.#cache.drop(file)
      await this.#disk.remove(file.path)
    }
    this.#current = null
  }

  async #readHeader(file: IndexFile): Promise<boolean> {
    const bytes = Buffer.alloc(INDEX_HEADER_BYTES)
    await this.#readSpan(file, bytes, bytes.length, 0)
    return file.header.decode(bytes, this.#shape)
  }

  async #readSpan(
    file: IndexFile,
    target: Buffer,
    length: number,
    position: number,
  ): Promise<number> {
    const open = await this.#files.acquire(file.path)
    try {
      return await new Promise<number>((resolve, reject) => {
        open.read(target, 0, length, position, (error, bytesRead) => {
          if (error) reject(error)
          else resolve(bytesRead)
        })
      })
    } finally {
      this.#files.release(file.path, open)
    }
  }

  async #loadSlots(file: IndexFile): Promise<void> {
    this.#openSlots(file)
    if (file.slots === null) return
    await this.#readSpan(file, file.slots, file.slots.length, INDEX_HEADER_BYTES)
  }

  /** Builds the slot table from units 1 … count − 1 and makes header and disk agree with it. */
  async #rebuildSlots(file: IndexFile, count: number): Promise<void> {
    this.#openSlots(file)
    const { slots, dirtySlots, header } = file
    if (slots === null || dirtySlots === null) return
    const { endTimestamp, endPhysicalOffset, unitCount } = header
    header.slotCount = 0
    header.unitCount = count
    const block = Buffer.allocUnsafeSlow(BLOCK_UNITS * INDEX_UNIT_BYTES)
    for (let first = 1; first < count; first += BLOCK_UNITS) {
      const units = Math.min(BLOCK_UNITS, count - first)
      await this.#readSpan(file, block, units * INDEX_UNIT_BYTES, unitPosition(this.#shape, first))
      for (let i = 0; i < units; i++) {
        const hash = block.readInt32BE(i * INDEX_UNIT_BYTES)
        const slotAt = (Math.max(0, hash) % this.#shape.slots) * SLOT_BYTES
        if (readI32(slots, slotAt) === 0) header.slotCount++
        writeI32(slots, first + i, slotAt)
      }
      if (first + units === count && unitCount !== count) {
        const at = (units - 1) * INDEX_UNIT_BYTES
        header.endPhysicalOffset = fitsI64(block, at + 4) ? readI64(block, at + 4) : 0
        header.endTimestamp = header.beginTimestamp + block.readInt32BE(at + 12) * 1000
      }
    }
    if (unitCount === count) {
      header.endTimestamp = endTimestamp
      header.endPhysicalOffset = endPhysicalOffset
    }
    // What the table on the disk holds is unknown; all of it is written again in time.
    dirtySlots.fill(1)
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
        await this.#follow(file, hash, max, beginMs, endMs, found)
      }
      if (beginTimestamp < beginMs) break
    }
    return found
  }

  async #follow(
    file: IndexFile,
    hash: number,
    max: number,
    beginMs: number,
    endMs: number,
    found: number[],
  ): Promise<void> {
    let unit = await this.#slotOf(file, hash)
    let steps = 0
    while (unit > 0 && unit < file.header.unitCount && found.length < max) {
      if (++steps % STEPS_A_TURN === 0) {
        await new Promise<void>((resolve) => {
          this.#clock.atEndOfTurn(resolve)
        })
      }
      const place = this.#placeOf(file, unit) ?? (await this.#readPlace(file, unit))
      if (place === null) return
      const { bytes, at } = place
      const seconds = bytes.readInt32BE(at + 12)
      if (seconds < 0 || !fitsI64(bytes, at + 4)) return
      const time = file.header.beginTimestamp + seconds * 1000
      if (bytes.readInt32BE(at) === hash && time <= endMs && time + 999 >= beginMs) {
        found.push(readI64(bytes, at + 4))
      }
      const previous = bytes.readInt32BE(at + 16)
      if (previous >= unit || time + 999 < beginMs) return
      unit = previous
    }
  }

  async #slotOf(file: IndexFile, hash: number): Promise<number> {
    const slotAt = (hash % this.#shape.slots) * SLOT_BYTES
    if (file.slots !== null) return readI32(file.slots, slotAt)
    const bytes = Buffer.alloc(SLOT_BYTES)
    await this.#readSpan(file, bytes, SLOT_BYTES, INDEX_HEADER_BYTES + slotAt)
    return bytes.readInt32BE(0)
  }

  #placeOf(file: IndexFile, unit: number): { bytes: Buffer; at: number } | null {
    for (const page of file.pages) {
      if (unit >= page.first && unit < page.first + page.count) {
        return { bytes: page.bytes, at: (unit - page.first) * INDEX_UNIT_BYTES }
      }
    }
    const key = Math.floor(unit / BLOCK_UNITS)
    const block = this.#cache.get(file, key)
    const at = (unit - key * BLOCK_UNITS) * INDEX_UNIT_BYTES
    return block && at + INDEX_UNIT_BYTES <= block.validBytes ? { bytes: block.bytes, at } : null
  }

  async #readPlace(file: IndexFile, unit: number): Promise<{ bytes: Buffer; at: number } | null> {
    const key = Math.floor(unit / BLOCK_UNITS)
    const end = Math.min((key + 1) * BLOCK_UNITS, file.writtenUnits)
    if (unit >= end) return this.#placeOf(file, unit)
    await this.#cache.load(
      file,
      key,
      file.path,
      unitPosition(this.#shape, key * BLOCK_UNITS),
      (end - key * BLOCK_UNITS) * INDEX_UNIT_BYTES,
    )
    return this.#placeOf(file, unit)
  }

  // ---- deletion --------------------------------------------------------------------------------

  /** Removes files, except the last, that only point to records before `physicalOffset`. */
  async removeBefore(physicalOffset: number): Promise<void> {
    while (this.#list.length > 1) {
      const file = this.#list[0]
      if (!file || file.slots !== null || file.header.endPhysicalOffset >= physicalOffset) return
      this.#list.shift()
      this.#files.drop(file.path)
      this.#cache.drop(file)
      await this.#disk.remove(file.path)
      await this.#disk.syncDirectory(this.dir)
    }
  }
}

function writeSpan(
  file: DiskFile,
  bytes: Buffer,
  start: number,
  end: number,
  position: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    file.write(bytes, start, end, position, (error) => {
      if (error) reject(error)
      else resolve()
    })
  })
}
