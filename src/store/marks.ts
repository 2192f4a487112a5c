/**
 * The small files in the root of the store that say who owns it and how it was left: `lock` (text
 * `lock`, with an exclusive fcntl lock on its first byte, which a Java broker sees) and `abort`
 * (there while a broker runs, or after it died; holds its pid).
 * Source: apache/rocketmq store/…/DefaultMessageStore.java (start, createTempFile).
 */
import path from 'node:path'
import { messageOf, MqError } from '../base/errors.ts'
import type { Disk, DiskLock } from '../world/disk.ts'
import { syncFile, writeAll } from '../world/disk.ts'

/** Takes the store for this process; STORE_IN_USE when another has it, STORE_UNWRITABLE when it cannot be. */
export async function takeLock(disk: Disk, dir: string): Promise<DiskLock> {
  let lock: DiskLock | null
  try {
    await disk.makeDirectory(dir)
    const file = path.join(dir, 'lock')
    lock = await disk.lock(file)
    if (lock) await writeText(disk, file, 'lock')
  } catch (error) {
    throw new MqError('STORE_UNWRITABLE', { path: dir, why: messageOf(error) }, { cause: error })
  }
  if (lock === null) throw new MqError('STORE_IN_USE', { path: dir })
  return lock
}

export class AbortMark {
  readonly #disk: Disk
  readonly #dir: string

  constructor(disk: Disk, dir: string) {
    this.#disk = disk
    this.#dir = dir
  }

  get path(): string {
    return path.join(this.#dir, 'abort')
  }

  async isThere(): Promise<boolean> {
    return (await this.#disk.facts(this.path)) !== null
  }

  /** Durable when it returns: from here on the store counts as not cleanly closed. */
  async set(pid: number): Promise<void> {
    await writeText(this.#disk, this.path, String(pid))
    await this.#disk.syncDirectory(this.#dir)
  }

  async clear(): Promise<void> {
    await this.#disk.remove(this.path)
    await this.#disk.syncDirectory(this.#dir)
  }
}

async function writeText(disk: Disk, at: string, text: string): Promise<void> {
  const file = await disk.open(at, 'create')
  try {
    const bytes = Buffer.from(text)
    await writeAll(file, bytes, 0)
    await file.truncate(bytes.length)
    await syncFile(file)
  } finally {
    await file.close()
  }
}
