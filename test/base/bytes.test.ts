import { describe, expect, it } from 'vitest'
import { copyBytes, readI16, readI32, readI8, viewOf, writeI32 } from '../../src/base/bytes.ts'

describe('32-bit numbers', () => {
  it.each([0, 1, -1, 0x7fff_ffff, -0x8000_0000, 0xffff_ffff, 0x1234_5678])(
    'are written as Buffer writes them: %d',
    (value) => {
      const ours = Buffer.alloc(8)
      const theirs = Buffer.alloc(8)
      expect(writeI32(ours, value, 2)).toBe(6)
      theirs.writeInt32BE(value | 0, 2)
      expect(ours).toEqual(theirs)
      expect(readI32(ours, 2)).toBe(theirs.readInt32BE(2))
    },
  )
})

describe('smaller numbers', () => {
  it.each([0, 1, -1, 127, -128, 0x7fff, -0x8000, 0x0100])(
    '%i reads as Buffer reads it',
    (value) => {
      const bytes = Buffer.alloc(2)
      bytes.writeInt16BE(value)
      expect(readI16(bytes, 0)).toBe(value)
      expect([readI8(bytes, 0), readI8(bytes, 1)]).toEqual([bytes.readInt8(0), bytes.readInt8(1)])
    },
  )
})

describe('copyBytes', () => {
  const source = Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 7) & 255))

  it.each([0, 1, 63, 64, 65, 200])('copies %d bytes and nothing beside them', (length) => {
    const target = Buffer.alloc(300, 0xee)
    expect(copyBytes(source, 11, 11 + length, target, 20)).toBe(20 + length)
    expect(target.subarray(20, 20 + length)).toEqual(source.subarray(11, 11 + length))
    expect(target.subarray(0, 20)).toEqual(Buffer.alloc(20, 0xee))
    expect(target.subarray(20 + length)).toEqual(Buffer.alloc(280 - length, 0xee))
  })
})

describe('viewOf', () => {
  it('shows each buffer its own bytes, also parts of one memory, in turn', () => {
    const whole = Buffer.from('abcdefghij')
    const part = whole.subarray(4)
    const other = Buffer.from('0123456789')
    expect(Buffer.from(viewOf(whole, 1, 3)).toString()).toBe('bc')
    expect(Buffer.from(viewOf(part, 1, 3)).toString()).toBe('fg')
    expect(Buffer.from(viewOf(other, 0, 2)).toString()).toBe('01')
    expect(Buffer.from(viewOf(whole, 0, 1)).toString()).toBe('a')
  })
})
