/**
 * Requests that travel as messages: whoever consumes the topic answers, and the broker pushes the
 * answer to the client that asked.
 *
 *     const requester = Requester.open(world, { nameServers: '127.0.0.1:9876' })
 *     const reply = await requester.request({ topic: 'prices', body: 'pear' }, 3_000)
 *
 *     // in a consumer's handler
 *     await producer.send(replyTo(message, '1.20'))
 *
 * Both sides understand official clients (`producer.request`, `MessageUtil.createReplyMessage`).
 * Source: apache/rocketmq client/…/impl/producer/DefaultMQProducerImpl.java (request),
 * client/…/utils/MessageUtil.java, client/…/impl/ClientRemotingProcessor.java (receiveReplyMessage).
 */
import { MqError } from '../base/errors.ts'
import { RequestCode, ResponseCode } from '../protocol/codes.ts'
import { type Command, respond } from '../protocol/command.ts'
import { REPLY_MESSAGE_TYPE, replyTopicOf } from '../protocol/names.ts'
import { type Properties, PropertyName, parseProperties } from '../protocol/properties.ts'
import { plainBytes } from '../protocol/compressed-body.ts'
import { compressionOf } from '../protocol/sys-flag.ts'
import type { World } from '../world/world.ts'
import { type ClientOptions, MqClient } from './client.ts'
import { type OutgoingMessage, illegal } from './outgoing-message.ts'
import { Producer, type ProducerOptions, type SendReceipt } from './producer.ts'
import { PLAIN_BYTES_MAX, type ReceivedMessage } from './received-message.ts'

/** The answer to a request. */
export interface Reply {
  readonly body: Buffer
  readonly properties: Properties
  readonly flag: number
  /** From the call to the answer. */
  readonly tookMs: number
  /** Where the request was stored. */
  readonly request: SendReceipt
}

/** Default group of requesters. */
const REQUESTER_GROUP = 'MQCTL_REQUESTER'

interface Waiting {
  readonly resolve: (answer: Pick<Reply, 'body' | 'properties' | 'flag'>) => void
  readonly reject: (error: Error) => void
}

export class Requester {
  readonly #client: MqClient
  readonly #ownsClient: boolean
  readonly #producer: Producer
  /** By correlation id. */
  readonly #waiting = new Map<string, Waiting>()
  /** Topics whose brokers, and those that may get the answer, know of this client. */
  readonly #introduced = new Map<string, Promise<void>>()

  private constructor(
    client: MqClient,
    ownsClient: boolean,
    options: Omit<ProducerOptions, keyof ClientOptions>,
  ) {
    this.#client = client
    this.#ownsClient = ownsClient
    this.#producer = Producer.over(client, {
      ...options,
      group: options.group ?? REQUESTER_GROUP,
      onRequest: (command) => this.#receive(command),
    })
  }

  static open(world: World, options: ProducerOptions): Requester {
    const client = new MqClient(world, options)
    try {
      return new Requester(client, true, options)
    } catch (error) {
      client.close()
      throw error
    }
  }

  /** Over connections and routes that others use as well. */
  static over(
    client: MqClient,
    options: Omit<ProducerOptions, keyof ClientOptions> = {},
  ): Requester {
    return new Requester(client, false, options)
  }

  /**
   * Sends a message and resolves with the first answer. Throws REQUEST_TIMEOUT when none came in time,
   * and what a send throws.
   * @param timeoutMs for the send and the answer together
   */
  async request(message: OutgoingMessage, timeoutMs: number): Promise<Reply> {
    const { world, clientId } = this.#client
    const startMs = world.clock.monotonicMs()
    await this.#introduce(message.topic)
    const id = `${clientId}#${world.random.below(0x1_0000_0000).toString(16)}#${startMs}`
    let stopTimer: () => void = () => undefined
    const answer = new Promise<Pick<Reply, 'body' | 'properties' | 'flag'>>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      stopTimer = world.clock.after(timeoutMs, () => {
        const address = `any consumer of ${message.topic}`
        reject(new MqError('REQUEST_TIMEOUT', { address, request: 'the request', timeoutMs }))
      })
    })
    // Until the send is answered nobody looks at it.
    answer.catch(() => undefined)
    try {
      const request = await this.#producer.send({
        ...message,
        properties: {
          ...message.properties,
          [PropertyName.correlationId]: id,
          [PropertyName.replyToClient]: clientId,
          [PropertyName.timeToLive]: String(Math.ceil(timeoutMs)),
        },
      })
      const reply = await answer
      return { ...reply, tookMs: world.clock.monotonicMs() - startMs, request }
    } finally {
      stopTimer()
      this.#waiting.delete(id)
    }
  }

  /** What is waited for fails. */
  async close(): Promise<void> {
    for (const { reject } of this.#waiting.values()) {
      reject(new MqError('CLIENT_CLOSED', { what: 'requester' }))
    }
    await this.#producer.close()
    if (this.#ownsClient) this.#client.close()
  }

  /** Brokers find a client by its heart-beats: the one that gets the answer must have had one. */
  #introduce(topic: string): Promise<void> {
    let introduced = this.#introduced.get(topic)
    if (introduced === undefined) {
      introduced = this.#introduceTo(topic)
      this.#introduced.set(topic, introduced)
      introduced.catch(() => this.#introduced.delete(topic))
    }
    return introduced
  }

  async #introduceTo(topic: string): Promise<void> {
    const { routes } = this.#client
    const { data } = await routes.forPublish(topic)
    for (const cluster of new Set(data.brokerDatas.map((broker) => broker.cluster))) {
      // Where it is not there, the answer cannot be sent either, and its sender hears why.
      await routes.get(replyTopicOf(cluster)).catch(() => undefined)
    }
    await this.#client.heartbeat()
  }

  /** PUSH_REPLY_MESSAGE_TO_CLIENT, when it is the answer to a request of this requester. */
  #receive(command: Command): Command | null {
    if (command.code !== RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT) return null
    const properties = parseProperties(command.ext['properties'] ?? '')
    const waiting = this.#waiting.get(properties[PropertyName.correlationId] ?? '')
    if (waiting === undefined) return null
    const compression = compressionOf(Number(command.ext['sysFlag'] ?? 0))
    const body = plainBytes(command.body ?? Buffer.alloc(0), compression, PLAIN_BYTES_MAX)
    if (body === null) {
      waiting.reject(
        illegal('its answer is compressed in a way that cannot be undone', 'see the replier'),
      )
    } else {
      waiting.resolve({ body, properties, flag: Number(command.ext['flag'] ?? 0) })
    }
    return respond(command, ResponseCode.SUCCESS)
  }
}

/** Whether somebody waits for an answer to the message. */
export function isRequest({ properties }: ReceivedMessage): boolean {
  return (
    properties[PropertyName.correlationId] !== undefined &&
    properties[PropertyName.replyToClient] !== undefined
  )
}

/** When nobody waits any more, milliseconds since 1970 by the clock of who asked; null: it does not say. */
export function replyDueMs({ properties, bornTimestamp }: ReceivedMessage): number | null {
  const text = properties[PropertyName.timeToLive] ?? ''
  return /^\d{1,12}$/.test(text) ? bornTimestamp + Number(text) : null
}

/** The message that answers a request; send it with any producer. Throws MESSAGE_ILLEGAL for what is none. */
export function replyTo(request: ReceivedMessage, body: OutgoingMessage['body']): OutgoingMessage {
  const { properties } = request
  const cluster = properties[PropertyName.cluster]
  if (!isRequest(request) || cluster === undefined) {
    throw illegal('it answers a message that is no request', 'requests come from mqctl request')
  }
  const copied = [
    PropertyName.correlationId,
    PropertyName.replyToClient,
    PropertyName.timeToLive,
  ].flatMap((name) => {
    const value = properties[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return {
    topic: replyTopicOf(cluster),
    body,
    properties: {
      ...Object.fromEntries(copied),
      [PropertyName.messageType]: REPLY_MESSAGE_TYPE,
    },
  }
}
