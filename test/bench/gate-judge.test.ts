import { describe, expect, it } from 'vitest'
import { type MetricPairs, judgeGate } from '../../src/bench/gate-judge.ts'
import { gateOrder } from '../../src/bench/gate-order.ts'
import type { GateVerdict } from '../../src/bench/gate-result.ts'
import { xorshift } from '../../src/bench/payload.ts'
import { hodgesLehmann, signFlipP } from '../../src/bench/statistics.ts'

type Noise = () => number

function gaussian(random: () => number): Noise {
  return () => {
    const [u, v] = [(random() + 1) / 2 ** 32, random() / 2 ** 32]
    return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v)
  }
}

interface Machine {
  /** One run: its true value times its noise. */
  readonly noise: Noise
  /** What a head's run is multiplied by. */
  readonly effect: number
  readonly metrics: number
}

const PAIRS = 10
const PAIRS_MORE = 20
const LOOKS = [0.03, 0.02] as const

/** A gate as the command runs it: ten pairs, ten more if those cannot tell; no confirming run. */
function gate({ noise, effect, metrics }: Machine): GateVerdict {
  const run = (factor: number) => 1000 * factor * Math.exp(0.04 * noise())
  const draw = (count: number, factor: number) =>
    Array.from({ length: count }, () => ({ base: run(1), head: run(factor) }))
  const all = Array.from({ length: metrics }, (_, index) => ({
    metric: String(index),
    primary: true,
    higherIsBetter: true,
    minEffect: 0.05,
    pairs: draw(PAIRS, effect),
    same: draw(3, 1),
  }))
  const first = judgeGate(all, LOOKS[0]).verdict
  if (first !== 'inconclusive') return first
  const more = all.map((one) => ({
    ...one,
    pairs: [...one.pairs, ...draw(PAIRS_MORE - PAIRS, effect)],
  }))
  return judgeGate(more, LOOKS[1]).verdict
}

function count(rounds: number, verdict: GateVerdict, machine: Machine): number {
  let found = 0
  for (let round = 0; round < rounds; round += 1) if (gate(machine) === verdict) found += 1
  return found
}

/** Upper end of the 95 % interval of a share (Wilson). */
function upperBound(found: number, rounds: number): number {
  const [share, z] = [found / rounds, 1.96]
  const middle = share + (z * z) / (2 * rounds)
  const half = z * Math.sqrt((share * (1 - share)) / rounds + (z * z) / (4 * rounds * rounds))
  return (middle + half) / (1 + (z * z) / rounds)
}

describe('the gate on a machine with 4 % of noise', { timeout: 60_000 }, () => {
  it('raises a false alarm in at most 5.5 % of 10,000 comparisons of equals', () => {
    const noise = gaussian(xorshift(1))
    const rounds = 10_000
    const alarms = count(rounds, 'regressed', { noise, effect: 1, metrics: 3 })
    expect(upperBound(alarms, rounds)).toBeLessThanOrEqual(0.055)
  })

  it('finds a loss of 10 % in at least 90 % of the cases', () => {
    const noise = gaussian(xorshift(2))
    const rounds = 2_000
    const found = count(rounds, 'regressed', { noise, effect: 0.9, metrics: 3 })
    expect(found / rounds).toBeGreaterThanOrEqual(0.9)
  })

  it('stays within its false alarms when one run in ten is 15 % slow', () => {
    const random = xorshift(3)
    const body = gaussian(random)
    const noise = () => body() - (random() % 10 === 0 ? 0.15 / 0.04 : 0)
    const rounds = 2_000
    const alarms = count(rounds, 'regressed', { noise, effect: 1, metrics: 3 })
    expect(upperBound(alarms, rounds)).toBeLessThanOrEqual(0.055)
  })

  it('calls equals ok more often than anything else, and never more than the limit allows', () => {
    const noise = gaussian(xorshift(4))
    const rounds = 500
    expect(count(rounds, 'ok', { noise, effect: 1, metrics: 1 }) / rounds).toBeGreaterThan(0.6)
    const noisy = gaussian(xorshift(5))
    const passed = count(rounds, 'ok', { noise: noisy, effect: 0.9, metrics: 1 })
    expect(passed / rounds).toBeLessThan(0.03)
  })
})

const steady = (base: number, head: number, pairs: number, wobble = 0.001): MetricPairs => ({
  metric: 'rate.acked',
  primary: true,
  higherIsBetter: true,
  minEffect: 0.05,
  pairs: Array.from({ length: pairs }, (_, index) => ({
    base,
    head: head * (1 + wobble * (index % 2 === 0 ? 1 : -1)),
  })),
  same: [],
})

describe('the verdict of a gate', () => {
  it('follows the direction in which a metric is better', () => {
    const slower = steady(100, 80, 10)
    const verdictOf = (one: MetricPairs) => judgeGate([one], 0.05).verdict
    expect([verdictOf(slower), verdictOf({ ...slower, higherIsBetter: false })]).toEqual([
      'regressed',
      'improved',
    ])
  })

  it('does not call a change that is certain and small a regression', () => {
    const [one] = judgeGate([steady(100, 97, 10)], 0.05).metrics
    expect([one?.verdict, (one?.p ?? 1) < 0.01]).toEqual(['ok', true])
  })

  it('is inconclusive with fewer than eight pairs, however clear they look', () => {
    expect(judgeGate([steady(100, 50, 7)], 0.05).metrics[0]).toMatchObject({
      verdict: 'inconclusive',
      why: '7 pairs; a verdict needs 8',
    })
  })

  it('is inconclusive when equal runs of this machine differ as much', () => {
    const same = [0.7, 1.4, 0.75].map((head) => ({ base: 1, head }))
    const [one] = judgeGate([{ ...steady(100, 85, 10), same }], 0.05).metrics
    expect(one).toMatchObject({ verdict: 'inconclusive' })
    expect(one?.why).toContain('between equal runs')
    expect(one?.limit).toBeCloseTo(one?.floor ?? 0)
  })

  it('lets metrics that only inform decide nothing', () => {
    const informs = { ...steady(100, 50, 10), metric: 'other', primary: false }
    const { verdict, metrics } = judgeGate([steady(100, 100, 10), informs], 0.05)
    expect([verdict, metrics[1]?.verdict, metrics[1]?.pCorrected]).toEqual([
      'ok',
      'regressed',
      null,
    ])
  })

  it('says how many pairs it would take', () => {
    const [one] = judgeGate([steady(100, 100, 8, 0.12)], 0.05).metrics
    expect(one?.verdict).toBe('inconclusive')
    expect(one?.pairsNeeded).toBeGreaterThan(20)
  })
})

describe('the order of a gate', () => {
  it('turns every second pair round and spreads the pairs of equals', () => {
    const order = gateOrder(10, 3, 7)
    expect(order).toHaveLength(13)
    const compared = order.filter(({ same }) => !same)
    for (let index = 0; index < 10; index += 2) {
      expect(compared[index]?.first).not.toBe(compared[index + 1]?.first)
    }
    const places = order.flatMap(({ same }, index) => (same ? [index] : []))
    expect(places).toHaveLength(3)
    expect((places[2] ?? 0) - (places[0] ?? 0)).toBeGreaterThan(5)
  })

  it('is the same for the same seed and not for every other', () => {
    const text = (seed: number) => JSON.stringify(gateOrder(10, 3, seed))
    expect(text(5)).toBe(text(5))
    const others = new Set(Array.from({ length: 20 }, (_, seed) => text(seed + 1)))
    expect(others.size).toBeGreaterThan(5)
  })
})

describe('the sign-flip test', () => {
  /** Every choice of signs, one by one. */
  const slow = (values: readonly number[]) => {
    const observed = Math.abs(values.reduce((sum, value) => sum + value, 0)) - 1e-9
    let hits = 0
    for (let choice = 0; choice < 2 ** values.length; choice += 1) {
      let sum = 0
      for (const [index, value] of values.entries()) sum += (choice >> index) & 1 ? -value : value
      if (Math.abs(sum) >= observed) hits += 1
    }
    return hits / 2 ** values.length
  }

  it('counts as one that tries every choice does', () => {
    const noise = gaussian(xorshift(9))
    for (let length = 1; length <= 11; length += 1) {
      const values = Array.from({ length }, () => noise() + 0.4)
      expect(signFlipP(values)).toBeCloseTo(slow(values), 12)
    }
    expect([signFlipP([0, 0, 0]), signFlipP([1, -1, 1, -1])]).toEqual([1, 1])
  })

  it('draws above thirty pairs, and comes close', () => {
    const values = Array.from({ length: 32 }, (_, index) => (index % 3 === 0 ? -1 : 1))
    const exact = signFlipP(values.slice(0, 30))
    expect(Math.abs(signFlipP(values) - exact)).toBeLessThan(0.05)
  })

  it('has a centre that an outlier does not move', () => {
    expect(hodgesLehmann([1, 2, 3, 4, 100])).toBeLessThan(4)
  })
})
