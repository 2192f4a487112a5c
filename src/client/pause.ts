/** Waiting that can be cut short: a timer that nobody needs any more must not keep the process alive. */
import type { Clock, Stop } from '../world/clock.ts'

export class Pauses {
  readonly #clock: Clock
  readonly #waiting = new Map<() => void, Stop>()
  #ended = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Resolves after `ms`, or at the end, whichever comes first. */
  pause(ms: number): Promise<void> {
    if (this.#ended) return Promise.resolve()
    return new Promise((resolve) => {
      const stop = this.#clock.after(ms, () => {
        this.#waiting.delete(resolve)
        resolve()
      })
      this.#waiting.set(resolve, stop)
    })
  }

  /** Lets everybody go on now; there are no pauses any more. */
  end(): void {
    this.#ended = true
    for (const [resolve, stop] of this.#waiting) {
      stop()
      resolve()
    }
    this.#waiting.clear()
  }
}

/** Resolves after the time, or when the command is to end. */
export function pauseOrAbort(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const stop = clock.after(ms, done)
    function done(): void {
      stop()
      signal.removeEventListener('abort', done)
      resolve()
    }
    if (signal.aborted) done()
    else signal.addEventListener('abort', done)
  })
}
