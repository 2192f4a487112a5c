/**
 * The timer wheel: for every second of two weeks, where the chain of the units that are due in it ends
 * in the timer log. Big-endian, 32 bytes a second, two weeks of them:
 *
 *    0 i64 the second, since 1970   16 i64 position of its newest unit   28 i32 0
 *    8 i64 position of its oldest   24 i32 units
 *
 * A slot belongs to the second that it names; to all others it is empty. The whole of it stays in
 * memory as it is in the file, of which the kernel gives only the pages that were ever touched.
 * Source: apache/rocketmq store/…/timer/{TimerWheel,Slot}.java.
 */
import path from 'node:path'
import { readI32, writeI32 } from '../base/bytes.ts'
import { fitsI64, readI64, writeI64 } from '../base/i64.ts'
import type { Disk } from '../world/disk.ts'
import { readSpan, syncFile, writeAll } from '../world/disk.ts'

export const WHEEL_SECONDS = 2 * 7 * 86_400
const SLOT_BYTES = 32
export const WHEEL_BYTES = WHEEL_SECONDS * SLOT_BYTES
const SECOND_MS = 1_000
const PAGE_BYTES = 4_096
const READ_BYTES = 1024 * 1024
const ZEROS = Buffer.alloc(READ_BYTES)

/** Parts of the wheel as they were when they were taken, to be written to its file. */
export type WheelPages = readonly { readonly position: number; readonly bytes: Buffer }[]

export class TimerWheel {
  readonly #disk: Disk
  readonly #path: string
  /** Null until there is a unit, or a file: most brokers never need it. */
  #slots: Buffer | null = null
  readonly #dirty = new Uint8Array(Math.ceil(WHEEL_BYTES / PAGE_BYTES))
  #dirtyPages: number[] = []

  /** @param storeDir root of the store */
  constructor(disk: Disk, storeDir: string) {
    this.#disk = disk
    this.#path = path.join(storeDir, 'timerwheel')
  }

  /** Position of the newest unit that is due in the second of `dueMs`; −1 when there is none. */
  newest(dueMs: number): number {
    const at = this.#slotOf(dueMs)
    return at < 0 || this.#slots === null ? -1 : readI64(this.#slots, at + 16)
  }

  /** Units that are due in the second of `dueMs`, less what takes others back. */
  count(dueMs: number): number {
    const at = this.#slotOf(dueMs)
    return at < 0 || this.#slots === null ? 0 : readI32(this.#slots, at + 24)
  }

  /** Makes the unit at `position` the newest of the second of `dueMs`; `count` is 1, or −1 for one that takes back. */
  put(dueMs: number, position: number, count: number): void {
    this.#slots ??= Buffer.alloc(WHEEL_BYTES)
    const slots = this.#slots
    const known = this.#slotOf(dueMs)
    const at = slotAt(dueMs)
    if (known < 0) {
      writeI64(slots, Math.floor(dueMs / SECOND_MS), at)
      writeI64(slots, position, at + 8)
      writeI32(slots, 0, at + 24)
      writeI32(slots, 0, at + 28)
    }
    writeI64(slots, position, at + 16)
    writeI32(slots, readI32(slots, at + 24) + count, at + 24)
    this.#touch(Math.floor(at / PAGE_BYTES))
  }

  /** Whether a slot points to or behind `position`. */
  pointsBehind(position: number): boolean {
    const slots = this.#slots
    if (slots === null) return false
    for (let at = 0; at < WHEEL_BYTES; at += SLOT_BYTES) {
      if (readI32(slots, at + 4) !== 0 && readI64(slots, at + 16) >= position) return true
    }
    return false
  }

  clear(): void {
    if (this.#slots === null) return
    this.#slots.fill(0)
    this.#dirty.fill(1)
    this.#dirtyPages = Array.from(this.#dirty, (_, page) => page)
  }

  /** What changed since the last call, as it is now. */
  takeChanges(): WheelPages {
    const slots = this.#slots
    const pages = this.#dirtyPages
    this.#dirtyPages = []
    if (slots === null) return []
    return pages.map((page) => {
      this.#dirty[page] = 0
      const position = page * PAGE_BYTES
      const end = Math.min(position + PAGE_BYTES, WHEEL_BYTES)
      return { position, bytes: Buffer.from(slots.subarray(position, end)) }
    })
  }

  /** Puts them on the disk. Rejects with the disk's error; give them to `putBack` then. */
  async write(pages: WheelPages): Promise<void> {
    if (pages.length === 0) return
    const isNew = (await this.#disk.facts(this.#path)) === null
    const file = await this.#disk.open(this.#path, 'create')
    try {
      if (isNew) await file.truncate(WHEEL_BYTES)
      for (const { position, bytes } of pages) await writeAll(file, bytes, position)
      await syncFile(file)
    } finally {
      await file.close()
    }
    if (isNew) await this.#disk.syncDirectory(path.dirname(this.#path))
  }

  /** They could not be written: they are among the next changes. */
  putBack(pages: WheelPages): void {
    for (const { position } of pages) this.#touch(position / PAGE_BYTES)
  }

  /** Reads the file. False when there is none, or one of another length: then the wheel is empty. */
  async load(): Promise<boolean> {
    const facts = await this.#disk.facts(this.#path)
    if (facts === null) return false
    if (facts.sizeBytes !== WHEEL_BYTES) {
      // Apache's broker would not start with it.
      await this.#disk.remove(this.#path)
      return false
    }
    const slots = Buffer.alloc(WHEEL_BYTES)
    const file = await this.#disk.open(this.#path, 'read')
    try {
      for (let position = 0; position < WHEEL_BYTES; position += READ_BYTES) {
        const bytes = await readSpan(file, position, READ_BYTES)
        // Pages that nobody wrote take no memory here either.
        if (ZEROS.compare(bytes, 0, bytes.length, 0, bytes.length) === 0) continue
        bytes.copy(slots, position)
      }
    } finally {
      await file.close()
    }
    for (let at = 0; at < WHEEL_BYTES; at += SLOT_BYTES) {
      if (readI32(slots, at + 4) === 0) continue
      const sane = [0, 8, 16].every((field) => fitsI64(slots, at + field))
      if (!sane) slots.fill(0, at, at + SLOT_BYTES)
    }
    this.#slots = slots
    return true
  }

  #touch(page: number): void {
    if (this.#dirty[page] === 1) return
    this.#dirty[page] = 1
    this.#dirtyPages.push(page)
  }

  /** Where the slot of the second stands; −1 when it is empty or another second's. */
  #slotOf(dueMs: number): number {
    if (this.#slots === null) return -1
    const at = slotAt(dueMs)
    return readI64(this.#slots, at) === Math.floor(dueMs / SECOND_MS) ? at : -1
  }
}

function slotAt(dueMs: number): number {
  return (Math.floor(dueMs / SECOND_MS) % WHEEL_SECONDS) * SLOT_BYTES
}
