/** Takes messages of one topic from one broker by POP, again and again, as long as there is room for them. */
import { MqError, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { SubscriptionData } from '../protocol/bodies/subscription-data.ts'
import { POP_MESSAGES_MAX } from '../protocol/pop-names.ts'
import type { Clock } from '../world/clock.ts'
import type { Hindrance } from './hindrance.ts'
import { Pauses } from './pause.ts'
import type { PopAccess, PoppedMessage } from './pop-access.ts'

export interface PopSourceOptions {
  readonly access: PopAccess
  readonly clock: Clock
  readonly logger: Logger
  readonly broker: string
  readonly subscription: SubscriptionData
  readonly invisibleMs: number
  readonly initMode: number
  /** How many messages may come now; below 1: none. */
  readonly room: () => number
  readonly onMessages: (messages: readonly PoppedMessage[]) => void
}

const POLL_MS = 15_000
const PAUSE_MS_MIN = 100
const PAUSE_MS_MAX = 3_000
/** An empty answer that came sooner than this was not held: the next request waits. */
const HELD_MS_MIN = 50

export class PopSource {
  readonly #options: PopSourceOptions
  readonly #pauses: Pauses
  #stopped = false
  #roomWanted: (() => void) | null = null
  /** The last answer was empty, and said that nothing waits. */
  wasEmpty = false
  /** Since when the broker cannot be asked; null: it can. */
  hindrance: Hindrance | null = null
  #mayHold = false

  constructor(options: PopSourceOptions) {
    this.#options = options
    this.#pauses = new Pauses(options.clock)
  }

  /** Nothing waits, as far as the broker says now. */
  get isEmpty(): boolean {
    return this.wasEmpty && this.hindrance === null
  }

  stop(): void {
    this.#stopped = true
    this.#pauses.end()
    this.#roomWanted?.()
  }

  /** There is room again. */
  onRoom(): void {
    this.#roomWanted?.()
  }

  #isStopped(): boolean {
    return this.#stopped
  }

  /** Runs until stopped. Never rejects. */
  async run(): Promise<void> {
    let failures = 0
    while (!this.#isStopped()) {
      const room = this.#options.room()
      if (room < 1) {
        await new Promise<void>((resolve) => {
          this.#roomWanted = resolve
        })
        this.#roomWanted = null
        continue
      }
      try {
        await this.#popOnce(room)
        failures = 0
        this.hindrance = null
      } catch (error) {
        failures++
        await this.#afterFailure(error, failures)
      }
    }
  }

  async #popOnce(room: number): Promise<void> {
    const { access, broker, subscription, invisibleMs, initMode, clock } = this.#options
    const { topic, subString, expressionType } = subscription
    // After messages it is asked at once whether there are more: the answer says when that was all.
    const pollMs = this.#mayHold ? POLL_MS : 0
    const startMs = clock.monotonicMs()
    const { messages, rest } = await access.pop(broker, {
      topic,
      messagesMax: Math.min(POP_MESSAGES_MAX, room),
      invisibleMs,
      pollMs,
      initMode,
      expressionType,
      expression: subString,
    })
    this.#mayHold = messages.length === 0
    this.wasEmpty = messages.length === 0 && rest === 0
    if (messages.length > 0) {
      this.#options.onMessages(messages)
      return
    }
    if (pollMs > 0 && clock.monotonicMs() - startMs < HELD_MS_MIN) {
      await this.#pauses.pause(PAUSE_MS_MIN)
    }
  }

  async #afterFailure(error: unknown, failures: number): Promise<void> {
    if (this.#isStopped()) return
    const { clock, logger, subscription, broker } = this.#options
    const sinceMs = this.hindrance?.sinceMs ?? clock.monotonicMs()
    this.hindrance = { passes: failures, sinceMs, error }
    // The next answer must tell soon whether there is something: it may be the one that was missing.
    this.#mayHold = false
    if (failures === 1 || failures % 20 === 0) {
      const { topic } = subscription
      logger.warn('pop failed', { topic, broker, why: messageOf(error), failures })
    }
    if (!(error instanceof MqError)) logger.error('bug in pop', { why: messageOf(error) })
    await this.#pauses.pause(Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** (failures - 1)))
  }
}
