/**
 * Consumes topics by POP, as a member of a group: queues belong to nobody, each member takes messages
 * from all of them, and says of each one what became of it.
 *
 *     const consumer = await PopConsumer.start(world, {
 *       nameServers: '127.0.0.1:9876', group: 'billing', subscriptions: [{ topic: 'orders' }],
 *       invisibleMs: 30_000, handler: async (message) => { … },
 *     })
 *     await consumer.close()
 *
 * What is taken is out of sight of the others for `invisibleMs`; in this time it must be processed, or it
 * comes again, to any member. A failed message comes again after a while, each time a longer one, and is a
 * dead letter in the end. A member that hangs or dies holds up nothing but what it has in its hands.
 * Delivery is at least once, and in no order.
 * Source: apache/rocketmq client/…/impl/consumer/ConsumeMessagePopConcurrentlyService.java.
 */
import { MqError, messageOf } from '../base/errors.ts'
import type { ConsumerData } from '../protocol/bodies/consumer-data.ts'
import {
  type SubscriptionData,
  sqlSubscription,
  tagSubscription,
} from '../protocol/bodies/subscription-data.ts'
import { DELAY_LEVEL_MAX, FIRST_RETRY_LEVEL, delayLevelsMs } from '../protocol/delay-levels.ts'
import { InitMode } from '../protocol/pop-header.ts'
import type { Stop } from '../world/clock.ts'
import type { World } from '../world/world.ts'
import { type Hindrance, brokersGone } from './hindrance.ts'
import { type ClientOptions, type GroupMember, MqClient } from './client.ts'
import type { Subscription } from './consumer.ts'
import { answerConsumerRequest } from './consumer-requests.ts'
import { checkFilter } from './filter-check.ts'
import type { HandlerResult, MessageHandler } from './handler-loop.ts'
import { HandlerStats } from './handler-stats.ts'
import { checkGroup, checkTopic } from './names.ts'
import { Pauses } from './pause.ts'
import { PopAccess, type PoppedMessage } from './pop-access.ts'
import { PopSource } from './pop-source.ts'
import type { ReceivedMessage } from './received-message.ts'
import type { TopicRoute } from './routes.ts'
import { DEAD_LETTER, SendBack } from './send-back.ts'

export interface PopConsumerOptions extends ClientOptions {
  readonly group: string
  readonly subscriptions: readonly Subscription[]
  readonly handler: MessageHandler
  /** How long a message is out of sight of the other members; default 60,000 ms, at least 1,000. */
  readonly invisibleMs?: number
  /** Where a group begins in queues in which it has no progress; default `last`, see `StartPosition`. */
  readonly from?: 'last' | 'first'
  /** Messages that the handler may have at once; default 20. */
  readonly concurrency?: number
  /** Deliveries after the first, before a message is a dead letter; default 16. */
  readonly retriesMax?: number
  /** Delay level of a failed message's next try, 1 … 18; 0: one level longer each time from 10 s on. Default 0. */
  readonly retryLevel?: (message: ReceivedMessage) => number
  /** How long `close` waits for handlers; default 10,000 ms. */
  readonly closeTimeoutMs?: number
}

const INVISIBLE_MS = 60_000
const INVISIBLE_MS_MIN = 1_000
const CONCURRENCY = 20
const RETRIES_MAX = 16
const CLOSE_TIMEOUT_MS = 10_000
const ROUTES_PERIOD_MS = 20_000
const ROUTES_AGAIN_MS = 2_000
/** What is given up here comes again this soon. */
const RELEASED_MS = 1_000
/** A word on a message that did not reach its broker is said again, so often and after such pauses. */
const TELL_TRIES = 4
const TELL_PAUSE_MS = 200

export class PopConsumer {
  readonly group: string
  readonly #client: MqClient
  readonly #options: PopConsumerOptions
  readonly #subscriptions: ReadonlyMap<string, SubscriptionData>
  readonly #access: PopAccess
  readonly #sendBack: SendBack
  readonly #stats: HandlerStats
  readonly #pauses: Pauses
  readonly #member: GroupMember
  readonly #invisibleMs: number
  readonly #concurrency: number
  readonly #startedMs: number
  /** By broker and topic. */
  readonly #sources = new Map<string, PopSource>()
  /** Since when (monotonic ms) no name server knows a broker that had more to give, by broker and topic. */
  readonly #vanished = new Map<string, { readonly broker: string; readonly sinceMs: number }>()
  readonly #waiting: PoppedMessage[] = []
  readonly #stops: Stop[] = []
  #running = 0
  /** Words on messages that are on their way to a broker. */
  #telling = 0
  #looking = false
  #routesKnown = false
  #closing: Promise<void> | null = null
  #idle: () => void = () => undefined

  private constructor(client: MqClient, options: PopConsumerOptions) {
    const { clock } = client.world
    this.group = options.group
    this.#client = client
    this.#options = options
    this.#invisibleMs = Math.max(INVISIBLE_MS_MIN, options.invisibleMs ?? INVISIBLE_MS)
    this.#concurrency = options.concurrency ?? CONCURRENCY
    this.#startedMs = clock.wallMs()
    this.#subscriptions = new Map(
      options.subscriptions.map(({ topic, tags, sql }) => [
        topic,
        sql === undefined
          ? tagSubscription(topic, tags ?? '*', this.#startedMs)
          : sqlSubscription(topic, sql, this.#startedMs),
      ]),
    )
    this.#access = new PopAccess(client, options.group)
    this.#sendBack = new SendBack(client, {
      group: options.group,
      retriesMax: options.retriesMax ?? RETRIES_MAX,
      levelOf: () => DEAD_LETTER,
    })
    this.#stats = new HandlerStats(clock)
    this.#pauses = new Pauses(clock)
    this.#member = {
      producerGroup: null,
      consumerData: () => this.#consumerData(),
      onRequest: (command) => answerConsumerRequest(command, this.#consumerSide()),
      onRouteChange: (topic) => {
        if (this.#subscriptions.has(topic)) void this.#look()
      },
    }
  }

  /**
   * Joins the group and begins to take messages. A topic that does not exist yet is consumed once it
   * does. Throws NAME_ILLEGAL, USAGE, NAMESRV_UNREACHABLE, and what a broker answers to an SQL92
   * expression that it cannot use.
   */
  static async start(world: World, options: PopConsumerOptions): Promise<PopConsumer> {
    checkGroup(options.group)
    if (options.subscriptions.length === 0) {
      throw new MqError('USAGE', { what: 'a consumer needs a topic' })
    }
    for (const { topic } of options.subscriptions) checkTopic(topic)
    const client = new MqClient(world, options)
    try {
      const consumer = new PopConsumer(client, options)
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

  /** True when no broker has a message for the group now, and nothing is in this member's hands. */
  get isCaughtUp(): boolean {
    if (!this.#routesKnown || this.#inHand + this.#telling > 0) return false
    if (this.#vanished.size > 0) return false
    return [...this.#sources.values()].every((source) => source.isEmpty)
  }

  /** True while messages are in this member's hands, or a broker that answers may have more. */
  get hasWork(): boolean {
    if (this.#inHand + this.#telling > 0) return true
    return [...this.#sources.values()].some((one) => one.hindrance === null && !one.isEmpty)
  }

  /** Why a broker cannot be asked for messages; null: all can, of those that were there. */
  get hindrance(): Hindrance | null {
    for (const { hindrance } of this.#sources.values()) if (hindrance !== null) return hindrance
    const gone = [...this.#vanished.values()]
    if (gone.length === 0) return null
    const sinceMs = Math.min(...gone.map((one) => one.sinceMs))
    const brokers = [...new Set(gone.map(({ broker }) => broker))].sort()
    return { passes: 1, sinceMs, error: brokersGone(this.group, brokers) }
  }

  /**
   * Takes nothing more, waits for the handlers that run, gives back what waits and leaves the group.
   * Calling it again waits for the same end. Must not be awaited inside the handler.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  get #inHand(): number {
    return this.#running + this.#waiting.length
  }

  async #start(): Promise<void> {
    for (const [topic, subscription] of this.#subscriptions) {
      const route = await this.#routeOf(topic)
      if (route !== null) await checkFilter(this.#client, this.group, subscription, route)
    }
    this.#client.join(this.#member)
    await this.#client.heartbeat()
    await this.#look()
    this.#stops.push(
      this.#client.world.clock.every(ROUTES_PERIOD_MS, () => {
        void this.#look()
      }),
    )
  }

  async #close(): Promise<void> {
    for (const stop of this.#stops) stop()
    for (const source of this.#sources.values()) source.stop()
    for (const popped of this.#waiting.splice(0)) void this.#release(popped)
    this.#pauses.end()
    if (this.#running + this.#telling > 0) {
      await new Promise<void>((resolve) => {
        const timeoutMs = this.#options.closeTimeoutMs ?? CLOSE_TIMEOUT_MS
        const stop = this.#client.world.clock.after(timeoutMs, resolve)
        this.#idle = () => {
          stop()
          resolve()
        }
      })
    }
    if (this.#running > 0) {
      this.#client.logger.warn('handlers still run at close', { handlers: this.#running })
    }
    await this.#sendBack.close()
    this.#client.leave(this.#member)
    await this.#client.unregister({ consumerGroup: this.group })
    this.#client.close()
  }

  // ---- brokers ---------------------------------------------------------------------------------

  /** Looks which brokers have the topics, and takes from those. Never rejects. */
  async #look(): Promise<void> {
    if (this.#looking || this.#closing !== null) return
    this.#looking = true
    let missing = false
    try {
      for (const topic of this.#subscriptions.keys()) {
        const route = await this.#routeOf(topic)
        if (route === null) missing = true
        this.#takeFrom(topic, route)
      }
      this.#routesKnown = true
    } catch (error) {
      missing = true
      this.#client.logger.warn('routes cannot be told', { why: messageOf(error) })
    } finally {
      this.#looking = false
    }
    if (!missing) return
    const { clock } = this.#client.world
    this.#stops.push(
      clock.after(ROUTES_AGAIN_MS, () => {
        void this.#look()
      }),
    )
  }

  #takeFrom(topic: string, route: TopicRoute | null): void {
    const subscription = this.#subscriptions.get(topic)
    if (subscription === undefined || this.#closing !== null) return
    const brokers = new Set(route?.subscribeQueues.map(({ brokerName }) => brokerName))
    for (const [key, source] of this.#sources) {
      const [name = '', of] = key.split(' ')
      if (of !== topic || brokers.has(name)) continue
      source.stop()
      this.#sources.delete(key)
      if (source.wasEmpty || route?.brokers.has(name) !== false) continue
      this.#vanished.set(key, { broker: name, sinceMs: this.#client.world.clock.monotonicMs() })
    }
    for (const [key, { broker }] of this.#vanished) {
      const isOfTopic = key === `${broker} ${topic}`
      if (isOfTopic && route?.brokers.has(broker) !== false) this.#vanished.delete(key)
    }
    for (const broker of brokers) {
      const key = `${broker} ${topic}`
      if (this.#sources.has(key)) continue
      const source = new PopSource({
        access: this.#access,
        clock: this.#client.world.clock,
        logger: this.#client.logger,
        broker,
        subscription,
        invisibleMs: this.#invisibleMs,
        initMode: this.#options.from === 'first' ? InitMode.min : InitMode.max,
        room: () => this.#concurrency - this.#inHand,
        onMessages: (messages) => {
          this.#onMessages(subscription, messages)
        },
      })
      this.#sources.set(key, source)
      void source.run()
    }
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

  // ---- messages --------------------------------------------------------------------------------

  #onMessages(subscription: SubscriptionData, messages: readonly PoppedMessage[]): void {
    const tags = new Set(subscription.tagsSet)
    for (const popped of messages) {
      // The broker compares hashes of tags; two tags can share one.
      if (tags.size > 0 && !tags.has(popped.message.tags)) void this.#ack(popped)
      else if (this.#closing !== null) void this.#release(popped)
      else this.#waiting.push(popped)
    }
    this.#pump()
  }

  #pump(): void {
    const { clock } = this.#client.world
    while (this.#running < this.#concurrency && this.#closing === null) {
      const popped = this.#waiting.shift()
      if (popped === undefined) break
      // It waited too long here: somebody else may have it by now.
      if (popped.untilMs > clock.monotonicMs()) void this.#handle(popped)
    }
    if (this.#concurrency > this.#inHand) {
      for (const source of this.#sources.values()) source.onRoom()
    }
  }

  async #handle(popped: PoppedMessage): Promise<void> {
    const { clock } = this.#client.world
    const { message } = popped
    const startMs = clock.monotonicMs()
    this.#running++
    let result: HandlerResult
    let failure: { readonly why: string } | null = null
    try {
      result = await this.#options.handler(message)
    } catch (error) {
      failure = { why: messageOf(error) }
    }
    this.#stats.count(message.topic, clock.monotonicMs() - startMs, failure === null)
    const told =
      failure !== null
        ? this.#failed(popped, failure.why)
        : result === 'leave'
          ? this.#release(popped)
          : this.#ack(popped)
    this.#running--
    this.#pump()
    await told
    this.#idleWhenDone()
  }

  async #ack(popped: PoppedMessage): Promise<void> {
    await this.#tell(popped, 'acknowledged', () => this.#access.ack(popped))
  }

  /** The message was not tried: whoever asks next gets it. */
  async #release(popped: PoppedMessage): Promise<void> {
    await this.#tell(popped, 'given back', () =>
      this.#access.changeInvisible(popped, RELEASED_MS, true),
    )
  }

  async #failed(popped: PoppedMessage, why: string): Promise<void> {
    const { message } = popped
    const { reconsumeTimes, messageId: id } = message
    const { retryLevel = () => 0, retriesMax = RETRIES_MAX } = this.#options
    const wished = retryLevel(message)
    this.#client.logger.warn('message failed', { id, tries: reconsumeTimes + 1, why })
    if (reconsumeTimes >= retriesMax || wished < 0) {
      this.#telling++
      const isBuried = await this.#sendBack.bury(message)
      this.#telling--
      if (isBuried) {
        await this.#ack(popped)
        return
      }
    }
    const level = wished > 0 ? wished : FIRST_RETRY_LEVEL + reconsumeTimes
    const delayMs = delayLevelsMs[Math.min(DELAY_LEVEL_MAX, level) - 1] ?? this.#invisibleMs
    await this.#tell(popped, 'given back', () => this.#access.changeInvisible(popped, delayMs))
  }

  /** Says it again when it does not reach the broker. What is never said lets the message come again. Never rejects. */
  async #tell(popped: PoppedMessage, what: string, say: () => Promise<unknown>): Promise<void> {
    const { logger } = this.#client
    const id = popped.message.messageId
    this.#telling++
    for (let left = TELL_TRIES; left > 0; left--) {
      try {
        await say()
        break
      } catch (error) {
        logger.warn(`message could not be ${what}`, { id, why: messageOf(error), left: left - 1 })
        // A refusal stays one; only what was not heard is said again.
        if (error instanceof MqError && error.code === 'REFUSED') break
      }
      if (left > 1) await this.#pauses.pause(TELL_PAUSE_MS)
    }
    this.#telling--
    this.#idleWhenDone()
  }

  #idleWhenDone(): void {
    if (this.#running + this.#telling === 0) this.#idle()
  }

  // ---- what brokers hear and ask ---------------------------------------------------------------

  #consumerData(): ConsumerData {
    return {
      groupName: this.group,
      consumeType: 'CONSUME_POP',
      messageModel: 'CLUSTERING',
      consumeFromWhere:
        this.#options.from === 'first' ? 'CONSUME_FROM_FIRST_OFFSET' : 'CONSUME_FROM_LAST_OFFSET',
      subscriptions: [...this.#subscriptions.values()],
      unitMode: false,
    }
  }

  #consumerSide() {
    return {
      group: this.group,
      nameServers: this.#client.nameServers.addresses,
      startedMs: this.#startedMs,
      ordered: false,
      concurrency: this.#concurrency,
      subscriptions: [...this.#subscriptions.values()],
      assigned: [],
      stats: this.#stats,
      handler: this.#options.handler,
      clock: this.#client.world.clock,
      rebalance: () => undefined,
      reset: () => undefined,
    }
  }
}
