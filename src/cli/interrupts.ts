/**
 * Ctrl-C and SIGTERM. A command that has something to finish claims them: the first signal then
 * aborts its AbortSignal and the command ends by itself with 130 or 143; a second signal ends the
 * process at once. Everybody else ends at once.
 */
import { ExitCode } from '../base/exit-codes.ts'
import { addExitCode } from './exit-code.ts'

const exitCodes = {
  SIGINT: ExitCode.interrupted,
  SIGTERM: ExitCode.terminated,
  SIGHUP: ExitCode.terminated,
} as const

type EndingSignal = keyof typeof exitCodes

class Interrupts {
  readonly #controller = new AbortController()
  #claimed = false

  /** Starts to listen; once a process. */
  install(): void {
    for (const signal of Object.keys(exitCodes) as EndingSignal[]) {
      process.on(signal, () => {
        this.#onSignal(signal)
      })
    }
    for (const stream of [process.stdout, process.stderr]) {
      stream.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'EPIPE') this.readerLeft()
      })
    }
  }

  /** From now on the caller ends by itself when this is aborted. */
  claim(): AbortSignal {
    this.#claimed = true
    return this.#controller.signal
  }

  #onSignal(signal: EndingSignal): void {
    addExitCode(exitCodes[signal])
    if (!this.#claimed || this.#controller.signal.aborted) process.exit()
    this.#controller.abort(signal)
  }

  /** Nobody reads what is printed any more (`| head`): the command ends, and that is not a failure. */
  readerLeft(): void {
    if (!this.#claimed) process.exit()
    this.#controller.abort('EPIPE')
  }
}

/** The process has one set of signals. */
export const interrupts = new Interrupts()
