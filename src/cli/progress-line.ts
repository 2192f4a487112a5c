/**
 * Progress on stderr: one line that is drawn over and over on a terminal; elsewhere one line a
 * phase, so that a log shows what happened and no more.
 */
import type { Terminal } from './terminal.ts'

export class ProgressLine {
  readonly #terminal: Terminal
  readonly #quiet: boolean
  #phase = ''
  #drawn = false

  constructor(terminal: Terminal, quiet: boolean) {
    this.#terminal = terminal
    this.#quiet = quiet
  }

  /** Columns that a line may have. */
  get widthColumns(): number {
    return this.#terminal.widthColumns - 1
  }

  /** @param plannedMs how long the phase is to take; null when it is over when it is over */
  show(phase: string, line: string, plannedMs: number | null): void {
    if (this.#quiet) return
    if (this.#terminal.stderrIsTty) {
      process.stderr.write(`\r\u001b[2K${line}`)
      this.#drawn = true
      return
    }
    if (phase === this.#phase) return
    this.#phase = phase
    const planned = plannedMs === null ? '' : ` (${(plannedMs / 1000).toFixed(1)} s)`
    process.stderr.write(`${phase}${planned}\n`)
  }

  /** Clears the drawn line; harmless without one. */
  end(): void {
    if (!this.#drawn) return
    this.#drawn = false
    process.stderr.write('\r\u001b[2K')
  }
}
