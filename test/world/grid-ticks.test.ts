import { describe, expect, it } from 'vitest'
import type { Clock, Stop } from '../../src/world/clock.ts'
import { everyOnGrid } from '../../src/world/grid-ticks.ts'

/** A clock whose timers all fire late, as those of a real one do. */
class LateClock implements Clock {
  nowMs = 0
  readonly #lateMs: (nth: number) => number
  readonly #timers = new Set<{ dueMs: number; run: () => void }>()
  #fired = 0

  constructor(lateMs: (nth: number) => number) {
    this.#lateMs = lateMs
  }

  wallMs(): number {
    return this.nowMs
  }

  /** From another moment than `monotonicNs`, as Node's: one counts from the start of the process. */
  monotonicMs(): number {
    return this.nowMs + 333.3
  }

  monotonicNs(): bigint {
    return BigInt(Math.round(this.nowMs * 1e6))
  }

  every(periodMs: number, run: () => void): Stop {
    let stop: Stop = () => undefined
    const again = () => {
      stop = this.after(periodMs, again)
      run()
    }
    stop = this.after(periodMs, again)
    return () => {
      stop()
    }
  }

  after(delayMs: number, run: () => void): Stop {
    const timer = { dueMs: this.nowMs + delayMs, run }
    this.#timers.add(timer)
    return () => {
      this.#timers.delete(timer)
    }
  }

  atEndOfTurn(): void {
    throw new Error('no turns here')
  }

  runUntil(endMs: number): void {
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.dueMs - b.dueMs)
      if (next === undefined || next.dueMs > endMs) return
      this.#timers.delete(next)
      this.nowMs = Math.max(this.nowMs, next.dueMs + this.#lateMs(this.#fired++))
      next.run()
    }
  }
}

it('ticks at the grid of monotonicNs, whatever monotonicMs counts from', () => {
  const clock = new LateClock(() => 0)
  const at: number[] = []
  everyOnGrid(clock, 400, 1000, () => at.push(clock.nowMs))
  clock.runUntil(3_000)
  expect(at).toEqual([400, 1_400, 2_400])
})

function secondsWithTicks(lateMs: (nth: number) => number, seconds: number): number[] {
  const clock = new LateClock(lateMs)
  const at: number[] = []
  everyOnGrid(clock, 400, 1000, () => at.push(Math.round((clock.nowMs - 400) / 1000) + 0))
  clock.runUntil(400 + seconds * 1000)
  return at
}

describe('ticks on a grid', () => {
  it('come once a second although each timer is 3 ms late', () => {
    const expected = Array.from({ length: 1000 }, (_, index) => index)
    expect(secondsWithTicks(() => 3, 999)).toEqual(expected)
  })

  it('come once a second although a timer fires a moment before its time', () => {
    expect(secondsWithTicks((nth) => (nth % 2 === 0 ? -0.4 : 0.4), 5)).toEqual([0, 1, 2, 3, 4, 5])
  })

  it('leave out what passed while nothing could run, and go on where they belong', () => {
    expect(secondsWithTicks((nth) => (nth === 2 ? 2_600 : 1), 7)).toEqual([0, 1, 5, 5, 6, 7])
  })

  it('end when they are stopped', () => {
    const clock = new LateClock(() => 1)
    let ticks = 0
    const stop = everyOnGrid(clock, 0, 1000, () => {
      ticks += 1
      if (ticks === 2) stop()
    })
    clock.runUntil(10_000)
    expect(ticks).toBe(2)
  })
})
