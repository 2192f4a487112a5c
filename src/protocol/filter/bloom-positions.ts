/**
 * Where Apache's Bloom filter has the bits of a text. The filter of consumers has 112 bits and three
 * hash functions: an error rate of 20 % for 32 consumers, Apache's defaults.
 * Source: apache/rocketmq filter/…/util/BloomFilter.java; Guava's Hashing.murmur3_128() with seed 0,
 * after Austin Appleby's MurmurHash3_x64_128, which is in the public domain.
 */

/** ceil(32 × log2(1 / 0.2) × log2(e)), in whole bytes. */
export const FILTER_BITS = 112
/** ceil(log(0.2) / log(0.5)). */
const HASHES = 3

const C1 = 0x87c37b91114253d5n
const C2 = 0x4cf5ad432745937fn
const BLOCK_BYTES = 16

/** Three positions below 112, in the order in which Apache writes them. */
export function bloomPositions(text: string): number[] {
  const hash = murmur3Low64(Buffer.from(text))
  const first = Number(BigInt.asIntN(32, hash))
  const second = Number(BigInt.asIntN(32, hash >> 32n))
  return Array.from({ length: HASHES }, (_, i) => {
    const combined = (first + Math.imul(i + 1, second)) | 0
    return (combined < 0 ? ~combined : combined) % FILTER_BITS
  })
}

/** The first eight bytes of the 128-bit hash. */
function murmur3Low64(bytes: Buffer): bigint {
  let h1 = 0n
  let h2 = 0n
  const tailAt = bytes.length - (bytes.length % BLOCK_BYTES)
  for (let at = 0; at < tailAt; at += BLOCK_BYTES) {
    h1 ^= mixFirst(bytes.readBigUInt64LE(at))
    h1 = low64((rotate(h1, 27n) + h2) * 5n + 0x52dce729n)
    h2 ^= mixSecond(bytes.readBigUInt64LE(at + 8))
    h2 = low64((rotate(h2, 31n) + h1) * 5n + 0x38495ab5n)
  }
  const tail = Buffer.alloc(BLOCK_BYTES)
  bytes.copy(tail, 0, tailAt)
  // What is missing counts as zeros, which mix to zero.
  h1 ^= mixFirst(tail.readBigUInt64LE(0))
  h2 ^= mixSecond(tail.readBigUInt64LE(8))
  const length = BigInt(bytes.length)
  h1 ^= length
  h2 ^= length
  h1 = low64(h1 + h2)
  h2 = low64(h2 + h1)
  return low64(avalanche(h1) + avalanche(h2))
}

function mixFirst(k: bigint): bigint {
  return low64(rotate(low64(k * C1), 31n) * C2)
}

function mixSecond(k: bigint): bigint {
  return low64(rotate(low64(k * C2), 33n) * C1)
}

function avalanche(h: bigint): bigint {
  const once = low64((h ^ (h >> 33n)) * 0xff51afd7ed558ccdn)
  const twice = low64((once ^ (once >> 33n)) * 0xc4ceb9fe1a85ec53n)
  return twice ^ (twice >> 33n)
}

function rotate(value: bigint, bits: bigint): bigint {
  return low64((value << bits) | (value >> (64n - bits)))
}

function low64(value: bigint): bigint {
  return BigInt.asUintN(64, value)
}
