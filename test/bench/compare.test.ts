import { describe, expect, it } from 'vitest'
import { type SavedResult, compareResults } from '../../src/bench/compare.ts'
import { xorshift } from '../../src/bench/payload.ts'
import { readScenario } from '../../src/bench/scenario.ts'
import {
  holm,
  pairedInterval,
  permutationP,
  signFlipP,
  studentQuantile,
  welchInterval,
} from '../../src/bench/statistics.ts'
import { aPhase, aResult } from './a-result.ts'

/** A result whose one phase acknowledged at this rate. */
function saved(rate: number, hour = 10): SavedResult {
  const { totals } = aResult()
  const rates = { ...totals.rates, acked: { ...totals.rates.acked, meanPerSecond: rate } }
  const phases = [aPhase({}, { totals: { ...totals, rates } })]
  const startedAt = `2026-11-21T${hour}:00:00.000Z`
  return { file: `${rate}.json`, result: aResult({ phases, startedAt }) }
}

const rateOf = (base: readonly number[], head: readonly number[]) =>
  compareResults(
    base.map((rate) => saved(rate)),
    head.map((rate) => saved(rate)),
    0.05,
  ).changes.find(({ metric }) => metric === 'rate.acked')

describe('a comparison of saved results', () => {
  it('calls a clear loss regressed, and a clear gain improved', () => {
    const slow = [800, 810, 790, 805, 795]
    const fast = [1000, 1010, 990, 1005, 995]
    expect([rateOf(fast, slow)?.verdict, rateOf(slow, fast)?.verdict]).toEqual([
      'regressed',
      'improved',
    ])
  })

  it('calls steady results ok only when the interval rules a change out', () => {
    expect(rateOf([1000, 1010, 990, 1005], [1002, 1008, 995, 1001])?.verdict).toBe('ok')
    expect(rateOf([1000, 1300, 800, 1100], [1050, 900, 1200, 950])?.verdict).toBe('inconclusive')
  })

  it('is inconclusive with fewer than four samples a side, however far they are apart', () => {
    const one = rateOf([1000, 1001, 1002], [10, 11, 12])
    expect([one?.verdict, one?.p]).toEqual(['inconclusive', null])
    expect(one?.why).toContain('3 samples a side; a verdict needs 4')
  })

  it('does not call a small change a regression, however certain it is', () => {
    const one = rateOf([1000, 1000.1, 1000.2, 1000.3, 1000.4], [980, 980.1, 980.2, 980.3, 980.4])
    expect(one?.verdict).toBe('ok')
  })

  it('ends with 11 for a regression and 14 when it cannot tell', () => {
    const slow = [800, 810, 790, 805, 795].map((rate) => saved(rate))
    const fast = [1000, 1010, 990, 1005, 995].map((rate) => saved(rate))
    expect([
      compareResults(fast, slow, 0.05).exitCode,
      compareResults(fast.slice(0, 2), slow.slice(0, 2), 0.05).exitCode,
      compareResults(fast, fast, 0.05).exitCode,
    ]).toEqual([11, 14, 0])
  })

  it('warns when one side ran before the other', () => {
    const { warnings } = compareResults([saved(1, 10)], [saved(1, 11)], 0.05)
    expect(warnings[0]).toContain('interleave them')
  })

  it('refuses results of another scenario, another machine, or without a valid run', () => {
    const other = (changes: Parameters<typeof aResult>[0]) =>
      compareResults([saved(1)], [{ file: 'h.json', result: aResult(changes) }], 0.05)
    const { scenario, hosts } = aResult()
    expect(() => other({ scenario: { ...scenario, name: 'x' } })).toThrow(/the scenario differs/)
    const threads = { resolved: { producers: { threads: 81 } } }
    expect(() => other({ scenario: { ...scenario, ...threads } })).toThrow(
      /the load differs from 1.json: producers.threads is 81, there the default/,
    )
    expect(() => other({ hosts: hosts.map((host) => ({ ...host, cpuCount: 64 })) })).toThrow(
      /the machine differs/,
    )
    const { environment } = aResult()
    const processor = { environment: { ...environment, hosts: [{ cpuModel: 'Other 3000' }] } }
    expect(() => other(processor)).toThrow(/the machine differs.*Other 3000/)
    const lab = { environment: { ...environment, lab: 'a link of 5 Mbit/s' } }
    expect(() => other(lab)).toThrow(/the laboratory differs from 1.json: a link.*there none/)
    expect(() => other({ verdict: 'invalid', reasons: ['steal'] })).toThrow(/verdict is invalid/)
  })
})

describe('results of an older version', () => {
  const now = readScenario('version: 1\nname: smoke\nload: [{for: 2s}]\n', 'x.yaml')
  const of = (resolved: Record<string, unknown>, hash: string) => ({
    file: `${hash}.json`,
    result: aResult({ scenario: { ...aResult().scenario, resolved, hash } }),
  })
  const head = of(now.scenario, now.hash)

  it('are compared although they know fewer keys and have another hash', () => {
    const { validity: _, metrics: __, ...rest } = now.scenario
    const { groups: ___, ...consumers } = now.scenario.consumers
    const base = of({ ...rest, consumers }, 'of then')
    expect(compareResults([base], [head], 0.05).verdict).toBe('inconclusive')
  })

  it('are refused when their load was another, with the key that differs', () => {
    const [stage] = now.scenario.load
    const longer = of({ ...now.scenario, load: [{ ...stage, for: 3000 }] }, now.hash)
    expect(() => compareResults([longer], [head], 0.05)).toThrow(/load\.0\.for is 2000, there 3000/)
  })
})

describe('the statistics', () => {
  it.each([
    [0.975, 1, 12.706],
    [0.975, 9, 2.2622],
    [0.95, 5, 2.015],
    [0.975, 1000, 1.9623],
  ])('quantile %d of Student’s t with %d degrees is %d', (probability, degrees, value) => {
    expect(studentQuantile(probability, degrees)).toBeCloseTo(value, 3)
  })

  it('counts exactly: the least p of a permutation test, and of sign flips', () => {
    expect(permutationP([1, 2, 3, 4], [11, 12, 13, 14])).toBeCloseTo(2 / 70, 10)
    expect(signFlipP([1, 2, 3, 4, 5, 6])).toBeCloseTo(2 / 64, 10)
    expect(signFlipP([1, 2, 3, 4, 5])).toBeGreaterThan(0.05)
  })

  it('corrects after Holm', () => {
    const [a, b, c] = holm([0.01, 0.04, 0.03])
    expect([a, b, c].map((p) => Number(p?.toFixed(4)))).toEqual([0.03, 0.06, 0.06])
  })

  it('knows intervals: the true value lies in nineteen of twenty', () => {
    const random = xorshift(7)
    const noise = () => {
      let sum = 0
      for (let one = 0; one < 12; one += 1) sum += random() / 2 ** 32
      return sum - 6
    }
    const rounds = 2000
    let [paired, welch] = [0, 0]
    for (let round = 0; round < rounds; round += 1) {
      const draw = (count: number) => Array.from({ length: count }, noise)
      const one = pairedInterval(draw(8))
      const two = welchInterval(draw(5), draw(7))
      if (one.low <= 0 && one.high >= 0) paired += 1
      if (two.low <= 0 && two.high >= 0) welch += 1
    }
    expect(paired / rounds).toBeGreaterThan(0.935)
    expect(welch / rounds).toBeGreaterThan(0.935)
  })

  it('raises few false alarms when nothing has changed', () => {
    const random = xorshift(11)
    const rate = () => 1000 * Math.exp(((random() + random() + random()) / 2 ** 32 - 1.5) * 0.08)
    const draw = () => Array.from({ length: 5 }, rate)
    let alarms = 0
    for (let round = 0; round < 300; round += 1) {
      if (rateOf(draw(), draw())?.verdict === 'regressed') alarms += 1
    }
    expect(alarms).toBeLessThanOrEqual(15)
  })
})
