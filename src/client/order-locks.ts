/**
 * Which queues this member may consume in order: those that their brokers have locked for it. A lock
 * is asked for before the first message, renewed while the queue is here, and given back when the
 * last message is done with. Where it cannot be renewed, it is not believed in for longer than half of
 * the minute that brokers keep it.
 * Source: apache/rocketmq client/…/impl/consumer/{RebalanceImpl,ProcessQueue,ConsumeMessageOrderlyService}.java.
 */
import { messageOf } from '../base/errors.ts'
import {
  decodeLockedQueues,
  encodeLockBatch,
  type LockBatch,
} from '../protocol/bodies/lock-batch.ts'
import { type MessageQueue, messageQueueKey } from '../protocol/bodies/message-queue.ts'
import { RequestCode } from '../protocol/codes.ts'
import type { Stop } from '../world/clock.ts'
import { decodeAnswer } from './answers.ts'
import type { MqClient } from './client.ts'

const RENEW_MS = 20_000
/** While locks are over because their broker did not answer: queues stand still until it does. */
const RENEW_AGAIN_MS = 1_000
/** From the moment when it was asked for. */
const BELIEVED_MS = 30_000

interface Lock {
  readonly queue: MessageQueue
  /** Monotonic. */
  untilMs: number
}

export interface OrderLocksOptions {
  readonly group: string
  /** Other members have these queues now. */
  readonly onLost: (queues: readonly MessageQueue[]) => void
  /** Locks were renewed that may have been over. */
  readonly onRenewed: () => void
}

export class OrderLocks {
  readonly #client: MqClient
  readonly #options: OrderLocksOptions
  readonly #locks = new Map<string, Lock>()
  #stop: Stop = () => undefined
  #stopAgain: Stop | null = null

  constructor(client: MqClient, options: OrderLocksOptions) {
    this.#client = client
    this.#options = options
  }

  /** Begins to renew. */
  start(): void {
    this.#stop = this.#client.world.clock.every(RENEW_MS, () => {
      void this.renew()
    })
  }

  /** Renews no more. */
  stop(): void {
    this.#stop()
    this.#stopAgain?.()
  }

  /** Whether nobody else of the group can have the queue now. */
  has(queue: MessageQueue): boolean {
    const lock = this.#locks.get(messageQueueKey(queue))
    return lock !== undefined && this.#client.world.clock.monotonicMs() < lock.untilMs
  }

  /** Asks for queues; answers those that are this member's now. Never rejects. */
  async take(queues: readonly MessageQueue[]): Promise<MessageQueue[]> {
    const taken: MessageQueue[] = []
    await this.#each(queues, (batch, isOwned, untilMs) => {
      for (const queue of batch) {
        if (!isOwned(queue)) continue
        this.#locks.set(messageQueueKey(queue), { queue, untilMs })
        taken.push(queue)
      }
    })
    return taken
  }

  /** Gives queues back; a broker that does not answer gives them to others after a minute. Never rejects. */
  async release(queues: readonly MessageQueue[]): Promise<void> {
    for (const queue of queues) this.#locks.delete(messageQueueKey(queue))
    await Promise.all(
      [...byBroker(queues)].map(async ([brokerName, batch]) => {
        try {
          await this.#ask(RequestCode.UNLOCK_BATCH_MQ, brokerName, batch)
        } catch (error) {
          this.#warn('locks are not given back', brokerName, error)
        }
      }),
    )
  }

  /** Renews all. Never rejects. */
  async renew(): Promise<void> {
    const lost: MessageQueue[] = []
    const all = [...this.#locks.values()].map(({ queue }) => queue)
    await this.#each(all, (batch, isOwned, untilMs) => {
      for (const queue of batch) {
        const key = messageQueueKey(queue)
        const lock = this.#locks.get(key)
        // It was given back meanwhile.
        if (lock === undefined) continue
        if (isOwned(queue)) {
          lock.untilMs = untilMs
          continue
        }
        this.#locks.delete(key)
        lost.push(queue)
      }
    })
    if (lost.length > 0) this.#options.onLost(lost)
    if (this.#locks.size > 0) this.#options.onRenewed()
    if ([...this.#locks.values()].some(({ queue }) => !this.has(queue))) this.#renewAgain()
  }

  #renewAgain(): void {
    this.#stopAgain?.()
    this.#stopAgain = this.#client.world.clock.after(RENEW_AGAIN_MS, () => {
      void this.renew()
    })
  }

  async #each(
    queues: readonly MessageQueue[],
    each: (
      batch: readonly MessageQueue[],
      isOwned: (queue: MessageQueue) => boolean,
      untilMs: number,
    ) => void,
  ): Promise<void> {
    await Promise.all(
      [...byBroker(queues)].map(async ([brokerName, batch]) => {
        const untilMs = this.#client.world.clock.monotonicMs() + BELIEVED_MS
        try {
          const owned = await this.#ask(RequestCode.LOCK_BATCH_MQ, brokerName, batch)
          each(batch, (queue) => owned.has(messageQueueKey(queue)), untilMs)
        } catch (error) {
          this.#warn('queues cannot be locked', brokerName, error)
        }
      }),
    )
  }

  /** Keys of the queues that the answer names. */
  async #ask(
    code: number,
    brokerName: string,
    queues: readonly MessageQueue[],
  ): Promise<ReadonlySet<string>> {
    const { group } = this.#options
    const batch: LockBatch = { group, clientId: this.#client.clientId, queues }
    const address = this.#client.masterOf(brokerName)
    const ext = { bname: brokerName }
    const answer = await this.#client.ask(address, code, ext, encodeLockBatch(batch), { group })
    if (code === RequestCode.UNLOCK_BATCH_MQ) return new Set()
    return new Set(decodeAnswer(address, answer, decodeLockedQueues).map(messageQueueKey))
  }

  #warn(what: string, broker: string, error: unknown): void {
    const { group } = this.#options
    this.#client.logger.warn(what, { group, broker, why: messageOf(error) })
  }
}

function byBroker(queues: readonly MessageQueue[]): Map<string, MessageQueue[]> {
  const brokers = new Map<string, MessageQueue[]>()
  for (const queue of queues) {
    const batch = brokers.get(queue.brokerName)
    if (batch === undefined) brokers.set(queue.brokerName, [queue])
    else batch.push(queue)
  }
  return brokers
}
