/**
 * A disk that can be cut off at any moment. A file is what the kernel has (`current`) and what the
 * platter has (`durable`), in sectors of 512 bytes; names of files belong to their directory and are
 * durable only after `syncDirectory`. Every call is counted, may be made to fail, and leaves a
 * snapshot, from which crash images are built: after the death of the process the kernel keeps what
 * it has; after a power cut each unsynced sector, size and name is kept or lost, a sector also torn.
 *
 * Sectors are immutable once written, so snapshots are cheap. Everything is deterministic.
 */
import path from 'node:path'
import type {
  DirectoryEntry,
  Disk,
  DiskFile,
  DiskLock,
  DiskSpace,
  Done,
  FileFacts,
  OpenMode,
} from '../../src/world/disk.ts'
import { type Image, killImage } from './crash-image.ts'
import {
  applyNames,
  type InFlight,
  Inode,
  type NameChange,
  putBytes,
  SECTOR_BYTES,
  type Snapshot,
  ZEROS,
} from './sim-inode.ts'

export type Call =
  | 'open'
  | 'write'
  | 'sync'
  | 'read'
  | 'truncate'
  | 'sizeBytes'
  | 'readFile'
  | 'facts'
  | 'list'
  | 'makeDirectory'
  | 'rename'
  | 'remove'
  | 'removeTree'
  | 'syncDirectory'
  | 'space'
  | 'lock'

export function ioError(code: 'EIO' | 'ENOSPC' | 'ENOENT' | 'EISDIR', what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code })
}

export interface FaultPlan {
  /** Number of the first call that fails. */
  readonly call: number
  /** All later calls that change anything fail as well, until `heal`. */
  readonly sticky: boolean
  readonly code: 'EIO' | 'ENOSPC'
}

export class SimDisk implements Disk {
  /** Calls so far. */
  calls = 0
  fault: FaultPlan | null = null
  healed = false
  /** Called after every call was issued and after it was performed, with the disk as it is then. */
  onStep: ((what: string, inFlight: InFlight | null) => void) | null = null
  space_: DiskSpace = { totalBytes: 1e9, freeBytes: 9e8 }
  readonly #schedule: (run: () => void) => void
  readonly #nowMs: () => number
  #names = new Map<string, Inode>()
  #durableNames = new Map<string, Inode>()
  #nameChanges: NameChange[] = []
  #sequence = 0
  #version = 0
  readonly #locks = new Set<string>()

  /** @param schedule runs a completion later, in an order of its choice */
  constructor(
    schedule: (run: () => void) => void,
    nowMs: () => number,
    image: Image | null = null,
  ) {
    this.#schedule = schedule
    this.#nowMs = nowMs
    if (image) {
      for (const [at, entry] of image) {
        const inode = new Inode(entry.isDirectory)
        inode.current = new Map(entry.sectors)
        inode.durable = new Map(entry.sectors)
        inode.sizeBytes = inode.durableSizeBytes = entry.sizeBytes
        this.#names.set(at, inode)
      }
    }
    this.#names.set('/store', this.#names.get('/store') ?? new Inode(true))
    this.#durableNames = new Map(this.#names)
  }

  // ---- calls -----------------------------------------------------------------------------------

  #fails(call: Call): Error | null {
    this.calls++
    const { fault } = this
    if (fault === null || this.healed || call === 'lock') return null
    const changes = !['read', 'readFile', 'facts', 'list', 'space', 'sizeBytes', 'open'].includes(
      call,
    )
    const hit = this.calls === fault.call || (fault.sticky && this.calls > fault.call && changes)
    return hit ? ioError(fault.code, call) : null
  }

  #later<T>(call: Call, what: string, perform: () => T): Promise<T> {
    const failure = this.#fails(call)
    this.onStep?.(`${call} ${what}`, null)
    return new Promise<T>((resolve, reject) => {
      this.#schedule(() => {
        try {
          if (failure) throw failure
          const value = perform()
          this.onStep?.(`${call} ${what} done`, null)
          resolve(value)
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)))
        }
      })
    })
  }

  open(at: string, mode: OpenMode): Promise<DiskFile> {
    return this.#later('open', at, () => {
      let inode = this.#names.get(at)
      if (inode?.isDirectory) throw ioError('EISDIR', at)
      if (!inode) {
        if (mode !== 'create') throw ioError('ENOENT', at)
        if (!this.#names.get(path.dirname(at))?.isDirectory) throw ioError('ENOENT', at)
        inode = new Inode(false)
        inode.modifiedMs = this.#nowMs()
        this.#rename([[at, inode]], path.dirname(at))
      }
      return this.#file(at, inode)
    })
  }

  #file(at: string, inode: Inode): DiskFile {
    const disk = this
    return {
      path: at,
      write(source, start, end, position, done) {
        disk.#write(at, inode, Buffer.from(source.subarray(start, end)), position, done)
      },
      sync(done) {
        disk.#sync(at, inode, done)
      },
      read(target, start, end, position, done) {
        const failure = disk.#fails('read')
        disk.#schedule(() => {
          if (failure) done(failure, 0)
          else done(null, disk.#read(inode, target, start, end, position))
        })
      },
      truncate: (sizeBytes) =>
        disk.#later('truncate', at, () => {
          disk.#truncate(inode, sizeBytes)
        }),
      sizeBytes: () => disk.#later('sizeBytes', at, () => inode.sizeBytes),
      close: () => Promise.resolve(),
    }
  }

  #write(at: string, inode: Inode, bytes: Buffer, position: number, done: Done): void {
    const failure = this.#fails('write')
    const inFlight = { inode, bytes, position }
    this.onStep?.(`write ${at} ${position}+${bytes.length}`, inFlight)
    this.#schedule(() => {
      if (failure) {
        // A failed write may have got through in part: a short write.
        this.#apply(inode, bytes.subarray(0, Math.floor(bytes.length / 2)), position)
        done(failure)
        return
      }
      this.#apply(inode, bytes, position)
      this.onStep?.(`write ${at} ${position}+${bytes.length} done`, null)
      done(null)
    })
  }

  #apply(inode: Inode, bytes: Buffer, position: number): void {
    putBytes(inode.current, bytes, position)
    this.#version++
    this.#sequence++
    const last = Math.floor((position + bytes.length - 1) / SECTOR_BYTES)
    for (let i = Math.floor(position / SECTOR_BYTES); i <= last; i++) {
      inode.dirty.set(i, this.#sequence)
    }
    if (position + bytes.length > inode.sizeBytes) {
      inode.sizeBytes = position + bytes.length
      inode.sizeChanged = this.#sequence
    }
    inode.modifiedMs = this.#nowMs()
  }

  #sync(at: string, inode: Inode, done: Done): void {
    const failure = this.#fails('sync')
    // Covers what was written before the call.
    const covered = new Map(inode.current)
    const { sizeBytes } = inode
    const until = this.#sequence
    this.onStep?.(`sync ${at}`, null)
    this.#schedule(() => {
      this.#version++
      for (const [i, sequence] of inode.dirty) if (sequence <= until) inode.dirty.delete(i)
      if (failure) {
        // The pages are marked clean all the same; what the platter has is the old content.
        done(failure)
        return
      }
      inode.durable = covered
      inode.durableSizeBytes = sizeBytes
      if (inode.sizeChanged <= until) inode.sizeChanged = -1
      this.onStep?.(`sync ${at} done`, null)
      done(null)
    })
  }

  #read(inode: Inode, target: Buffer, start: number, end: number, position: number): number {
    const count = Math.max(0, Math.min(end - start, inode.sizeBytes - position))
    for (let done = 0; done < count;) {
      const at = position + done
      const offset = at % SECTOR_BYTES
      const length = Math.min(SECTOR_BYTES - offset, count - done)
      const sector = inode.current.get(Math.floor(at / SECTOR_BYTES)) ?? ZEROS
      sector.copy(target, start + done, offset, offset + length)
      done += length
    }
    return count
  }

  #truncate(inode: Inode, sizeBytes: number): void {
    this.#version++
    this.#sequence++
    if (sizeBytes < inode.sizeBytes) {
      const keep = Math.floor(sizeBytes / SECTOR_BYTES)
      for (const [i, sector] of inode.current) {
        if (i > keep || (i === keep && sizeBytes % SECTOR_BYTES === 0)) {
          inode.current.delete(i)
          inode.dirty.set(i, this.#sequence)
        } else if (i === keep) {
          const cut = Buffer.from(sector)
          cut.fill(0, sizeBytes % SECTOR_BYTES)
          inode.current.set(i, cut)
          inode.dirty.set(i, this.#sequence)
        }
      }
    }
    inode.sizeBytes = sizeBytes
    inode.sizeChanged = this.#sequence
    inode.modifiedMs = this.#nowMs()
  }

  readFile(at: string): Promise<Buffer> {
    return this.#later('readFile', at, () => {
      const inode = this.#names.get(at)
      if (!inode) throw ioError('ENOENT', at)
      const bytes = Buffer.alloc(inode.sizeBytes)
      this.#read(inode, bytes, 0, bytes.length, 0)
      return bytes
    })
  }

  facts(at: string): Promise<FileFacts | null> {
    return this.#later('facts', at, () => {
      const inode = this.#names.get(at)
      if (!inode) return null
      const { sizeBytes, modifiedMs, isDirectory } = inode
      return { sizeBytes, modifiedMs, isDirectory }
    })
  }

  list(at: string): Promise<DirectoryEntry[]> {
    return this.#later('list', at, () => {
      const entries: DirectoryEntry[] = []
      for (const [name, inode] of this.#names) {
        if (path.dirname(name) === at && name !== at) {
          entries.push({ name: path.basename(name), isDirectory: inode.isDirectory })
        }
      }
      return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
    })
  }

  makeDirectory(at: string): Promise<void> {
    return this.#later('makeDirectory', at, () => {
      const missing: string[] = []
      for (let dir = at; !this.#names.has(dir) && dir !== '/'; dir = path.dirname(dir)) {
        missing.unshift(dir)
      }
      for (const dir of missing) this.#rename([[dir, new Inode(true)]], path.dirname(dir))
    })
  }

  rename(from: string, to: string): Promise<void> {
    return this.#later('rename', `${from} ${to}`, () => {
      const inode = this.#names.get(from)
      if (!inode) throw ioError('ENOENT', from)
      this.#rename(
        [
          [from, null],
          [to, inode],
        ],
        path.dirname(to),
      )
    })
  }

  remove(at: string): Promise<void> {
    return this.#later('remove', at, () => {
      if (this.#names.has(at)) this.#rename([[at, null]], path.dirname(at))
    })
  }

  removeTree(at: string): Promise<void> {
    return this.#later('removeTree', at, () => {
      const below = [...this.#names.keys()].filter(
        (name) => name === at || name.startsWith(`${at}/`),
      )
      for (const name of below.reverse()) this.#rename([[name, null]], path.dirname(name))
    })
  }

  #rename(changes: NameChange['changes'], dir: string): void {
    this.#version++
    this.#sequence++
    for (const [name, inode] of changes) {
      if (inode) this.#names.set(name, inode)
      else this.#names.delete(name)
    }
    this.#nameChanges.push({ at: this.#sequence, dir, changes })
  }

  syncDirectory(at: string): Promise<void> {
    const until = this.#sequence
    return this.#later('syncDirectory', at, () => {
      if (!this.#names.get(at)?.isDirectory) throw ioError('ENOENT', at)
      this.#version++
      const covered = this.#nameChanges.filter((change) => change.dir === at && change.at <= until)
      applyNames(this.#durableNames, covered)
      this.#nameChanges = this.#nameChanges.filter((change) => !covered.includes(change))
    })
  }

  space(_at: string): Promise<DiskSpace> {
    return this.#later('space', '', () => this.space_)
  }

  async lock(at: string): Promise<DiskLock | null> {
    if (this.#locks.has(at)) return null
    await this.open(at, 'create')
    this.#locks.add(at)
    return {
      release: () => {
        this.#locks.delete(at)
        return Promise.resolve()
      },
    }
  }

  // ---- crashes ---------------------------------------------------------------------------------

  snapshot(what: string, inFlight: InFlight | null): Snapshot {
    const clones = new Map<Inode, Inode>()
    const cloneOf = (inode: Inode): Inode => {
      let clone = clones.get(inode)
      if (!clone) {
        clone = inode.clone()
        clones.set(inode, clone)
      }
      return clone
    }
    const cloneNames = (names: ReadonlyMap<string, Inode>) =>
      new Map([...names].map(([name, inode]) => [name, cloneOf(inode)]))
    return {
      call: this.calls,
      version: this.#version,
      what,
      names: cloneNames(this.#names),
      durableNames: cloneNames(this.#durableNames),
      nameChanges: this.#nameChanges.map((change) => ({
        ...change,
        changes: change.changes.map(([name, inode]) => [name, inode && cloneOf(inode)] as const),
      })),
      inFlight: inFlight && { ...inFlight, inode: cloneOf(inFlight.inode) },
    }
  }

  /** The content as the kernel has it: what the next process sees after kill −9. */
  image(): Image {
    return killImage(this.snapshot('', null), 'none')
  }
}
