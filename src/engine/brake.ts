/**
 * Slows processes of this machine down by a known share, to see whether somebody notices: they stand
 * still (SIGSTOP) for that share of every few milliseconds and go on (SIGCONT). Only for processes
 * that the caller has started; always to be released.
 */
import type { Clock } from '../world/clock.ts'

/** Short beside a run, long beside what a timer can hold. */
const PERIOD_MS = 40

export class Brake {
  readonly #clock: Clock
  readonly #pids: readonly number[]
  readonly #stopMs: number
  #stop: () => void = () => undefined
  #released = false

  /** @param share of the time, above 0 and below 1 */
  constructor(clock: Clock, pids: readonly number[], share: number) {
    this.#clock = clock
    this.#pids = pids
    this.#stopMs = share * PERIOD_MS
    this.#hold()
  }

  /** Everybody goes on, for good. */
  release(): void {
    this.#released = true
    this.#stop()
    this.#send('SIGCONT')
  }

  #hold(): void {
    if (this.#released) return
    const fromMs = this.#clock.monotonicMs()
    this.#send('SIGSTOP')
    this.#stop = this.#clock.after(this.#stopMs, () => {
      this.#send('SIGCONT')
      // A timer that came late held them longer: they get longer in return, so the share stays.
      const heldMs = this.#clock.monotonicMs() - fromMs
      const restMs = (heldMs / this.#stopMs) * (PERIOD_MS - this.#stopMs)
      this.#stop = this.#clock.after(restMs, () => {
        this.#hold()
      })
    })
  }

  #send(signal: 'SIGSTOP' | 'SIGCONT'): void {
    for (const pid of this.#pids) {
      try {
        process.kill(pid, signal)
      } catch {
        // It is gone: its supervisor says so.
      }
    }
  }
}
