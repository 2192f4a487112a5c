/**
 * Opens the files of a key index that is there, and makes slot tables agree with the units that a
 * checkpoint vouches for.
 */
import { readI32, writeI32 } from '../base/bytes.ts'
import { fitsI64, readI64 } from '../base/i64.ts'
import type { Logger } from '../base/logger.ts'
import type { Disk } from '../world/disk.ts'
import {
  INDEX_HEADER_BYTES,
  INDEX_UNIT_BYTES,
  indexFileBytes,
  type IndexShape,
  unitPosition,
} from './index-file.ts'
import { KeyFile } from './key-file.ts'
import type { OpenFiles } from './open-files.ts'

/** Units that are read at once. */
const BLOCK_UNITS = 3_200

/** Up to where the index goes: enough to find that state again after a crash. */
export interface IndexPosition {
  /** Name of the file being filled, '' when there is none. */
  readonly name: string
  readonly unitCount: number
}

export interface KeyLoaderParts {
  readonly dir: string
  readonly shape: IndexShape
  readonly disk: Disk
  readonly files: OpenFiles
  readonly logger: Logger
}

export class KeyLoader {
  readonly #parts: KeyLoaderParts

  constructor(parts: KeyLoaderParts) {
    this.#parts = parts
  }

  /**
   * The files that are there, oldest first; the last one is ready to be filled. `position` is the state
   * that a checkpoint of ours vouches for; what lies behind it is taken away, to be put again from the
   * log. Null: the directory was left by an Apache broker; then files that end after `completeMs` go,
   * unless the store was closed cleanly. `complete` is false when files are missing, so that the whole
   * index has to be built again.
   */
  async load(
    clean: boolean,
    position: IndexPosition | null,
    completeMs: number,
  ): Promise<{ list: KeyFile[]; complete: boolean }> {
    const list = await this.#open(clean, position, completeMs)
    const last = list[list.length - 1]
    if (position !== null && position.name !== (last?.name ?? '')) {
      for (const file of list) await this.#remove(file)
      return { list: [], complete: position.name === '' }
    }
    if (last) {
      const count = position?.unitCount ?? last.header.unitCount
      if (clean && last.header.unitCount === count) await this.#loadSlots(last)
      else await this.#rebuildSlots(last, count)
      last.writtenUnits = last.header.unitCount
    }
    return { list, complete: true }
  }

  /** Opens each file, and removes those that nobody vouches for. */
  async #open(
    clean: boolean,
    position: IndexPosition | null,
    completeMs: number,
  ): Promise<KeyFile[]> {
    const { dir, shape, disk, logger } = this.#parts
    const list: KeyFile[] = []
    for (const entry of await disk.list(dir)) {
      if (entry.isDirectory || !/^\d{17}$/.test(entry.name)) continue
      const file = new KeyFile(dir, entry.name, shape)
      const facts = await disk.facts(file.path)
      if (facts?.sizeBytes !== indexFileBytes(shape)) {
        const behind = position === null ? !clean : entry.name > position.name
        if (behind) await this.#remove(file)
        else logger.warn('an index file of another size is not used', { file: file.path })
        continue
      }
      file.exists = true
      const header = Buffer.alloc(INDEX_HEADER_BYTES)
      await this.#read(file, header, header.length, 0)
      const legible = file.header.decode(header, shape)
      const drop =
        position !== null
          ? entry.name > position.name
          : !clean && file.header.endTimestamp > completeMs
      file.writtenUnits = file.header.unitCount
      if (!legible || drop) await this.#remove(file)
      else list.push(file)
    }
    return list
  }

  async #remove(file: KeyFile): Promise<void> {
    this.#parts.files.drop(file.path)
    await this.#parts.disk.remove(file.path)
  }

  async #loadSlots(file: KeyFile): Promise<void> {
    file.openSlots()
    if (file.slots === null) return
    await this.#read(file, file.slots, file.slots.length, INDEX_HEADER_BYTES)
  }

  /** Builds the slot table from units 1 … count − 1 and makes header and disk agree with it. */
  async #rebuildSlots(file: KeyFile, count: number): Promise<void> {
    file.openSlots()
    const { slots, dirtySlots, header } = file
    if (slots === null || dirtySlots === null) return
    const { endTimestamp, endPhysicalOffset, unitCount } = header
    header.slotCount = 0
    header.unitCount = count
    const block = Buffer.allocUnsafeSlow(BLOCK_UNITS * INDEX_UNIT_BYTES)
    for (let first = 1; first < count; first += BLOCK_UNITS) {
      const units = Math.min(BLOCK_UNITS, count - first)
      await this.#read(
        file,
        block,
        units * INDEX_UNIT_BYTES,
        unitPosition(this.#parts.shape, first),
      )
      for (let i = 0; i < units; i++) {
        const hash = block.readInt32BE(i * INDEX_UNIT_BYTES)
        const slotAt = file.slotAt(Math.max(0, hash))
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

  async #read(file: KeyFile, target: Buffer, length: number, position: number): Promise<void> {
    const open = await this.#parts.files.acquire(file.path)
    try {
      await new Promise<void>((resolve, reject) => {
        open.read(target, 0, length, position, (error) => {
          if (error) reject(error)
          else resolve()
        })
      })
    } finally {
      this.#parts.files.release(file.path, open)
    }
  }
}
