/** Single messages: by id, by key, by position. */
import { MqError } from '../base/errors.ts'
import type { MessageQueue } from '../protocol/bodies/message-queue.ts'
import {
  type DirectConsumeResult,
  decodeDirectConsumeResult,
} from '../protocol/bodies/consumer-running-info.ts'
import { RequestCode, ResponseCode } from '../protocol/codes.ts'
import { decodeOffsetId, decodeUniqueId } from '../protocol/message-id.ts'
import { retryTopicOf } from '../protocol/names.ts'
import { decodeRecallHandle } from '../protocol/recall-handle.ts'
import { decodeAnswer, responseCodeOf } from './answers.ts'
import type { MqClient } from './client.ts'
import { type BrokerAddress, type ClusterView, askEach, valuesOf } from './cluster-view.ts'
import { TOOLS_GROUP } from './group-admin.ts'
import { checkGroup, unknownGroup } from './names.ts'
import type { QueueAccess } from './queue-access.ts'
import { type ReceivedMessage, receivedMessages } from './received-message.ts'
import { type TopicAdmin, mastersOf } from './topic-admin.ts'

export interface KeyQuery {
  /** Default 64, which is also Apache's limit for each broker. */
  readonly limit?: number
  /** Store time, milliseconds since 1970; default from the beginning. */
  readonly fromMs?: number
  /** Default: to the end. */
  readonly toMs?: number
}

const MESSAGES_MAX = 64
/** Topics that are searched at the same time for a message whose topic is not known. */
const TOPICS_AT_ONCE = 16
/** A query over a large index takes its time. */
const QUERY_TIMEOUT_MS = 15_000

/** Brokers that did not answer, by address, with what came of the first question: they are asked no more. */
type SilentBrokers = Map<string, MqError>

export class MessageAdmin {
  readonly #client: MqClient
  readonly #cluster: ClusterView
  readonly #topics: TopicAdmin
  readonly #queues: QueueAccess

  constructor(client: MqClient, cluster: ClusterView, topics: TopicAdmin, queues: QueueAccess) {
    this.#client = client
    this.#cluster = cluster
    this.#topics = topics
    this.#queues = queues
  }

  /**
   * By either id. The unique id is looked for in `topic`, or, when that is not given, in the topics
   * of all brokers. Throws MESSAGE_NOT_FOUND.
   */
  async get(id: string, topic?: string): Promise<ReceivedMessage> {
    const byOffset = await this.#tryOffsetId(id)
    if (byOffset !== null && (byOffset.messageId === id || byOffset.offsetMessageId === id)) {
      return byOffset
    }
    if (topic !== undefined) {
      const [found] = await this.byUniqueId(topic, id)
      if (found !== undefined) return found
    }
    const topics = topic === undefined ? await this.#topics.names() : []
    const silent: SilentBrokers = new Map()
    for (let at = 0; at < topics.length; at += TOPICS_AT_ONCE) {
      const some = topics.slice(at, at + TOPICS_AT_ONCE)
      const found = await Promise.all(some.map((name) => this.#tryUniqueId(name, id, silent)))
      const first = found.flat()[0]
      if (first !== undefined) return first
    }
    // Nobody can say that it is nowhere while somebody does not answer.
    const [failure] = silent.values()
    if (failure !== undefined) throw failure
    throw notFound(
      `id ${id}`,
      topic === undefined
        ? 'name its topic with --topic, or check the id'
        : 'is it in another topic, or already deleted?',
    )
  }

  /** The record at the place that an offset id names. Throws USAGE, MESSAGE_NOT_FOUND. */
  async byOffsetId(id: string): Promise<ReceivedMessage> {
    const place = decodeOffsetId(id)
    if (place === null) {
      throw new MqError('USAGE', { what: `${id} is no offset message id (32 or 56 hex digits)` })
    }
    try {
      return await this.#at(place.storeHost, place.physicalOffset)
    } catch (error) {
      if (responseCodeOf(error) === null) throw error
      throw notFound(`id ${id}`, 'it may be deleted: brokers keep messages for a limited time')
    }
  }

  /** All messages with that unique id: several when its sender tried more than once. */
  byUniqueId(topic: string, id: string): Promise<ReceivedMessage[]> {
    return this.#byUniqueId(topic, id, new Map())
  }

  /** Messages that carry the key, newest first. Throws TOPIC_NOT_FOUND. */
  byKey(topic: string, key: string, query: KeyQuery = {}): Promise<ReceivedMessage[]> {
    return this.#query(
      topic,
      key,
      false,
      query,
      (message) => message.topic === topic && message.keys.split(' ').includes(key),
      new Map(),
    )
  }

  /** Throws MESSAGE_NOT_FOUND. */
  async at(queue: MessageQueue, queueOffset: number): Promise<ReceivedMessage> {
    await this.#topics.route(queue.topic)
    const message = await this.#queues.messageAt(queue, queueOffset, TOOLS_GROUP)
    if (message !== null) return message
    throw notFound(
      `offset ${queueOffset} of queue ${queue.queueId} of ${queue.topic} on ${queue.brokerName}`,
      `mqctl topic get ${queue.topic} shows the offsets that there are`,
    )
  }

  /** Has a member of a group process a message again, and says how that went. */
  async consumeDirectly(
    message: ReceivedMessage,
    group: string,
    clientId: string,
  ): Promise<DirectConsumeResult> {
    const { address } = await this.#masterFor(group)
    const response = await this.#client.ask(
      address,
      RequestCode.CONSUME_MESSAGE_DIRECTLY,
      {
        consumerGroup: group,
        clientId,
        msgId: message.offsetMessageId,
        brokerName: message.broker,
        topic: message.topic,
      },
      null,
      { group },
      QUERY_TIMEOUT_MS,
    )
    return decodeAnswer(address, response, decodeDirectConsumeResult)
  }

  /**
   * Takes back a message that waits for its time; resolves with its unique id. Throws USAGE for what is
   * no handle, and what the broker says: delivered already, or recalls are switched off.
   */
  async recall(recallHandle: string): Promise<{ messageId: string; topic: string }> {
    const handle = decodeRecallHandle(recallHandle)
    if (handle === null) {
      throw new MqError('USAGE', { what: `${recallHandle.slice(0, 100)} is no recall handle` })
    }
    const { topic, brokerName } = handle
    const { address } = await this.#cluster.master(brokerName)
    const ext = { producerGroup: TOOLS_GROUP, topic, recallHandle, bname: brokerName }
    const { ext: answer } = await this.#client.ask(address, RequestCode.RECALL_MESSAGE, ext, null, {
      topic,
    })
    return { messageId: answer['msgId'] ?? handle.uniqueKey, topic }
  }

  #byUniqueId(topic: string, id: string, silent: SilentBrokers): Promise<ReceivedMessage[]> {
    return this.#query(topic, id, true, {}, ({ messageId }) => messageId === id, silent)
  }

  /** Nothing for a topic that went away meanwhile, or that is on a broker that does not answer. */
  async #tryUniqueId(topic: string, id: string, silent: SilentBrokers): Promise<ReceivedMessage[]> {
    try {
      return await this.#byUniqueId(topic, id, silent)
    } catch (error) {
      if (!(error instanceof MqError)) throw error
      if (error.code === 'TOPIC_NOT_FOUND' || isOfSilent(silent, error)) return []
      throw error
    }
  }

  async #masterFor(group: string): Promise<BrokerAddress> {
    checkGroup(group)
    try {
      const [master] = mastersOf(await this.#topics.route(retryTopicOf(group)))
      if (master !== undefined) return master
    } catch (error) {
      if (!(error instanceof MqError && error.code === 'TOPIC_NOT_FOUND')) throw error
    }
    throw unknownGroup(group)
  }

  /** A unique id has the same shape as an offset id: most name a place that is none. */
  async #tryOffsetId(id: string): Promise<ReceivedMessage | null> {
    const place = decodeOffsetId(id)
    if (place === null) return null
    const brokers = await this.#cluster.brokers()
    // Only a broker of this cluster is asked: a unique id would send us to any host and port.
    if (!brokers.some((broker) => broker.address === place.storeHost)) {
      if (decodeUniqueId(id) !== null) return null
    }
    try {
      return await this.#at(place.storeHost, place.physicalOffset)
    } catch (error) {
      if (!(error instanceof MqError)) throw error
      return null
    }
  }

  async #at(address: string, physicalOffset: number): Promise<ReceivedMessage> {
    const code = RequestCode.VIEW_MESSAGE_BY_ID
    const response = await this.#client.ask(address, code, { offset: physicalOffset })
    const brokers = await this.#cluster.brokers()
    const name = brokers.find((broker) => broker.address === address)?.broker ?? address
    const [message] = receivedMessages(address, name, response.body ?? Buffer.alloc(0))
    if (message !== undefined) return message
    throw new MqError('FRAME_MALFORMED', { address, what: 'the answer holds no message' })
  }

  async #query(
    topic: string,
    key: string,
    isUniqueId: boolean,
    query: KeyQuery,
    isWanted: (message: ReceivedMessage) => boolean,
    silent: SilentBrokers,
  ): Promise<ReceivedMessage[]> {
    const limit = query.limit ?? MESSAGES_MAX
    const ext = {
      topic,
      key,
      maxNum: limit,
      beginTimestamp: Math.floor(query.fromMs ?? 0),
      endTimestamp: query.toMs === undefined ? '9223372036854775807' : Math.ceil(query.toMs),
      _UNIQUE_KEY_QUERY: isUniqueId,
    }
    const outcomes = await askEach(
      mastersOf(await this.#topics.route(topic)),
      async ({ address, broker }) => {
        const before = silent.get(address)
        if (before !== undefined) throw before
        try {
          const response = await this.#client.ask(
            address,
            RequestCode.QUERY_MESSAGE,
            ext,
            null,
            { topic },
            QUERY_TIMEOUT_MS,
          )
          return receivedMessages(address, broker, response.body ?? Buffer.alloc(0))
        } catch (error) {
          const code = responseCodeOf(error)
          if (code === ResponseCode.QUERY_NOT_FOUND) return []
          if (code !== null || !(error instanceof MqError)) throw error
          const first = silent.get(address) ?? error
          silent.set(address, first)
          throw first
        }
      },
    )
    const isFound = outcomes.some((one) => one.ok && one.value.some(isWanted))
    // One message is on one broker: once found, it is found, whoever else is away.
    const asked = isUniqueId && isFound ? outcomes.filter(({ ok }) => ok) : outcomes
    return valuesOf(asked)
      .flat()
      .filter(isWanted)
      .sort((a, b) => b.storeTimestamp - a.storeTimestamp)
      .slice(0, limit)
  }
}

function isOfSilent(silent: SilentBrokers, error: MqError): boolean {
  return [...silent.values()].includes(error)
}

function notFound(what: string, hint: string): MqError {
  return new MqError('MESSAGE_NOT_FOUND', { what, hint })
}
