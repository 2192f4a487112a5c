import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { lz4Compress, lz4Decompress, xxHash32 } from '../../src/protocol/lz4.ts'

const MIB = 1024 * 1024

/** Made by lz4 1.9.4: linked blocks, content size, checksum of the content. */
const golden = Buffer.from(
  'BCJNGGxANgAAAAAAAABVFgAAAD9hYmMDAA5jIGhlbGxvBgBQaGVsbG8AAAAAi2fMog==',
  'base64',
)
const plain = Buffer.from('abcabcabcabcabcabcabcabcabcabcabcabc hello hello hello')

/** Text with repetitions near and far, as bodies have them. */
const texts = fc
  .array(fc.tuple(fc.string({ maxLength: 40 }), fc.nat(30)), { maxLength: 40 })
  .map((parts) => Buffer.from(parts.map(([text, count]) => text.repeat(count)).join('')))

describe('LZ4', () => {
  it('hashes as xxHash-32 does', () => {
    // Source: the reference implementation (xxhsum -H0) for these texts.
    const hash = (text: string) => xxHash32(Buffer.from(text), 0, Buffer.byteLength(text))
    expect(hash('')).toBe(0x02cc5d05)
    expect(hash('abc')).toBe(0x32d153ff)
    expect(hash('Nobody inspects the spammish repetition')).toBe(0xe2293b2f)
  })

  it('reads what another implementation wrote', () => {
    expect(lz4Decompress(golden, 100)).toEqual(plain)
  })

  it('gives every body back', () => {
    fc.assert(
      fc.property(fc.oneof(texts, fc.uint8Array({ maxLength: 300 })), (given) => {
        const body = Buffer.from(given)
        expect(lz4Decompress(lz4Compress(body), body.length)).toEqual(body)
      }),
    )
  })

  it('gives bodies of several blocks back, compressible or not', () => {
    const random = Buffer.alloc(5 * MIB)
    for (let i = 0, state = 1; i < random.length; i++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
      random[i] = state >>> 24
    }
    for (const body of [random, Buffer.alloc(9 * MIB, 'abcdefg')]) {
      const packed = lz4Compress(body)
      expect(packed.length).toBeLessThan(body.length + 64)
      expect(lz4Decompress(packed, body.length)?.equals(body)).toBe(true)
    }
  })

  it('makes a repetitive body much smaller', () => {
    expect(lz4Compress(Buffer.alloc(100_000, 'hello world ')).length).toBeLessThan(1_000)
  })

  it('stops at the limit', () => {
    const packed = lz4Compress(Buffer.alloc(100_000))
    expect(lz4Decompress(packed, 99_999)).toBeNull()
    expect(lz4Decompress(packed, 100_000)).toHaveLength(100_000)
  })

  it('answers null for a frame that is cut or whose content was changed', () => {
    for (let length = 0; length < golden.length; length++) {
      expect(lz4Decompress(golden.subarray(0, length), 1_000)).toBeNull()
    }
    for (let i = 0; i < golden.length; i++) {
      const damaged = Buffer.from(golden)
      damaged[i] = (damaged[i] ?? 0) ^ 0x41
      expect([i, lz4Decompress(damaged, 1_000)]).toEqual([i, null])
    }
  })

  it('never throws, whatever the bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (tail) => {
        const bytes = Buffer.concat([golden.subarray(0, 15), Buffer.from(tail)])
        const out = lz4Decompress(bytes, 10_000)
        expect(out === null || out.length <= 10_000).toBe(true)
      }),
    )
  })
})
