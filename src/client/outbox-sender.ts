/**
 * Sends through an outbox: a message is kept first, then sent until a broker acknowledges it, with growing
 * pauses. After so many tries it is given up for now, which is the alarm; it stays in the outbox.
 */
import { MqError } from '../base/errors.ts'
import type { Clock } from '../world/clock.ts'
import type { Outbox } from './outbox.ts'
import type { OutgoingMessage } from './outgoing-message.ts'
import type { Producer, SendReceipt } from './producer.ts'

export interface OutboxSenderOptions {
  readonly clock: Clock
  /** Tries of a message before it is given up for now; at least 1. */
  readonly tries: number
  /** No more tries. */
  readonly signal: AbortSignal
}

const PAUSE_MS_MIN = 1_000
const PAUSE_MS_MAX = 30_000

export class OutboxSender {
  readonly #producer: Pick<Producer, 'send'>
  readonly #outbox: Outbox
  readonly #options: OutboxSenderOptions
  /** A message was given up: the others get one try each, until one succeeds. */
  #isDown = false

  constructor(producer: Pick<Producer, 'send'>, outbox: Outbox, options: OutboxSenderOptions) {
    this.#producer = producer
    this.#outbox = outbox
    this.#options = options
  }

  /** Rejects with the last try's error; the message is still in the outbox then. */
  async send(message: OutgoingMessage): Promise<SendReceipt> {
    const { messageId } = message
    const isKept = messageId !== undefined && this.#outbox.has(messageId)
    const kept = isKept ? { ...message, messageId } : await this.#outbox.add(message)
    for (let failures = 0; ;) {
      try {
        const receipt = await this.#producer.send(kept)
        this.#isDown = false
        this.#outbox.done(kept.messageId)
        return receipt
      } catch (error) {
        failures += 1
        const mayHelp = error instanceof MqError && error.retry
        if (mayHelp && failures >= this.#options.tries) this.#isDown = true
        if (!mayHelp || this.#isDown || this.#options.signal.aborted) throw error
        await this.#pause(failures)
      }
    }
  }

  #pause(failures: number): Promise<void> {
    const { clock, signal } = this.#options
    const ms = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** (failures - 1))
    return new Promise((resolve) => {
      const end = () => {
        stop()
        signal.removeEventListener('abort', end)
        resolve()
      }
      const stop = clock.after(ms, end)
      signal.addEventListener('abort', end)
      if (signal.aborted) end()
    })
  }
}
