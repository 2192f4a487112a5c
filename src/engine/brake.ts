/**
 * Slows processes of this machine down by a known share, to see whether somebody notices: they stand
 * still (SIGSTOP) for that share of every few milliseconds and go on (SIGCONT). Only for processes
 * that the caller has started; always to be released. A process of its own does it, which also lets go
 * when the caller was killed: who stands still cannot even notice that.
 */
import { type ChildProcess, fork } from 'node:child_process'
import type { Clock } from '../world/clock.ts'

/** Short beside a run, long beside what a timer can hold. */
const PERIOD_MS = 40

/** Caller → brake process, once. */
export interface BrakeOrder {
  readonly pids: readonly number[]
  readonly share: number
}

const script = new URL('./roles/brake.js', import.meta.url)

/** Slows processes down until it is released, or this process ends, however it does. */
export class BrakeProcess {
  readonly #pids: readonly number[]
  readonly #child: ChildProcess
  readonly #ended: Promise<void>

  /**
   * @param share of the time, above 0 and below 1
   * @param main of the process; tests put their own here
   */
  constructor(pids: readonly number[], share: number, main: URL = script) {
    this.#pids = pids
    this.#child = fork(main, [], { detached: true, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
    this.#ended = new Promise((resolve) => {
      const done = () => {
        resolve()
      }
      this.#child.once('exit', done)
      this.#child.once('error', done)
    })
    this.#child.send({ pids, share } satisfies BrakeOrder, () => undefined)
  }

  /** Resolves when everybody goes on. */
  async release(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect()
    await this.#ended
    // Had it been killed, it would have let go of nobody.
    sendAll(this.#pids, 'SIGCONT')
  }
}

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
    sendAll(this.#pids, signal)
  }
}

function sendAll(pids: readonly number[], signal: 'SIGSTOP' | 'SIGCONT'): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch {
      // It is gone: its supervisor says so.
    }
  }
}
