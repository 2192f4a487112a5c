/**
 * The files of a host as facts are read from them: through one small interface, so that a captured
 * tree can be judged like a machine. Reading never writes, never follows a path that was not asked
 * for, and never throws: what cannot be read says why.
 */
import {
  accessSync,
  constants,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statfsSync,
  statSync,
} from 'node:fs'
import { systemCodeOf } from '../../base/errors.ts'

/** absent: not there · denied: this user may not · gone: it vanished meanwhile · failed: the kernel said no */
export type Missing = 'absent' | 'denied' | 'gone' | 'failed'

export interface FileText {
  readonly text: string | null
  readonly missing: Missing | null
}

export interface FileStat {
  readonly kind: 'file' | 'directory' | 'link' | 'other'
  readonly uid: number
  readonly gid: number
  /** Permission bits only. */
  readonly mode: number
  readonly device: number
  /** Last change of the content, ms since 1970. */
  readonly modifiedMs: number
}

/** statfs(2): bytes and inodes of the file system under a path. */
export interface Space {
  readonly totalBytes: number
  /** Without root's reserve. */
  readonly availableBytes: number
  readonly freeBytes: number
  readonly inodes: number
  readonly inodesFree: number
}

/** Used and available, as df and brokers count: without root's reserve. */
export function capacityBytes({ totalBytes, freeBytes, availableBytes }: Space): number {
  return totalBytes - freeBytes + availableBytes
}

export interface HostIdentity {
  /** As Node names it: `linux`, `darwin` … */
  readonly platform: string
  readonly arch: string
  readonly uid: number
  readonly gids: readonly number[]
  readonly pid: number
  readonly nodeVersion: string
  readonly parentPid: number
}

export interface HostFiles {
  readonly identity: HostIdentity
  read(path: string): FileText
  /** Names in a directory, sorted; null when it cannot be listed. */
  list(path: string): readonly string[] | null
  /** Target of a symbolic link; null when it is none or cannot be read. */
  link(path: string): string | null
  /** Of the thing itself, links not followed. */
  stat(path: string): FileStat | null
  space(path: string): Space | null
  /** Whether this user may write there; null when it does not exist. */
  writable(path: string): boolean | null
  exists(path: string): boolean
}

/** This machine, or a captured tree under `root`. */
export class NodeHostFiles implements HostFiles {
  readonly #root: string
  readonly identity: HostIdentity

  constructor(root = '/') {
    this.#root = root === '/' ? '' : root.replace(/\/+$/, '')
    this.identity = {
      platform: process.platform,
      arch: process.arch,
      uid: process.geteuid?.() ?? 0,
      gids: process.getgroups?.() ?? [],
      pid: process.pid,
      nodeVersion: process.versions.node,
      parentPid: process.ppid,
    }
  }

  read(path: string): FileText {
    try {
      return { text: readFileSync(this.#root + path, 'utf8'), missing: null }
    } catch (error) {
      return { text: null, missing: missingOf(error) }
    }
  }

  list(path: string): readonly string[] | null {
    try {
      return readdirSync(this.#root + path).sort()
    } catch {
      return null
    }
  }

  link(path: string): string | null {
    try {
      return readlinkSync(this.#root + path)
    } catch {
      return null
    }
  }

  stat(path: string): FileStat | null {
    try {
      const stat = lstatSync(this.#root + path)
      const kind = stat.isSymbolicLink()
        ? 'link'
        : stat.isDirectory()
          ? 'directory'
          : stat.isFile()
            ? 'file'
            : 'other'
      return {
        kind,
        uid: stat.uid,
        gid: stat.gid,
        mode: stat.mode & 0o7777,
        device: stat.dev,
        modifiedMs: stat.mtimeMs,
      }
    } catch {
      return null
    }
  }

  space(path: string): Space | null {
    try {
      const space = statfsSync(this.#root + path)
      return {
        totalBytes: space.blocks * space.bsize,
        availableBytes: space.bavail * space.bsize,
        freeBytes: space.bfree * space.bsize,
        inodes: space.files,
        inodesFree: space.ffree,
      }
    } catch {
      return null
    }
  }

  writable(path: string): boolean | null {
    try {
      accessSync(this.#root + path, constants.W_OK)
      return true
    } catch (error) {
      return missingOf(error) === 'absent' ? null : false
    }
  }

  exists(path: string): boolean {
    try {
      statSync(this.#root + path)
      return true
    } catch (error) {
      return missingOf(error) === 'denied'
    }
  }
}

function missingOf(error: unknown): Missing {
  switch (systemCodeOf(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return 'absent'
    case 'EACCES':
    case 'EPERM':
      return 'denied'
    case 'ESRCH':
      return 'gone'
    default:
      return 'failed'
  }
}
