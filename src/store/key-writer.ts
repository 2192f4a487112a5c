/**
 * Puts the files of the key index on the disk: units page by page as they come, the slot table and the
 * header at a slower pace. One call at a time for a file.
 */
import path from 'node:path'
import type { Disk, DiskFile } from '../world/disk.ts'
import { syncFile } from '../world/disk.ts'
import {
  INDEX_HEADER_BYTES,
  INDEX_UNIT_BYTES,
  indexFileBytes,
  type IndexShape,
  slotsEnd,
  unitPosition,
} from './index-file.ts'
import { type KeyFile, SLOT_PAGE_BYTES } from './key-file.ts'
import type { OpenFiles } from './open-files.ts'

/** Slot pages that one write may carry. */
const SLOT_RUN_PAGES = 256

export class KeyWriter {
  /** A sync that failed: what the disk has of the index is unknown until a restart looks. */
  syncError: Error | null = null
  readonly #shape: IndexShape
  readonly #disk: Disk
  readonly #files: OpenFiles

  constructor(shape: IndexShape, disk: Disk, files: OpenFiles) {
    this.#shape = shape
    this.#disk = disk
    this.#files = files
  }

  /** Writes the units that wait. Throws what the disk says; what was not written still waits then. */
  async writeUnits(file: KeyFile): Promise<void> {
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

  /** Puts a full file on the disk for good and gives its slot table back. */
  async complete(file: KeyFile): Promise<void> {
    await this.writeSlots(file)
    await this.sync(file)
    file.closeSlots()
  }

  /** Writes the pages of the slot table that changed since they were written last. */
  async writeSlots(file: KeyFile): Promise<void> {
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

  /** Writes the header and makes all that was written durable. */
  async sync(file: KeyFile): Promise<void> {
    const header = file.header.encode()
    const open = await this.#files.acquire(file.path)
    try {
      await writeSpan(open, header, 0, header.length, 0)
      await syncFile(open).catch((error: unknown) => {
        this.syncError = error instanceof Error ? error : new Error(String(error))
        throw this.syncError
      })
    } finally {
      this.#files.release(file.path, open)
    }
  }

  async #make(file: KeyFile): Promise<void> {
    if (file.exists) return
    const dir = path.dirname(file.path)
    await this.#disk.makeDirectory(dir)
    const made = await this.#disk.open(file.path, 'create')
    try {
      await made.truncate(indexFileBytes(this.#shape))
    } finally {
      await made.close()
    }
    await this.#disk.syncDirectory(dir)
    await this.#disk.syncDirectory(path.dirname(dir))
    file.exists = true
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
