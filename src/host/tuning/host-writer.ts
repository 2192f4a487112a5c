/**
 * The few ways in which `apply` and `rollback` change a host. Each is one step that is either done
 * or not; a power cut or kill -9 between two of them leaves something that `rollback` understands.
 * Synchronous on purpose: the order of steps is the safety.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { systemCodeOf } from '../../base/errors.ts'

export interface WriterStat {
  readonly kind: 'file' | 'directory' | 'link' | 'other'
  readonly uid: number
  readonly mode: number
}

export interface HostWriter {
  /** Of the thing itself; null when it is not there. */
  stat(path: string): WriterStat | null
  read(path: string): string | null
  list(path: string): readonly string[]
  mkdir(path: string): void
  rmdir(path: string): void
  /** A new file; fails when the name is taken, also by a link. On disk when it returns. */
  create(path: string, text: string, mode: number): void
  rename(from: string, to: string): void
  unlink(path: string): void
  /** Writes to a file of /proc or /sys that exists. */
  setValue(path: string, text: string): void
  /** Null when `setValue` may work; else why it cannot. Writes nothing. */
  refusal(path: string): string | null
}

export class NodeHostWriter implements HostWriter {
  readonly #root: string

  constructor(root = '/') {
    this.#root = root === '/' ? '' : root.replace(/\/+$/, '')
  }

  stat(path: string): WriterStat | null {
    try {
      const stat = lstatSync(this.#root + path)
      const kind = stat.isSymbolicLink()
        ? 'link'
        : stat.isDirectory()
          ? 'directory'
          : stat.isFile()
            ? 'file'
            : 'other'
      return { kind, uid: stat.uid, mode: stat.mode & 0o7777 }
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return null
      throw error
    }
  }

  read(path: string): string | null {
    try {
      return readFileSync(this.#root + path, 'utf8')
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return null
      throw error
    }
  }

  list(path: string): readonly string[] {
    try {
      return readdirSync(this.#root + path).sort()
    } catch {
      return []
    }
  }

  mkdir(path: string): void {
    mkdirSync(this.#root + path, { mode: 0o755 })
    this.#syncParent(path)
  }

  rmdir(path: string): void {
    rmdirSync(this.#root + path)
  }

  create(path: string, text: string, mode: number): void {
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
    const file = openSync(this.#root + path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode)
    try {
      fchmodSync(file, mode)
      const bytes = Buffer.from(text)
      for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
  }

  rename(from: string, to: string): void {
    renameSync(this.#root + from, this.#root + to)
    this.#syncParent(to)
  }

  unlink(path: string): void {
    unlinkSync(this.#root + path)
    this.#syncParent(path)
  }

  setValue(path: string, text: string): void {
    const file = openSync(this.#root + path, constants.O_WRONLY | constants.O_TRUNC)
    try {
      writeSync(file, text)
    } finally {
      closeSync(file)
    }
  }

  refusal(path: string): string | null {
    try {
      closeSync(openSync(this.#root + path, constants.O_WRONLY))
      return null
    } catch (error) {
      return systemCodeOf(error) ?? String(error)
    }
  }

  #syncParent(path: string): void {
    const directory = openSync(this.#root + (path.slice(0, path.lastIndexOf('/')) || '/'), 'r')
    try {
      fsyncSync(directory)
    } finally {
      closeSync(directory)
    }
  }
}
