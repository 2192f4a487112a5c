import fc from 'fast-check'
import { expect, test } from 'vitest'
import { javaHash } from '../../src/protocol/java-hash.ts'
import { UNIT_BYTES } from '../../src/store/queue.ts'
import { TagCodes } from '../../src/store/tag-codes.ts'

function units(codes: readonly number[]): Buffer {
  const bytes = Buffer.alloc(codes.length * UNIT_BYTES, 0xa5)
  for (const [n, code] of codes.entries()) {
    bytes.writeBigInt64BE(BigInt(code), n * UNIT_BYTES + 12)
  }
  return bytes
}

const code = fc.oneof(
  fc.constantFrom(0, 1, -1, 31, 32, -32, 0x7fffffff, -0x80000000, javaHash('rare')),
  fc.integer({ min: -0x80000000, max: 0x7fffffff }),
)

test('the first unit that is wanted is the one that asking about each in turn finds', () => {
  fc.assert(
    fc.property(
      fc.array(code, { maxLength: 60 }),
      fc.array(code, { maxLength: 5 }),
      fc.nat(60),
      (stored, wanted, skipped) => {
        const from = Math.min(skipped, stored.length)
        const rest = stored.slice(from)
        const codes = new TagCodes(wanted)
        const first = rest.findIndex((stands) => wanted.includes(stands))
        const passed = codes.unwanted(units(stored), from * UNIT_BYTES, rest.length)
        expect(passed).toBe(first < 0 ? rest.length : first)
        expect(rest.filter((stands) => codes.has(stands))).toEqual(
          rest.filter((stands) => wanted.includes(stands)),
        )
      },
    ),
  )
})

test('units behind the given number are not looked at', () => {
  expect(new TagCodes([7]).unwanted(units([1, 2, 7]), 0, 2)).toBe(2)
})
