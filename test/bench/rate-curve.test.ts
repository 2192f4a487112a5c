import { describe, expect, it } from 'vitest'
import { overLimit } from '../../src/bench/rate-balance.ts'
import { curveOf, geometricRates, kneeOf } from '../../src/bench/rate-curve.ts'
import type { Trial } from '../../src/bench/result.ts'

function aTrial(ratePerSecond: number, meanMs: number | null, changes: Partial<Trial> = {}): Trial {
  return {
    ratePerSecond,
    phase: `curve ${ratePerSecond}/s`,
    pass: true,
    reasons: [],
    ackedPerSecond: ratePerSecond,
    receivedPerSecond: ratePerSecond,
    meanMs,
    p50Ms: meanMs,
    p99Ms: meanMs === null ? null : meanMs * 3,
    lagSlopePerSecond: 0,
    resources: { cpu: 0.5, broker: 0.6, disk: 0.2, nic: null, memory: 0.3 },
    ...changes,
  }
}

describe('a curve', () => {
  it('has rates that grow by the same factor, from the first to the last', () => {
    expect(geometricRates(1000, 8000, 4).map(Math.round)).toEqual([1000, 2000, 4000, 8000])
  })

  it('finds the knee of a queue with one server: half its capacity', () => {
    // M/M/1: mean time = 1 / (capacity − rate); rate ÷ time is highest at half the capacity.
    const capacity = 10_000
    const rates = [1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000]
    const steps = rates.map((rate) => aTrial(rate, 1000 / (capacity - rate)))
    expect(kneeOf(steps)?.ratePerSecond).toBe(5000)
  })

  it('has no knee on a step that was not carried', () => {
    const steps = [aTrial(1000, 1), aTrial(9000, 2, { pass: false })]
    expect(curveOf(steps)).toMatchObject({
      knee: { ratePerSecond: 1000 },
      highestAckedPerSecond: 9000,
      text: 'the knee lies at 1000/s; the most that was acknowledged are 9000/s; 2 rates were tried',
    })
  })

  it('does not place the knee where the curve was still flat', () => {
    const { text } = curveOf([aTrial(1000, 1), aTrial(2000, 1)])
    expect(text).toContain('the knee lies at 2000/s or above')
  })

  it('says so when nothing was carried', () => {
    const { knee, text } = curveOf([aTrial(1000, null, { pass: false })])
    expect([knee, text]).toEqual([null, 'the target carried none of the rates; 1 rates were tried'])
  })
})

describe('a balance', () => {
  const trial = aTrial(1000, 1)

  it('names what is above its share, with both figures', () => {
    expect(overLimit(trial, { cpu: 0.4, disk: 0.2 }, true)).toEqual([
      { resource: 'cpu', text: 'cpu: 50 %, above 40 %' },
    ])
  })

  it('does not pass a share that cannot be told when it was asked for', () => {
    expect(overLimit(trial, { nic: 0.6 }, true)).toEqual([
      { resource: 'nic', text: 'nic: its share is not known on this host' },
    ])
    expect(overLimit(trial, { nic: 0.6 }, false)).toEqual([])
  })

  it('does not pass a share that was told of the first rate and is not any more', () => {
    const first = { ...trial.resources, nic: 0.2 }
    expect(overLimit(trial, { nic: 0.6 }, false, first)).toEqual([
      { resource: 'nic', text: 'nic: its share is not known any more' },
    ])
  })
})
