/**
 * Bodies that their producers compressed, made plain again within a limit: who sent them decides how
 * much they claim to hold.
 */
import { inflateSync } from 'node:zlib'
import { Decompress } from 'fzstd'
import { lz4Decompress } from './lz4.ts'
import type { Compression } from './sys-flag.ts'

/** Null when it is damaged, of an unknown kind, or larger than the limit. Never throws. */
export function plainBytes(
  body: Buffer,
  compression: Compression,
  limitBytes: number,
): Buffer | null {
  try {
    switch (compression) {
      case 'none':
        return body
      case 'zlib':
        return inflateSync(body, { maxOutputLength: limitBytes })
      case 'lz4':
        return lz4Decompress(body, limitBytes)
      case 'zstd':
        return zstdDecompress(body, limitBytes)
      case 'unknown':
        return null
    }
  } catch {
    return null
  }
}

const ZSTD_MAGIC = 0xfd2fb528
const ZSTD_SKIPPABLE = 0x184d2a5
/** What every decoder must have room for, by the format's description; level 19 needs no more. */
const WINDOW_BYTES_MAX = 8 * 1024 * 1024
/** A block holds up to 128 KiB, and the decoder moves its window for each. */
const BLOCKS_MAX = 1_024

/**
 * Throws for frames whose decoding would cost more than a message may.
 *
 *   frame:  u32 0xFD2FB528 · descriptor · [window] · [dictionary id] · [content size] · blocks … · [u32 checksum]
 *   block:  u24: last (1 bit), kind (2), size (21) · bytes, of kind 1: one byte
 *
 * Source: RFC 8878.
 */
function checkZstd(body: Buffer): void {
  let at = 0
  let blocks = 0
  while (at < body.length) {
    const magic = body.readUInt32LE(at)
    if (magic >>> 4 === ZSTD_SKIPPABLE) {
      at += 8 + body.readUInt32LE(at + 4)
      continue
    }
    if (magic !== ZSTD_MAGIC) throw new Error('no frame')
    const descriptor = body.readUInt8(at + 4)
    const isSingle = (descriptor & 0x20) !== 0
    const sizeBytes = [isSingle ? 1 : 0, 2, 4, 8][descriptor >>> 6] ?? 0
    const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0
    const sizeAt = at + (isSingle ? 5 : 6) + dictionaryBytes
    const windowBytes = isSingle
      ? contentSize(body, sizeAt, sizeBytes)
      : windowOf(body[at + 5] ?? 0)
    if (windowBytes > WINDOW_BYTES_MAX) throw new Error('window too large')
    at = sizeAt + sizeBytes
    for (let isLast = false; !isLast;) {
      const head = body.readUIntLE(at, 3)
      isLast = (head & 1) === 1
      at += 3 + (((head >>> 1) & 3) === 1 ? 1 : head >>> 3)
      if (++blocks > BLOCKS_MAX) throw new Error('too many blocks')
    }
    if ((descriptor & 4) !== 0) at += 4
  }
}

function contentSize(body: Buffer, at: number, sizeBytes: number): number {
  if (sizeBytes === 8) return Number(body.readBigUInt64LE(at))
  return body.readUIntLE(at, sizeBytes) + (sizeBytes === 2 ? 256 : 0)
}

function windowOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >>> 3))
  return base + (base / 8) * (descriptor & 7)
}

/** Throws for what is no Zstandard frame or has more than the limit. */
function zstdDecompress(body: Buffer, limitBytes: number): Buffer {
  checkZstd(body)
  const parts: Uint8Array[] = []
  let bytes = 0
  const stream = new Decompress((part) => {
    bytes += part.length
    if (bytes > limitBytes) throw new Error('too large')
    parts.push(part.slice())
  })
  stream.push(body, true)
  return Buffer.concat(parts)
}
