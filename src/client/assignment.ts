/**
 * Which queues this member has: works out its share of each topic, takes and drops queues, and
 * reports how far they are.
 * Source: apache/rocketmq client/…/impl/consumer/RebalanceImpl.java.
 */
import { MqError, messageOf } from '../base/errors.ts'
import { type MessageQueue, messageQueueKey } from '../protocol/bodies/message-queue.ts'
import { decodeConsumerList } from '../protocol/bodies/name-lists.ts'
import type { QueueOffset } from '../protocol/bodies/queue-offsets.ts'
import type { SubscriptionData } from '../protocol/bodies/subscription-data.ts'
import { RequestCode, ResponseCode } from '../protocol/codes.ts'
import { request } from '../protocol/command.ts'
import { isRetryTopic } from '../protocol/names.ts'
import type { Stop } from '../world/clock.ts'
import { decodeAnswer } from './answers.ts'
import { AssignedQueue, type FlowLimits } from './assigned-queue.ts'
import type { MqClient } from './client.ts'
import { type Hindrance, brokersGone } from './hindrance.ts'
import type { OrderLocks } from './order-locks.ts'
import type { ProgressStore } from './progress-store.ts'
import type { QueueAccess } from './queue-access.ts'
import { shareOf } from './rebalance.ts'
import type { TopicRoute } from './routes.ts'
import { VanishedQueues } from './vanished-queues.ts'

/**
 * Where a group starts in a queue in which it has no progress yet. `last` is RocketMQ's: the end, but
 * the start of a queue of which nothing has been deleted yet. `end` is the end of any queue.
 */
export type StartPosition = 'last' | 'first' | 'end' | { readonly timeMs: number }

export interface AssignmentOptions {
  readonly group: string
  /** Every member has all queues. */
  readonly broadcast: boolean
  readonly from: StartPosition
  readonly subscriptions: ReadonlyMap<string, SubscriptionData>
  readonly pullBatch: number
  readonly limits: FlowLimits
  /** Queues are locked at their brokers while this member has them; null: they are not. */
  readonly locks: OrderLocks | null
  /** A queue has messages to take. */
  readonly onMessages: () => void
}

interface Share {
  readonly queues: readonly MessageQueue[]
  readonly isMember: boolean
}

/** After a pass that could not be finished. */
const REBALANCE_AGAIN_MS = 1_000
/** A topic that does not exist is asked for this often: a retry topic comes with the first heart-beat. */
const MISSING_TOPIC_MS = 2_000
/** Several reasons to rebalance within this time make one pass. */
const REBALANCE_SOON_MS = 20

export class Assignment {
  readonly #client: MqClient
  readonly #access: QueueAccess
  readonly #progress: ProgressStore
  readonly #options: AssignmentOptions
  readonly #assigned = new Map<string, AssignedQueue>()
  /** Locked queues that are given up or begun anew once the handler is done with their last message. */
  readonly #ending = new Set<string>()
  readonly #vanished = new VanishedQueues()
  #rebalancing: Promise<void> | null = null
  #rebalanceAgain = false
  /** Null: the last pass took all that is this member's. */
  #hindrance: Hindrance | null = { passes: 0, sinceMs: 0, error: null }
  /** What the pass under way met last. */
  #failure: unknown = null
  #stopSoon: Stop | null = null
  /** When the next pass is due (monotonic ms), while there is one. */
  #soonMs = 0
  #closed = false

  constructor(
    client: MqClient,
    access: QueueAccess,
    progress: ProgressStore,
    options: AssignmentOptions,
  ) {
    this.#client = client
    this.#access = access
    this.#progress = progress
    this.#options = options
  }

  /**
   * Why this member has not got all of its share, or did not get what is in a broker that went away; null:
   * it has, as far as it was looked.
   */
  get hindrance(): Hindrance | null {
    return this.#hindrance
  }

  get queues(): IterableIterator<AssignedQueue> {
    return this.#assigned.values()
  }

  /** Takes no queue any more and stops pulling. What was pulled and not handed out is forgotten. */
  async close(): Promise<void> {
    this.#closed = true
    this.#stopSoon?.()
    await this.#rebalancing
    for (const assigned of this.#assigned.values()) assigned.drop()
  }

  /** After `close` and the last report: lets others have the locked queues that are done with. */
  async unlock(): Promise<void> {
    const done = [...this.#assigned.values()].filter(({ handledNow }) => handledNow === 0)
    await this.#options.locks?.release(done.map(({ queue }) => queue))
  }

  /** Locks that others have got: they know better how far these queues are. */
  forget(queues: readonly MessageQueue[]): void {
    for (const queue of queues) {
      const { topic, queueId } = queue
      this.#client.logger.warn('another member has locked a queue of ours', { topic, queueId })
      const key = messageQueueKey(queue)
      this.#assigned.get(key)?.drop()
      this.#assigned.delete(key)
    }
    const sinceMs = this.#client.world.clock.monotonicMs()
    this.#hindrance ??= { passes: 0, sinceMs, error: null }
    this.rebalanceSoon(REBALANCE_AGAIN_MS)
  }

  /** Goes on from other offsets in queues that this member has. */
  reset(offsets: readonly QueueOffset[]): void {
    for (const { queue, offset } of offsets) {
      const assigned = this.#assigned.get(messageQueueKey(queue))
      if (assigned === undefined) continue
      assigned.drop()
      this.#restart(assigned, offset)
    }
  }

  /** Reports what changed since the last report. Never throws. */
  async report(queues: Iterable<AssignedQueue> = this.#assigned.values()): Promise<void> {
    const changed: QueueOffset[] = []
    for (const assigned of queues) {
      const offset = assigned.progress.position
      if (offset === assigned.reportedOffset) continue
      assigned.reportedOffset = offset
      changed.push({ queue: assigned.queue, offset })
    }
    if (changed.length === 0) return
    try {
      await this.#progress.write(changed)
    } catch (error) {
      this.#client.logger.warn('progress was not reported', { why: messageOf(error) })
      for (const { queue } of changed) {
        const assigned = this.#assigned.get(messageQueueKey(queue))
        if (assigned !== undefined) assigned.reportedOffset = null
      }
    }
  }

  /** A sooner reason replaces a later one. */
  rebalanceSoon(delayMs = REBALANCE_SOON_MS): void {
    const { clock } = this.#client.world
    const dueMs = clock.monotonicMs() + delayMs
    if (this.#closed || (this.#stopSoon !== null && dueMs >= this.#soonMs)) return
    this.#stopSoon?.()
    this.#soonMs = dueMs
    this.#stopSoon = clock.after(delayMs, () => {
      this.#stopSoon = null
      void this.rebalance()
    })
  }

  /** One pass at a time; a reason that comes meanwhile makes another. Never throws. */
  async rebalance(): Promise<void> {
    if (this.#rebalancing !== null) {
      this.#rebalanceAgain = true
      return
    }
    this.#rebalancing = this.#rebalancePass()
    await this.#rebalancing
    this.#rebalancing = null
    if (!this.#rebalanceAgain) return
    this.#rebalanceAgain = false
    this.rebalanceSoon()
  }

  async #rebalancePass(): Promise<void> {
    let isDone = true
    this.#failure = null
    for (const topic of this.#options.subscriptions.keys()) {
      try {
        if (!(await this.#rebalanceTopic(topic))) isDone = false
      } catch (error) {
        isDone = false
        this.#failure = error
        this.#client.logger.warn('rebalance failed', { topic, why: messageOf(error) })
      }
    }
    if (!isDone) {
      this.#noteHindrance(this.#failure)
      this.rebalanceSoon(REBALANCE_AGAIN_MS)
      return
    }
    this.#failure = null
    const { brokers } = this.#vanished
    // The next pass comes with the next route: until then nothing can be done.
    if (brokers.length > 0) this.#noteHindrance(brokersGone(this.#options.group, brokers))
    else this.#hindrance = null
  }

  /** Another reason begins anew: how long is too long depends on it. */
  #noteHindrance(error: unknown): void {
    const before = this.#hindrance
    const goesOn =
      before !== null && before.passes > 0 && (before.error === null) === (error === null)
    this.#hindrance = goesOn
      ? { passes: before.passes + 1, sinceMs: before.sinceMs, error }
      : { passes: 1, sinceMs: this.#client.world.clock.monotonicMs(), error }
  }

  /** False when it has to be done again soon. */
  async #rebalanceTopic(topic: string): Promise<boolean> {
    const route = await this.routeOf(topic)
    if (route === null) {
      this.#vanished.look(topic, null, new Map(), () => false)
      await this.#dropQueues(
        [...this.#assigned.values()].filter((one) => one.queue.topic === topic),
      )
      this.rebalanceSoon(MISSING_TOPIC_MS)
      return true
    }
    const share = await this.#shareOf(route)
    if (share === null) return false
    const { queues, isMember } = share
    const wanted = new Map(queues.map((queue) => [messageQueueKey(queue), queue]))
    this.#vanished.look(topic, route, wanted, (key) => this.#assigned.get(key)?.isCaughtUp === true)
    const lost = [...this.#assigned].filter(
      ([key, assigned]) => assigned.queue.topic === topic && !wanted.has(key),
    )
    await this.#dropQueues(lost.map(([, assigned]) => assigned))
    const added = [...wanted].filter(([key]) => !this.#assigned.has(key))
    const free = await this.#lock(added.filter(([key]) => !this.#ending.has(key)))
    const results = await Promise.all(free.map((queue) => this.#takeQueue(topic, queue)))
    return isMember && free.length === added.length && results.every((taken) => taken)
  }

  /** The queues that are ours alone. */
  async #lock(added: readonly (readonly [string, MessageQueue])[]): Promise<MessageQueue[]> {
    const queues = added.map(([, queue]) => queue)
    const { locks } = this.#options
    return locks === null || queues.length === 0 ? queues : locks.take(queues)
  }

  /** The queues that are ours: none while brokers do not count us in. Null when the members cannot be told. */
  async #shareOf(route: TopicRoute): Promise<Share | null> {
    if (this.#options.broadcast) return { queues: route.subscribeQueues, isMember: true }
    let members = await this.#members(route)
    if (members !== null && !members.includes(this.#client.clientId)) {
      // The broker restarted, or has not heard of us: say so, and ask again.
      await this.#client.heartbeat()
      members = await this.#members(route)
    }
    if (members === null) return null
    const { clientId } = this.#client
    const queues = shareOf(clientId, members, route.subscribeQueues)
    return { queues, isMember: members.includes(clientId) }
  }

  /** The members of the group as any broker of the topic knows them. */
  async #members(route: TopicRoute): Promise<string[] | null> {
    const addresses = [...route.brokers.values()].flatMap((broker) => [
      ...broker.brokerAddrs.values(),
    ])
    const start = this.#client.world.random.below(Math.max(1, addresses.length))
    let failure: unknown = null
    for (let i = 0; i < addresses.length; i++) {
      const address = addresses[(start + i) % addresses.length]
      if (address === undefined) continue
      const code = RequestCode.GET_CONSUMER_LIST_BY_GROUP
      try {
        const command = request(code, { consumerGroup: this.#options.group })
        const timeoutMs = this.#client.requestTimeoutMs
        const response = await this.#client.remoting.invoke(address, command, timeoutMs)
        if (response.code === ResponseCode.SUCCESS) {
          return decodeAnswer(address, response, decodeConsumerList)
        }
        // Apache says SYSTEM_ERROR when there is no member.
        if (response.code === ResponseCode.SYSTEM_ERROR) return []
      } catch (error) {
        failure = error
        this.#client.logger.warn('members cannot be told', { address, why: messageOf(error) })
      }
    }
    this.#failure = failure
    return null
  }

  async #takeQueue(topic: string, queue: MessageQueue): Promise<boolean> {
    try {
      if (this.#startQueue(topic, queue, await this.#startOffset(queue))) return true
      // Closed meanwhile: nobody else gives the lock back.
      await this.#options.locks?.release([queue])
      return false
    } catch (error) {
      this.#failure = error
      this.#client.logger.warn('queue cannot be taken', {
        topic,
        queueId: queue.queueId,
        why: messageOf(error),
      })
      await this.#options.locks?.release([queue])
      return false
    }
  }

  /** False when it is not to be started any more. */
  #startQueue(topic: string, queue: MessageQueue, offset: number): boolean {
    const subscription = this.#options.subscriptions.get(topic)
    if (subscription === undefined || this.#closed) return false
    const assigned = new AssignedQueue(
      {
        group: this.#options.group,
        queue,
        subscription,
        pullBatch: this.#options.pullBatch,
        limits: this.#options.limits,
        reportsWithPull: this.#progress.isAtBroker,
        access: this.#access,
        clock: this.#client.world.clock,
        logger: this.#client.logger,
        onMessages: this.#options.onMessages,
        onMoved: (moved, to) => {
          this.#restart(moved, to)
        },
        onUnknown: () => this.#client.heartbeat(),
      },
      offset,
    )
    this.#assigned.set(messageQueueKey(queue), assigned)
    void assigned.run()
    return true
  }

  /** A queue whose offset was changed by the broker goes on from there. */
  #restart(moved: AssignedQueue, offset: number): void {
    const key = messageQueueKey(moved.queue)
    if (this.#assigned.get(key) !== moved || this.#closed) return
    const start = () => {
      this.#startQueue(moved.queue.topic, moved.queue, offset)
      const assigned = this.#assigned.get(key)
      if (assigned !== undefined) void this.report([assigned])
    }
    if (this.#options.locks === null || moved.handledNow === 0) {
      start()
      return
    }
    // In order: the message under way comes first.
    this.#assigned.delete(key)
    this.#endWhenIdle(moved, () => {
      start()
      return Promise.resolve()
    })
  }

  #endWhenIdle(assigned: AssignedQueue, end: () => Promise<void>): void {
    const key = messageQueueKey(assigned.queue)
    this.#ending.add(key)
    void assigned
      .whenIdle()
      .then(end)
      .finally(() => this.#ending.delete(key))
  }

  async #dropQueues(lost: readonly AssignedQueue[]): Promise<void> {
    for (const assigned of lost) {
      assigned.drop()
      this.#assigned.delete(messageQueueKey(assigned.queue))
    }
    await this.report(lost)
    const { locks } = this.#options
    if (locks === null) return
    for (const assigned of lost) {
      this.#endWhenIdle(assigned, async () => {
        await this.report([assigned])
        await locks.release([assigned.queue])
      })
    }
  }

  /** Null when the topic does not exist (yet). */
  async routeOf(topic: string): Promise<TopicRoute | null> {
    try {
      return await this.#client.routes.get(topic)
    } catch (error) {
      if (error instanceof MqError && error.code === 'TOPIC_NOT_FOUND') return null
      throw error
    }
  }

  /** Where to start in a queue. Throws when the broker does not say. */
  async #startOffset(queue: MessageQueue): Promise<number> {
    const { from } = this.#options
    // For a time or the end, a made-up 0 would be wrong; for `last` it spares a young queue's first messages.
    const known = await this.#progress.read(queue, typeof from === 'object' || from === 'end')
    if (known !== null) return known
    if (from === 'first') return 0
    // What must be tried again was never seen by this group before: nothing of it is old.
    const isAtEnd = from === 'last' || from === 'end'
    if (isRetryTopic(queue.topic)) return isAtEnd ? 0 : this.#access.maxOffset(queue)
    if (isAtEnd) return this.#access.maxOffset(queue)
    return this.#access.offsetAtTime(queue, from.timeMs)
  }
}
