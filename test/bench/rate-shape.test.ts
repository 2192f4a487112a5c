import { describe, expect, it } from 'vitest'
import { type RateShape, Schedule, dueUntil, rateAt } from '../../src/bench/rate-shape.ts'

const DURATION_MS = 10_000

const shapes: RateShape[] = [
  { kind: 'hold', rateHz: 750 },
  { kind: 'ramp', fromHz: 100, toHz: 1000 },
  { kind: 'ramp', fromHz: 1000, toHz: 100 },
  { kind: 'step', fromHz: 100, toHz: 500, steps: 5 },
  { kind: 'sine', fromHz: 100, toHz: 900, periodMs: 2000 },
  { kind: 'burst', fromHz: 100, toHz: 2000, periodMs: 1000, burstMs: 200 },
]

function timesOf(shape: RateShape): number[] {
  const schedule = new Schedule({ shape, durationMs: DURATION_MS }, 0, 0, 1)
  const times: number[] = []
  for (; Number.isFinite(schedule.nextNs); schedule.take()) times.push(schedule.nextNs / 1e6)
  return times
}

describe.each(shapes)('the schedule of $kind', (shape) => {
  it('has as many messages as the integral of its rate', () => {
    let integral = 0
    for (let ms = 0; ms < DURATION_MS; ms += 0.5) integral += rateAt(shape, ms, DURATION_MS) / 2000
    const total = dueUntil(shape, DURATION_MS, DURATION_MS)
    expect(Math.abs(total - integral)).toBeLessThan(total * 0.002)
    expect(timesOf(shape)).toHaveLength(Math.ceil(total - 1e-9))
  })

  it('never goes back, and puts message k where k messages are due', () => {
    const times = timesOf(shape)
    for (const [k, ms] of times.entries()) {
      expect(ms).toBeGreaterThanOrEqual(times[k - 1] ?? 0)
      expect(Math.abs(dueUntil(shape, ms, DURATION_MS) - k)).toBeLessThan(0.01)
    }
  })

  it('knows how many were due before a moment', () => {
    const times = timesOf(shape)
    const schedule = new Schedule({ shape, durationMs: DURATION_MS }, 0, 0, 1)
    for (let taken = 0; taken < 20; taken += 1) schedule.take()
    const before = times.filter((ms) => ms < 4321).length
    expect(schedule.dueBefore(4321e6)).toBe(before)
    expect(schedule.dueBefore(1e15)).toBe(times.length)
  })
})
