/**
 * Bodies to send: a pool made before the run from a seed, so that two runs send the same bytes and
 * no message costs random numbers. Entropy says how much of a body is random; the rest is one
 * repeated byte. A pool of one identical body would flatter everything that compresses or caches.
 */
import { crc32, deflateRawSync } from 'node:zlib'
import { HEADER_BYTES } from './message.ts'

export interface PayloadOptions {
  /** Bytes of a body, the header of a checked message included. */
  readonly sizeBytes: number
  /** Bodies in the pool. */
  readonly count: number
  /** 0 … 1. */
  readonly entropy: number
  readonly seed: number
}

export class PayloadPool {
  readonly sizeBytes: number
  readonly count: number
  /** All bodies, one behind the other. */
  readonly bytes: Buffer
  /** By body: CRC-32 of what lies behind the header. */
  readonly #crcs: Int32Array

  constructor(options: PayloadOptions) {
    this.sizeBytes = options.sizeBytes
    this.count = options.count
    this.bytes = Buffer.alloc(options.sizeBytes * options.count, 0x61)
    this.#crcs = new Int32Array(options.count)
    const random = xorshift(options.seed)
    const randomBytes = Math.round(options.sizeBytes * options.entropy)
    for (let index = 0; index < options.count; index += 1) {
      const start = index * options.sizeBytes
      for (let at = start; at < start + randomBytes; at += 1) this.bytes[at] = random() & 0xff
      const payloadStart = Math.min(start + HEADER_BYTES, start + options.sizeBytes)
      this.#crcs[index] = crc32(this.bytes.subarray(payloadStart, start + options.sizeBytes)) | 0
    }
  }

  /** CRC-32 of the payload of one body. */
  payloadCrc(index: number): number {
    return this.#crcs[index] ?? 0
  }

  /** Compressed size by deflate as a share of the size: 1 means that it does not compress. */
  compressRatio(): number {
    const sample = this.bytes.subarray(0, Math.min(this.bytes.length, 256 * 1024))
    return sample.length === 0 ? 1 : deflateRawSync(sample).length / sample.length
  }
}

/** Marsaglia's xorshift32: 32-bit numbers from a seed; the same seed, the same numbers. */
export function xorshift(seed: number): () => number {
  let state = (seed | 0) === 0 ? 0x9e37_79b9 : seed | 0
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}
