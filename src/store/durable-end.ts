/**
 * `mqctl.durable`: what this store knows to be on the disk, beyond Apache's files. Two slots of 512
 * bytes are written in turn, so that a torn write leaves the other one. Big-endian.
 *
 *    0 8 bytes "MQCTLDUR"       40 i64 sumOfMax      of all consume queues at dispatchedEnd
 *    8 i32 format (1)           48 i64 physicMs      the three times of `checkpoint` as we wrote them:
 *   12 i32 flags: 1 = clean     56 i64 logicsMs      when they differ, somebody else had the store
 *   16 i64 sequence             64 i64 indexMs
 *   24 i64 durableEnd           72 i32 units of the index file
 *   32 i64 dispatchedEnd        76 i32 length of its name (0 or 17), then the name
 *                              508 i32 CRC-32 of bytes 0 … 507
 *
 * durableEnd: the log below it was on the disk; recovery cuts nothing there. dispatchedEnd: consume
 * queues and index were on the disk up to here; recovery reads the log from here on. Both are lower
 * bounds. clean: the store was closed, and the log ends at durableEnd.
 *
 * A sumOfMax of 2^53 − 1 is that of no queues: until its first checkpoint, a start that builds them
 * again, or takes over what another broker closed, leaves it. The next one builds all again, too;
 * dispatchedEnd only says then up to where a topic that nobody knows is one that was deleted.
 */
import path from 'node:path'
import { crc32 } from 'node:zlib'
import { assert } from '../base/assert.ts'
import { MqError } from '../base/errors.ts'
import { fitsI64, readI64, writeI64 } from '../base/i64.ts'
import type { Disk, DiskFile } from '../world/disk.ts'
import { syncFile } from '../world/disk.ts'
import type { CheckpointValues } from './checkpoint.ts'
import type { IndexPosition } from './key-loader.ts'

const SLOT_BYTES = 512
const MAGIC = Buffer.from('MQCTLDUR')
const FORMAT = 1
const CLEAN = 1
const NAME_BYTES_MAX = 64
/** A `sumOfMax` with which no queues agree. */
export const NO_QUEUES_SUM = Number.MAX_SAFE_INTEGER

export interface DurableState {
  readonly clean: boolean
  readonly durableEnd: number
  readonly dispatchedEnd: number
  readonly sumOfMax: number
  readonly checkpoint: Pick<CheckpointValues, 'physicMs' | 'logicsMs' | 'indexMs'>
  readonly index: IndexPosition
}

function encodeSlot(state: DurableState, sequence: number): Buffer {
  const bytes = Buffer.alloc(SLOT_BYTES)
  MAGIC.copy(bytes)
  bytes.writeInt32BE(FORMAT, 8)
  bytes.writeInt32BE(state.clean ? CLEAN : 0, 12)
  writeI64(bytes, sequence, 16)
  writeI64(bytes, state.durableEnd, 24)
  writeI64(bytes, state.dispatchedEnd, 32)
  writeI64(bytes, state.sumOfMax, 40)
  writeI64(bytes, state.checkpoint.physicMs, 48)
  writeI64(bytes, state.checkpoint.logicsMs, 56)
  writeI64(bytes, state.checkpoint.indexMs, 64)
  bytes.writeInt32BE(state.index.unitCount, 72)
  const name = Buffer.from(state.index.name)
  assert(name.length <= NAME_BYTES_MAX, 'names of index files are short')
  bytes.writeInt32BE(name.length, 76)
  name.copy(bytes, 80)
  bytes.writeInt32BE(crc32(bytes.subarray(0, SLOT_BYTES - 4)) | 0, SLOT_BYTES - 4)
  return bytes
}

export interface DurableRead {
  /** Of the newest slot. */
  readonly state: DurableState
  /** The times that Apache's checkpoint may have if nobody else wrote it: of the newest slot and the one before. */
  readonly checkpoints: readonly DurableState['checkpoint'][]
}

interface Slot {
  readonly sequence: number
  readonly format: number
  readonly state: DurableState
}

/** Null when the bytes are no whole slot. */
function decodeSlot(bytes: Buffer): Slot | null {
  if (bytes.length < SLOT_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return null
  const crc = crc32(bytes.subarray(0, SLOT_BYTES - 4)) | 0
  if (crc !== bytes.readInt32BE(SLOT_BYTES - 4)) return null
  for (let at = 16; at < 72; at += 8) {
    if (!fitsI64(bytes, at) || readI64(bytes, at) < 0) return null
  }
  const nameLength = bytes.readInt32BE(76)
  if (nameLength < 0 || nameLength > NAME_BYTES_MAX) return null
  return {
    sequence: readI64(bytes, 16),
    format: bytes.readInt32BE(8),
    state: {
      clean: (bytes.readInt32BE(12) & CLEAN) !== 0,
      durableEnd: readI64(bytes, 24),
      dispatchedEnd: readI64(bytes, 32),
      sumOfMax: readI64(bytes, 40),
      checkpoint: {
        physicMs: readI64(bytes, 48),
        logicsMs: readI64(bytes, 56),
        indexMs: readI64(bytes, 64),
      },
      index: {
        unitCount: bytes.readInt32BE(72),
        name: bytes.toString('latin1', 80, 80 + nameLength),
      },
    },
  }
}

export class DurableEnd {
  readonly #disk: Disk
  readonly #path: string
  #file: DiskFile | null = null
  #sequence = 0
  #damaged = false

  constructor(disk: Disk, dir: string) {
    this.#disk = disk
    this.#path = path.join(dir, 'mqctl.durable')
  }

  /** Whether `read` found bytes that are neither a slot nor the zeros of a file that was just made. */
  get damaged(): boolean {
    return this.#damaged
  }

  /** What the whole slots say; null when there is none. STORE_FORMAT_UNKNOWN when a newer version wrote it. */
  async read(): Promise<DurableRead | null> {
    if ((await this.#disk.facts(this.#path)) === null) return null
    const bytes = await this.#disk.readFile(this.#path)
    let newest: Slot | null = null
    const checkpoints: DurableState['checkpoint'][] = []
    for (let at = 0; at + SLOT_BYTES <= bytes.length; at += SLOT_BYTES) {
      const slot = decodeSlot(bytes.subarray(at, at + SLOT_BYTES))
      if (slot === null) continue
      if (slot.format > FORMAT) {
        throw new MqError('STORE_FORMAT_UNKNOWN', {
          path: path.dirname(this.#path),
          what: `format ${slot.format}, this version knows ${FORMAT}`,
        })
      }
      checkpoints.push(slot.state.checkpoint)
      if (newest === null || slot.sequence > newest.sequence) newest = slot
    }
    this.#sequence = newest?.sequence ?? 0
    this.#damaged = newest === null && bytes.some((byte) => byte !== 0)
    return newest && { state: newest.state, checkpoints }
  }

  /** Durable when it returns; until then the state before it stands. Calls must not overlap. */
  async write(state: DurableState): Promise<void> {
    if (this.#file === null) {
      this.#file = await this.#disk.open(this.#path, 'create')
      await this.#file.truncate(SLOT_BYTES * 2)
      await syncFile(this.#file)
      await this.#disk.syncDirectory(path.dirname(this.#path))
    }
    const file = this.#file
    this.#sequence++
    const bytes = encodeSlot(state, this.#sequence)
    const position = (this.#sequence % 2) * SLOT_BYTES
    await new Promise<void>((resolve, reject) => {
      file.write(bytes, 0, bytes.length, position, (error) => {
        if (error) reject(error)
        else resolve()
      })
    })
    await syncFile(file)
  }

  async close(): Promise<void> {
    await this.#file?.close()
    this.#file = null
  }
}
