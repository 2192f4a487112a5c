import { deflateSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { bodyCompressor, compressionKinds } from '../../src/client/body-compressor.ts'
import { plainBytes } from '../../src/protocol/compressed-body.ts'
import { compressionOf } from '../../src/protocol/sys-flag.ts'

const plain = Buffer.from('abcabcabcabcabcabcabcabcabcabcabcabc hello hello hello')
/** Made by zstd 1.5.4: with its content's size, and as a stream. */
const golden = [
  'KLUv/SQ2jQAASGFiYyBoZWxsbwIAKVxxdEPuoEY/',
  'KLUv/QRYjQAASGFiYyBoZWxsbwIAKVxxdEPuoEY/',
]

const head = (...bytes: number[]) => Buffer.from([0x28, 0xb5, 0x2f, 0xfd, ...bytes])

describe('a compressed body', () => {
  it.each(compressionKinds)('of kind %s is made plain again, up to a limit', async (kind) => {
    const compressor = await bodyCompressor(kind)
    const body = Buffer.alloc(300_000, 'one two three ')
    const packed = compressor.compress(body)
    expect(packed.length).toBeLessThan(3_000)
    expect(compressionOf(compressor.sysFlag)).toBe(kind)
    expect(plainBytes(packed, kind, 300_000)?.equals(body)).toBe(true)
    expect(plainBytes(packed, kind, 299_999)).toBeNull()
    expect(plainBytes(packed.subarray(0, -8), kind, 300_000)).toBeNull()
    expect(plainBytes(Buffer.from('no such thing'), kind, 300_000)).toBeNull()
  })

  it.each(golden)('by another implementation of Zstandard is read: %s', (text) => {
    expect(plainBytes(Buffer.from(text, 'base64'), 'zstd', 1_000)).toEqual(plain)
  })

  it('that is not compressed is itself; of an unknown kind it is not read', () => {
    expect(plainBytes(plain, 'none', 1)).toBe(plain)
    expect(plainBytes(deflateSync(plain), 'unknown', 1_000)).toBeNull()
  })

  it.each([
    ['a window of 16 MiB', head(0x00, 0x70, 0x01, 0x00, 0x00)],
    ['a content of 4 GiB in one segment', head(0xa0, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00, 0x00)],
    [
      'more blocks than a message can have',
      Buffer.concat([head(0x00, 0x00), Buffer.alloc(3 * 2_000), Buffer.from([1, 0, 0])]),
    ],
  ])('with %s is not worth the memory and the time', (_what, body) => {
    expect(plainBytes(body, 'zstd', 16 * 1024 * 1024)).toBeNull()
  })
})
