/**
 * One file of the key index as it is worked on: its header, its slot table while it is being filled,
 * and the units that the disk does not have yet. Layout: index-file.ts.
 */
import path from 'node:path'
import { readI32, writeI32 } from '../base/bytes.ts'
import { writeI64 } from '../base/i64.ts'
import type { Block } from './block-cache.ts'
import {
  INDEX_HEADER_BYTES,
  INDEX_UNIT_BYTES,
  IndexHeader,
  type IndexShape,
  SLOT_BYTES,
  slotsEnd,
} from './index-file.ts'
import type { KeyBatch } from './key-batch.ts'

/** The slot table is written in pages of so many bytes of the file. */
export const SLOT_PAGE_BYTES = 4096
const SLOT_PAGE_BITS = 12
const PAGE_UNITS = 3_200
const SECONDS_MAX = 0x7fffffff

/** Units in memory, one behind the other as in the file. */
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

export class KeyFile {
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
  readonly #shape: IndexShape

  constructor(dir: string, name: string, shape: IndexShape) {
    this.name = name
    this.path = path.join(dir, name)
    this.#shape = shape
  }

  /** How many units still find room. */
  get room(): number {
    return this.#shape.units - this.header.unitCount
  }

  /** Whether a page of units is full and can be written. */
  get hasFullPage(): boolean {
    const page = this.pages[0]
    return page !== undefined && page.count === page.capacity
  }

  /** Where the slot of a hash lies in the table, bytes. */
  slotAt(hash: number): number {
    return (hash % this.#shape.slots) * SLOT_BYTES
  }

  /** Begins with an empty slot table. */
  openSlots(): void {
    this.slots = Buffer.alloc(this.#shape.slots * SLOT_BYTES)
    this.dirtySlots = new Uint8Array((slotsEnd(this.#shape) >> SLOT_PAGE_BITS) + 1)
  }

  /** Gives the slot table back: the file is complete and on the disk. */
  closeSlots(): void {
    this.slots = null
    this.dirtySlots = null
  }

  /**
   * Adds a key of the record, for which there is room; `hash` is not negative. A record before the
   * last one that is indexed is there already. True when a page became full.
   */
  put(hash: number, physicalOffset: number, storeTimestamp: number): boolean {
    const { header, slots, dirtySlots } = this
    if (slots === null || dirtySlots === null) return false
    if (physicalOffset < header.endPhysicalOffset) return false
    const slotAt = this.slotAt(hash)
    let previous = readI32(slots, slotAt)
    if (previous <= 0 || previous >= header.unitCount) previous = 0
    const unit = header.unitCount
    if (unit <= 1) {
      header.beginTimestamp = storeTimestamp
      header.beginPhysicalOffset = physicalOffset
    }
    const seconds = secondsOf(header, storeTimestamp)
    const page = this.#pageToFill()
    const at = page.count * INDEX_UNIT_BYTES
    const { bytes } = page
    writeI32(bytes, hash, at)
    writeI64(bytes, physicalOffset, at + 4)
    writeI32(bytes, seconds, at + 12)
    writeI32(bytes, previous, at + 16)
    page.count++
    writeI32(slots, unit, slotAt)
    dirtySlots[(INDEX_HEADER_BYTES + slotAt) >> SLOT_PAGE_BITS] = 1
    if (previous === 0) header.slotCount++
    header.unitCount++
    header.endPhysicalOffset = physicalOffset
    header.endTimestamp = storeTimestamp
    return page.count === page.capacity
  }

  /** The page that takes the next unit. */
  #pageToFill(): UnitPage {
    const { header, pages } = this
    let page = pages[pages.length - 1]
    if (page === undefined || page.count === page.capacity) {
      const unit = header.unitCount
      page = new UnitPage(unit, Math.min(PAGE_UNITS, this.#shape.units - unit))
      pages.push(page)
    }
    return page
  }

  /**
   * Puts keys `from` … `to` of the batch, for which there is room, as `put` would one after the other:
   * units first, which lie one behind the other; then slots and chains, one part of the table at a
   * time. True when a page became full.
   */
  putRun(batch: KeyBatch, from: number, to: number): boolean {
    const { header, slots, dirtySlots } = this
    if (slots === null || dirtySlots === null) return false
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
      if (page === null || page.count === page.capacity) pages.push((page = this.#pageToFill()))
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
      dirtySlots[(INDEX_HEADER_BYTES + slotAt) >> SLOT_PAGE_BITS] = 1
      const { bytes } = pages[Math.floor(place / PAGE_UNITS)] ?? NO_PAGE
      writeI32(bytes, found & ~none, (place % PAGE_UNITS) * INDEX_UNIT_BYTES + 16)
    }
    header.slotCount += slotCount
    return pages.some(({ count, capacity }) => count === capacity)
  }
}

/** What a unit says of its record's store time: seconds since the first one of the file. */
function secondsOf(header: IndexHeader, storeTimestamp: number): number {
  const seconds = Math.floor((storeTimestamp - header.beginTimestamp) / 1000)
  if (header.beginTimestamp <= 0 || seconds < 0) return 0
  return Math.min(seconds, SECONDS_MAX)
}
