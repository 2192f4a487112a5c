import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseProperties } from '../../src/protocol/properties.ts'
import { PropertyNames, PropertyValues, copyPairs } from '../../src/protocol/property-names.ts'

const names = ['REAL_TOPIC', 'REAL_QID', 'PGROUP']

/** Texts of pairs, whole and broken ones: names that are looked for come often. */
const texts = fc
  .array(
    fc.oneof(
      fc.constantFrom(...names, 'REAL_QIX', 'UNIQ_KEY', 'x'),
      fc.constantFrom('\u0001', '\u0002'),
      fc.string({ maxLength: 70 }),
    ),
    { maxLength: 30 },
  )
  .map((parts) => parts.join(''))

/** The bytes in the middle of others, as a record has them. */
function within(text: string): { bytes: Buffer; start: number; end: number } {
  const own = Buffer.from(text)
  const bytes = Buffer.concat([Buffer.from('PGROUP\u0001before\u0002'), own, Buffer.from('behind')])
  return { bytes, start: 14, end: 14 + own.length }
}

function without(text: string): string {
  const { bytes, start, end } = within(text)
  const target = Buffer.alloc(end - start + 3, '#')
  const stop = copyPairs(bytes, start, end, new PropertyNames(names), target, 2)
  expect(target.subarray(0, 2).toString()).toBe('##')
  return target.toString('utf8', 2, stop)
}

test('pairs are copied but for the named ones, each closed', () => {
  expect(without('a\u00011\u0002REAL_TOPIC\u0001T\u0002b\u00012\u0002')).toBe(
    'a\u00011\u0002b\u00012\u0002',
  )
  expect(without('REAL_QID\u00011\u0002PGROUP\u0001G')).toBe('')
  expect(without('PGROUP\u0001\u0002\u0002a\u00011')).toBe('a\u00011\u0002')
  expect(without('')).toBe('')
})

test('what is copied says the same of all names but the dropped ones', () => {
  fc.assert(
    fc.property(texts, (text) => {
      const expected = parseProperties(Buffer.from(text).toString())
      for (const name of names) Reflect.deleteProperty(expected, name)
      const kept = without(text)
      expect(parseProperties(kept)).toEqual(expected)
      expect(kept === '' || kept.endsWith('\u0002')).toBe(true)
    }),
  )
})

test('values are found as the parser finds them, and those of the text before are forgotten', () => {
  const values = new PropertyValues(names)
  fc.assert(
    fc.property(texts, (text) => {
      const { bytes, start, end } = within(text)
      values.find(bytes, start, end)
      const expected = parseProperties(Buffer.from(text).toString())
      for (const [index, name] of names.entries()) {
        expect([name, values.text(index)]).toEqual([name, expected[name] ?? null])
        expect(values.has(index)).toBe(name in expected)
      }
    }),
  )
})
