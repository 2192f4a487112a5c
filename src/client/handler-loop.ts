/**
 * Hands the messages of all assigned queues to the handler, so many at once, queues taking turns,
 * and decides what becomes of those that failed.
 */
import { messageOf } from '../base/errors.ts'
import type { SubBeforeTrace } from '../protocol/trace-record.ts'
import type { AssignedQueue } from './assigned-queue.ts'
import type { MqClient } from './client.ts'
import { HandlerStats } from './handler-stats.ts'
import type { OrderLocks } from './order-locks.ts'
import { Pauses } from './pause.ts'
import type { ReceivedMessage } from './received-message.ts'
import { DEAD_LETTER, type SendBack } from './send-back.ts'
import { originalTopicOf } from './resent-message.ts'
import type { Tracer } from './tracer.ts'

/**
 * Processes one message. Throwing, or a promise that rejects, means failed. The word `leave` means
 * neither: the message stays unprocessed for whoever gets the queue next, and does not come again here.
 */
export type MessageHandler = (message: ReceivedMessage) => HandlerResult | Promise<HandlerResult>
export type HandlerResult = 'leave' | undefined | void

export interface HandlerLoopOptions {
  readonly group: string
  /** Told of each try; null: nobody is. */
  readonly tracer: Tracer | null
  readonly handler: MessageHandler
  readonly concurrency: number
  /** One message of a queue after the other, a failed one first again. */
  readonly ordered: boolean
  /** Queues that others of the group may have are left alone; null: none are locked. */
  readonly locks: Pick<OrderLocks, 'has'> | null
  /** Time before another try here: after the first failure, twice as long each time, and at most. */
  readonly pauseMs: readonly [first: number, max: number]
  /** Gives messages back to their broker; null in broadcast: nobody else gets what this member fails. */
  readonly sendBack: SendBack | null
  /** Tries here after the first; Infinity: until it succeeds. Then it is a dead letter, or given up. */
  readonly retriesMax: number
  /** The queues to take from, as they are now. */
  readonly queues: () => Iterable<AssignedQueue>
}

/** Handlers that return at once are called so many times before others get a turn. */
const HANDLED_A_TURN_MAX = 256

/** One call of the handler. */
export interface Try {
  readonly message: ReceivedMessage
  /** By the monotonic clock. */
  readonly startMs: number
  readonly trace: SubBeforeTrace | null
}

type Outcome = { failed: true; why: string } | { failed: false; left: boolean }

export class HandlerLoop {
  readonly stats: HandlerStats
  readonly #client: MqClient
  readonly #options: HandlerLoopOptions
  /** Failed tries here, of messages that the broker did not take back. */
  readonly #failures = new WeakMap<ReceivedMessage, number>()
  readonly #pauses: Pauses
  readonly #tries = new Set<Try>()
  /** Failed messages that are on their way back to a broker. */
  #goingBack = 0
  #pumping = false
  #pumpScheduled = false
  /** Queues take turns: the next to look at. */
  #turn = 0
  #idle: () => void = () => undefined

  constructor(client: MqClient, options: HandlerLoopOptions) {
    this.#client = client
    this.#options = options
    this.stats = new HandlerStats(client.world.clock)
    this.#pauses = new Pauses(client.world.clock)
  }

  /** Messages that the handler has now. */
  get running(): number {
    return this.#tries.size
  }

  /** The calls of the handler that have not ended, the oldest first. */
  get tries(): Iterable<Try> {
    return this.#tries
  }

  /** Hands out what waits, as far as the handler has room. Call it when there is something new. */
  pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    let budget = HANDLED_A_TURN_MAX
    while (this.#tries.size < this.#options.concurrency && budget > 0) {
      const found = this.#nextMessage()
      if (found === null) break
      budget -= 1
      this.#handle(found.assigned, found.message)
    }
    this.#pumping = false
    if (budget === 0) this.#pumpLater()
  }

  /** Ends all waiting for another try; resolves when no handler runs and all is given back, or after the time. */
  async close(timeoutMs: number): Promise<void> {
    this.#pauses.end()
    if (this.#tries.size + this.#goingBack === 0) return
    await new Promise<void>((resolve) => {
      const stop = this.#client.world.clock.after(timeoutMs, resolve)
      this.#idle = () => {
        stop()
        resolve()
      }
    })
  }

  #pumpLater(): void {
    if (this.#pumpScheduled) return
    this.#pumpScheduled = true
    this.#client.world.clock.atEndOfTurn(() => {
      this.#pumpScheduled = false
      this.pump()
    })
  }

  #nextMessage(): { assigned: AssignedQueue; message: ReceivedMessage } | null {
    const all = [...this.#options.queues()]
    const { ordered, locks } = this.#options
    for (let i = 0; i < all.length; i++) {
      const assigned = all[(this.#turn + i) % all.length]
      if (assigned === undefined || assigned.isDropped()) continue
      if (ordered && (assigned.handledNow > 0 || assigned.isPausing)) continue
      if (locks !== null && !locks.has(assigned.queue)) continue
      const message = assigned.takeMessage()
      if (message === null) continue
      this.#turn = (this.#turn + i + 1) % all.length
      return { assigned, message }
    }
    return null
  }

  #handle(assigned: AssignedQueue, message: ReceivedMessage): void {
    assigned.handlingBegins()
    const seen = this.#asSeen(message)
    const { tracer, group, handler } = this.#options
    const one: Try = {
      message: seen,
      startMs: this.#client.world.clock.monotonicMs(),
      trace: tracer?.began(group, seen) ?? null,
    }
    this.#tries.add(one)
    let result: ReturnType<MessageHandler>
    try {
      result = handler(seen)
    } catch (error) {
      this.#handled(assigned, message, one, { failed: true, why: messageOf(error) })
      return
    }
    if (!isPromise(result)) {
      this.#handled(assigned, message, one, { failed: false, left: result === 'leave' })
      return
    }
    result.then(
      (value) => {
        this.#handled(assigned, message, one, { failed: false, left: value === 'leave' })
      },
      (error: unknown) => {
        this.#handled(assigned, message, one, { failed: true, why: messageOf(error) })
      },
    )
  }

  /**
   * A message that comes again bears the name of its retry topic, the handler sees its own; and what was
   * tried here counts like what was tried by way of a broker.
   */
  #asSeen(message: ReceivedMessage): ReceivedMessage {
    const topic = originalTopicOf(message)
    const tries = this.#failures.get(message) ?? 0
    if (topic === message.topic && tries === 0) return message
    return { ...message, topic, reconsumeTimes: message.reconsumeTimes + tries }
  }

  #handled(assigned: AssignedQueue, message: ReceivedMessage, one: Try, outcome: Outcome): void {
    const { startMs, trace } = one
    const { clock } = this.#client.world
    const tookMs = clock.monotonicMs() - startMs
    this.#tries.delete(one)
    assigned.lastHandledMs = clock.wallMs()
    this.stats.count(message.topic, tookMs, !outcome.failed)
    if (trace !== null) {
      const result = outcome.failed ? 'exception' : outcome.left ? 'left' : 'success'
      this.#options.tracer?.ended(trace, tookMs, result)
    }
    if (!outcome.failed && !outcome.left) assigned.finish(message)
    assigned.handlingEnds()
    if (outcome.failed) void this.#failed(assigned, message, outcome.why)
    this.#idleWhenDone()
    this.pump()
  }

  #idleWhenDone(): void {
    if (this.#tries.size + this.#goingBack === 0) this.#idle()
  }

  /** Gives a failed message back to the broker, or keeps it here for another try. Never throws. */
  async #failed(assigned: AssignedQueue, message: ReceivedMessage, why: string): Promise<void> {
    const failures = (this.#failures.get(message) ?? 0) + 1
    this.#failures.set(message, failures)
    const { ordered, retriesMax, sendBack } = this.#options
    const isLast = failures > retriesMax
    // Nothing overtakes it, whatever becomes of it.
    if (ordered) assigned.isPausing = true
    if (sendBack !== null && (!ordered || isLast)) {
      if (await this.#giveBack(sendBack, assigned, message, ordered ? DEAD_LETTER : null)) {
        this.#goOn(assigned)
        return
      }
    } else if (isLast) {
      this.#client.logger.error('message given up', { id: message.messageId, failures, why })
      assigned.finish(message)
      this.#goOn(assigned)
      return
    }
    const [firstMs, maxMs] = this.#options.pauseMs
    const pauseMs = Math.min(maxMs, firstMs * 2 ** (failures - 1))
    this.#client.logger.warn('message failed', { id: message.messageId, failures, pauseMs, why })
    await this.#pauses.pause(pauseMs)
    if (assigned.isDropped()) return
    assigned.putBack(message)
    this.#goOn(assigned)
  }

  /** A queue that stood still hands out messages again. */
  #goOn(assigned: AssignedQueue): void {
    assigned.isPausing = false
    this.pump()
  }

  /** True when the message is stored elsewhere and done with here. Never throws. */
  async #giveBack(
    sendBack: SendBack,
    assigned: AssignedQueue,
    message: ReceivedMessage,
    level: number | null,
  ): Promise<boolean> {
    this.#goingBack += 1
    const isBack = await sendBack.send(message, level)
    this.#goingBack -= 1
    if (isBack) assigned.finish(message)
    this.#idleWhenDone()
    return isBack
  }
}

function isPromise(value: ReturnType<MessageHandler>): value is Promise<HandlerResult> {
  return typeof value === 'object'
}
