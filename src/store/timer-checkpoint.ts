/**
 * How far timers are, in `config/timercheck`: 4096 bytes, of which these are used, big-endian.
 *
 *    0 i64 every second before it was delivered     16 i64 next message of the timer topic to be taken
 *    8 i64 end of the timer log that is on the disk 24 i64 the same as the leader has it
 *   32 i64, 40 i64, 48 i64 version: state, time, counter
 *
 * Source: apache/rocketmq store/…/timer/TimerCheckpoint.java.
 */
import path from 'node:path'
import { fitsI64, readI64, writeI64 } from '../base/i64.ts'
import type { Disk } from '../world/disk.ts'
import { syncFile, writeAll } from '../world/disk.ts'

const FILE_BYTES = 4_096

export interface TimerProgress {
  /** ms since 1970; 0 when nothing is known. */
  readonly deliveredBeforeMs: number
  readonly logFlushed: number
  readonly queueOffset: number
}

export class TimerCheckpoint {
  readonly #disk: Disk
  readonly #path: string
  #counter = 0

  /** @param storeDir root of the store */
  constructor(disk: Disk, storeDir: string) {
    this.#disk = disk
    this.#path = path.join(storeDir, 'config', 'timercheck')
  }

  /** Null when there is none. */
  async read(): Promise<TimerProgress | null> {
    if ((await this.#disk.facts(this.#path)) === null) return null
    const bytes = await this.#disk.readFile(this.#path)
    if (bytes.length < 32) return null
    for (let at = 0; at < 32; at += 8)
      if (!fitsI64(bytes, at) || readI64(bytes, at) < 0) return null
    if (bytes.length >= 56 && fitsI64(bytes, 48)) this.#counter = readI64(bytes, 48)
    return {
      deliveredBeforeMs: readI64(bytes, 0),
      logFlushed: readI64(bytes, 8),
      queueOffset: Math.min(readI64(bytes, 16), readI64(bytes, 24)),
    }
  }

  /** Durable when it resolves. */
  async write(progress: TimerProgress, nowMs: number): Promise<void> {
    const bytes = Buffer.alloc(FILE_BYTES)
    writeI64(bytes, progress.deliveredBeforeMs, 0)
    writeI64(bytes, progress.logFlushed, 8)
    writeI64(bytes, progress.queueOffset, 16)
    writeI64(bytes, progress.queueOffset, 24)
    writeI64(bytes, nowMs, 40)
    writeI64(bytes, ++this.#counter, 48)
    const dir = path.dirname(this.#path)
    const isNew = (await this.#disk.facts(this.#path)) === null
    if (isNew) await this.#disk.makeDirectory(dir)
    const file = await this.#disk.open(this.#path, 'create')
    try {
      await writeAll(file, bytes, 0)
      await syncFile(file)
    } finally {
      await file.close()
    }
    if (isNew) await this.#disk.syncDirectory(dir)
  }
}
