/**
 * Sends what has a time of its own only to brokers that keep it: a check when it is sent, for messages
 * that were kept while nobody could be asked.
 */
import { MqError } from '../base/errors.ts'
import type { OutgoingMessage } from '../client/outgoing-message.ts'
import type { Producer, SendReceipt } from '../client/producer.ts'
import type { Clock } from '../world/clock.ts'
import { type Asked, brokerWithoutTimers, hasOwnTime } from './delay.ts'

/** How long the answer of a topic's brokers counts; routes are asked for again as often. */
const CHECKED_MS = 30_000

interface Check {
  readonly startMs: number
  readonly done: Promise<void>
}

export class TimerSender {
  readonly #producer: Pick<Producer, 'send'>
  readonly #admin: Asked
  readonly #clock: Clock
  /** By topic; those that failed are made again. */
  readonly #checks = new Map<string, Check>()

  constructor(producer: Pick<Producer, 'send'>, admin: Asked, clock: Clock) {
    this.#producer = producer
    this.#admin = admin
    this.#clock = clock
  }

  /** Rejects with what sending does, with TIMERS_MISSING, and while nobody tells with that. */
  async send(message: OutgoingMessage): Promise<SendReceipt> {
    if (hasOwnTime(message)) await this.#checked(message.topic)
    return this.#producer.send(message)
  }

  #checked(topic: string): Promise<void> {
    const nowMs = this.#clock.monotonicMs()
    const before = this.#checks.get(topic)
    if (before !== undefined && nowMs - before.startMs < CHECKED_MS) return before.done
    const done = this.#check(topic)
    this.#checks.set(topic, { startMs: nowMs, done })
    done.catch(() => this.#checks.delete(topic))
    return done
  }

  async #check(topic: string): Promise<void> {
    const old = await brokerWithoutTimers(this.#admin, topic)
    if (old !== null) throw new MqError('TIMERS_MISSING', { ...old, topic })
  }
}
