/**
 * Finding records by the hash of a key: from the slot along its chain of units, newest first. Units
 * that wait for the disk are read where they wait, older ones through a cache of blocks.
 */
import { readI32 } from '../base/bytes.ts'
import { fitsI64, readI64 } from '../base/i64.ts'
import type { Clock } from '../world/clock.ts'
import { readSpan } from '../world/disk.ts'
import { BlockCache, type ReadGate } from './block-cache.ts'
import {
  INDEX_HEADER_BYTES,
  INDEX_UNIT_BYTES,
  type IndexShape,
  SLOT_BYTES,
  unitPosition,
} from './index-file.ts'
import type { KeyFile } from './key-file.ts'
import type { OpenFiles } from './open-files.ts'

const BLOCK_UNITS = 3_200
const BLOCKS_BYTES_MAX = 4 * 1024 * 1024
/** Steps of a chain between two turns of the event loop. */
const STEPS_A_TURN = 2_000

export class KeySearch {
  readonly #shape: IndexShape
  readonly #clock: Clock
  readonly #files: OpenFiles
  readonly #cache: BlockCache

  constructor(shape: IndexShape, clock: Clock, files: OpenFiles, gate: ReadGate) {
    this.#shape = shape
    this.#clock = clock
    this.#files = files
    this.#cache = new BlockCache(BLOCK_UNITS * INDEX_UNIT_BYTES, BLOCKS_BYTES_MAX, files, gate)
  }

  /** Forgets what it holds of a file that goes away. */
  forget(file: KeyFile): void {
    this.#cache.drop(file)
  }

  /**
   * Adds to `found` the positions of records in the file that carry a key with this hash and were
   * stored in [beginMs, endMs], newest first, until there are `max`.
   */
  async follow(
    file: KeyFile,
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

  async #slotOf(file: KeyFile, hash: number): Promise<number> {
    const slotAt = file.slotAt(hash)
    if (file.slots !== null) return readI32(file.slots, slotAt)
    const open = await this.#files.acquire(file.path)
    try {
      const bytes = await readSpan(open, INDEX_HEADER_BYTES + slotAt, SLOT_BYTES)
      return bytes.length < SLOT_BYTES ? 0 : bytes.readInt32BE(0)
    } finally {
      this.#files.release(file.path, open)
    }
  }

  #placeOf(file: KeyFile, unit: number): { bytes: Buffer; at: number } | null {
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

  async #readPlace(file: KeyFile, unit: number): Promise<{ bytes: Buffer; at: number } | null> {
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
}
