import { describe, expect, it } from 'vitest'
import { Bisection } from '../../src/bench/rate-search.ts'
import { parseThreshold, samplesNeeded } from '../../src/bench/threshold.ts'

/** Searches against a target that holds every rate up to `limit`. */
function search(limit: number, from = 1000, to = 1_000_000, resolution = 0.05) {
  const bisection = new Bisection(from, to, resolution)
  const tried: number[] = []
  for (let next = bisection.next(); next !== null; next = bisection.next()) {
    tried.push(next)
    bisection.tell(next, next <= limit)
  }
  return { held: bisection.held, failed: bisection.failed, tried }
}

describe('the search for a rate', () => {
  it.each([1_000, 1_500, 37_000, 123_456, 999_000])(
    'finds %d a second to within its resolution',
    (limit) => {
      const { held, tried } = search(limit)
      expect(held).toBeGreaterThanOrEqual(limit / 1.05)
      expect(held).toBeLessThanOrEqual(limit)
      expect(tried.length).toBeLessThanOrEqual(16)
    },
  )

  it('looks below its first rate when even that fails', () => {
    const { held } = search(130)
    expect(held).toBeGreaterThan(120)
    expect(held).toBeLessThanOrEqual(130)
  })

  it('gives up when nothing holds', () => {
    expect(search(1)).toMatchObject({ held: null })
  })

  it.each([
    ['response.p50 < 1s', 20],
    ['response.p99 < 1s', 1000],
    ['service.p9999 < 1s', 100_000],
    ['lag.max < 5', 1],
  ])('%s needs %d messages', (expression, count) => {
    expect(samplesNeeded(parseThreshold(expression))).toBe(count)
  })

  it('stops at the highest rate that was asked for', () => {
    expect(search(1e9, 1000, 5000)).toMatchObject({ held: 5000, failed: null })
  })
})
