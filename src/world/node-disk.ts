import * as fs from 'node:fs'
import { promises as fsp } from 'node:fs'
import { systemCodeOf } from '../base/errors.ts'
import type {
  DirectoryEntry,
  Disk,
  DiskFile,
  DiskLock,
  DiskSpace,
  Done,
  FileFacts,
  OpenMode,
} from './disk.ts'
import { makeDirectory } from './make-directory.ts'

class NodeFile implements DiskFile {
  readonly path: string
  readonly #fd: number
  #closed = false

  constructor(path: string, fd: number) {
    this.path = path
    this.#fd = fd
  }

  write(source: Buffer, start: number, end: number, position: number, done: Done): void {
    fs.write(this.#fd, source, start, end - start, position, (error, written) => {
      if (error) done(error)
      else if (start + written < end) {
        // A short write: the kernel took a part (disk nearly full, signal). The rest decides.
        this.write(source, start + written, end, position + written, done)
      } else done(null)
    })
  }

  sync(done: Done): void {
    fs.fdatasync(this.#fd, done)
  }

  read(
    target: Buffer,
    start: number,
    end: number,
    position: number,
    done: (error: Error | null, bytesRead: number) => void,
    alreadyRead = 0,
  ): void {
    fs.read(this.#fd, target, start, end - start, position, (error, bytesRead) => {
      if (error) done(error, alreadyRead)
      else if (bytesRead === 0 || start + bytesRead >= end) done(null, alreadyRead + bytesRead)
      else
        this.read(
          target,
          start + bytesRead,
          end,
          position + bytesRead,
          done,
          alreadyRead + bytesRead,
        )
    })
  }

  async truncate(sizeBytes: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      fs.ftruncate(this.#fd, sizeBytes, (error) => {
        if (error) reject(error)
        else resolve()
      })
    })
  }

  sizeBytes(): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.fstat(this.#fd, (error, stats) => {
        if (error) reject(error)
        else resolve(stats.size)
      })
    })
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await new Promise<void>((resolve, reject) => {
      fs.close(this.#fd, (error) => {
        if (error) reject(error)
        else resolve()
      })
    })
  }
}

const openFlags: Record<OpenMode, number> = {
  create: fs.constants.O_RDWR | fs.constants.O_CREAT,
  write: fs.constants.O_RDWR,
  read: fs.constants.O_RDONLY,
}

function openFd(path: string, mode: OpenMode): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(path, openFlags[mode], 0o644, (error, fd) => {
      if (error) reject(error)
      else resolve(fd)
    })
  })
}

/** True when the error says that nothing is at the path. */
function isMissing(error: unknown): boolean {
  return systemCodeOf(error) === 'ENOENT'
}

/** The disk of this machine. */
export const nodeDisk: Disk = {
  async open(path, mode) {
    return new NodeFile(path, await openFd(path, mode))
  },
  readFile: (path) => fsp.readFile(path),
  async facts(path): Promise<FileFacts | null> {
    try {
      const stats = await fsp.stat(path)
      return { sizeBytes: stats.size, modifiedMs: stats.mtimeMs, isDirectory: stats.isDirectory() }
    } catch (error) {
      if (isMissing(error)) return null
      throw error
    }
  },
  async list(path): Promise<DirectoryEntry[]> {
    try {
      const entries = await fsp.readdir(path, { withFileTypes: true })
      return entries
        .map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }))
        .sort((a, b) => (a.name < b.name ? -1 : 1))
    } catch (error) {
      if (isMissing(error)) return []
      throw error
    }
  },
  async makeDirectory(path) {
    await makeDirectory(path)
  },
  rename: (from, to) => fsp.rename(from, to),
  remove: (path) => fsp.rm(path, { force: true }),
  removeTree: (path) => fsp.rm(path, { force: true, recursive: true }),
  async syncDirectory(path) {
    const handle = await fsp.open(path, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
  async space(path): Promise<DiskSpace> {
    const facts = await fsp.statfs(path)
    // As `df` counts: what root keeps in reserve is neither used nor free.
    const usedBytes = (facts.blocks - facts.bfree) * facts.bsize
    const freeBytes = facts.bavail * facts.bsize
    return { totalBytes: usedBytes + freeBytes, freeBytes }
  },
  async lock(path): Promise<DiskLock | null> {
    // Loaded here because only a broker needs it: a small prebuilt addon, since Node has no fcntl.
    const { default: native } = await import('fs-native-extensions')
    const fd = await openFd(path, 'create')
    if (!native.tryLock(fd, 0, 1)) {
      fs.closeSync(fd)
      return null
    }
    return {
      release: async () => {
        await new Promise<void>((resolve) => {
          fs.close(fd, () => {
            resolve()
          })
        })
      },
    }
  },
}
