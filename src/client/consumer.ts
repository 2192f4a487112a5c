/**
 * Consumes topics as a member of a group: the brokers' queues are shared out among its members, or,
 * in broadcast, each member gets all of them.
 *
 *     const consumer = await Consumer.start(world, {
 *       nameServers: '127.0.0.1:9876', group: 'billing', subscriptions: [{ topic: 'orders' }],
 *       handler: async (message) => { … },
 *     })
 *     await consumer.close()
 *
 * A message counts as processed when the handler returns or its promise resolves; the group's
 * progress never passes one that is not. A failed one goes back to the broker, which delivers it
 * again later; where the broker does not take it back it is tried again here, after growing pauses.
 * Delivery is at least once: after a crash or a change of members some messages come twice.
 * Source: apache/rocketmq client/…/impl/consumer/DefaultMQPushConsumerImpl.java, RebalanceImpl.java.
 */
import { MqError, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { ConsumerData } from '../protocol/bodies/consumer-data.ts'
import { type MessageQueue, messageQueueKey } from '../protocol/bodies/message-queue.ts'
import { decodeConsumerList } from '../protocol/bodies/name-lists.ts'
import type { QueueOffset } from '../protocol/bodies/queue-offsets.ts'
import { type SubscriptionData, tagSubscription } from '../protocol/bodies/subscription-data.ts'
import { RequestCode, ResponseCode } from '../protocol/codes.ts'
import { type Command, request } from '../protocol/command.ts'
import { isRetryTopic, retryTopicOf } from '../protocol/names.ts'
import { PropertyName } from '../protocol/properties.ts'
import type { Stop } from '../world/clock.ts'
import { sleep } from '../world/node-clock.ts'
import type { World } from '../world/world.ts'
import { decodeAnswer } from './answers.ts'
import { AssignedQueue, type FlowLimits } from './assigned-queue.ts'
import { type ClientOptions, type GroupMember, MqClient } from './client.ts'
import { answerConsumerRequest } from './consumer-requests.ts'
import { HandlerStats } from './handler-stats.ts'
import { checkGroup, checkTopic } from './outgoing-message.ts'
import { BrokerProgress, LocalProgress, type ProgressStore } from './progress-store.ts'
import { QueueAccess } from './queue-access.ts'
import { shareOf } from './rebalance.ts'
import type { ReceivedMessage } from './received-message.ts'
import type { TopicRoute } from './routes.ts'

/**
 * Processes one message. Throwing, or a promise that rejects, means failed. The word `leave` means
 * neither: the message stays unprocessed for whoever gets the queue next, and does not come again here.
 */
export type MessageHandler = (message: ReceivedMessage) => HandlerResult | Promise<HandlerResult>
export type HandlerResult = 'leave' | undefined | void

/** Where a group starts in a queue in which it has no progress yet. */
export type StartPosition = 'last' | 'first' | { readonly timeMs: number }

export interface Subscription {
  readonly topic: string
  /** `*` or tags separated by `||`; default `*`. */
  readonly tags?: string
}

export interface ConsumerOptions extends ClientOptions {
  readonly group: string
  readonly subscriptions: readonly Subscription[]
  readonly handler: MessageHandler
  /** `cluster` (default): the group shares the queues. `broadcast`: every member gets all. */
  readonly model?: 'cluster' | 'broadcast'
  /** Default `last`. Brokers answer `last` with the start for a young queue, as RocketMQ does. */
  readonly from?: StartPosition
  /** Messages that the handler may have at once; default 20. */
  readonly concurrency?: number
  /**
   * One message of a queue after the other, a failed one first again; default false. Queues are not
   * locked at the broker: while members come and go two of them may have the same queue for a moment.
   */
  readonly ordered?: boolean
  /** Messages asked for at once, default 32. */
  readonly pullBatch?: number
  /** How far each queue is pulled ahead: 1,000 messages, 100 MiB, 2,000 offsets by default. */
  readonly limits?: Partial<FlowLimits>
  /** Deliveries after the first; default 16. Then the broker puts the message aside (`%DLQ%group`). */
  readonly retriesMax?: number
  /** Broadcast: the file that keeps progress over restarts; without one it ends with this process. */
  readonly progressFile?: string
  /** How long `close` waits for handlers; default 10,000 ms. */
  readonly closeTimeoutMs?: number
}

const LIMITS: FlowLimits = { messagesMax: 1_000, bytesMax: 100 * 1024 * 1024, spanMax: 2_000 }
const CONCURRENCY = 20
const PULL_BATCH = 32
const RETRIES_MAX = 16
const CLOSE_TIMEOUT_MS = 10_000
const REBALANCE_PERIOD_MS = 20_000
/** After a pass that could not be finished. */
const REBALANCE_AGAIN_MS = 1_000
/** Several reasons to rebalance within this time make one pass. */
const REBALANCE_SOON_MS = 20
const REPORT_PERIOD_MS = 5_000
const RETRY_PAUSE_MS_MIN = 1_000
const RETRY_PAUSE_MS_MAX = 30_000
/** Handlers that return at once are called so many times before others get a turn. */
const HANDLED_A_TURN_MAX = 256

export class Consumer {
  readonly group: string
  readonly #client: MqClient
  readonly #access: QueueAccess
  readonly #options: ConsumerOptions
  readonly #logger: Logger
  readonly #subscriptions: ReadonlyMap<string, SubscriptionData>
  readonly #member: GroupMember
  readonly #progress: ProgressStore
  readonly #assigned = new Map<string, AssignedQueue>()
  readonly #stats: HandlerStats
  readonly #stops: Stop[] = []
  readonly #concurrency: number
  readonly #startedMs: number
  /** Failed deliveries here, of messages that the broker did not take back; by message. */
  readonly #failures = new WeakMap<ReceivedMessage, number>()
  #handledNow = 0
  #pumping = false
  #pumpScheduled = false
  /** Queues take turns: the next to look at. */
  #turn = 0
  #rebalancing: Promise<void> | null = null
  #rebalanceAgain = false
  #stopSoon: Stop | null = null
  #closing: Promise<void> | null = null
  #idle: () => void = () => undefined

  private constructor(client: MqClient, options: ConsumerOptions, progress: ProgressStore) {
    const nowMs = client.world.clock.wallMs()
    this.group = options.group
    this.#client = client
    this.#access = new QueueAccess(client)
    this.#options = options
    this.#logger = client.logger
    this.#progress = progress
    this.#concurrency = options.concurrency ?? CONCURRENCY
    this.#startedMs = nowMs
    this.#stats = new HandlerStats(client.world.clock)
    const wanted: Subscription[] = [...options.subscriptions]
    if (options.model !== 'broadcast') wanted.push({ topic: retryTopicOf(options.group) })
    this.#subscriptions = new Map(
      wanted.map(({ topic, tags }) => [topic, tagSubscription(topic, tags ?? '*', nowMs)]),
    )
    this.#member = {
      producerGroup: null,
      consumerData: () => this.#consumerData(),
      onRequest: (command) => this.#onRequest(command),
      onRouteChange: (topic) => {
        if (this.#subscriptions.has(topic)) this.#rebalanceSoon()
      },
    }
  }

  /**
   * Joins the group and takes its share of the queues. A topic that does not exist yet is consumed
   * once it does. Throws NAME_ILLEGAL, USAGE, NAMESRV_UNREACHABLE.
   */
  static async start(world: World, options: ConsumerOptions): Promise<Consumer> {
    checkGroup(options.group)
    if (options.subscriptions.length === 0) {
      throw new MqError('USAGE', { what: 'a consumer needs a topic' })
    }
    for (const { topic } of options.subscriptions) {
      if (!isRetryTopic(topic)) checkTopic(topic)
    }
    const client = new MqClient(world, options)
    try {
      const access = new QueueAccess(client)
      const progress =
        options.model === 'broadcast'
          ? await LocalProgress.open(world.disk, options.progressFile ?? null, client.logger)
          : new BrokerProgress(options.group, access)
      const consumer = new Consumer(client, options, progress)
      await consumer.#start()
      return consumer
    } catch (error) {
      client.close()
      throw error
    }
  }

  get clientId(): string {
    return this.#client.clientId
  }

  /** The queues that this member has now. */
  get queues(): MessageQueue[] {
    return [...this.#assigned.values()].map((assigned) => assigned.queue)
  }

  /** True when every queue that this member has was processed to its end. */
  get isCaughtUp(): boolean {
    return [...this.#assigned.values()].every((assigned) => assigned.isCaughtUp)
  }

  /**
   * Stops pulling, waits for the handlers that run, reports progress and leaves the group. Calling
   * it again waits for the same end. Must not be awaited inside the handler.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #start(): Promise<void> {
    const { clock } = this.#client.world
    for (const topic of this.#subscriptions.keys()) await this.#routeOf(topic)
    this.#client.join(this.#member)
    await this.#client.heartbeat()
    await this.#rebalance()
    // The topic %RETRY%group comes into being with the first heart-beat.
    this.#stops.push(
      clock.every(REBALANCE_PERIOD_MS, () => {
        this.#rebalanceSoon()
      }),
      clock.every(REPORT_PERIOD_MS, () => {
        void this.#report()
      }),
    )
  }

  async #close(): Promise<void> {
    for (const stop of this.#stops) stop()
    this.#stopSoon?.()
    await this.#rebalancing
    const assigned = [...this.#assigned.values()]
    for (const queue of assigned) queue.drop()
    await this.#untilIdle(this.#options.closeTimeoutMs ?? CLOSE_TIMEOUT_MS)
    await this.#report()
    this.#assigned.clear()
    this.#client.leave(this.#member)
    await this.#client.unregister({ consumerGroup: this.group })
    this.#client.close()
  }

  async #untilIdle(timeoutMs: number): Promise<void> {
    if (this.#handledNow === 0) return
    await new Promise<void>((resolve) => {
      const stop = this.#client.world.clock.after(timeoutMs, resolve)
      this.#idle = () => {
        stop()
        resolve()
      }
    })
    if (this.#handledNow > 0) {
      this.#logger.warn('handlers still run at close', { handlers: this.#handledNow })
    }
  }

  // ── the handler ────────────────────────────────────────────────────────────────────────────────

  #pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    let budget = HANDLED_A_TURN_MAX
    while (this.#handledNow < this.#concurrency && budget > 0) {
      const found = this.#nextMessage()
      if (found === null) break
      budget -= 1
      this.#handle(found.assigned, found.message)
    }
    this.#pumping = false
    if (budget === 0) this.#pumpLater()
  }

  #pumpLater(): void {
    if (this.#pumpScheduled) return
    this.#pumpScheduled = true
    this.#client.world.clock.atEndOfTurn(() => {
      this.#pumpScheduled = false
      this.#pump()
    })
  }

  #nextMessage(): { assigned: AssignedQueue; message: ReceivedMessage } | null {
    const all = [...this.#assigned.values()]
    const ordered = this.#options.ordered === true
    const nowMs = ordered ? this.#client.world.clock.monotonicMs() : 0
    for (let i = 0; i < all.length; i++) {
      const assigned = all[(this.#turn + i) % all.length]
      if (assigned === undefined || assigned.isDropped()) continue
      if (ordered && (assigned.handledNow > 0 || assigned.notBeforeMs > nowMs)) continue
      const message = assigned.takeMessage()
      if (message === null) continue
      this.#turn = (this.#turn + i + 1) % all.length
      return { assigned, message }
    }
    return null
  }

  #handle(assigned: AssignedQueue, message: ReceivedMessage): void {
    this.#handledNow += 1
    assigned.handledNow += 1
    const startMs = this.#client.world.clock.monotonicMs()
    let result: ReturnType<MessageHandler>
    try {
      result = this.#options.handler(withOriginalTopic(message))
    } catch (error) {
      this.#handled(assigned, message, startMs, { failed: true, why: messageOf(error) })
      return
    }
    if (!isPromise(result)) {
      this.#handled(assigned, message, startMs, { failed: false, left: result === 'leave' })
      return
    }
    result.then(
      (value) => {
        this.#handled(assigned, message, startMs, { failed: false, left: value === 'leave' })
      },
      (error: unknown) => {
        this.#handled(assigned, message, startMs, { failed: true, why: messageOf(error) })
      },
    )
  }

  #handled(
    assigned: AssignedQueue,
    message: ReceivedMessage,
    startMs: number,
    outcome: { failed: true; why: string } | { failed: false; left: boolean },
  ): void {
    const { clock } = this.#client.world
    this.#handledNow -= 1
    assigned.handledNow -= 1
    assigned.lastHandledMs = clock.wallMs()
    this.#stats.count(message.topic, clock.monotonicMs() - startMs, !outcome.failed)
    if (outcome.failed) void this.#failed(assigned, message, outcome.why)
    else if (!outcome.left) assigned.finish(message)
    if (this.#handledNow === 0) this.#idle()
    this.#pump()
  }

  /** Gives a failed message back to the broker, or keeps it here for another try. Never throws. */
  async #failed(assigned: AssignedQueue, message: ReceivedMessage, why: string): Promise<void> {
    const failures = (this.#failures.get(message) ?? 0) + 1
    this.#failures.set(message, failures)
    const isShared = this.#options.model !== 'broadcast' && this.#options.ordered !== true
    if (isShared && failures === 1 && (await this.#giveBack(message, why))) {
      assigned.finish(message)
      return
    }
    const retriesMax = this.#options.retriesMax ?? RETRIES_MAX
    if (this.#options.model === 'broadcast' && failures > retriesMax) {
      this.#logger.error('message given up', { id: message.messageId, failures, why })
      assigned.finish(message)
      return
    }
    const pauseMs = Math.min(RETRY_PAUSE_MS_MAX, RETRY_PAUSE_MS_MIN * 2 ** (failures - 1))
    this.#logger.warn('message failed', { id: message.messageId, failures, pauseMs, why })
    const { clock } = this.#client.world
    if (this.#options.ordered === true) {
      assigned.notBeforeMs = clock.monotonicMs() + pauseMs
      assigned.putBack(message)
    }
    // Not the clock's `after` that must be stopped: a closed consumer ends this by itself.
    await sleep(clock, pauseMs)
    if (assigned.isDropped()) return
    if (this.#options.ordered !== true) assigned.putBack(message)
    this.#pump()
  }

  async #giveBack(message: ReceivedMessage, why: string): Promise<boolean> {
    try {
      await this.#client.ask(
        this.#client.masterOf(message.broker),
        RequestCode.CONSUMER_SEND_MSG_BACK,
        {
          group: this.group,
          offset: message.physicalOffset,
          delayLevel: 0,
          originMsgId: message.offsetMessageId,
          originTopic: message.topic,
          unitMode: false,
          maxReconsumeTimes: this.#options.retriesMax ?? RETRIES_MAX,
          bname: message.broker,
        },
        null,
        { group: this.group },
      )
      this.#logger.info('message given back', { id: message.messageId, why })
      return true
    } catch (error) {
      this.#logger.warn('broker does not take a failed message back', {
        id: message.messageId,
        why: messageOf(error),
      })
      return false
    }
  }

  // ── progress ───────────────────────────────────────────────────────────────────────────────────

  /** Reports what changed since the last report. Never throws. */
  async #report(queues: Iterable<AssignedQueue> = this.#assigned.values()): Promise<void> {
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
      this.#logger.warn('progress was not reported', { why: messageOf(error) })
      for (const { queue } of changed) {
        const assigned = this.#assigned.get(messageQueueKey(queue))
        if (assigned !== undefined) assigned.reportedOffset = null
      }
    }
  }

  /** Where to start in a queue. Throws when the broker does not say. */
  async #startOffset(queue: MessageQueue): Promise<number> {
    const from = this.#options.from ?? 'last'
    // For a time, a made-up 0 would be wrong; for `last` it spares a young queue's first messages.
    const known = await this.#progress.read(queue, typeof from === 'object')
    if (known !== null) return known
    if (from === 'first') return 0
    // What must be tried again was never seen by this group before: nothing of it is old.
    if (isRetryTopic(queue.topic)) return from === 'last' ? 0 : this.#access.maxOffset(queue)
    if (from === 'last') return this.#access.maxOffset(queue)
    return this.#access.offsetAtTime(queue, from.timeMs)
  }

  // ── queues ─────────────────────────────────────────────────────────────────────────────────────

  #rebalanceSoon(delayMs = REBALANCE_SOON_MS): void {
    if (this.#closing !== null || this.#stopSoon !== null) return
    this.#stopSoon = this.#client.world.clock.after(delayMs, () => {
      this.#stopSoon = null
      void this.#rebalance()
    })
  }

  /** One pass at a time; a reason that comes meanwhile makes another. Never throws. */
  async #rebalance(): Promise<void> {
    if (this.#rebalancing !== null) {
      this.#rebalanceAgain = true
      return
    }
    this.#rebalancing = this.#rebalancePass()
    await this.#rebalancing
    this.#rebalancing = null
    if (!this.#rebalanceAgain) return
    this.#rebalanceAgain = false
    this.#rebalanceSoon()
  }

  async #rebalancePass(): Promise<void> {
    let isDone = true
    for (const topic of this.#subscriptions.keys()) {
      try {
        if (!(await this.#rebalanceTopic(topic))) isDone = false
      } catch (error) {
        isDone = false
        this.#logger.warn('rebalance failed', { topic, why: messageOf(error) })
      }
    }
    if (!isDone) this.#rebalanceSoon(REBALANCE_AGAIN_MS)
  }

  /** False when it has to be done again soon. */
  async #rebalanceTopic(topic: string): Promise<boolean> {
    const route = await this.#routeOf(topic)
    if (route === null) {
      // A retry topic comes with the first heart-beat, others when somebody makes them: no hurry.
      await this.#dropQueues(
        [...this.#assigned.values()].filter((one) => one.queue.topic === topic),
      )
      return true
    }
    const share = await this.#shareOf(route)
    if (share === null) return false
    const wanted = new Map(share.map((queue) => [messageQueueKey(queue), queue]))
    const lost = [...this.#assigned].filter(
      ([key, assigned]) => assigned.queue.topic === topic && !wanted.has(key),
    )
    await this.#dropQueues(lost.map(([, assigned]) => assigned))
    const results = await Promise.all(
      [...wanted]
        .filter(([key]) => !this.#assigned.has(key))
        .map(([, queue]) => this.#takeQueue(topic, queue)),
    )
    return results.every((taken) => taken)
  }

  /** The queues that are ours; null when the members cannot be told. */
  async #shareOf(route: TopicRoute): Promise<readonly MessageQueue[] | null> {
    if (this.#options.model === 'broadcast') return route.subscribeQueues
    let members = await this.#members(route)
    if (members !== null && !members.includes(this.clientId)) {
      // The broker restarted, or has not heard of us: say so, and ask again.
      await this.#client.heartbeat()
      members = await this.#members(route)
    }
    return members === null ? null : shareOf(this.clientId, members, route.subscribeQueues)
  }

  /** The members of the group as any broker of the topic knows them. */
  async #members(route: TopicRoute): Promise<string[] | null> {
    const addresses = [...route.brokers.values()].flatMap((broker) => [
      ...broker.brokerAddrs.values(),
    ])
    const start = this.#client.world.random.below(Math.max(1, addresses.length))
    for (let i = 0; i < addresses.length; i++) {
      const address = addresses[(start + i) % addresses.length]
      if (address === undefined) continue
      const code = RequestCode.GET_CONSUMER_LIST_BY_GROUP
      try {
        const command = request(code, { consumerGroup: this.group })
        const timeoutMs = this.#client.requestTimeoutMs
        const response = await this.#client.remoting.invoke(address, command, timeoutMs)
        if (response.code === ResponseCode.SUCCESS) {
          return decodeAnswer(address, response, decodeConsumerList)
        }
        // Apache says SYSTEM_ERROR when there is no member.
        if (response.code === ResponseCode.SYSTEM_ERROR) return []
      } catch (error) {
        this.#logger.warn('members cannot be told', { address, why: messageOf(error) })
      }
    }
    return null
  }

  async #takeQueue(topic: string, queue: MessageQueue): Promise<boolean> {
    try {
      this.#startQueue(topic, queue, await this.#startOffset(queue))
      return true
    } catch (error) {
      this.#logger.warn('queue cannot be taken', {
        topic,
        queueId: queue.queueId,
        why: messageOf(error),
      })
      return false
    }
  }

  #startQueue(topic: string, queue: MessageQueue, offset: number): void {
    const subscription = this.#subscriptions.get(topic)
    if (subscription === undefined || this.#closing !== null) return
    const assigned = new AssignedQueue(
      {
        group: this.group,
        queue,
        subscription,
        pullBatch: this.#options.pullBatch ?? PULL_BATCH,
        limits: { ...LIMITS, ...this.#options.limits },
        reportsWithPull: this.#progress.isAtBroker,
        access: this.#access,
        clock: this.#client.world.clock,
        logger: this.#logger,
        onMessages: () => {
          this.#pump()
        },
        onMoved: (moved, to) => {
          this.#restart(moved, to)
        },
        onUnknown: () => this.#client.heartbeat(),
      },
      offset,
    )
    this.#assigned.set(messageQueueKey(queue), assigned)
    void assigned.run()
  }

  /** A queue whose offset was changed by the broker goes on from there. */
  #restart(moved: AssignedQueue, offset: number): void {
    const key = messageQueueKey(moved.queue)
    if (this.#assigned.get(key) !== moved || this.#closing !== null) return
    this.#startQueue(moved.queue.topic, moved.queue, offset)
    const assigned = this.#assigned.get(key)
    if (assigned !== undefined) void this.#report([assigned])
  }

  async #dropQueues(lost: readonly AssignedQueue[]): Promise<void> {
    for (const assigned of lost) {
      assigned.drop()
      this.#assigned.delete(messageQueueKey(assigned.queue))
    }
    await this.#report(lost)
  }

  /** Null when the topic does not exist (yet). */
  async #routeOf(topic: string): Promise<TopicRoute | null> {
    try {
      return await this.#client.routes.get(topic)
    } catch (error) {
      if (error instanceof MqError && error.code === 'TOPIC_NOT_FOUND') return null
      throw error
    }
  }

  // ── what brokers ask ───────────────────────────────────────────────────────────────────────────

  #consumerData(): ConsumerData {
    const from = this.#options.from ?? 'last'
    return {
      groupName: this.group,
      consumeType: 'CONSUME_PASSIVELY',
      messageModel: this.#options.model === 'broadcast' ? 'BROADCASTING' : 'CLUSTERING',
      consumeFromWhere:
        from === 'last'
          ? 'CONSUME_FROM_LAST_OFFSET'
          : from === 'first'
            ? 'CONSUME_FROM_FIRST_OFFSET'
            : 'CONSUME_FROM_TIMESTAMP',
      subscriptions: [...this.#subscriptions.values()],
      unitMode: false,
    }
  }

  #onRequest(command: Command): Promise<Command | null> | Command | null {
    return answerConsumerRequest(command, {
      group: this.group,
      nameServers: this.#client.nameServers.addresses,
      startedMs: this.#startedMs,
      ordered: this.#options.ordered === true,
      concurrency: this.#concurrency,
      subscriptions: [...this.#subscriptions.values()],
      assigned: [...this.#assigned.values()],
      stats: this.#stats,
      handler: this.#options.handler,
      clock: this.#client.world.clock,
      rebalance: () => {
        this.#rebalanceSoon()
      },
      reset: (offsets) => {
        for (const { queue, offset } of offsets) {
          const assigned = this.#assigned.get(messageQueueKey(queue))
          if (assigned === undefined) continue
          assigned.drop()
          this.#restart(assigned, offset)
        }
      },
    })
  }
}

/** A message that comes again bears the name of its retry topic; the handler sees its own. */
export function withOriginalTopic(message: ReceivedMessage): ReceivedMessage {
  const topic = isRetryTopic(message.topic)
    ? message.properties[PropertyName.retryTopic]
    : undefined
  return topic === undefined ? message : { ...message, topic }
}

function isPromise(value: ReturnType<MessageHandler>): value is Promise<HandlerResult> {
  return typeof value === 'object'
}
