import { describe, expect, it } from 'vitest'
import { ClockGauge, errorOver } from '../../../src/bench/agent/clock-gauge.ts'
import { xorshift } from '../../../src/bench/payload.ts'

describe('the clock of another host', () => {
  it('is never farther from what the shortest round trip says than half of that trip', () => {
    const random = xorshift(7)
    const delayNs = () => 50_000 + (random() % 2_000_000)
    for (let run = 0; run < 200; run += 1) {
      const aheadNs = (random() % 1_000_000_000) - 500_000_000
      const gauge = new ClockGauge()
      let shortest = Number.POSITIVE_INFINITY
      for (let round = 0; round < 20; round += 1) {
        const leftNs = 1e12 + round * 1e7
        // The way there and the way back have nothing to do with each other.
        const [there, back] = [delayNs(), delayNs()]
        gauge.add(leftNs, leftNs + there + aheadNs, leftNs + there + back)
        shortest = Math.min(shortest, there + back)
      }
      const { offsetNs, uncertaintyNs } = gauge.reading ?? { offsetNs: 0, uncertaintyNs: 0 }
      expect(uncertaintyNs).toBe(shortest / 2)
      expect(Math.abs(offsetNs - aheadNs)).toBeLessThanOrEqual(uncertaintyNs)
    }
  })

  it('may have been as wrong as it moved until it was read again', () => {
    const first = { offsetNs: 1_000, uncertaintyNs: 200 }
    expect(errorOver(first, { offsetNs: 1_050, uncertaintyNs: 100 })).toBe(200)
    expect(errorOver(first, { offsetNs: 6_000, uncertaintyNs: 100 })).toBe(5_100)
    expect(errorOver(first, { offsetNs: -4_000, uncertaintyNs: 300 })).toBe(5_300)
  })
})
