/**
 * Apache's `checkpoint`: 4096 bytes, of which five i64 are used, big-endian.
 *
 *    0 physicMsgTimestamp   store time of the last record that is on the disk
 *    8 logicsMsgTimestamp   store time of the last record whose unit is on the disk
 *   16 indexMsgTimestamp    end time of the last index file that is complete and on the disk
 *   24 masterFlushedOffset  replicas only
 *   32 confirmPhyOffset
 *
 * An Apache broker re-reads the log from 3 s before the smaller of the first two, so they must never
 * run ahead of the disk.
 * Source: apache/rocketmq store/…/StoreCheckpoint.java.
 */
import path from 'node:path'
import { fitsI64, readI64, writeI64 } from '../base/i64.ts'
import type { Disk } from '../world/disk.ts'
import { syncFile, writeAll } from '../world/disk.ts'

const CHECKPOINT_BYTES = 4096
const MARGIN_MS = 3_000

export interface CheckpointValues {
  readonly physicMs: number
  readonly logicsMs: number
  readonly indexMs: number
  readonly confirmedOffset: number
}

export function encodeCheckpoint(values: CheckpointValues): Buffer {
  const bytes = Buffer.alloc(CHECKPOINT_BYTES)
  writeI64(bytes, values.physicMs, 0)
  writeI64(bytes, values.logicsMs, 8)
  writeI64(bytes, values.indexMs, 16)
  writeI64(bytes, values.confirmedOffset, 32)
  return bytes
}

/** Null when the bytes are no checkpoint. */
export function decodeCheckpoint(bytes: Buffer): CheckpointValues | null {
  if (bytes.length < 40) return null
  for (const at of [0, 8, 16, 32]) if (!fitsI64(bytes, at) || readI64(bytes, at) < 0) return null
  return {
    physicMs: readI64(bytes, 0),
    logicsMs: readI64(bytes, 8),
    indexMs: readI64(bytes, 16),
    confirmedOffset: readI64(bytes, 32),
  }
}

/** The time from which on records may be missing in the consume queues. */
export function recoverFromMs(values: CheckpointValues): number {
  return Math.max(0, Math.min(values.physicMs, values.logicsMs) - MARGIN_MS)
}

export class CheckpointFile {
  readonly #disk: Disk
  readonly #path: string

  constructor(disk: Disk, dir: string) {
    this.#disk = disk
    this.#path = path.join(dir, 'checkpoint')
  }

  async read(): Promise<CheckpointValues | null> {
    if ((await this.#disk.facts(this.#path)) === null) return null
    return decodeCheckpoint(await this.#disk.readFile(this.#path))
  }

  /** Durable when it returns. */
  async write(values: CheckpointValues): Promise<void> {
    const isNew = (await this.#disk.facts(this.#path)) === null
    const file = await this.#disk.open(this.#path, 'create')
    try {
      await writeAll(file, encodeCheckpoint(values), 0)
      await syncFile(file)
    } finally {
      await file.close()
    }
    if (isNew) await this.#disk.syncDirectory(path.dirname(this.#path))
  }
}
