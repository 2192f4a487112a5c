/**
 * Reading the log: from the tail by copying, and older parts through a cache of large blocks.
 * Bytes that come from the disk are checked (header, position, checksum of the body) before anyone
 * gets them: a record that rotted is skipped, counted and named, never served wrong.
 */
import { copyBytes, readI32 } from '../base/bytes.ts'
import type { Logger } from '../base/logger.ts'
import { RecordVerdict, RecordView } from '../protocol/record.ts'
import type { Clock } from '../world/clock.ts'
import { BlockCache, type ReadGate } from './block-cache.ts'
import { LooseRecords, type RecordPlace } from './loose-records.ts'
import type { OpenFiles } from './open-files.ts'
import { RECORD_BYTES_MAX, type StoreSettings } from './options.ts'
import type { Segment, Segments } from './segments.ts'
import type { Chunk, Tail } from './tail.ts'
import type { Watermarks } from './watermarks.ts'

/**
 * Where the answer to a pull is put together: bytes are written at `length`, after `reserve` made
 * room for them (which may replace `bytes`).
 */
export interface ReplyBuffer {
  readonly bytes: Buffer
  length: number
  reserve(count: number): number
}

export const CopyResult = {
  ok: 0,
  /** Not in memory: `load` it and try again. */
  absent: 1,
  /** There is no valid record of this size at this place. */
  bad: 2,
} as const
export type CopyResult = (typeof CopyResult)[keyof typeof CopyResult]

const BLOCK_BYTES = 256 * 1024
/** Enough of a record to know its size, and to reach its store time with IPv6 hosts. */
export const HEADER_BYTES = 128
/** Least that tells how long a record is and whether it is one; none is shorter. */
const HEAD_BYTES_MIN = 84
const COMPLAINT_INTERVAL_MS = 30_000
/** Memory for records that are read one by one, for all that one pull usually wants of them, and how often it is kept. */
const LOOSE_BYTES = 64 * 1024
const LOOSE_KEPT_MAX = 8

/** Where a record is put together that is looked at and not handed out. */
class Joined implements ReplyBuffer {
  bytes: Buffer = Buffer.alloc(0)
  readonly length = 0

  reserve(count: number): number {
    // Longer ones are not kept: they are rare, and some have megabytes.
    const wanted = Math.max(count, BLOCK_BYTES)
    if (this.bytes.length !== wanted) this.bytes = Buffer.allocUnsafeSlow(wanted)
    return 0
  }
}

export class LogReader {
  /** Records that were found damaged while being read. */
  badRecords = 0
  /** Position of the last of them; −1 when there was none. */
  lastBadOffset = -1
  /** Position of the first of them, in the order they were met; −1 when there was none. */
  firstBadOffset = -1
  /** Position of the last record that was found in older data; callers may reset it to −1. */
  coldOffset = -1
  /** The record that `look` found stands in these bytes, where `seen` says: until the next call or await. */
  seenBytes: Buffer = Buffer.alloc(0)
  readonly seen: RecordView = new RecordView()
  /** Where what was found last begins in `seenBytes`. */
  #seenAt = 0
  readonly #segments: Segments
  readonly #tail: Tail
  readonly #watermarks: Watermarks
  readonly #files: OpenFiles
  readonly #gate: ReadGate
  readonly #cache: BlockCache
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #joined = new Joined()
  readonly #view = new RecordView()
  /** Records that were read one by one for a pull that wants few of many, while it takes them. */
  #loose: LooseRecords | null = null
  /** Memory for such ones that nobody uses. */
  readonly #looseBytes: Buffer[] = []
  #complainedMs = -Infinity

  constructor(
    settings: StoreSettings,
    segments: Segments,
    tail: Tail,
    watermarks: Watermarks,
    files: OpenFiles,
    gate: ReadGate,
    clock: Clock,
    logger: Logger,
  ) {
    this.#segments = segments
    this.#tail = tail
    this.#watermarks = watermarks
    this.#files = files
    this.#gate = gate
    this.#clock = clock
    this.#logger = logger
    this.#cache = new BlockCache(BLOCK_BYTES, settings.cacheBytes, files, gate)
  }

  /** Copies a record that a unit in memory points to; only for positions that the tail holds. */
  copyFromTail(physicalOffset: number, size: number, target: ReplyBuffer): boolean {
    const chunk = this.#tail.find(physicalOffset)
    if (chunk === null || physicalOffset + size > chunk.end) return false
    const at = target.reserve(size)
    const from = physicalOffset - chunk.start
    target.length = copyBytes(chunk.bytes, from, from + size, target.bytes, at)
    return true
  }

  /** Copies the record to the end of `target` when it is in memory, and checks that it is the one. */
  copyChecked(
    physicalOffset: number,
    size: number,
    queueId: number,
    queueOffset: number,
    target: ReplyBuffer,
  ): CopyResult {
    const found = this.#find(physicalOffset, size, target)
    if (found !== CopyResult.ok) return found
    if (!this.#isRecord(this.#view, true, physicalOffset, size, queueId, queueOffset)) {
      return CopyResult.bad
    }
    const { seenBytes } = this
    const at = this.#seenAt
    if (seenBytes === target.bytes) target.length = at + size
    else {
      const to = target.reserve(size)
      target.length = copyBytes(seenBytes, at, at + size, target.bytes, to)
    }
    return CopyResult.ok
  }

  /**
   * Finds the record where it lies in memory and checks its header, not its body: for who decides
   * whether it is wanted at all. What is handed out goes through `copyChecked`.
   */
  look(physicalOffset: number, size: number, queueId: number, queueOffset: number): CopyResult {
    const found = this.#find(physicalOffset, size, this.#joined)
    if (found !== CopyResult.ok) return found
    const isIt = this.#isRecord(this.seen, false, physicalOffset, size, queueId, queueOffset)
    return isIt ? CopyResult.ok : CopyResult.bad
  }

  /** Finds the bytes of a record. What lies in several pieces is put together behind the end of `joined`. */
  #find(physicalOffset: number, size: number, joined: ReplyBuffer): CopyResult {
    const end = physicalOffset + size
    const chunk = this.#tail.find(physicalOffset)
    if (chunk !== null && end <= chunk.end) {
      this.seenBytes = chunk.bytes
      this.#seenAt = physicalOffset - chunk.start
      return CopyResult.ok
    }
    if (this.#loose !== null) {
      const at = this.#loose.find(physicalOffset, size)
      if (at >= 0) {
        this.seenBytes = this.#loose.bytes
        this.#seenAt = at
        return CopyResult.ok
      }
    }
    const segment = this.#segments.find(physicalOffset)
    if (size <= 0 || size > RECORD_BYTES_MAX || segment === null) return CopyResult.bad
    if (end > segment.end || end > this.#watermarks.written) return CopyResult.bad
    const inSegment = physicalOffset - segment.from
    const from = inSegment % BLOCK_BYTES
    if (from + size > BLOCK_BYTES) {
      const at = joined.reserve(size)
      if (!this.#copyFromBlocks(segment, physicalOffset, size, joined.bytes, at)) {
        return CopyResult.absent
      }
      this.seenBytes = joined.bytes
      this.#seenAt = at
    } else {
      // The usual case: it lies within one block and is copied once, if at all.
      const block = this.#cache.get(segment, (inSegment - from) / BLOCK_BYTES)
      if (block === null || from + size > block.validBytes) return CopyResult.absent
      this.seenBytes = block.bytes
      this.#seenAt = from
    }
    this.coldOffset = physicalOffset
    return CopyResult.ok
  }

  /** Whether what was found is a whole record with this position and queue, and a right checksum. */
  #isRecord(
    view: RecordView,
    checkCrc: boolean,
    physicalOffset: number,
    size: number,
    queueId: number,
    queueOffset: number,
  ): boolean {
    const at = this.#seenAt
    return (
      view.check(this.seenBytes, at, at + size, checkCrc) === RecordVerdict.ok &&
      view.size === size &&
      view.physicalOffset === physicalOffset &&
      view.queueId === queueId &&
      view.queueOffset === queueOffset
    )
  }

  #copyFromBlocks(
    segment: Segment,
    physicalOffset: number,
    size: number,
    target: Buffer,
    start: number,
  ): boolean {
    const end = physicalOffset + size
    let at = start
    let position = physicalOffset
    while (position < end) {
      const inSegment = position - segment.from
      const key = Math.floor(inSegment / BLOCK_BYTES)
      const block = this.#cache.get(segment, key)
      const from = inSegment - key * BLOCK_BYTES
      const to = Math.min(BLOCK_BYTES, from + end - position)
      if (block === null || to > block.validBytes) return false
      at = copyBytes(block.bytes, from, to, target, at)
      position += to - from
    }
    return true
  }

  /** Reads the blocks of [physicalOffset, +size) into the cache, and the next ones when reading goes forward. */
  async load(physicalOffset: number, size: number): Promise<void> {
    const segment = this.#segments.find(physicalOffset)
    if (segment === null) return
    const last = Math.floor((physicalOffset + size - 1 - segment.from) / BLOCK_BYTES)
    const loads: Promise<void>[] = []
    for (let key = Math.floor((physicalOffset - segment.from) / BLOCK_BYTES); key <= last; key++) {
      const block = this.#cache.get(segment, key)
      const valid = this.#validBytes(segment.from + key * BLOCK_BYTES, segment.end)
      if (block === null || block.validBytes < valid) {
        loads.push(this.#loadBlock(physicalOffset, key, valid))
      }
    }
    this.readAhead(physicalOffset + size - 1)
    await Promise.all(loads)
  }

  /**
   * Reads each of these records by itself, those that are not in memory, for as long as `use` takes,
   * which finds them there. They stand in the order of the log. What could not be read whole is left to `load`.
   */
  async withEach<Value>(places: readonly RecordPlace[], use: () => Value): Promise<Value> {
    const records = new LooseRecords(
      places.filter(([at, size]) => this.#isAbsent(at, size)),
      (bytes) =>
        bytes <= LOOSE_BYTES
          ? (this.#looseBytes.pop() ?? Buffer.allocUnsafeSlow(LOOSE_BYTES))
          : Buffer.allocUnsafeSlow(bytes),
    )
    try {
      await records.read(this.#segments, this.#files, this.#gate)
      this.#loose = records
      return use()
    } finally {
      this.#loose = null
      const { bytes } = records
      if (bytes.length === LOOSE_BYTES && this.#looseBytes.length < LOOSE_KEPT_MAX) {
        this.#looseBytes.push(bytes)
      }
    }
  }

  /** Whether the record is neither in memory nor beyond what is written. */
  #isAbsent(physicalOffset: number, size: number): boolean {
    return this.#find(physicalOffset, size, this.#joined) === CopyResult.absent
  }

  /** Starts to read the two blocks behind the one of `physicalOffset` when the one before it was read too. */
  readAhead(physicalOffset: number): void {
    const segment = this.#segments.find(physicalOffset)
    if (segment === null) return
    const key = Math.floor((physicalOffset - segment.from) / BLOCK_BYTES)
    if (key > 0 && !this.#cache.has(segment, key - 1)) return
    for (let ahead = key + 1; ahead <= key + 2; ahead++) {
      const start = segment.from + ahead * BLOCK_BYTES
      if (start + BLOCK_BYTES > Math.min(this.#watermarks.written, segment.end)) return
      if (this.#cache.has(segment, ahead)) continue
      // A read ahead that fails is tried again by the read that needs it.
      this.#loadBlock(physicalOffset, ahead, BLOCK_BYTES).catch(() => undefined)
    }
  }

  #validBytes(blockStart: number, segmentEnd: number): number {
    return Math.min(BLOCK_BYTES, Math.min(this.#watermarks.written, segmentEnd) - blockStart)
  }

  async #loadBlock(physicalOffset: number, key: number, validBytes: number): Promise<void> {
    const segment = this.#segments.find(physicalOffset)
    if (segment === null || validBytes <= 0) return
    await this.#cache.load(segment, key, segment.path, key * BLOCK_BYTES, validBytes)
  }

  /** The bytes from `physicalOffset` on, at most `length`, fewer at the end of a segment or of the log. */
  async readBytes(physicalOffset: number, length: number): Promise<Buffer> {
    const chunk = this.#tail.find(physicalOffset)
    if (chunk !== null) {
      const from = physicalOffset - chunk.start
      const to = Math.min(from + length, chunk.end - chunk.start)
      return Buffer.from(chunk.bytes.subarray(from, to))
    }
    const segment = this.#segments.find(physicalOffset)
    if (segment === null) return Buffer.alloc(0)
    const end = Math.min(physicalOffset + length, segment.end, this.#watermarks.written)
    if (end <= physicalOffset) return Buffer.alloc(0)
    await this.#gate.enter()
    try {
      // Not before: those who wait hold no memory.
      const target = Buffer.allocUnsafeSlow(end - physicalOffset)
      const file = await this.#files.acquire(segment.path)
      try {
        const count = await new Promise<number>((resolve, reject) => {
          const position = physicalOffset - segment.from
          file.read(target, 0, target.length, position, (error, bytesRead) => {
            if (error) reject(error)
            else resolve(bytesRead)
          })
        })
        return target.subarray(0, count)
      } finally {
        this.#files.release(segment.path, file)
      }
    } finally {
      this.#gate.leave()
    }
  }

  /**
   * The whole, valid record that starts at the position, or null. The position may be anybody's choice:
   * what stands there is believed only as far as it is a record that says that it stands there.
   */
  async recordAt(physicalOffset: number): Promise<Buffer | null> {
    if (physicalOffset < this.#segments.first.from) return null
    const view = this.#view
    const isHere = (bytes: Buffer) =>
      view.check(bytes, 0, bytes.length, true) === RecordVerdict.ok &&
      view.physicalOffset === physicalOffset
    const held = this.#heldRecord(physicalOffset)
    if (held !== null) return isHere(held) ? held : null
    // A sector behind it that cannot be read is no reason: then its head alone says how long it is.
    const start = await this.readBytes(physicalOffset, 4096).catch(() =>
      this.readBytes(physicalOffset, HEAD_BYTES_MIN),
    )
    if (start.length < 8) return null
    const verdict = view.check(start, 0, start.length, true)
    if (verdict !== RecordVerdict.partial) {
      return isHere(start) ? start.subarray(0, view.size) : null
    }
    const segment = this.#segments.find(physicalOffset)
    if (segment === null || physicalOffset + view.size > segment.end) return null
    if (view.size > RECORD_BYTES_MAX || RecordView.storeTimeOf(start, physicalOffset) < 0) {
      return null
    }
    const whole = await this.readBytes(physicalOffset, view.size)
    return isHere(whole) ? whole : null
  }

  /** A copy of what the tail has there, as long as its first field says; null when it has no whole one. */
  #heldRecord(physicalOffset: number): Buffer | null {
    const chunk = this.#tail.find(physicalOffset)
    const size = chunk === null ? 0 : heldBytes(chunk, physicalOffset)
    if (chunk === null || size === 0) return null
    const from = physicalOffset - chunk.start
    return Buffer.from(chunk.bytes.subarray(from, from + size))
  }

  /** The same, added to `target`; how many bytes, 0 when there is no whole one. */
  copyHeld(physicalOffset: number, target: ReplyBuffer): number {
    const chunk = this.#tail.find(physicalOffset)
    const size = chunk === null ? 0 : heldBytes(chunk, physicalOffset)
    if (chunk === null || size === 0) return 0
    const from = physicalOffset - chunk.start
    const at = target.reserve(size)
    target.length = copyBytes(chunk.bytes, from, from + size, target.bytes, at)
    return size
  }

  /** Store time of the record at the position, ms; −1 when it is not there. */
  async storeTimeAt(physicalOffset: number): Promise<number> {
    if (physicalOffset < this.#segments.first.from) return -1
    const bytes = await this.readBytes(physicalOffset, HEADER_BYTES)
    return RecordView.storeTimeOf(bytes, physicalOffset)
  }

  /** The segment's file is about to go away. */
  forget(segment: Segment): void {
    this.#cache.drop(segment)
    this.#files.drop(segment.path)
  }

  /** A record that should be there and is not whole: counted once, named, and skipped. */
  reportBad(physicalOffset: number, topic: string, queueId: number, queueOffset: number): void {
    this.badRecords++
    this.lastBadOffset = physicalOffset
    if (this.badRecords === 1) this.firstBadOffset = physicalOffset
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#complainedMs < COMPLAINT_INTERVAL_MS) return
    this.#complainedMs = nowMs
    this.#logger.error('a damaged record is skipped', {
      physicalOffset,
      topic,
      queueId,
      queueOffset,
      badRecords: this.badRecords,
    })
  }
}

/** How long the record at the position says it is; 0 when the chunk has not all of it. */
function heldBytes(chunk: Chunk, physicalOffset: number): number {
  if (physicalOffset + 4 > chunk.end) return 0
  const size = readI32(chunk.bytes, physicalOffset - chunk.start)
  return size < 8 || physicalOffset + size > chunk.end ? 0 : size
}
