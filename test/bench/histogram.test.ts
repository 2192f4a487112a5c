import { beforeAll, describe, expect, it } from 'vitest'
import { LatencyHistogram, loadHistograms } from '../../src/bench/histogram.ts'
import { xorshift } from '../../src/bench/payload.ts'

beforeAll(loadHistograms)

describe('the latency histogram', () => {
  it('gives the percentiles of a known distribution within its precision', () => {
    const histogram = new LatencyHistogram()
    for (let value = 1; value <= 100_000; value += 1) histogram.record(value * 1000)
    const summary = histogram.summary()
    for (const [percentile, expectedMs] of Object.entries({
      50: 50,
      90: 90,
      99: 99,
      '99.9': 99.9,
      '99.99': 99.99,
    })) {
      const actual = summary?.percentilesMs[percentile] ?? 0
      expect(Math.abs(actual - expectedMs) / expectedMs).toBeLessThan(0.0011)
    }
    expect(summary).toMatchObject({ count: 100_000, minMs: 0.001, maxMs: 100, negative: 0 })
  })

  it('agrees with sorting, for values over six decades', () => {
    const random = xorshift(7)
    const histogram = new LatencyHistogram()
    const values: number[] = []
    for (let index = 0; index < 20_000; index += 1) {
      const value = Math.floor(10 ** (3 + (6 * random()) / 2 ** 32))
      values.push(value)
      histogram.record(value)
    }
    values.sort((a, b) => a - b)
    for (const percentile of [50, 90, 99, 99.9]) {
      const exact = (values[Math.ceil((percentile / 100) * values.length) - 1] ?? 0) / 1e6
      expect(Math.abs(histogram.atMs(percentile) - exact) / exact).toBeLessThan(0.002)
    }
  })

  it('tells a percentile only when ten samples lie above it', () => {
    const histogram = new LatencyHistogram()
    for (let index = 0; index < 999; index += 1) histogram.record(1000)
    expect(histogram.summary()?.percentilesMs['99']).toBeNull()
    expect(histogram.summary()?.percentilesMs['95']).not.toBeNull()
    histogram.record(1000)
    expect(histogram.summary()?.percentilesMs['99']).not.toBeNull()
    expect(histogram.summary()?.percentilesMs['99.9']).toBeNull()
  })

  it('merges without loss, also after a trip through its packed form', () => {
    const random = xorshift(3)
    const whole = new LatencyHistogram()
    const parts = [new LatencyHistogram(), new LatencyHistogram()]
    for (let index = 0; index < 10_000; index += 1) {
      const value = random() % 50_000_000
      whole.record(value)
      parts[index % 2]?.record(value)
    }
    const merged = new LatencyHistogram()
    for (const part of parts) merged.add(LatencyHistogram.decode(part.pack()))
    expect(merged.summary()).toEqual(whole.summary())
  })

  it('counts what cannot be instead of dropping it', () => {
    const histogram = new LatencyHistogram()
    histogram.record(-5)
    histogram.record(1e15)
    expect(histogram.summary()).toMatchObject({ count: 2, negative: 1, clamped: 1 })
  })

  it('knows how old a backlog of hours is, also after a trip through its packed form', () => {
    const histogram = new LatencyHistogram()
    for (let second = 1; second <= 7_200; second += 1) histogram.record(second * 1e9)
    const summary = LatencyHistogram.decode(histogram.pack()).summary()
    expect(summary).toMatchObject({ count: 7_200, maxMs: 7_200_000, clamped: 0 })
    const p99 = summary?.percentilesMs['99'] ?? 0
    expect(Math.abs(p99 - 7_128_000) / 7_128_000).toBeLessThan(0.0011)
  })

  it('tells the true maximum of what it cannot hold, and no percentile that falls among it', () => {
    const histogram = new LatencyHistogram()
    histogram.record(1e6, 970)
    histogram.record(2e15, 30)
    const { percentilesMs, maxMs } = LatencyHistogram.decode(histogram.pack()).summary() ?? {}
    expect([maxMs, percentilesMs?.['99'], percentilesMs?.['95']]).toEqual([
      2e9,
      null,
      expect.closeTo(1, 2),
    ])
  })

  it('has nothing to say without values', () => {
    expect(new LatencyHistogram().summary()).toBeNull()
  })
})
