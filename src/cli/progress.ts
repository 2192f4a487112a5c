/** One line on stderr that is rewritten, only where a person watches. */
import type { Clock } from '../world/clock.ts'
import type { Terminal } from './terminal.ts'

const PERIOD_MS = 200

export class ProgressLine {
  readonly #clock: Clock
  readonly #enabled: boolean
  #lastMs = Number.NEGATIVE_INFINITY
  #drawn = false

  constructor(clock: Clock, terminal: Terminal, quiet: boolean) {
    this.#clock = clock
    this.#enabled = terminal.stderrIsTty && !quiet
  }

  /** Draws at most five times a second; `text` is only made when it is drawn. */
  update(text: () => string): void {
    if (!this.#enabled) return
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#lastMs < PERIOD_MS) return
    this.#lastMs = nowMs
    this.#drawn = true
    process.stderr.write(`\r\u001b[2K${text()}`)
  }

  /** Wipes the line. */
  end(): void {
    if (this.#drawn) process.stderr.write('\r\u001b[2K')
    this.#drawn = false
  }
}
