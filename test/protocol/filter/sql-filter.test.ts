import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { SqlFilter } from '../../../src/protocol/filter/sql-filter.ts'
import { encodeProperties, noProperties } from '../../../src/protocol/properties.ts'

function outcome(expression: string, properties: Record<string, string> = {}): string {
  const filter = new SqlFilter(expression)
  const all = Object.assign(noProperties(), properties)
  const bytes = Buffer.from(`xx${encodeProperties(all)}`, 'utf8')
  const result = filter.outcomeOf(all)
  // Over stored bytes it says the same.
  expect(filter.matchesEncoded(bytes, 2, bytes.length)).toBe(result === 'true')
  return result
}

// Each row is checked against Apache's own filter library by test/interop/filters.test.ts.
describe('an expression says of a message', () => {
  test.each([
    ['a > 5', { a: '6' }, 'true'],
    ['a > 5', { a: '5' }, 'false'],
    ['a > 5', {}, 'unknown'],
    ['a > 5', { a: '6.0' }, 'failed'],
    ['a > 5', { a: ' 6' }, 'failed'],
    ['a > 5.5', { a: ' 6f ' }, 'true'],
    ['a > 5.5', { a: 'NaN' }, 'true'],
    ['a > 2147483648', { a: '9223372036854775807' }, 'true'],
    ['a = 9007199254740993', { a: '9007199254740992' }, 'false'],
    ['a > b', { a: '10', b: '9' }, 'true'],
    ['a > b', { a: 'x', b: '9' }, 'failed'],
    ['a = b', {}, 'true'],
    ['a = b', { a: '1' }, 'false'],
    ['a = b', { b: '1' }, 'unknown'],
    ["a <> 'x'", {}, 'unknown'],
    ["a <> 'x'", { a: 'y' }, 'true'],
    ['a IS NULL', {}, 'true'],
    ['a IS NOT NULL', { a: '1' }, 'true'],
    ['a IS NOT NULL', {}, 'false'],
    ['a BETWEEN 1 AND 3', { a: '3' }, 'true'],
    ['a NOT BETWEEN 1 AND 3', { a: '0' }, 'true'],
    ["a IN ('x', 'y')", { a: 'y' }, 'true'],
    ["a NOT IN ('x')", {}, 'unknown'],
    ["a CONTAINS 'b'", { a: 'abc' }, 'true'],
    ["a NOT CONTAINS 'b'", {}, 'false'],
    ["a NOT CONTAINS ''", { a: 'x' }, 'false'],
    ["a STARTSWITH 'ab'", { a: 'abc' }, 'true'],
    ["a ENDSWITH 'bc'", { a: 'abc' }, 'true'],
    ["a NOT ENDSWITH 'bc'", { a: 'abc' }, 'false'],
    ['a', { a: 'true' }, 'false'],
    ['a = TRUE', { a: 'TRUE' }, 'true'],
    ['TRUE = a', { a: 'true' }, 'failed'],
    ['TRUE', {}, 'true'],
    ['NULL', {}, 'unknown'],
    ['a = 1 OR b = 1', { b: '1' }, 'true'],
    ['a = 1 OR b = 1', { b: '2' }, 'unknown'],
    ['a = 1 AND b = 1', { b: '2' }, 'false'],
    ['a = 1 OR b = 1', { a: 'x', b: '1' }, 'failed'],
    ['b = 1 OR a = 1', { a: 'x', b: '1' }, 'true'],
    ['NOT (a = 1)', {}, 'unknown'],
    ['a = -5', { a: '-5' }, 'true'],
    ['a > -b', { a: '5', b: '1' }, 'unknown'],
    ['a = 5', { a: '٥' }, 'true'],
    ['a = 8.0', { a: '0x1p3' }, 'true'],
    ["名 = 'x'", {}, 'refused'],
  ])('%s of %j: %s', (expression, properties: Record<string, string>, expected) => {
    if (expected === 'refused') expect(() => outcome(expression, properties)).toThrow()
    else expect(outcome(expression, properties)).toBe(expected)
  })

  test('of two properties with one name the last counts', () => {
    const bytes = Buffer.from('a\u00011\u0002b\u0001x\u0002a\u00012\u0002', 'utf8')
    expect(new SqlFilter('a = 2').matchesEncoded(bytes, 0, bytes.length)).toBe(true)
  })

  test('nothing is left from the message before', () => {
    const filter = new SqlFilter('a = 1')
    const one = Buffer.from('a\u00011\u0002')
    expect(filter.matchesEncoded(one, 0, one.length)).toBe(true)
    expect(filter.matchesEncoded(one, 0, 0)).toBe(false)
  })
})

test('an expression with many names finds each of them, and says how much it has to do', () => {
  const names = Array.from({ length: 40 }, (_, n) => `p${n}`)
  const expression = names.map((name, n) => `${name} = ${n}`).join(' AND ')
  const properties = Object.fromEntries(names.map((name, n) => [name, String(n)]))
  expect(outcome(expression, properties)).toBe('true')
  expect(outcome(expression, { ...properties, p39: '0' })).toBe('false')
  expect(new SqlFilter(expression).steps).toBe(41)
})

test('a filter keeps nothing of the message that it judged last', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const filters = Array.from({ length: 100 }, () => new SqlFilter("a = 'x'"))
  const seen = filters.map((filter) => {
    const bytes = Buffer.from(encodeProperties(Object.assign(noProperties(), { a: 'x' })))
    expect(filter.matchesEncoded(bytes, 0, bytes.length)).toBe(true)
    return new WeakRef(bytes)
  })
  // The stack may still hold the last one.
  await expect
    .poll(() => {
      collect()
      return seen.slice(0, -1).filter((bytes) => bytes.deref() !== undefined).length
    })
    .toBe(0)
  expect(filters.every((filter) => filter.steps > 0)).toBe(true)
})
