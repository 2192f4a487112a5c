/** Aborts when nothing happened for a while. */
import type { Clock } from '../world/clock.ts'

export class IdleTimer {
  readonly #clock: Clock
  readonly #idleMs: number | null
  readonly #controller: AbortController
  #cancel: () => void = () => undefined

  /** Starts at once; `idleMs` null: never aborts. */
  constructor(clock: Clock, idleMs: number | null, controller: AbortController) {
    this.#clock = clock
    this.#idleMs = idleMs
    this.#controller = controller
    this.restart()
  }

  /** Something happened. */
  restart(): void {
    this.#cancel()
    if (this.#idleMs === null) return
    this.#cancel = this.#clock.after(this.#idleMs, () => {
      this.#controller.abort()
    })
  }

  stop(): void {
    this.#cancel()
  }
}
