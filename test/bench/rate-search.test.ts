import { describe, expect, it } from 'vitest'
import { Bisection, RateSearch } from '../../src/bench/rate-search.ts'
import { readScenario } from '../../src/bench/scenario.ts'
import { stagesOf } from '../../src/bench/stages.ts'
import { runBalance } from '../../src/bench/rate-balance.ts'
import type { Trial } from '../../src/bench/result.ts'
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

describe('a search in which every rate holds', () => {
  const trials = {
    isCut: false,
    run: (_: unknown, ratePerSecond: number): Promise<Trial> =>
      Promise.resolve({
        ratePerSecond,
        phase: 'find',
        pass: true,
        reasons: [],
        ackedPerSecond: ratePerSecond,
        receivedPerSecond: ratePerSecond,
        meanMs: 1,
        p50Ms: 1,
        p99Ms: 1,
        lagSlopePerSecond: 0,
        resources: { cpu: 0.1, broker: 0.1, disk: 0.1, nic: 0.1, memory: 0.1 },
      }),
  }
  const planned = (shape: 'search' | 'balance', maxTrials: number) => {
    const stage = { as: 'find', model: 'open', shape, from: '100/s', to: '400/s', maxTrials }
    const source = `version: 1\nname: x\nload: [${JSON.stringify({ ...stage, for: '1s', ...(shape === 'search' ? { sla: 'lag.max < 5' } : {}) })}]`
    const [one] = stagesOf(readScenario(source, 'x.yaml').scenario)
    if (one === undefined) throw new Error('no stage')
    return one
  }

  it('says that it ended at the highest that was asked for', async () => {
    const { text } = await new RateSearch(trials).run(planned('search', 10))
    expect(text).toBe(
      '400 messages a second hold, the highest that was asked for (400/s); 4 rates were tried',
    )
    const balance = await runBalance(trials, planned('balance', 10))
    expect(balance.text).toContain('the highest that was asked for (400/s)')
  })

  it('says that it may be higher when the trials ran out before that', async () => {
    const { text } = await new RateSearch(trials).run(planned('search', 3))
    expect(text).toBe(
      '200 messages a second hold, and the trials ran out below 400/s: it may be higher; 3 rates were tried',
    )
    const balance = await runBalance(trials, planned('balance', 3))
    expect(balance.text).toContain('the trials ran out below 400/s: it may be higher')
  })
})
