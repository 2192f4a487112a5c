/**
 * Files as the store needs them. Hot operations take a callback that is bound once; cold ones
 * return promises. Errors are Node's system errors (`code` ENOSPC, EIO, ENOENT …).
 *
 * What a caller may rely on: a write that called back without error is in the kernel and survives
 * kill -9 of this process; a `sync` that called back without error is on the disk. A file that was
 * created, renamed or removed is durable only after `syncDirectory` of its directory.
 */
import { systemCodeOf } from '../base/errors.ts'
export type Done = (error: Error | null) => void

export interface DiskFile {
  readonly path: string
  /** Writes bytes [start, end) of `source` at `position`, whole or with an error. The buffer belongs to the disk until `done`. */
  write(source: Buffer, start: number, end: number, position: number, done: Done): void
  /** fdatasync: everything written before this call is durable when `done` gets null. */
  sync(done: Done): void
  /** Reads up to `end - start` bytes into `target`; fewer only at the end of the file. */
  read(
    target: Buffer,
    start: number,
    end: number,
    position: number,
    done: (error: Error | null, bytesRead: number) => void,
  ): void
  /** Sets the length; new bytes read as zero and take no space. */
  truncate(sizeBytes: number): Promise<void>
  sizeBytes(): Promise<number>
  close(): Promise<void>
}

export interface DirectoryEntry {
  readonly name: string
  readonly isDirectory: boolean
}

export interface FileFacts {
  readonly sizeBytes: number
  /** Last change, milliseconds since 1970. */
  readonly modifiedMs: number
  readonly isDirectory: boolean
}

export interface DiskSpace {
  readonly totalBytes: number
  /** Free for an unprivileged writer. */
  readonly freeBytes: number
}

/** `create`: read and write, made when missing. `write`: read and write, must exist. `read`: read only, must exist. */
export type OpenMode = 'create' | 'write' | 'read'

export interface Disk {
  open(path: string, mode: OpenMode): Promise<DiskFile>
  /** Whole content; ENOENT when missing. */
  readFile(path: string): Promise<Buffer>
  /** Null when there is nothing at that path. */
  facts(path: string): Promise<FileFacts | null>
  /** Entries of a directory, sorted by name; empty when the directory is missing. */
  list(path: string): Promise<DirectoryEntry[]>
  /** Makes the directory and its parents. */
  makeDirectory(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** Removes a file; no error when it is missing. */
  remove(path: string): Promise<void>
  /** Removes a directory with all it holds; no error when it is missing. */
  removeTree(path: string): Promise<void>
  syncDirectory(path: string): Promise<void>
  space(path: string): Promise<DiskSpace>
  /**
   * Takes the exclusive lock on byte 0 of the file (fcntl, the kind a Java FileLock sees), or
   * returns null when another process holds it. The kernel drops it when this process dies.
   */
  lock(path: string): Promise<DiskLock | null>
}

export interface DiskLock {
  release(): Promise<void>
}

/** Promise form of `write` for cold paths. */
export function writeAll(file: DiskFile, source: Buffer, position: number): Promise<void> {
  return new Promise((resolve, reject) => {
    file.write(source, 0, source.length, position, (error) => {
      if (error) reject(error)
      else resolve()
    })
  })
}

/** Promise form of `sync` for cold paths. */
export function syncFile(file: DiskFile): Promise<void> {
  return new Promise((resolve, reject) => {
    file.sync((error) => {
      if (error) reject(error)
      else resolve()
    })
  })
}

/** Whether an error says that the machine, not the disk, is short of something: it passes. */
export function isShortage(error: unknown): boolean {
  const code = systemCodeOf(error)
  return code === 'EMFILE' || code === 'ENFILE' || code === 'ENOMEM' || code === 'EAGAIN'
}

/** Whether an error of the disk says that a file could not even be opened, so that nothing was lost. */
export function isUnopened(error: unknown): boolean {
  return systemCodeOf(error) === 'ENOENT' || isShortage(error)
}

/** Promise form of `read`: the bytes that are there, at most `lengthBytes`. */
export function readSpan(file: DiskFile, position: number, lengthBytes: number): Promise<Buffer> {
  const target = Buffer.allocUnsafeSlow(lengthBytes)
  return new Promise((resolve, reject) => {
    file.read(target, 0, lengthBytes, position, (error, bytesRead) => {
      if (error) reject(error)
      else resolve(target.subarray(0, bytesRead))
    })
  })
}
