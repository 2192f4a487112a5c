/**
 * The library: a client for any RocketMQ, and a real broker for tests.
 *
 *     import { Consumer, Producer, startBroker } from 'mqctl'
 *
 *     const broker = await startBroker({ topics: { orders: 4 } })
 *     const producer = Producer.open({ nameServers: broker.nameServers })
 *     await producer.send({ topic: 'orders', body: 'hello' })
 *
 * This file only hands the machine's own clock, disk and network to what stands in its rooms.
 */
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type Logger, silentLogger } from './base/logger.ts'
import { resolveOptions } from './base/options.ts'
import { startBroker as startBrokerRole } from './broker/broker.ts'
import { Admin as AdminClient } from './client/admin.ts'
import type { ClientOptions } from './client/client.ts'
import { Consumer as ConsumerClient, type ConsumerOptions } from './client/consumer.ts'
import { Outbox as OutboxFiles } from './client/outbox.ts'
import { OutboxSender as OutboxSenderClient } from './client/outbox-sender.ts'
import { PopConsumer as PopConsumerClient, type PopConsumerOptions } from './client/pop-consumer.ts'
import { Producer as ProducerClient, type ProducerOptions } from './client/producer.ts'
import { Requester as RequesterClient } from './client/request-reply.ts'
import {
  TransactionProducer as TransactionProducerClient,
  type TransactionProducerOptions,
} from './client/transaction-producer.ts'
import { TopicReader as TopicReaderClient, type TopicReaderOptions } from './client/topic-reader.ts'
import { startNameServer } from './nameserver/nameserver.ts'
import { nameServerOptions } from './nameserver/options.ts'
import { nodeWorld } from './world/node-world.ts'

export { MqError, type ErrorCode } from './base/errors.ts'
export type { LogFields, Logger } from './base/logger.ts'
export {
  type BodyCompressor,
  type CompressionKind,
  bodyCompressor,
} from './client/body-compressor.ts'
export type { ClientOptions } from './client/client.ts'
export type { StartPosition } from './client/assignment.ts'
export type { ConsumerOptions, Subscription } from './client/consumer.ts'
export type { HandlerResult, MessageHandler } from './client/handler-loop.ts'
export type { KeptMessage } from './client/outbox.ts'
export type {
  DecidedEvent,
  MessageStory,
  RecalledEvent,
  SentEvent,
  StoredEvent,
  StoryEvent,
  TriedEvent,
} from './client/message-story.ts'
export type { OutgoingMessage } from './client/outgoing-message.ts'
export type { PopConsumerOptions } from './client/pop-consumer.ts'
export type { ProducerOptions, SendReceipt, SendStatus } from './client/producer.ts'
export type { QueuePosition } from './client/queue-position.ts'
export type { ReceivedMessage } from './client/received-message.ts'
export { type Reply, isRequest, replyTo } from './client/request-reply.ts'
export type { TopicReaderOptions } from './client/topic-reader.ts'
export type {
  TransactionCheck,
  TransactionDecision,
  TransactionProducerOptions,
  TransactionReceipt,
} from './client/transaction-producer.ts'

export type Producer = ProducerClient
export const Producer = {
  /** Nothing is sent yet: a name server that is down shows at the first send. */
  open: (options: ProducerOptions): Producer => ProducerClient.open(nodeWorld, options),
}

export type Outbox = OutboxFiles
export const Outbox = {
  /** Messages that a run before this one left are `pending`; send them first. */
  open: (directory: string): Promise<Outbox> => OutboxFiles.open(nodeWorld, directory),
}

export type OutboxSender = OutboxSenderClient
export const OutboxSender = {
  /** Keeps each message in the outbox, and tries until it is acknowledged, at most `tries` times. */
  over: (
    producer: Pick<Producer, 'send'>,
    outbox: Outbox,
    options: { readonly tries?: number; readonly signal?: AbortSignal } = {},
  ): OutboxSender => {
    const { tries = 10, signal = new AbortController().signal } = options
    return new OutboxSenderClient(producer, outbox, { clock: nodeWorld.clock, tries, signal })
  },
}

export type Requester = RequesterClient
export const Requester = {
  /** Nothing is sent yet; answers come to the process that asks. */
  open: (options: ProducerOptions): Requester => RequesterClient.open(nodeWorld, options),
}

export type TransactionProducer = TransactionProducerClient
export const TransactionProducer = {
  /** Nothing is sent yet; brokers ask it about open messages of its group once it has sent one. */
  open: (options: TransactionProducerOptions): TransactionProducer =>
    TransactionProducerClient.open(nodeWorld, options),
}

export type Consumer = ConsumerClient
export const Consumer = {
  /** Joins the group and takes its share of the queues. */
  start: (options: ConsumerOptions): Promise<Consumer> => ConsumerClient.start(nodeWorld, options),
}

export type PopConsumer = PopConsumerClient
export const PopConsumer = {
  /** Joins the group and takes messages from all queues, which belong to nobody. */
  start: (options: PopConsumerOptions): Promise<PopConsumer> =>
    PopConsumerClient.start(nodeWorld, options),
}

export type Admin = AdminClient
export const Admin = {
  /** Connects when something is asked. */
  open: (options: ClientOptions): Admin => AdminClient.open(nodeWorld, options),
}

export type TopicReader = TopicReaderClient
export const TopicReader = {
  /** Reads a topic without a group; over the connections of `admin`. */
  open: (admin: Admin, options: TopicReaderOptions): Promise<TopicReader> =>
    TopicReaderClient.open(admin.client, options),
}

export interface TestBrokerOptions {
  /** Topics to create, with their number of queues. */
  readonly topics?: Readonly<Record<string, number>>
  /** Default: a new directory under the system's temporary one, removed at `close`. */
  readonly dataDir?: string
  /** Default `async`: an acknowledged message survives the end of the process, not of the machine. */
  readonly flush?: 'async' | 'sync'
  readonly logger?: Logger
}

export interface TestBroker {
  /** `host:port`, for the option of the same name. */
  readonly nameServers: string
  readonly brokerAddress: string
  readonly dataDir: string
  /** Stops the broker and its name server. */
  close(): Promise<void>
}

/** A name server and a broker on free loopback ports, in this process. For a lasting one: `mqctl start`. */
export async function startBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  const logger = options.logger ?? silentLogger
  const dataDir = options.dataDir ?? path.join(tmpdir(), `mqctl-${randomName()}`)
  const stops: (() => Promise<void>)[] = []
  const close = async () => {
    for (const stop of stops.splice(0).reverse()) await stop()
  }
  try {
    await nodeWorld.disk.makeDirectory(dataDir)
    if (options.dataDir === undefined) stops.push(() => nodeWorld.disk.removeTree(dataDir))
    const nameServer = await startNameServer(
      nodeWorld,
      resolveOptions(nameServerOptions, { port: 0 }),
      logger,
    )
    stops.push(() => nameServer.close())
    const nameServers = `127.0.0.1:${nameServer.port}`
    const broker = await startBrokerRole(
      nodeWorld,
      {
        port: 0,
        fastPort: false,
        namesrv: nameServers,
        store: { dir: dataDir, flush: options.flush ?? 'async' },
      },
      logger,
    )
    stops.push(() => broker.close())
    await createTopics(nameServers, options.topics ?? {})
    return { nameServers, brokerAddress: broker.address, dataDir, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function createTopics(
  nameServers: string,
  topics: Readonly<Record<string, number>>,
): Promise<void> {
  const admin = Admin.open({ nameServers })
  try {
    for (const [topic, queues] of Object.entries(topics)) {
      await admin.topics.create({ topic, readQueues: queues, writeQueues: queues })
    }
  } finally {
    admin.close()
  }
}

function randomName(): string {
  return nodeWorld.random.fill(Buffer.alloc(6)).toString('hex')
}
