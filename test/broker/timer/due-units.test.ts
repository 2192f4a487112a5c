import { expect, test } from 'vitest'
import { DueUnits } from '../../../src/broker/timer/due-units.ts'

test('units keep their place and whether they are stored again, in their order', () => {
  const units = new DueUnits()
  const places = Array.from({ length: 1_000 }, (_, n) => n * 2 ** 40)
  for (const [n, place] of places.entries()) units.add(place, n % 3 === 0)
  expect(units.count).toBe(1_000)
  expect(places.map((_, n) => units.physicalOffsetAt(n))).toEqual(places)
  expect(places.map((_, n) => units.rollsAt(n))).toEqual(places.map((_, n) => n % 3 === 0))
})
