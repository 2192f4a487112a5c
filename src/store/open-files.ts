/**
 * Files that are kept open, the most recently used of them: consume queues by the thousand must not
 * cost a file descriptor each. A file in use is pinned and never closed under its user.
 */
import type { Disk, DiskFile } from '../world/disk.ts'

class Entry {
  file: DiskFile | null = null
  pins = 0
  /** Dropped before it was open. */
  dropped = false
  readonly opening: Promise<DiskFile>

  constructor(opening: Promise<DiskFile>) {
    this.opening = opening
  }
}

export class OpenFiles {
  readonly #disk: Disk
  readonly #max: number
  /** In order of last use, oldest first. */
  readonly #entries = new Map<string, Entry>()
  /** Dropped while in use: closed by the last release. */
  readonly #orphans = new Map<DiskFile, Entry>()
  readonly #closing = new Set<Promise<void>>()

  constructor(disk: Disk, max: number) {
    this.#disk = disk
    this.#max = max
  }

  /** Opens an existing file for reading and writing, or finds it open. Pair with `release`. */
  async acquire(path: string): Promise<DiskFile> {
    const open = this.acquireNow(path)
    if (open) return open
    let entry = this.#entries.get(path)
    if (!entry) {
      const opening = this.#disk.open(path, 'write')
      entry = new Entry(opening)
      this.#entries.set(path, entry)
      this.#makeRoom()
    }
    entry.pins++
    try {
      entry.file = await entry.opening
      if (entry.dropped) this.#orphans.set(entry.file, entry)
      return entry.file
    } catch (error) {
      entry.pins--
      if (this.#entries.get(path) === entry) this.#entries.delete(path)
      throw error
    }
  }

  /** Keeps a file that its maker has just opened, instead of closing it. */
  adopt(path: string, file: DiskFile): void {
    const entry = new Entry(Promise.resolve(file))
    entry.file = file
    this.#entries.set(path, entry)
    this.#makeRoom()
  }

  /** `acquire` without waiting; null when the file is not open. */
  acquireNow(path: string): DiskFile | null {
    const entry = this.#entries.get(path)
    if (!entry?.file) return null
    this.#entries.delete(path)
    this.#entries.set(path, entry)
    entry.pins++
    return entry.file
  }

  release(path: string, file: DiskFile): void {
    const entry = this.#entries.get(path)
    if (entry?.file === file) {
      entry.pins--
      if (this.#entries.size > this.#max) this.#makeRoom()
      return
    }
    const orphan = this.#orphans.get(file)
    if (!orphan) return
    orphan.pins--
    if (orphan.pins === 0) {
      this.#orphans.delete(file)
      this.#close(orphan)
    }
  }

  /** Closes the file now, or when its last user releases it; for a file that will be removed. */
  drop(path: string): void {
    const entry = this.#entries.get(path)
    if (!entry) return
    this.#entries.delete(path)
    if (entry.pins === 0) this.#close(entry)
    else if (entry.file) this.#orphans.set(entry.file, entry)
    else entry.dropped = true
  }

  /** Closes all; nobody may use a file any more. */
  async closeAll(): Promise<void> {
    for (const entry of this.#entries.values()) this.#close(entry)
    for (const entry of this.#orphans.values()) this.#close(entry)
    this.#entries.clear()
    this.#orphans.clear()
    await Promise.all(this.#closing)
  }

  #makeRoom(): void {
    for (const [path, entry] of this.#entries) {
      if (this.#entries.size <= this.#max) return
      if (entry.pins > 0 || !entry.file) continue
      this.#entries.delete(path)
      this.#close(entry)
    }
  }

  #close(entry: Entry): void {
    const closing = entry.opening
      .then((file) => file.close())
      .catch(() => undefined)
      .then(() => {
        this.#closing.delete(closing)
      })
    this.#closing.add(closing)
  }
}
