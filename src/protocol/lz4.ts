/**
 * LZ4 frames, as Java clients write them into message bodies: compressed blocks of up to 4 MiB, each
 * with its length before it.
 *
 *   frame:  u32 0x184D2204 · FLG · BD · [u64 content size] · [u32 dictionary id] · HC
 *           blocks … · u32 0 · [u32 xxHash-32 of the content]
 *   block:  u32 length, top bit set: stored as it is · bytes · [u32 xxHash-32 of them]
 *   bytes:  sequences of  token · [more literal length] · literals · u16 distance · [more match length]
 *
 * All numbers are little-endian.
 * Source: the LZ4 frame and block format descriptions 1.6.x, apache/rocketmq
 * common/…/compression/Lz4Compressor.java (LZ4FrameOutputStream with its defaults).
 */
const MAGIC = 0x184d2204
/** Frames whose content is for somebody else: 0x184D2A50 … 5F, u32 length, bytes. */
const SKIPPABLE = 0x184d2a5
const VERSION = 0x40
const VERSION_MASK = 0xc0
const INDEPENDENT = 0x20
const BLOCK_CHECKSUM = 0x10
const CONTENT_SIZE = 0x08
const CONTENT_CHECKSUM = 0x04
const DICTIONARY = 0x01
/** BD: blocks of up to 4 MiB. */
const BLOCK_4_MIB = 7
const BLOCK_BYTES_MAX = 4 * 1024 * 1024
const STORED = 0x8000_0000

const MATCH_MIN = 4
/** The last five bytes are literals, and the last match begins twelve bytes before the end. */
const LAST_LITERALS = 5
const MATCH_BEFORE_END = 12
const DISTANCE_MAX = 65_535
const HASH_BITS = 14

/** Compresses into one frame. */
export function lz4Compress(source: Buffer): Buffer {
  const parts = [frameHeader()]
  for (let start = 0; start < source.length; start += BLOCK_BYTES_MAX) {
    const plain = source.subarray(start, Math.min(source.length, start + BLOCK_BYTES_MAX))
    const packed = compressBlock(plain)
    const length = Buffer.alloc(4)
    const isStored = packed.length >= plain.length
    length.writeUInt32LE(isStored ? (plain.length | STORED) >>> 0 : packed.length)
    parts.push(length, isStored ? plain : packed)
  }
  parts.push(Buffer.alloc(4))
  return Buffer.concat(parts)
}

/** Null for what is no LZ4 frame, is damaged, or has more than `limitBytes`. Never throws. */
export function lz4Decompress(source: Buffer, limitBytes: number): Buffer | null {
  const out = new Output(limitBytes)
  let at = 0
  let frames = 0
  while (at < source.length) {
    const next = readFrame(source, at, out)
    if (next === null) return null
    at = next
    frames += 1
  }
  return frames === 0 ? null : out.bytes()
}

function frameHeader(): Buffer {
  const header = Buffer.alloc(7)
  header.writeUInt32LE(MAGIC)
  header[4] = VERSION | INDEPENDENT
  header[5] = BLOCK_4_MIB << 4
  header[6] = (xxHash32(header, 4, 6) >>> 8) & 0xff
  return header
}

/** Where the frame ends; null when it is none. */
function readFrame(source: Buffer, start: number, out: Output): number | null {
  if (start + 7 > source.length) return null
  const magic = source.readUInt32LE(start)
  if (magic >>> 4 === SKIPPABLE) {
    const end = start + 8 + (start + 8 <= source.length ? source.readUInt32LE(start + 4) : 0)
    return end <= source.length ? end : null
  }
  const flags = source.readUInt8(start + 4)
  if (magic !== MAGIC || (flags & VERSION_MASK) !== VERSION) return null
  if ((flags & DICTIONARY) !== 0) return null
  let at = start + 6 + ((flags & CONTENT_SIZE) === 0 ? 0 : 8)
  if (at >= source.length) return null
  if (source.readUInt8(at) !== ((xxHash32(source, start + 4, at) >>> 8) & 0xff)) return null
  at += 1
  const contentStart = out.length
  for (;;) {
    if (at + 4 > source.length) return null
    const head = source.readUInt32LE(at)
    at += 4
    if (head === 0) break
    const isStored = head >= STORED
    const end = at + (isStored ? head - STORED : head)
    if (end > source.length) return null
    const isWhole = isStored
      ? out.copy(source, at, end)
      : readBlock(source, at, end, (flags & INDEPENDENT) === 0 ? contentStart : out.length, out)
    if (!isWhole) return null
    at = end
    if ((flags & BLOCK_CHECKSUM) !== 0) at += 4
  }
  if ((flags & CONTENT_CHECKSUM) === 0) return at
  if (at + 4 > source.length) return null
  if (source.readUInt32LE(at) !== out.hashFrom(contentStart)) return null
  return at + 4
}

/** False when the bytes are no block. Matches reach back to `oldest` at most. */
function readBlock(
  source: Buffer,
  start: number,
  end: number,
  oldest: number,
  out: Output,
): boolean {
  let at = start
  while (at < end) {
    const token = source.readUInt8(at++)
    let literals = token >>> 4
    if (literals === 15) {
      let more = 255
      while (more === 255) {
        if (at >= end) return false
        more = source.readUInt8(at++)
        literals += more
      }
    }
    if (at + literals > end || !out.copy(source, at, at + literals)) return false
    at += literals
    // The last sequence has literals only.
    if (at === end) return true
    if (at + 2 > end) return false
    const distance = source.readUInt16LE(at)
    at += 2
    let length = (token & 15) + MATCH_MIN
    if ((token & 15) === 15) {
      let more = 255
      while (more === 255) {
        if (at >= end) return false
        more = source.readUInt8(at++)
        length += more
      }
    }
    if (distance === 0 || out.length - distance < oldest || !out.repeat(distance, length)) {
      return false
    }
  }
  return false
}

/** What has been decompressed; grows up to a limit. */
class Output {
  #buffer: Buffer
  #length = 0
  readonly #limitBytes: number

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
    this.#buffer = Buffer.allocUnsafe(Math.min(limitBytes, 64 * 1024))
  }

  get length(): number {
    return this.#length
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  hashFrom(start: number): number {
    return xxHash32(this.#buffer, start, this.#length)
  }

  /** False when it would go beyond the limit. */
  copy(source: Buffer, start: number, end: number): boolean {
    if (!this.#reserve(end - start)) return false
    source.copy(this.#buffer, this.#length, start, end)
    this.#length += end - start
    return true
  }

  /** Appends what stands `distance` bytes before the end; that may overlap what it appends. */
  repeat(distance: number, count: number): boolean {
    if (!this.#reserve(count)) return false
    const buffer = this.#buffer
    const from = this.#length - distance
    let left = count
    while (left > 0) {
      // Each round doubles what can be copied at once.
      const step = Math.min(left, this.#length - from)
      buffer.copyWithin(this.#length, from, from + step)
      this.#length += step
      left -= step
    }
    return true
  }

  #reserve(count: number): boolean {
    const needed = this.#length + count
    if (needed > this.#limitBytes) return false
    if (needed > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(
        Math.min(this.#limitBytes, Math.max(needed, 2 * this.#buffer.length)),
      )
      this.#buffer.copy(grown, 0, 0, this.#length)
      this.#buffer = grown
    }
    return true
  }
}

/** Greedy, with one remembered place for each hash of four bytes. */
function compressBlock(source: Buffer): Buffer {
  const target = Buffer.allocUnsafe(source.length + Math.floor(source.length / 255) + 16)
  const places = new Int32Array(1 << HASH_BITS).fill(-1)
  const lastMatchStart = source.length - MATCH_BEFORE_END
  const matchEnd = source.length - LAST_LITERALS
  let anchor = 0
  let at = 0
  let end = 0
  /** Grows while nothing matches, so that what cannot be compressed costs little. */
  let misses = 0
  while (at <= lastMatchStart) {
    const word = source.readUInt32LE(at)
    const hash = Math.imul(word, 0x9e3779b1) >>> (32 - HASH_BITS)
    const found = places[hash] ?? -1
    places[hash] = at
    if (found < 0 || at - found > DISTANCE_MAX || source.readUInt32LE(found) !== word) {
      at += 1 + (misses++ >>> 6)
      continue
    }
    misses = 0
    let length = MATCH_MIN
    while (at + length < matchEnd && source[found + length] === source[at + length]) length += 1
    end = writeSequence(target, end, source, anchor, at, at - found, length)
    at += length
    anchor = at
  }
  end = writeSequence(target, end, source, anchor, source.length, 0, 0)
  return target.subarray(0, end)
}

/** Answers where the sequence ends. Without a distance it is the last one. */
function writeSequence(
  target: Buffer,
  start: number,
  source: Buffer,
  from: number,
  to: number,
  distance: number,
  matchLength: number,
): number {
  const literals = to - from
  const match = distance === 0 ? 0 : matchLength - MATCH_MIN
  let at = start
  target[at++] = (Math.min(literals, 15) << 4) | Math.min(match, 15)
  at = writeRest(target, at, literals)
  source.copy(target, at, from, to)
  at += literals
  if (distance === 0) return at
  target.writeUInt16LE(distance, at)
  return writeRest(target, at + 2, match)
}

/** What of a length does not fit into its four bits of the token. */
function writeRest(target: Buffer, start: number, length: number): number {
  if (length < 15) return start
  let at = start
  let left = length - 15
  for (; left >= 255; left -= 255) target[at++] = 255
  target[at++] = left
  return at
}

const PRIME_1 = 0x9e3779b1
const PRIME_2 = 0x85ebca77
const PRIME_3 = 0xc2b2ae3d
const PRIME_4 = 0x27d4eb2f
const PRIME_5 = 0x165667b1

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits))
}

/** xxHash-32 with seed 0, unsigned. */
export function xxHash32(bytes: Buffer, start: number, end: number): number {
  let at = start
  let hash: number
  if (end - start >= 16) {
    const lanes = [(PRIME_1 + PRIME_2) | 0, PRIME_2 | 0, 0, -PRIME_1 | 0]
    for (; at + 16 <= end; at += 16) {
      for (let lane = 0; lane < 4; lane++) {
        const word = bytes.readUInt32LE(at + 4 * lane)
        const mixed = ((lanes[lane] ?? 0) + Math.imul(word, PRIME_2)) | 0
        lanes[lane] = Math.imul(rotate(mixed, 13), PRIME_1)
      }
    }
    const [a = 0, b = 0, c = 0, d = 0] = lanes
    hash = (rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)) | 0
  } else hash = PRIME_5 | 0
  hash = (hash + (end - start)) | 0
  for (; at + 4 <= end; at += 4) {
    const mixed = (hash + Math.imul(bytes.readUInt32LE(at), PRIME_3)) | 0
    hash = Math.imul(rotate(mixed, 17), PRIME_4)
  }
  for (; at < end; at++) {
    const mixed = (hash + Math.imul(bytes.readUInt8(at), PRIME_5)) | 0
    hash = Math.imul(rotate(mixed, 11), PRIME_1)
  }
  hash = Math.imul(hash ^ (hash >>> 15), PRIME_2)
  hash = Math.imul(hash ^ (hash >>> 13), PRIME_3)
  return (hash ^ (hash >>> 16)) >>> 0
}
