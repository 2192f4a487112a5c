import type { Clock, Stop } from './clock.ts'

/** The clock of this machine. */
export const nodeClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  monotonicNs: () => process.hrtime.bigint(),
  every(periodMs, tick): Stop {
    const timer = setInterval(tick, periodMs)
    timer.unref()
    return () => {
      clearInterval(timer)
    }
  },
  after(delayMs, run): Stop {
    const timer = setTimeout(run, delayMs)
    return () => {
      clearTimeout(timer)
    }
  },
  atEndOfTurn(run) {
    setImmediate(run)
  },
}

/** A promise that resolves after `delayMs` on the given clock. */
export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(delayMs, resolve)
  })
}
