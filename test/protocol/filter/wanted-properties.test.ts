import fc from 'fast-check'
import { expect, test } from 'vitest'
import { WantedProperties } from '../../../src/protocol/filter/wanted-properties.ts'
import { nextPairEnd, parseProperties } from '../../../src/protocol/properties.ts'

const names = ['a', 'price', 'TAGS', 'a_longer_name']
const part = fc.oneof(
  fc.constantFrom(
    ...names,
    'b',
    'pric',
    'prices',
    '\u0001',
    '\u0002',
    '\u0003',
    '7',
    'größe',
    '名',
  ),
  fc.string({ maxLength: 9 }),
)
const encoded = fc.array(part, { maxLength: 30 }).map((parts) => parts.join(''))

test('what is found among any bytes is what reading all properties finds', () => {
  const few = new WantedProperties(names)
  const others = Array.from({ length: 20 }, (_, n) => `p${n}`)
  const many = new WantedProperties([...names, ...others])
  fc.assert(
    fc.property(encoded, fc.integer({ min: 0, max: 9 }), (text, before) => {
      const properties = parseProperties(text)
      // More pairs stand in front and behind: they are another message's.
      const bytes = Buffer.from(`${'x'.repeat(before)}${text}\u0002a\u00019\u0002`)
      const end = before + Buffer.byteLength(text)
      few.read(bytes, before, end)
      many.read(bytes, before, end)
      names.forEach((name, slot) => {
        const value = properties[name] ?? null
        for (const wanted of [few, many]) {
          expect(wanted.text(slot)).toBe(value)
          expect(wanted.isMissing(slot)).toBe(value === null)
          expect(wanted.isBytes(slot, Buffer.from('7'))).toBe(value === '7')
          const isShort = value !== null && /^[0-9]{1,9}$/.test(value)
          expect(wanted.shortNumber(slot)).toBe(isShort ? Number(value) : -1)
        }
      })
    }),
  )
})

test('the end of a pair is found at every place, whatever stands around it', () => {
  fc.assert(
    fc.property(fc.uint8Array({ max: 4, maxLength: 24 }), fc.nat(24), (data, from) => {
      const bytes = Buffer.from(data)
      const start = Math.min(from, bytes.length)
      const found = bytes.indexOf(2, start)
      expect(nextPairEnd(bytes, start, bytes.length)).toBe(found < 0 ? bytes.length : found)
    }),
  )
})
