/** Messages on stdout as they come: by a format, or one JSON object a line. Waits for slow readers. */
import type { ReceivedMessage } from '../client/received-message.ts'
import type { MessageFormat } from './message-format.ts'
import { formattedMessage, messageJson } from './message-json.ts'

export class MessagePrinter {
  readonly #format: MessageFormat | null
  readonly #signal: AbortSignal
  #printed = 0

  /** `format` null: NDJSON. */
  constructor(format: MessageFormat | null, signal: AbortSignal) {
    this.#format = format
    this.#signal = signal
  }

  get printed(): number {
    return this.#printed
  }

  /** Resolves when stdout takes more; at once when the command is being interrupted. */
  async print(message: ReceivedMessage): Promise<void> {
    this.#printed += 1
    const bytes =
      this.#format === null
        ? `${JSON.stringify(messageJson(message))}\n`
        : this.#format.render(formattedMessage(message))
    if (process.stdout.write(bytes) || this.#signal.aborted) return
    await new Promise<void>((resolve) => {
      const done = () => {
        process.stdout.off('drain', done)
        this.#signal.removeEventListener('abort', done)
        resolve()
      }
      process.stdout.on('drain', done)
      this.#signal.addEventListener('abort', done)
    })
  }
}
