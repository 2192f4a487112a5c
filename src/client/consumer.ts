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
 * again after a while, each time a longer one, and makes a dead letter of it in the end; what no broker
 * takes back is tried again here, after growing pauses.
 * Delivery is at least once: after a crash or a change of members some messages come twice.
 * Source: apache/rocketmq client/…/impl/consumer/DefaultMQPushConsumerImpl.java, RebalanceImpl.java.
 */
import { MqError } from '../base/errors.ts'
import type { ConsumerData } from '../protocol/bodies/consumer-data.ts'
import type { MessageQueue } from '../protocol/bodies/message-queue.ts'
import {
  type SubscriptionData,
  sqlSubscription,
  tagSubscription,
} from '../protocol/bodies/subscription-data.ts'
import { isRetryTopic, retryTopicOf } from '../protocol/names.ts'
import type { Stop } from '../world/clock.ts'
import type { World } from '../world/world.ts'
import type { FlowLimits } from './assigned-queue.ts'
import { Assignment, type StartPosition } from './assignment.ts'
import { type ClientOptions, type GroupMember, MqClient } from './client.ts'
import { answerConsumerRequest } from './consumer-requests.ts'
import { HandlerLoop, type MessageHandler } from './handler-loop.ts'
import type { Hindrance } from './hindrance.ts'
import { checkGroup, checkTopic } from './names.ts'
import { checkFilter } from './filter-check.ts'
import { OrderLocks } from './order-locks.ts'
import { Producer } from './producer.ts'
import { BrokerProgress, LocalProgress, type ProgressStore } from './progress-store.ts'
import { QueueAccess } from './queue-access.ts'
import type { ReceivedMessage } from './received-message.ts'
import { SendBack } from './send-back.ts'
import type { Tracer } from './tracer.ts'

export interface Subscription {
  readonly topic: string
  /** `*` or tags separated by `||`; default `*`. */
  readonly tags?: string
  /** SQL92 expression over properties, evaluated by the broker; instead of `tags`. */
  readonly sql?: string
}

export interface ConsumerOptions extends ClientOptions {
  readonly group: string
  readonly subscriptions: readonly Subscription[]
  readonly handler: MessageHandler
  /** `cluster` (default): the group shares the queues. `broadcast`: every member gets all. */
  readonly model?: 'cluster' | 'broadcast'
  /** Default `last`. */
  readonly from?: StartPosition
  /** Messages that the handler may have at once; default 20. */
  readonly concurrency?: number
  /**
   * One message of a queue after the other, a failed one first again; default false. Each queue is
   * locked at its broker for one member of the group, save in broadcast, where every member has all.
   */
  readonly ordered?: boolean
  /** Ordered: how long a queue stands still when a message failed; default 1 s, doubled each time up to 30 s. */
  readonly suspendMs?: number
  /** Messages asked for at once, default 32. */
  readonly pullBatch?: number
  /** How far each queue is pulled ahead: 1,000 messages, 100 MiB, 2,000 offsets by default. */
  readonly limits?: Partial<FlowLimits>
  /**
   * Deliveries after the first; default 16, ordered: without end. Then the broker puts the message
   * aside as a dead letter (`%DLQ%group`); in broadcast it is given up.
   */
  readonly retriesMax?: number
  /**
   * Delay level of a failed message's next try, 1 … 18; 0: as the broker has it, one level longer each
   * time (10 s, 30 s, 1 min … 2 h); −1: none, it is a dead letter at once. Default 0.
   */
  readonly retryLevel?: (message: ReceivedMessage) => number
  /** Broadcast: the file that keeps progress over restarts, one a process; without one it ends with this process. */
  readonly progressFile?: string
  /** Whether traces tell of each try: true, or a topic of their own for them; default false. */
  readonly trace?: boolean | string
  /** How long `close` waits for handlers; default 10,000 ms. */
  readonly closeTimeoutMs?: number
}

const LIMITS: FlowLimits = { messagesMax: 1_000, bytesMax: 100 * 1024 * 1024, spanMax: 2_000 }
const CONCURRENCY = 20
const PULL_BATCH = 32
const RETRIES_MAX = 16
const PAUSE_MS = [1_000, 30_000] as const
const CLOSE_TIMEOUT_MS = 10_000
const REBALANCE_PERIOD_MS = 20_000
const REPORT_PERIOD_MS = 5_000

export class Consumer {
  readonly group: string
  /** Null: nothing is traced. */
  readonly tracer: Tracer | null
  readonly #client: MqClient
  readonly #options: ConsumerOptions
  readonly #subscriptions: ReadonlyMap<string, SubscriptionData>
  readonly #assignment: Assignment
  readonly #progress: ProgressStore
  readonly #locks: OrderLocks | null
  readonly #sendBack: SendBack | null
  readonly #loop: HandlerLoop
  readonly #member: GroupMember
  readonly #startedMs: number
  readonly #stops: Stop[] = []
  #closing: Promise<void> | null = null

  private constructor(
    client: MqClient,
    options: ConsumerOptions,
    access: QueueAccess,
    progress: ProgressStore,
  ) {
    this.group = options.group
    this.#client = client
    this.#options = options
    this.#progress = progress
    this.#startedMs = client.world.clock.wallMs()
    this.#subscriptions = subscriptionsOf(options, this.#startedMs)
    const broadcast = options.model === 'broadcast'
    const ordered = options.ordered ?? false
    const pump = () => {
      this.#loop.pump()
    }
    this.#locks =
      ordered && !broadcast
        ? new OrderLocks(client, {
            group: options.group,
            onLost: (queues) => {
              this.#assignment.forget(queues)
            },
            onRenewed: pump,
          })
        : null
    this.#assignment = new Assignment(client, access, progress, {
      group: options.group,
      broadcast,
      from: options.from ?? 'last',
      subscriptions: this.#subscriptions,
      pullBatch: options.pullBatch ?? PULL_BATCH,
      limits: { ...LIMITS, ...options.limits },
      locks: this.#locks,
      onMessages: pump,
    })
    this.#sendBack = broadcast
      ? null
      : new SendBack(client, {
          group: options.group,
          retriesMax: options.retriesMax ?? RETRIES_MAX,
          levelOf: options.retryLevel ?? (() => 0),
        })
    this.tracer = Producer.tracerOver(client, options.trace)
    this.#loop = new HandlerLoop(client, {
      group: options.group,
      tracer: this.tracer,
      handler: options.handler,
      concurrency: options.concurrency ?? CONCURRENCY,
      ordered,
      locks: this.#locks,
      pauseMs: options.suspendMs === undefined ? PAUSE_MS : [options.suspendMs, options.suspendMs],
      sendBack: this.#sendBack,
      retriesMax: options.retriesMax ?? (ordered ? Number.POSITIVE_INFINITY : RETRIES_MAX),
      queues: () => this.#assignment.queues,
    })
    this.#member = {
      producerGroup: null,
      consumerData: () => this.#consumerData(),
      onRequest: (command) => answerConsumerRequest(command, this.#consumerSide()),
      onRouteChange: (topic) => {
        if (this.#subscriptions.has(topic)) this.#assignment.rebalanceSoon()
      },
    }
  }

  /**
   * Joins the group and takes its share of the queues. A topic that does not exist yet is consumed
   * once it does. Throws NAME_ILLEGAL, USAGE, NAMESRV_UNREACHABLE, what a broker answers to an SQL92
   * expression that it cannot use, and of a progress file PROGRESS_IN_USE, INPUT_BROKEN,
   * OUTPUT_UNWRITABLE.
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
    let progress: ProgressStore | null = null
    try {
      const access = new QueueAccess(client)
      progress =
        options.model === 'broadcast'
          ? await LocalProgress.open(world.disk, options.progressFile ?? null)
          : new BrokerProgress(options.group, access)
      const consumer = new Consumer(client, options, access, progress)
      await consumer.#start()
      return consumer
    } catch (error) {
      await progress?.close()
      client.close()
      throw error
    }
  }

  get clientId(): string {
    return this.#client.clientId
  }

  /** The queues that this member has now. */
  get queues(): MessageQueue[] {
    return [...this.#assignment.queues].map((assigned) => assigned.queue)
  }

  /** True when this member has all of its share of the queues, and each was processed to its end. */
  get isCaughtUp(): boolean {
    if (this.#assignment.hindrance !== null) return false
    return [...this.#assignment.queues].every((assigned) => assigned.isCaughtUp)
  }

  /** True while this member handles messages, or has a queue that may give it more. */
  get hasWork(): boolean {
    if (this.#loop.running > 0) return true
    // What was taken from a queue whose lock is gone is handed out to nobody.
    const isOurs = (queue: MessageQueue) => this.#locks?.has(queue) ?? true
    return [...this.#assignment.queues].some(({ hasWork, queue }) => hasWork && isOurs(queue))
  }

  /** Why this member has not got all of its share of the queues; null: it has. */
  get hindrance(): Hindrance | null {
    return this.#assignment.hindrance
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
    for (const [topic, subscription] of this.#subscriptions) {
      const route = await this.#assignment.routeOf(topic)
      if (route !== null) await checkFilter(this.#client, this.group, subscription, route)
    }
    this.#client.join(this.#member)
    // The topic %RETRY%group comes into being with the first heart-beat.
    await this.#client.heartbeat()
    this.#locks?.start()
    await this.#assignment.rebalance()
    this.#stops.push(
      clock.every(REBALANCE_PERIOD_MS, () => {
        this.#assignment.rebalanceSoon()
      }),
      clock.every(REPORT_PERIOD_MS, () => {
        void this.#assignment.report()
      }),
    )
  }

  async #close(): Promise<void> {
    for (const stop of this.#stops) stop()
    await this.#assignment.close()
    await this.#loop.close(this.#options.closeTimeoutMs ?? CLOSE_TIMEOUT_MS)
    if (this.#loop.running > 0) {
      this.#client.logger.warn('handlers still run at close', { handlers: this.#loop.running })
    }
    await this.#assignment.report()
    await this.#progress.close()
    this.#locks?.stop()
    await this.#assignment.unlock()
    await this.#sendBack?.close()
    await this.tracer?.close()
    this.#client.leave(this.#member)
    await this.#client.unregister({ consumerGroup: this.group })
    this.#client.close()
  }

  #consumerData(): ConsumerData {
    const from = this.#options.from ?? 'last'
    return {
      groupName: this.group,
      consumeType: 'CONSUME_PASSIVELY',
      messageModel: this.#options.model === 'broadcast' ? 'BROADCASTING' : 'CLUSTERING',
      consumeFromWhere:
        from === 'last' || from === 'end'
          ? 'CONSUME_FROM_LAST_OFFSET'
          : from === 'first'
            ? 'CONSUME_FROM_FIRST_OFFSET'
            : 'CONSUME_FROM_TIMESTAMP',
      subscriptions: [...this.#subscriptions.values()],
      unitMode: false,
    }
  }

  #consumerSide() {
    return {
      group: this.group,
      nameServers: this.#client.nameServers.addresses,
      startedMs: this.#startedMs,
      ordered: this.#options.ordered ?? false,
      concurrency: this.#options.concurrency ?? CONCURRENCY,
      subscriptions: [...this.#subscriptions.values()],
      assigned: [...this.#assignment.queues],
      stats: this.#loop.stats,
      tries: this.#loop.tries,
      handler: this.#options.handler,
      clock: this.#client.world.clock,
      rebalance: () => {
        this.#assignment.rebalanceSoon()
      },
      reset: this.#assignment.reset.bind(this.#assignment),
    }
  }
}

/** The topics that were asked for and, for a group, the one with its retries. */
function subscriptionsOf(
  options: ConsumerOptions,
  nowMs: number,
): ReadonlyMap<string, SubscriptionData> {
  const wanted: Subscription[] = [...options.subscriptions]
  if (options.model !== 'broadcast') wanted.push({ topic: retryTopicOf(options.group) })
  return new Map(
    wanted.map(({ topic, tags, sql }) => [
      topic,
      sql === undefined
        ? tagSubscription(topic, tags ?? '*', nowMs)
        : sqlSubscription(topic, sql, nowMs),
    ]),
  )
}
