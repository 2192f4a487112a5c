/** Ticks that stay where they belong, however late each of them is. */
import type { Clock, Stop } from './clock.ts'

/** A timer may fire this much before its time. */
const EARLY_MS = 10

/**
 * Calls `tick` at each `originMs + n × periodMs` from now on, until stopped. Each is aimed for anew:
 * of a timer that repeats, the lateness adds up, and after minutes a second has no tick and the next
 * one two. Moments that pass while nothing can run are left out.
 *
 * @param originMs on the clock of `monotonicNs`, before now or behind it
 */
export function everyOnGrid(
  clock: Clock,
  originMs: number,
  periodMs: number,
  tick: () => void,
): Stop {
  let stop: Stop = () => undefined
  const aim = () => {
    // Not `monotonicMs`: that counts from another moment, the start of the process.
    const nowMs = Number(clock.monotonicNs()) / 1e6
    const next = Math.floor((nowMs - originMs + Math.min(EARLY_MS, periodMs / 2)) / periodMs) + 1
    stop = clock.after(originMs + next * periodMs - nowMs, () => {
      aim()
      tick()
    })
  }
  aim()
  return () => {
    stop()
  }
}
