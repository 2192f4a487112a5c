/**
 * Bodies to send: a pool made before the run from a seed, so that two runs send the same bytes and
 * no message costs random numbers. Entropy says how much of a body is random; the rest is one
 * repeated byte. A pool of one identical body would flatter everything that compresses or caches.
 */
import { crc32, deflateRawSync } from 'node:zlib'
import { deal } from './deal.ts'
import { HEADER_BYTES } from './message.ts'

/** A size and how often it comes in relation to the others. */
export interface WeightedSize {
  readonly sizeBytes: number
  readonly weight: number
}

export interface PayloadOptions {
  /** Bytes of a body, the header of a checked message included; one size, or a mix. */
  readonly sizes: readonly WeightedSize[]
  /** Bodies in the pool. */
  readonly count: number
  /** 0 … 1. */
  readonly entropy: number
  readonly seed: number
}

export class PayloadPool {
  /** The smallest and the largest body. */
  readonly sizeBytesMin: number
  readonly sizeBytesMax: number
  readonly count: number
  /** All bodies, one behind the other. */
  readonly bytes: Buffer
  /** By body: where it begins, and one more for the end of the last. */
  readonly #starts: Float64Array
  /** By body: CRC-32 of what lies behind the header. */
  readonly #crcs: Int32Array

  constructor(options: PayloadOptions) {
    this.count = options.count
    const random = xorshift(options.seed)
    const sizes = sizesOf(options, random)
    this.sizeBytesMin = Math.min(...options.sizes.map(({ sizeBytes }) => sizeBytes))
    this.sizeBytesMax = Math.max(...options.sizes.map(({ sizeBytes }) => sizeBytes))
    this.#starts = new Float64Array(options.count + 1)
    for (const [index, size] of sizes.entries()) {
      this.#starts[index + 1] = (this.#starts[index] ?? 0) + size
    }
    this.bytes = Buffer.alloc(this.#starts[options.count] ?? 0, 0x61)
    this.#crcs = new Int32Array(options.count)
    for (let index = 0; index < options.count; index += 1) {
      const [start, end] = [this.startOf(index), this.endOf(index)]
      const randomBytes = Math.round((end - start) * options.entropy)
      for (let at = start; at < start + randomBytes; at += 1) this.bytes[at] = random() & 0xff
      const payloadStart = Math.min(start + HEADER_BYTES, end)
      this.#crcs[index] = crc32(this.bytes.subarray(payloadStart, end)) | 0
    }
  }

  startOf(index: number): number {
    return this.#starts[index] ?? 0
  }

  endOf(index: number): number {
    return this.#starts[index + 1] ?? 0
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

/** One size a body. */
function sizesOf({ sizes, count }: PayloadOptions, random: () => number): number[] {
  const weights = sizes.map(({ weight }) => weight)
  return deal(weights, count, random).map((index) => sizes[index]?.sizeBytes ?? 0)
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
