/**
 * The timer log: one unit for every message that waits for its time, in the order in which they came,
 * each pointing to the one before it that is due in the same second. Big-endian, 52 bytes:
 *
 *    0 i32 size (52)         16 i64 when the unit was made, ms     36 i32 size of the record
 *    4 i64 unit before, −1   24 i32 due, ms after that             40 i32 Java hash of the message's own topic
 *   12 i32 kind, bits        28 i64 physicalOffset of the record   44 i64 0
 *
 * Files of `fileBytes` are named by the position of their first byte; where a unit and 16 bytes have
 * no room any more, a blank ends the file (i32 rest of the file, i64 0, i32 0xCBD43194).
 * Source: apache/rocketmq store/…/timer/{TimerLog,TimerMessageStore}.java.
 *
 * New units stay in memory until `flush`; what has been flushed is read back in blocks.
 */
import path from 'node:path'
import { readI32, writeI32 } from '../base/bytes.ts'
import { fitsI64, readI64, writeI64 } from '../base/i64.ts'
import { MAGIC_BLANK } from '../protocol/record.ts'
import type { Disk, DiskFile } from '../world/disk.ts'
import { readSpan, syncFile, writeAll } from '../world/disk.ts'
import { OpenFiles } from './open-files.ts'
import { zeroBehind } from './queue-loader.ts'
import { fileNameOf, makeFullFile } from './segments.ts'

const TIMER_UNIT_BYTES = 52
/** Source: mappedFileSizeTimerLog. */
export const TIMER_FILE_BYTES = 104_857_600
const BLANK_ROOM = 16
const PAGE_UNITS = 1_024
/** Read at once when a chain is followed backwards; units of a busy second lie close together. */
const BLOCK_BYTES = 16 * 1024
/** Read at once when all units are looked at in order. */
const SCAN_BYTES = 20_000 * TIMER_UNIT_BYTES
const OPEN_FILES_MAX = 4

/** Bits of a unit's kind. */
export const TimerKind = {
  waits: 1,
  /** Due so late that it is stored again half-way, so that its record does not expire. */
  rolls: 2,
  /** Takes back another one that is due in the same second. */
  recalls: 4,
} as const

export interface TimerUnit {
  /** Position of the unit before it in the same second; −1 when it is the first. */
  readonly previous: number
  readonly kind: number
  /** ms since 1970. */
  readonly dueMs: number
  readonly physicalOffset: number
  readonly sizeBytes: number
}

/** Units that may not be on the disk yet; within one file. */
class Page {
  readonly bytes = Buffer.allocUnsafeSlow(PAGE_UNITS * TIMER_UNIT_BYTES)
  readonly from: number
  readonly capacity: number
  count = 0

  constructor(from: number, capacity: number) {
    this.from = from
    this.capacity = capacity
  }

  get end(): number {
    return this.from + this.count * TIMER_UNIT_BYTES
  }
}

export class TimerLog {
  readonly dir: string
  readonly #disk: Disk
  readonly #files: OpenFiles
  readonly #fileBytes: number
  /** Bytes of a file that units can take. */
  readonly #unitBytes: number
  /** Oldest first. */
  #pages: Page[] = []
  #firstFile = 0
  /** Behind the last file that exists; its length is a multiple of the file size away from the first. */
  #filesEnd = 0
  #end = 0
  #flushed = 0
  #block: { readonly from: number; readonly bytes: Buffer } = { from: 0, bytes: Buffer.alloc(0) }

  /** @param storeDir root of the store */
  constructor(disk: Disk, storeDir: string, fileBytes = TIMER_FILE_BYTES) {
    this.#disk = disk
    this.#files = new OpenFiles(disk, OPEN_FILES_MAX)
    this.#fileBytes = fileBytes
    this.#unitBytes = Math.floor((fileBytes - BLANK_ROOM) / TIMER_UNIT_BYTES) * TIMER_UNIT_BYTES
    this.dir = path.join(storeDir, 'timerlog')
  }

  /** Where the next unit goes. */
  get end(): number {
    return this.#end
  }

  /** Up to here everything is on the disk. */
  get flushed(): number {
    return this.#flushed
  }

  /** Position of the oldest unit that is still there. */
  get first(): number {
    return this.#firstFile
  }

  /** Adds a unit behind the last one; returns its position. */
  append(unit: TimerUnit, nowMs: number, topicHash: number): number {
    let page = this.#pages[this.#pages.length - 1]
    if (page === undefined || page.count === page.capacity) page = this.#newPage()
    const { bytes } = page
    const position = page.end
    let at = writeI32(bytes, TIMER_UNIT_BYTES, page.count * TIMER_UNIT_BYTES)
    at = writeI64(bytes, unit.previous, at)
    at = writeI32(bytes, unit.kind, at)
    at = writeI64(bytes, nowMs, at)
    at = writeI32(bytes, unit.dueMs - nowMs, at)
    at = writeI64(bytes, unit.physicalOffset, at)
    at = writeI32(bytes, unit.sizeBytes, at)
    at = writeI32(bytes, topicHash, at)
    writeI64(bytes, 0, at)
    page.count++
    this.#end = this.#behind(page.end)
    return position
  }

  /** The unit at the position; null when there is none. Rejects with the disk's error. */
  async unitAt(position: number): Promise<TimerUnit | null> {
    if (position < this.#firstFile || position >= this.#end) return null
    for (let i = this.#pages.length - 1; i >= 0; i--) {
      const page = this.#pages[i]
      if (page === undefined || position < page.from) continue
      return position < page.end ? decode(page.bytes, position - page.from, position) : null
    }
    let block = this.#block
    if (position < block.from || position + TIMER_UNIT_BYTES > block.from + block.bytes.length) {
      const fileFrom = this.#fileOf(position)
      const end = position + TIMER_UNIT_BYTES
      const from = Math.max(fileFrom, end - BLOCK_BYTES)
      block = { from, bytes: await this.#read(fileFrom, from - fileFrom, end - from) }
      this.#block = block
    }
    return decode(block.bytes, position - block.from, position)
  }

  /** Puts every unit below `end` on the disk. Rejects with the disk's error; then nothing is lost, and it may be tried again. */
  async flush(end: number): Promise<void> {
    const from = this.#flushed
    const goal = Math.min(end, this.#end)
    if (goal <= from) return
    const touched = new Set<number>()
    for (const page of [...this.#pages]) {
      if (page.end <= from || page.from >= goal) continue
      const fileFrom = this.#fileOf(page.from)
      await this.#makeFiles(fileFrom)
      const start = Math.max(from, page.from)
      const stop = Math.min(goal, page.end)
      await this.#write(
        fileFrom,
        page.bytes.subarray(start - page.from, stop - page.from),
        start - fileFrom,
      )
      if (stop === fileFrom + this.#unitBytes) {
        await this.#write(fileFrom, this.#blank(), this.#unitBytes)
      }
      touched.add(fileFrom)
    }
    for (const fileFrom of touched) await this.#sync(fileFrom)
    this.#flushed = goal
    this.#pages = this.#pages.filter((page) => page.end > goal || page.count < page.capacity)
  }

  // ---- start -----------------------------------------------------------------------------------

  /** Finds the files; what they hold is to be looked at with `scan`. Files of another size or name are left out. */
  async open(): Promise<void> {
    const entries = await this.#disk.list(this.dir)
    const starts: number[] = []
    for (const { name, isDirectory } of entries) {
      const from = Number(name)
      if (isDirectory || !/^\d{20}$/.test(name) || from % this.#fileBytes !== 0) continue
      const before = starts[starts.length - 1]
      // What lies before a gap belongs to nothing any more.
      if (before !== undefined && from !== before + this.#fileBytes) starts.length = 0
      starts.push(from)
    }
    this.#firstFile = starts[0] ?? 0
    this.#filesEnd = starts.length === 0 ? 0 : this.#firstFile + starts.length * this.#fileBytes
    this.#end = this.#flushed = this.#firstFile
  }

  /**
   * Reads units from `from` on, in order, as long as `take` says that they are right, and then takes
   * what lies behind the last right one away. The log goes on there.
   */
  async scan(
    from: number,
    take: (unit: TimerUnit, position: number) => Promise<boolean>,
  ): Promise<void> {
    let position = Math.max(this.#firstFile, Math.min(from, this.#filesEnd))
    const within = (position - this.#firstFile) % this.#fileBytes
    // A position between two units is nobody's: begin with the file.
    if (within % TIMER_UNIT_BYTES !== 0 || within > this.#unitBytes) position -= within
    position = this.#behind(position)
    let block: { from: number; bytes: Buffer } = { from: 0, bytes: Buffer.alloc(0) }
    while (position < this.#filesEnd) {
      if (position < block.from || position - block.from >= block.bytes.length) {
        const fileFrom = this.#fileOf(position)
        const length = Math.min(SCAN_BYTES, fileFrom + this.#unitBytes - position)
        block = { from: position, bytes: await this.#read(fileFrom, position - fileFrom, length) }
      }
      const unit = decode(block.bytes, position - block.from, position)
      if (unit === null || !(await take(unit, position))) break
      position = this.#behind(position + TIMER_UNIT_BYTES)
    }
    this.#end = this.#flushed = position
    await this.#cutBehind(position)
  }

  /** Removes the oldest files, but the last, whose newest unit points before `physicalOffset`. */
  async removeBefore(physicalOffset: number): Promise<void> {
    while (this.#firstFile + this.#fileBytes < this.#filesEnd) {
      const last = this.#firstFile + this.#unitBytes - TIMER_UNIT_BYTES
      if (last >= this.#flushed) return
      const unit = await this.unitAt(last)
      if (unit !== null && unit.physicalOffset >= physicalOffset) return
      const at = this.#pathOf(this.#firstFile)
      this.#files.drop(at)
      this.#firstFile += this.#fileBytes
      await this.#disk.remove(at)
      await this.#disk.syncDirectory(this.dir)
    }
  }

  async close(): Promise<void> {
    await this.#files.closeAll()
  }

  // ---- files -----------------------------------------------------------------------------------

  #newPage(): Page {
    const from = this.#end
    const room = (this.#fileOf(from) + this.#unitBytes - from) / TIMER_UNIT_BYTES
    const page = new Page(from, Math.min(PAGE_UNITS, room))
    this.#pages.push(page)
    return page
  }

  /** The place for a unit at `position`: the next file when this one is full. */
  #behind(position: number): number {
    const fileFrom = this.#fileOf(position)
    return position - fileFrom >= this.#unitBytes ? fileFrom + this.#fileBytes : position
  }

  #fileOf(position: number): number {
    return position - (position % this.#fileBytes)
  }

  #pathOf(fileFrom: number): string {
    return path.join(this.dir, fileNameOf(fileFrom))
  }

  #blank(): Buffer {
    const bytes = Buffer.alloc(BLANK_ROOM)
    writeI32(bytes, this.#fileBytes - this.#unitBytes, 0)
    writeI32(bytes, MAGIC_BLANK, 12)
    return bytes
  }

  /** Makes the file that begins at `fileFrom`, unless it is there. */
  async #makeFiles(fileFrom: number): Promise<void> {
    if (fileFrom < this.#filesEnd) return
    await this.#disk.makeDirectory(this.dir)
    const file = await makeFullFile(this.#disk, this.#pathOf(fileFrom), this.#fileBytes)
    await file.close()
    await this.#disk.syncDirectory(path.dirname(this.dir))
    this.#filesEnd = fileFrom + this.#fileBytes
  }

  async #cutBehind(position: number): Promise<void> {
    for (
      let fileFrom = this.#fileOf(position);
      fileFrom < this.#filesEnd;
      fileFrom += this.#fileBytes
    ) {
      const at = this.#pathOf(fileFrom)
      this.#files.drop(at)
      if (fileFrom >= position && fileFrom > this.#firstFile) await this.#disk.remove(at)
      else await this.#with(fileFrom, (file) => this.#zero(file, position - fileFrom))
    }
    const kept = this.#fileOf(position)
    if (this.#filesEnd > this.#firstFile && kept >= this.#firstFile) {
      this.#filesEnd = Math.max(
        this.#firstFile + this.#fileBytes,
        kept + (kept < position ? this.#fileBytes : 0),
      )
    }
  }

  async #zero(file: DiskFile, position: number): Promise<void> {
    const rest = await readSpan(file, position, TIMER_UNIT_BYTES)
    // Most of the time nothing stands there.
    if (rest.every((byte) => byte === 0)) return
    await zeroBehind(file, position, this.#fileBytes)
  }

  #read(fileFrom: number, position: number, length: number): Promise<Buffer> {
    return this.#with(fileFrom, (file) => readSpan(file, position, length))
  }

  #write(fileFrom: number, bytes: Buffer, position: number): Promise<void> {
    return this.#with(fileFrom, (file) => writeAll(file, bytes, position))
  }

  #sync(fileFrom: number): Promise<void> {
    return this.#with(fileFrom, (file) => syncFile(file))
  }

  async #with<T>(fileFrom: number, use: (file: DiskFile) => Promise<T>): Promise<T> {
    const at = this.#pathOf(fileFrom)
    const file = await this.#files.acquire(at)
    try {
      return await use(file)
    } finally {
      this.#files.release(at, file)
    }
  }
}

/** Null when the bytes are no unit that anybody could have written at `position`. */
function decode(bytes: Buffer, at: number, position: number): TimerUnit | null {
  if (at < 0 || at + TIMER_UNIT_BYTES > bytes.length) return null
  if (readI32(bytes, at) !== TIMER_UNIT_BYTES) return null
  const kind = readI32(bytes, at + 12)
  if (kind < 0 || kind > 0xf) return null
  for (const field of [4, 16, 28]) if (!fitsI64(bytes, at + field)) return null
  const previous = readI64(bytes, at + 4)
  const physicalOffset = readI64(bytes, at + 28)
  const sizeBytes = readI32(bytes, at + 36)
  if (previous >= position || physicalOffset < 0 || sizeBytes <= 0) return null
  const dueMs = readI64(bytes, at + 16) + readI32(bytes, at + 24)
  return { previous, kind, dueMs, physicalOffset, sizeBytes }
}
