/**
 * Sends messages. `send` resolves when a broker has stored the message as its policy says, and
 * tries other brokers before it gives up.
 *
 *     const producer = await Producer.open(world, { nameServers: '127.0.0.1:9876' })
 *     const receipt = await producer.send({ topic: 'orders', body: 'hello', keys: 'A-1' })
 *     await producer.close()
 *
 * Source: apache/rocketmq client/…/impl/producer/DefaultMQProducerImpl.java.
 */
import { MqError } from '../base/errors.ts'
import { encodeBatch } from '../protocol/batch-body.ts'
import type { MessageQueue } from '../protocol/bodies/message-queue.ts'
import { RequestCode, ResponseCode } from '../protocol/codes.ts'
import { type Command, request } from '../protocol/command.ts'
import type { UniqueIdMaker } from '../protocol/message-id.ts'
import { REPLY_MESSAGE_TYPE, SystemTopic } from '../protocol/names.ts'
import { PropertyName } from '../protocol/properties.ts'
import type { TracedType } from '../protocol/trace-record.ts'
import { type SendHeader, readSendResponse, sendFieldsV2 } from '../protocol/send-header.ts'
import { sleep } from '../world/node-clock.ts'
import type { World } from '../world/world.ts'
import { responseCodeOf } from './answers.ts'
import { BatchTopics } from './batch-topics.ts'
import { type BodyCompressor, zlibCompressor } from './body-compressor.ts'
import { BrokerHealth } from './broker-health.ts'
import { makeUniqueIds } from './client-id.ts'
import { type ClientOptions, type GroupMember, MqClient } from './client.ts'
import { checkGroup, checkTopic } from './names.ts'
import {
  BODY_BYTES_MAX,
  type Compression,
  type OutgoingMessage,
  type PreparedMessage,
  illegal,
  keysText,
  prepareMessage,
} from './outgoing-message.ts'
import { RoundRobin, queueOfOrderKey } from './queue-choice.ts'
import { QUEUES_OF_NEW_TOPIC, type TopicRoute } from './routes.ts'
import { DEFAULT_REGION, TRACE_GROUP, Tracer } from './tracer.ts'

export interface ProducerOptions extends ClientOptions {
  /** Default `MQCTL_PRODUCER`. */
  readonly group?: string
  /** For a send with all its attempts; default 3,000 ms. */
  readonly sendTimeoutMs?: number
  /** Attempts after the first; default 2. */
  readonly retries?: number
  /** Whether brokers that answer slowly or not at all are left aside for a while; default true. */
  readonly avoidSlowBrokers?: boolean
  /** Answers what brokers ask of this producer's group; by default nothing. */
  readonly onRequest?: GroupMember['onRequest']
  /** Bodies from this size on are compressed; null, the default: none. Those of a batch: all or none. */
  readonly compressAboveBytes?: number | null
  /** By what; default zlib, which consumers of any age understand. See `bodyCompressor`. */
  readonly compressor?: BodyCompressor
  /** Whether traces tell what was sent: true, or a topic of their own for them; default false. */
  readonly trace?: boolean | string
}

/**
 * Stored in each case. FLUSH_DISK_TIMEOUT: not known to be on disk. FLUSH_SLAVE_TIMEOUT: not known
 * to be on a slave. SLAVE_NOT_AVAILABLE: there is no slave that it should be on.
 */
export type SendStatus =
  'SEND_OK' | 'FLUSH_DISK_TIMEOUT' | 'FLUSH_SLAVE_TIMEOUT' | 'SLAVE_NOT_AVAILABLE'

export interface SendReceipt {
  /** The unique id that the message carries. */
  readonly messageId: string
  /** The id that says where it is stored. */
  readonly offsetMessageId: string
  readonly broker: string
  readonly queueId: number
  readonly queueOffset: number
  readonly status: SendStatus
  /** With it a message that waits for its time can be taken back (`MessageAdmin.recall`). */
  readonly recallHandle?: string
}

const statusOfCode: ReadonlyMap<number, SendStatus> = new Map([
  [ResponseCode.SUCCESS, 'SEND_OK'],
  [ResponseCode.FLUSH_DISK_TIMEOUT, 'FLUSH_DISK_TIMEOUT'],
  [ResponseCode.SLAVE_NOT_AVAILABLE, 'SLAVE_NOT_AVAILABLE'],
  [ResponseCode.FLUSH_SLAVE_TIMEOUT, 'FLUSH_SLAVE_TIMEOUT'],
])

/** Refusals after which another broker may do better. Source: DefaultMQProducer retryResponseCodes. */
const retryCodes: ReadonlySet<number> = new Set([
  ResponseCode.SYSTEM_ERROR,
  ResponseCode.SYSTEM_BUSY,
  ResponseCode.SERVICE_NOT_AVAILABLE,
  ResponseCode.NO_PERMISSION,
  ResponseCode.TOPIC_NOT_EXIST,
  ResponseCode.NO_BUYER_ID,
  ResponseCode.NOT_IN_CURRENT_UNIT,
  ResponseCode.GO_AWAY,
])

const SEND_TIMEOUT_MS = 3_000
const RETRIES = 2
/** For what was sent one way, at the end. */
const DRAIN_MS = 10_000
/** Before trying the broker again that just refused; doubled each time. */
const SAME_BROKER_PAUSE_MS = 20

const DEFAULT_PRODUCER_GROUP = 'MQCTL_PRODUCER'

/** What all attempts of one send have in common. */
interface Sending {
  readonly code: number
  readonly topic: string
  readonly header: Omit<SendHeader, 'queueId' | 'brokerName'>
  readonly body: Buffer
  readonly orderKey: string | null
  readonly queue: OutgoingMessage['queue'] | null
  /** Properties of a batch that its broker is to keep as one record; null: it is not to. */
  readonly asOneRecord?: string | null
}

interface Stored {
  readonly address: string
  /** When the attempt that succeeded began, ms since 1970, and how long it took. */
  readonly sentAtMs: number
  readonly tookMs: number
  /** Null: the broker wants no traces. */
  readonly region: string | null
  readonly ids: readonly string[]
  readonly queue: MessageQueue
  readonly queueOffset: number
  readonly status: SendStatus
  readonly recallHandle: string | null
}

export class Producer {
  readonly group: string
  /** Null: nothing is traced. */
  readonly tracer: Tracer | null
  readonly #client: MqClient
  readonly #ownsClient: boolean
  readonly #member: GroupMember
  readonly #ids: UniqueIdMaker
  readonly #health: BrokerHealth
  readonly #batchTopics: BatchTopics
  readonly #turn: RoundRobin
  readonly #sendTimeoutMs: number
  readonly #retries: number
  readonly #avoidSlowBrokers: boolean
  readonly #compression: Compression | null
  /** Brokers that know of this producer. */
  readonly #introduced = new Set<string>()
  #sentOneway = false
  #closed = false

  private constructor(client: MqClient, ownsClient: boolean, options: ProducerOptions) {
    const { world } = client
    this.group = options.group ?? DEFAULT_PRODUCER_GROUP
    checkGroup(this.group)
    this.#client = client
    this.#ownsClient = ownsClient
    this.#ids = makeUniqueIds(world.random)
    this.#health = new BrokerHealth(world.clock)
    this.#batchTopics = new BatchTopics(client.remoting)
    this.#turn = new RoundRobin(world.random)
    this.#sendTimeoutMs = options.sendTimeoutMs ?? SEND_TIMEOUT_MS
    this.#retries = options.retries ?? RETRIES
    this.#avoidSlowBrokers = options.avoidSlowBrokers ?? true
    const { compressAboveBytes = null, compressor = zlibCompressor } = options
    this.#compression =
      compressAboveBytes === null ? null : { aboveBytes: compressAboveBytes, by: compressor }
    this.tracer = Producer.tracerOver(client, options.trace)
    this.#member = {
      producerGroup: this.group,
      consumerData: () => null,
      onRequest: options.onRequest ?? (() => null),
      onRouteChange: () => undefined,
    }
    client.join(this.#member)
  }

  /** Nothing is sent yet: a name server that is down shows at the first send. */
  static open(world: World, options: ProducerOptions): Producer {
    const client = new MqClient(world, options)
    try {
      return new Producer(client, true, options)
    } catch (error) {
      client.close()
      throw error
    }
  }

  /** Over connections and routes that others use as well. */
  static over(
    client: MqClient,
    options: Omit<ProducerOptions, keyof ClientOptions> = {},
  ): Producer {
    return new Producer(client, false, { nameServers: client.nameServers.addresses, ...options })
  }

  /** What tells of messages, over connections that others use as well; null when nothing is to be told. */
  static tracerOver(client: MqClient, trace: boolean | string = false): Tracer | null {
    if (trace === false) return null
    const topic = trace === true ? SystemTopic.trace : trace
    checkTopic(topic)
    return new Tracer(client, Producer.over(client, { group: TRACE_GROUP }), topic)
  }

  get clientId(): string {
    return this.#client.clientId
  }

  /** Resolves when the message is stored. Throws MqError when no attempt succeeded. */
  send(message: OutgoingMessage): Promise<SendReceipt> {
    return this.#send(message, null)
  }

  /** The same for the first half of a transaction, about which brokers ask the producers of this group. */
  sendHalf(message: OutgoingMessage): Promise<SendReceipt> {
    return this.#send(message, this.group)
  }

  async #send(message: OutgoingMessage, halfOf: string | null): Promise<SendReceipt> {
    const prepared = this.#prepare(message, this.#compression, halfOf)
    const isReply = message.properties?.[PropertyName.messageType] === REPLY_MESSAGE_TYPE
    const stored = await this.#store({
      code: isReply ? RequestCode.SEND_REPLY_MESSAGE_V2 : RequestCode.SEND_MESSAGE_V2,
      topic: prepared.topic,
      header: this.#header(prepared),
      body: prepared.body,
      orderKey: message.orderKey ?? null,
      queue: message.queue ?? null,
    })
    this.#tellSent(stored, [message], [prepared], halfOf !== null)
    return receipt(stored, prepared.messageId, 0)
  }

  /**
   * Sends messages of one topic as one: all are stored in one queue with consecutive offsets, or
   * none is. Throws MESSAGE_ILLEGAL when they cannot travel together.
   */
  async sendBatch(messages: readonly OutgoingMessage[]): Promise<SendReceipt[]> {
    const first = messages[0]
    if (first === undefined) return []
    for (const message of messages) checkFitsBatch(first, message)
    // One flag says for all of them whether they are compressed: when each is large enough.
    const compression = this.#compressionOfAll(messages)
    const prepared = messages.map((message) => this.#prepare(message, compression))
    const body = encodeBatch(
      prepared.map((item) => ({
        flag: item.flag,
        body: item.body,
        properties: Buffer.from(item.properties, 'utf8'),
      })),
    )
    if (body.length > BODY_BYTES_MAX) {
      throw illegal(
        `the batch has ${body.length} bytes, at most ${BODY_BYTES_MAX} are allowed`,
        'send fewer messages at once',
      )
    }
    const wait = `WAIT\u0001${first.waitStored ?? true}\u0002`
    const stored = await this.#store({
      code: RequestCode.SEND_BATCH_MESSAGE,
      topic: first.topic,
      header: {
        ...this.#header(null),
        topic: first.topic,
        sysFlag: compression?.by.sysFlag ?? 0,
        batch: true,
        properties: wait,
      },
      body,
      orderKey: first.orderKey ?? null,
      queue: first.queue ?? null,
      // Readers of such a record take bodies as they are: compressed ones go apart.
      asOneRecord: compression === null ? `${this.#batchId()}${wait}` : null,
    })
    this.#tellSent(stored, messages, prepared)
    return prepared.map((item, index) => receipt(stored, item.messageId, index))
  }

  /**
   * Hands the message to the connection, which takes as much as its broker reads; nobody says whether it
   * arrived. However slowly the broker reads, it waits for room; throws CONNECTION_LOST when it never comes.
   */
  async sendOneway(message: OutgoingMessage): Promise<void> {
    const prepared = this.#prepare(message)
    const sending: Sending = {
      code: RequestCode.SEND_MESSAGE_V2,
      topic: prepared.topic,
      header: this.#header(prepared),
      body: prepared.body,
      orderKey: message.orderKey ?? null,
      queue: message.queue ?? null,
    }
    const route = await this.#client.routes.forPublish(prepared.topic)
    const queue = this.#choose(route, sending, new Set())
    this.#sentOneway = true
    const command = commandFor(sending, queue)
    await this.#client.remoting.oneway(addressOf(route, queue), command)
  }

  /** Says good-bye to the brokers. What is in flight fails; what was sent one way goes out within ten seconds. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.tracer?.close()
    this.#client.leave(this.#member)
    if (this.#sentOneway && !(await this.#client.remoting.drained(DRAIN_MS))) {
      this.#client.logger.warn('messages sent one way did not all go out', { waitedMs: DRAIN_MS })
    }
    if (this.#introduced.size > 0) await this.#client.unregister({ producerGroup: this.group })
    if (this.#ownsClient) this.#client.close()
  }

  /** With an id of its own a batch stays one record in a topic of batch queues. */
  #batchId(): string {
    return `UNIQ_KEY\u0001${this.#ids.next(this.#client.world.clock.wallMs())}\u0002`
  }

  /** What this broker is to make of it; asks it first when that depends on the topic. */
  async #suited(
    sending: Sending,
    properties: string,
    address: string,
    timeoutMs: number,
  ): Promise<Sending> {
    const isOneRecord = await this.#batchTopics.has(address, sending.topic, timeoutMs)
    return isOneRecord ? { ...sending, header: { ...sending.header, properties } } : sending
  }

  #compressionOfAll(messages: readonly OutgoingMessage[]): Compression | null {
    const compression = this.#compression
    if (compression === null) return null
    const isLarge = ({ body }: OutgoingMessage) => Buffer.byteLength(body) >= compression.aboveBytes
    return messages.every(isLarge) ? compression : null
  }

  #prepare(
    message: OutgoingMessage,
    compression = this.#compression,
    halfOf: string | null = null,
  ) {
    if (this.#closed) throw new MqError('CLIENT_CLOSED', { what: 'producer' })
    const messageId = message.messageId ?? this.#ids.next(this.#client.world.clock.wallMs())
    return prepareMessage(message, messageId, compression, halfOf)
  }

  #header(prepared: PreparedMessage | null): Sending['header'] {
    return {
      producerGroup: this.group,
      topic: prepared?.topic ?? '',
      defaultTopic: SystemTopic.autoCreate,
      defaultTopicQueueNums: QUEUES_OF_NEW_TOPIC,
      sysFlag: prepared?.sysFlag ?? 0,
      bornTimestamp: this.#client.world.clock.wallMs(),
      flag: prepared?.flag ?? 0,
      properties: prepared?.properties ?? '',
      reconsumeTimes: prepared?.reconsumeTimes ?? 0,
      unitMode: false,
      maxReconsumeTimes: prepared?.maxReconsumeTimes ?? null,
      batch: false,
    }
  }

  async #store(sending: Sending): Promise<Stored> {
    const { clock } = this.#client.world
    const deadlineMs = clock.monotonicMs() + this.#sendTimeoutMs
    const tried = new Set<string>()
    let failure: Error | null = null
    for (let attempt = 0; attempt <= this.#retries; attempt++) {
      let route: TopicRoute
      try {
        route = await this.#client.routes.forPublish(sending.topic)
      } catch (error) {
        // The first failure says more than that there is no route any more.
        throw failure ?? error
      }
      const queue = this.#choose(route, sending, tried)
      if (tried.has(queue.brokerName)) {
        const pauseMs = SAME_BROKER_PAUSE_MS * 2 ** attempt
        if (clock.monotonicMs() + pauseMs >= deadlineMs) break
        await sleep(clock, pauseMs)
      }
      const leftMs = deadlineMs - clock.monotonicMs()
      if (leftMs <= 0) break
      try {
        return await this.#attempt(sending, route, queue, leftMs)
      } catch (error) {
        failure ??= error instanceof Error ? error : new Error(String(error))
        if (!this.#mayRetry(error)) throw error
        tried.add(queue.brokerName)
        if (attempt < this.#retries) this.#askAgain(sending.topic, error)
      }
    }
    throw failure ?? timedOut(sending, this.#sendTimeoutMs)
  }

  async #attempt(
    sending: Sending,
    route: TopicRoute,
    queue: MessageQueue,
    timeoutMs: number,
  ): Promise<Stored> {
    const { clock } = this.#client.world
    const address = addressOf(route, queue)
    const { asOneRecord = null } = sending
    let startMs = clock.monotonicMs()
    let sentAtMs = clock.wallMs()
    let suited = sending
    let leftMs = timeoutMs
    let response: Command
    try {
      // A topic that is made by its first message is a plain one.
      if (asOneRecord !== null && !route.isTemplate) {
        suited = await this.#suited(sending, asOneRecord, address, timeoutMs)
        leftMs -= clock.monotonicMs() - startMs
        startMs = clock.monotonicMs()
        sentAtMs = clock.wallMs()
      }
      response = await this.#client.remoting.invoke(address, commandFor(suited, queue), leftMs)
    } catch (error) {
      if (this.#avoidSlowBrokers) this.#health.failed(queue.brokerName)
      throw error
    }
    if (this.#avoidSlowBrokers) {
      this.#health.answered(queue.brokerName, clock.monotonicMs() - startMs)
    }
    this.#introduce(address)
    const status = statusOfCode.get(response.code)
    const header = status === undefined ? null : readSendResponse(response.ext)
    if (status === undefined || header === null) {
      throw this.#client.refusal(address, sending.code, response, { topic: sending.topic })
    }
    const { MSG_REGION: region, TRACE_ON: traceOn } = response.ext
    return {
      address,
      sentAtMs,
      tookMs: clock.monotonicMs() - startMs,
      region: traceOn === 'false' ? null : (region ?? DEFAULT_REGION),
      ids: header.msgId.split(','),
      queue: { ...queue, queueId: header.queueId },
      queueOffset: header.queueOffset,
      status,
      recallHandle: header.recallHandle ?? null,
    }
  }

  #tellSent(
    stored: Stored,
    messages: readonly OutgoingMessage[],
    prepared: readonly PreparedMessage[],
    isHalf = false,
  ): void {
    const { tracer } = this
    if (tracer === null || stored.region === null) return
    for (const [index, message] of messages.entries()) {
      if (message.topic === tracer.topic) continue
      tracer.add({
        kind: 'Pub',
        timeMs: stored.sentAtMs,
        region: stored.region,
        group: this.group,
        topic: message.topic,
        messageId: prepared[index]?.messageId ?? '',
        tags: message.tags ?? '',
        keys: keysText(message),
        storeHost: stored.address,
        bodyBytes: Buffer.byteLength(message.body),
        tookMs: Math.round(stored.tookMs),
        type: isHalf ? 'half' : tracedTypeOf(message),
        offsetMessageId: stored.ids[index] ?? stored.ids[0] ?? '',
        ok: stored.status === 'SEND_OK',
        clientHost: '',
      })
    }
  }

  #choose(route: TopicRoute, sending: Sending, tried: ReadonlySet<string>): MessageQueue {
    if (sending.queue !== null && sending.queue !== undefined) {
      return { topic: sending.topic, ...sending.queue }
    }
    const queue =
      sending.orderKey === null
        ? this.#turn.take(route.publishQueues, this.#health, tried)
        : queueOfOrderKey(route.publishQueues, sending.orderKey)
    if (queue !== null) return queue
    throw new MqError('TOPIC_NOT_PERMITTED', { topic: sending.topic, done: 'written to' })
  }

  #mayRetry(error: unknown): boolean {
    if (this.#closed || !(error instanceof MqError)) return false
    const code = responseCodeOf(error)
    return code === null ? error.retry : retryCodes.has(code)
  }

  /** A broker that is gone, or has not got the topic, may be gone from the route by now. */
  #askAgain(topic: string, error: unknown): void {
    const code = responseCodeOf(error)
    if (code !== null && code !== ResponseCode.TOPIC_NOT_EXIST) return
    this.#client.routes.refresh(topic).catch(() => undefined)
  }

  /** A broker that gets its first message from here learns which group it is from. */
  #introduce(address: string): void {
    if (this.#introduced.has(address)) return
    this.#introduced.add(address)
    void this.#client.heartbeat(address)
  }
}

function addressOf(route: TopicRoute, queue: MessageQueue): string {
  const address = route.brokers.get(queue.brokerName)?.brokerAddrs.get(0)
  if (address !== undefined) return address
  throw new MqError('BROKER_UNREACHABLE', {
    address: queue.brokerName,
    why: 'no name server knows its master',
  })
}

function commandFor(sending: Sending, queue: MessageQueue): Command {
  const command = request(sending.code, {}, sending.body)
  command.ext = sendFieldsV2({
    ...sending.header,
    queueId: queue.queueId,
    brokerName: queue.brokerName,
  })
  return command
}

function tracedTypeOf(message: OutgoingMessage): TracedType {
  if (message.properties?.[PropertyName.transactionPrepared] === 'true') return 'half'
  if (isDelayed(message)) return 'delayed'
  return message.orderKey === undefined ? 'normal' : 'ordered'
}

function isDelayed({ delayLevel = 0, delayMs, deliverAtMs }: OutgoingMessage): boolean {
  return delayLevel !== 0 || delayMs !== undefined || deliverAtMs !== undefined
}

function receipt(stored: Stored, messageId: string, index: number): SendReceipt {
  return {
    messageId,
    offsetMessageId: stored.ids[index] ?? stored.ids[0] ?? '',
    broker: stored.queue.brokerName,
    queueId: stored.queue.queueId,
    queueOffset: stored.queueOffset + index,
    status: stored.status,
    ...(stored.recallHandle === null ? {} : { recallHandle: stored.recallHandle }),
  }
}

function checkFitsBatch(first: OutgoingMessage, message: OutgoingMessage): void {
  const differs = (what: string) =>
    illegal(`the messages of a batch differ in ${what}`, 'send them in batches of their own')
  if (message.topic !== first.topic) throw differs('their topic')
  if ((message.waitStored ?? true) !== (first.waitStored ?? true)) throw differs('waitStored')
  if (message.orderKey !== first.orderKey) throw differs('their order key')
  if (
    message.queue?.brokerName !== first.queue?.brokerName ||
    message.queue?.queueId !== first.queue?.queueId
  ) {
    throw differs('their queue')
  }
  if (isDelayed(message)) {
    throw illegal('a delayed message cannot be part of a batch', 'send it by itself')
  }
}

function timedOut(sending: Sending, timeoutMs: number): MqError {
  return new MqError('REQUEST_TIMEOUT', {
    address: `the brokers of ${sending.topic}`,
    request: 'SEND_MESSAGE',
    timeoutMs,
  })
}
