/** Aborts when nothing happened for a while. */
import type { Clock } from '../world/clock.ts'

export class IdleTimer {
  readonly #clock: Clock
  readonly #idleMs: number | null
  readonly #controller: AbortController
  #cancel: () => void = () => undefined
  #busy = 0

  /** Starts at once; `idleMs` null: never aborts. */
  constructor(clock: Clock, idleMs: number | null, controller: AbortController) {
    this.#clock = clock
    this.#idleMs = idleMs
    this.#controller = controller
    this.restart()
  }

  /** While something is under way nothing is idle. */
  async during<Result>(run: () => Promise<Result>): Promise<Result> {
    this.#busy += 1
    this.#cancel()
    try {
      return await run()
    } finally {
      this.#busy -= 1
      this.restart()
    }
  }

  /** Something happened. */
  restart(): void {
    this.#cancel()
    if (this.#idleMs === null || this.#busy > 0 || this.#controller.signal.aborted) return
    this.#cancel = this.#clock.after(this.#idleMs, () => {
      this.#controller.abort()
    })
  }

  stop(): void {
    this.#cancel()
  }
}
