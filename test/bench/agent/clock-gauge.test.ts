import { describe, expect, it } from 'vitest'
import { ClockGauge } from '../../../src/bench/agent/clock-gauge.ts'
import { xorshift } from '../../../src/bench/payload.ts'

/** Round trips to a clock that is `aheadNs(t)` ahead; the way there and the way back have nothing to do with each other. */
function aGauge(aheadNs: (atNs: number) => number, seed: number) {
  const random = xorshift(seed)
  const delayNs = () => 50_000 + (random() % 2_000_000)
  const gauge = new ClockGauge()
  const trip = (leftNs: number) => {
    const [there, back] = [delayNs(), delayNs()]
    gauge.add(leftNs, leftNs + there + aheadNs(leftNs + there), leftNs + there + back)
    return there + back
  }
  return { gauge, trip }
}

describe('the clock of another host', () => {
  it('is where its round trips allow, and known better than by the shortest of them alone', () => {
    for (let run = 1; run <= 200; run += 1) {
      const ahead = (run - 100) * 5_000_000
      const { gauge, trip } = aGauge(() => ahead, run)
      let shortest = Number.POSITIVE_INFINITY
      for (let round = 0; round < 20; round += 1) {
        shortest = Math.min(shortest, trip(1e12 + round * 4e6))
      }
      const { offsetNs, uncertaintyNs } = gauge.reading ?? { offsetNs: 0, uncertaintyNs: 0 }
      expect(Math.abs(offsetNs - ahead)).toBeLessThanOrEqual(uncertaintyNs)
      // In the 80 ms of the round trips the clocks may have drifted 16 µs apart.
      expect(uncertaintyNs).toBeLessThanOrEqual(shortest / 2 + 16_000)
    }
  })

  it('is followed as it drifts, within what is said of the error', () => {
    const beginNs = 1e12
    // 100 millionths fast: 60 ms in ten minutes.
    const aheadNs = (atNs: number) => 7e9 + (atNs - beginNs) * 100e-6
    const { gauge, trip } = aGauge(aheadNs, 5)
    let told = { offsetNs: 0, uncertaintyNs: 0 }
    let worst = 0
    for (let second = 0; second < 600; second += 1) {
      const atNs = beginNs + second * 1e9
      trip(atNs)
      if (second > 0) worst = Math.max(worst, Math.abs(aheadNs(atNs) - told.offsetNs))
      told = gauge.tell() ?? told
      const isNow = Math.abs(told.offsetNs - aheadNs(atNs)) <= told.uncertaintyNs
      expect(isNow).toBe(true)
    }
    expect(gauge.errorNs).toBeGreaterThanOrEqual(worst)
    expect(gauge.errorNs).toBeLessThan(3e6)
    expect(gauge.movedNs).toBeGreaterThanOrEqual(59.9e6)
    expect(gauge.movedNs).toBeLessThan(63e6)
  })

  it('is as wrong as it has moved since it was told, also when it is back at its place', () => {
    const gauge = new ClockGauge()
    gauge.add(0, 5_050, 100)
    expect([gauge.tell(), gauge.errorNs]).toEqual([{ offsetNs: 5_000, uncertaintyNs: 50 }, 50])
    gauge.add(1e6, 1e6 + 9_050, 1e6 + 100)
    gauge.add(2e6, 2e6 + 5_050, 2e6 + 100)
    expect([gauge.errorNs, gauge.movedNs]).toEqual([4_050, 4_050])
  })

  it('that jumps is read anew, and the jump is an error of what was told before', () => {
    const gauge = new ClockGauge()
    gauge.add(0, 50, 100)
    gauge.tell()
    gauge.add(1e9, 61e9 + 50, 1e9 + 100)
    expect(gauge.reading).toEqual({ offsetNs: 60e9, uncertaintyNs: 50 })
    expect([gauge.errorNs, gauge.movedNs]).toEqual([60e9 + 50, 60e9 + 50])
  })

  it('is not known before the first round trip, nor from one that came back before it left', () => {
    const gauge = new ClockGauge()
    gauge.add(100, 50, 0)
    expect([gauge.reading, gauge.tell(), gauge.errorNs]).toEqual([null, null, 0])
  })
})
