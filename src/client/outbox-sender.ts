/**
 * Sends through an outbox: a message is kept first, then sent until a broker acknowledges it, with growing
 * pauses. After so many tries it is given up for now, which is the alarm; it stays in the outbox. What no
 * broker would ever take is not kept, and an outbox that is full takes nothing until some of it is sent;
 * when none of it can be, that is an error. A delay in milliseconds counts from when a message is kept.
 */
import { MqError, messageOf } from '../base/errors.ts'
import type { Clock } from '../world/clock.ts'
import type { KeptMessage, Outbox } from './outbox.ts'
import { type OutgoingMessage, prepareMessage } from './outgoing-message.ts'
import type { Producer, SendReceipt } from './producer.ts'

export interface OutboxSenderOptions {
  readonly clock: Clock
  /** Tries of a message before it is given up for now; at least 1. */
  readonly tries: number
  /** No more tries. */
  readonly signal: AbortSignal
  /** Bytes that the outbox keeps before it is full; default 256 MiB. */
  readonly bytesMax?: number
}

const BYTES_MAX = 256 * 1024 * 1024
/** As long as the id that a message gets. */
const SOME_ID = '0'.repeat(32)

const PAUSE_MS_MIN = 1_000
const PAUSE_MS_MAX = 30_000

export class OutboxSender {
  readonly #producer: Pick<Producer, 'send'>
  readonly #outbox: Outbox
  readonly #options: OutboxSenderOptions
  /** A message was given up: the others get one try each, until one succeeds. */
  #isDown = false
  /** Ids of messages that `send` is about to send or to try again. */
  readonly #underWay = new Set<string>()
  /** Sends what is kept until there is room; those who wait share it. */
  #makingRoom: Promise<void> | null = null

  constructor(producer: Pick<Producer, 'send'>, outbox: Outbox, options: OutboxSenderOptions) {
    this.#producer = producer
    this.#outbox = outbox
    this.#options = options
  }

  /**
   * Rejects with the last try's error; the message is still in the outbox then. Rejects with what is wrong
   * with the message, or with INTERRUPTED while the outbox is full, before it is kept; with OUTBOX_FULL when
   * nothing in it can be sent, or nothing was in as many passes as there are tries.
   */
  async send(message: OutgoingMessage): Promise<SendReceipt> {
    const { messageId } = message
    const isKept = messageId !== undefined && this.#outbox.has(messageId)
    if (!isKept) {
      prepareMessage(message, messageId ?? SOME_ID, null)
      while (this.#isFull) await this.#makeRoom()
    }
    const kept = isKept ? { ...message, messageId } : await this.#outbox.add(this.#timed(message))
    this.#underWay.add(kept.messageId)
    try {
      return await this.#sendNow(kept)
    } finally {
      this.#underWay.delete(kept.messageId)
    }
  }

  /** A delay counts from now on, whenever it is sent. */
  #timed(message: OutgoingMessage): OutgoingMessage {
    const { delayMs, ...others } = message
    if (delayMs === undefined) return message
    return { deliverAtMs: this.#options.clock.wallMs() + delayMs, ...others }
  }

  async #sendNow(kept: KeptMessage): Promise<SendReceipt> {
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

  get #isFull(): boolean {
    return this.#outbox.pendingBytes >= (this.#options.bytesMax ?? BYTES_MAX)
  }

  #makeRoom(): Promise<void> {
    this.#makingRoom ??= this.#sendKept().finally(() => {
      this.#makingRoom = null
    })
    return this.#makingRoom
  }

  /** Until there is room, after growing pauses. Rejects with INTERRUPTED, OUTBOX_FULL. */
  async #sendKept(): Promise<void> {
    for (let failures = 1; ; failures++) {
      const bytesBefore = this.#outbox.pendingBytes
      await this.#pause(failures)
      const { mayHelp, error } = await this.#passOverKept()
      if (!this.#isFull) return
      this.#checkGoesOn()
      if (this.#outbox.pendingBytes < bytesBefore) failures = 0
      else if (!mayHelp || failures >= this.#options.tries) {
        const why = error === null ? 'its messages are still being tried' : messageOf(error)
        throw new MqError('OUTBOX_FULL', { why })
      }
    }
  }

  /** Oldest first, until there is room or a failure that another try may mend. Rejects with INTERRUPTED. */
  async #passOverKept(): Promise<{ readonly mayHelp: boolean; readonly error: unknown }> {
    let mayHelp = false
    let failure: unknown = null
    for (const kept of this.#outbox.pending) {
      if (!this.#isFull) break
      this.#checkGoesOn()
      const { messageId } = kept
      if (this.#underWay.has(messageId)) mayHelp = true
      if (this.#underWay.has(messageId) || !this.#outbox.has(messageId)) continue
      try {
        await this.#producer.send(kept)
        this.#isDown = false
        this.#outbox.done(messageId)
      } catch (error) {
        failure = error
        if (error instanceof MqError && error.retry) return { mayHelp: true, error }
      }
    }
    return { mayHelp, error: failure }
  }

  #checkGoesOn(): void {
    if (this.#options.signal.aborted) throw new MqError('INTERRUPTED')
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
