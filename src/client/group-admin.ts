/** Consumer groups: list, look into, lag, progress. */
import { MqError } from '../base/errors.ts'
import {
  type ClientConnection,
  type ConsumerConnection,
  decodeConsumerConnection,
  decodeProducerConnection,
} from '../protocol/bodies/client-connection.ts'
import { type ConsumeProgress, decodeConsumeStats } from '../protocol/bodies/consume-stats.ts'
import {
  type ConsumerRunningInfo,
  decodeConsumerRunningInfo,
} from '../protocol/bodies/consumer-running-info.ts'
import type { MessageQueue } from '../protocol/bodies/message-queue.ts'
import { type QueueOffset, decodeConsumerStatus } from '../protocol/bodies/queue-offsets.ts'
import {
  type SubscriptionGroupConfig,
  decodeSubscriptionGroupConfig,
  decodeSubscriptionGroupTable,
  encodeSubscriptionGroupConfig,
} from '../protocol/bodies/subscription-group-config.ts'
import { decodeTopicList } from '../protocol/bodies/topic-list.ts'
import { RequestCode } from '../protocol/codes.ts'
import { dlqTopicOf, retryTopicOf, systemGroups } from '../protocol/names.ts'
import { decodeAnswer, responseCodeOf } from './answers.ts'
import type { MqClient } from './client.ts'
import {
  type BrokerAddress,
  type BrokerFilter,
  type ClusterView,
  allOf,
  askEach,
  inParallel,
  valuesOf,
} from './cluster-view.ts'
import { checkGroup, unknownGroup } from './names.ts'
import type { QueueAccess } from './queue-access.ts'
import { type TopicAdmin, mastersOf } from './topic-admin.ts'

export interface GroupSummary {
  readonly name: string
  /** Members that are connected now. */
  readonly members: number
  /** CLUSTERING or BROADCASTING; null when nobody is connected. */
  readonly model: string | null
  /** What its members subscribe to; while nobody is connected, what it has progress in. Sorted. */
  readonly topics: readonly string[]
}

export interface GroupOnBroker {
  readonly broker: string
  readonly address: string
  readonly config: SubscriptionGroupConfig
}

export interface QueueLag {
  readonly topic: string
  readonly broker: string
  readonly queueId: number
  readonly brokerOffset: number
  readonly consumerOffset: number
  /** Messages behind. */
  readonly lag: number
  /** Age of the oldest message behind, seconds; 0 without lag, null when it cannot be told. */
  readonly lagSeconds: number | null
}

export interface GroupLag {
  readonly name: string
  readonly lag: number
  /** The largest of its queues; null when none can be told. */
  readonly lagSeconds: number | null
  readonly queues: readonly QueueLag[]
}

/** A group that reads without a group of its own; every broker has it. */
export const TOOLS_GROUP = 'TOOLS_CONSUMER'

/** Messages that are read to tell how old a lag is: one a queue, at most so many. */
const AGE_QUEUES_MAX = 256
const WIDTH = 16

export class GroupAdmin {
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

  /** Names, without those of RocketMQ itself unless asked for. */
  async names(withSystem = false): Promise<string[]> {
    const masters = await this.#cluster.masters()
    const tables = valuesOf(await askEach(masters, (broker) => this.#configsOn(broker)))
    const names = new Set(tables.flat().map((config) => config.groupName))
    return [...names].filter((name) => withSystem || !isSystemGroup(name)).sort()
  }

  async list(withSystem = false): Promise<GroupSummary[]> {
    const names = await this.names(withSystem)
    return inParallel(names, WIDTH, async (name) => {
      const connection = await this.connections(name)
      const topics =
        connection === null
          ? await this.#topicsWithProgress(name)
          : connection.subscriptions.map(({ topic }) => topic)
      return {
        name,
        members: connection?.connections.length ?? 0,
        model: connection?.messageModel ?? null,
        topics: topics.filter((topic) => topic !== retryTopicOf(name)).sort(),
      }
    })
  }

  /** Its configuration on each broker. Throws GROUP_NOT_FOUND. */
  async get(group: string): Promise<GroupOnBroker[]> {
    const masters = await this.#cluster.masters()
    const rows = valuesOf(
      await askEach(masters, async (broker) => {
        // GET_SUBSCRIPTIONGROUP_CONFIG would create an unknown group.
        const configs = await this.#configsOn(broker)
        return { ...broker, config: configs.find((config) => config.groupName === group) }
      }),
    )
    const found = rows.flatMap(({ broker, address, config }) =>
      config === undefined ? [] : [{ broker, address, config }],
    )
    if (found.length === 0) throw unknownGroup(group)
    return found
  }

  /** Creates or changes a group on every master that matches. */
  async put(config: SubscriptionGroupConfig, where: BrokerFilter = {}): Promise<BrokerAddress[]> {
    checkGroup(config.groupName)
    const masters = await this.#cluster.masters(where)
    const body = encodeSubscriptionGroupConfig(config)
    const code = RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP
    allOf(await askEach(masters, ({ address }) => this.#client.ask(address, code, {}, body)))
    return masters
  }

  /** One broker's configuration of a group; a broker that creates groups by itself may create it. */
  async configOn(address: string, group: string): Promise<SubscriptionGroupConfig> {
    const code = RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG
    const response = await this.#client.ask(address, code, { group }, null, { group })
    return decodeAnswer(address, response, decodeSubscriptionGroupConfig)
  }

  /** Deletes a group, its progress when asked so, and its retry and dead-letter topics when asked so. */
  async delete(
    group: string,
    options: { cleanOffsets?: boolean; deleteRetryTopics?: boolean } = {},
  ): Promise<BrokerAddress[]> {
    const rows = await this.get(group)
    const masters = await this.#cluster.masters()
    const serving = masters.filter((master) => rows.some((row) => row.address === master.address))
    const ext = { groupName: group, cleanOffset: options.cleanOffsets ?? false }
    const code = RequestCode.DELETE_SUBSCRIPTIONGROUP
    allOf(
      await askEach(serving, ({ address }) =>
        this.#client.ask(address, code, ext, null, { group }),
      ),
    )
    if (options.deleteRetryTopics === true) {
      for (const topic of [retryTopicOf(group), dlqTopicOf(group)]) {
        try {
          await this.#topics.delete(topic)
        } catch (error) {
          if (!(error instanceof MqError && error.code === 'TOPIC_NOT_FOUND')) throw error
        }
      }
    }
    return serving
  }

  /** Who is connected; null when nobody is. */
  async connections(group: string): Promise<ConsumerConnection | null> {
    const masters = await this.#cluster.masters()
    const outcomes = await askEach(masters, async ({ address }) => {
      const code = RequestCode.GET_CONSUMER_CONNECTION_LIST
      const response = await this.#client.ask(address, code, { consumerGroup: group })
      return decodeAnswer(address, response, decodeConsumerConnection)
    })
    // Every member is connected to every broker of its topics: the longest list is the group.
    let best: ConsumerConnection | null = null
    for (const outcome of outcomes) {
      if (!outcome.ok) {
        if (responseCodeOf(outcome.error) === null) throw outcome.error
        continue
      }
      if (outcome.value.connections.length > (best?.connections.length ?? 0)) best = outcome.value
    }
    return best
  }

  /** Producers of a group that are connected to some broker. */
  async producers(group: string): Promise<ClientConnection[]> {
    const masters = await this.#cluster.masters()
    const outcomes = await askEach(masters, async ({ address }) => {
      const code = RequestCode.GET_PRODUCER_CONNECTION_LIST
      const response = await this.#client.ask(address, code, { producerGroup: group })
      return decodeAnswer(address, response, decodeProducerConnection)
    })
    const lists = outcomes.filter((outcome) => outcome.ok).map((outcome) => outcome.value)
    return [...new Map(lists.flat().map((row) => [row.clientId, row])).values()]
  }

  /** What a member says of itself: queues, rates, configuration, and where it is if asked so. */
  async runningInfo(
    group: string,
    clientId: string,
    withStack = false,
  ): Promise<ConsumerRunningInfo> {
    const masters = await this.#cluster.masters()
    const code = RequestCode.GET_CONSUMER_RUNNING_INFO
    const ext = { consumerGroup: group, clientId, jstackEnable: withStack }
    const outcomes = await askEach(masters, async ({ address }) => {
      const response = await this.#client.ask(address, code, ext, null, { group }, 15_000)
      return decodeAnswer(address, response, decodeConsumerRunningInfo)
    })
    // Any broker to which the member is connected can tell, whoever else is away.
    const first = outcomes.find((outcome) => outcome.ok)
    if (first !== undefined) return first.value
    valuesOf(outcomes)
    throw unknownGroup(group)
  }

  /** The progress that each member reports of itself for a topic, by client id. */
  async memberProgress(group: string, topic: string): Promise<Map<string, QueueOffset[]>> {
    const [master] = await this.#mastersOf(topic)
    if (master === undefined) return new Map()
    const code = RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS
    const ext = { group, topic, clientAddr: '' }
    const response = await this.#client.ask(
      master.address,
      code,
      ext,
      null,
      { group, topic },
      15_000,
    )
    return decodeAnswer(master.address, response, decodeConsumerStatus)
  }

  /** How far the group is, queue by queue. Throws GROUP_NOT_FOUND. */
  async progress(group: string, topic?: string): Promise<ConsumeProgress[]> {
    const masters =
      topic === undefined ? await this.#cluster.masters() : await this.#mastersOf(topic)
    const outcomes = await askEach(masters, async ({ address }) => {
      const code = RequestCode.GET_CONSUME_STATS
      const ext = { consumerGroup: group, topic: topic ?? '' }
      const response = await this.#client.ask(address, code, ext, null, { group }, 15_000)
      return decodeAnswer(address, response, decodeConsumeStats).queues
    })
    const rows = valuesOf(outcomes).flat()
    if (rows.length === 0 && !(await this.names(true)).includes(group)) {
      throw unknownGroup(group)
    }
    return rows.sort((a, b) => compareText(queueText(a.queue), queueText(b.queue)))
  }

  async lag(group: string, topic?: string): Promise<GroupLag> {
    const rows = await this.progress(group, topic)
    const nowMs = this.#client.world.clock.wallMs()
    const behind = rows.filter((row) => row.brokerOffset > row.consumerOffset)
    const ageKnown = new Set(behind.slice(0, AGE_QUEUES_MAX))
    const queues = await inParallel(rows, WIDTH, async (row): Promise<QueueLag> => {
      const lag = Math.max(0, row.brokerOffset - row.consumerOffset)
      const oldestMs = ageKnown.has(row) ? await this.#storeTimeOf(row) : null
      return {
        topic: row.queue.topic,
        broker: row.queue.brokerName,
        queueId: row.queue.queueId,
        brokerOffset: row.brokerOffset,
        consumerOffset: row.consumerOffset,
        lag,
        lagSeconds: lag === 0 ? 0 : oldestMs === null ? null : secondsSince(oldestMs, nowMs),
      }
    })
    const ages = queues.map((row) => row.lagSeconds).filter((age) => age !== null)
    return {
      name: group,
      lag: queues.reduce((sum, row) => sum + row.lag, 0),
      lagSeconds: ages.length === 0 ? null : Math.max(...ages),
      queues,
    }
  }

  async #topicsWithProgress(group: string): Promise<string[]> {
    const outcomes = await askEach(await this.#cluster.masters(), async ({ address }) => {
      const code = RequestCode.QUERY_TOPICS_BY_CONSUMER
      const response = await this.#client.ask(address, code, { group }, null, { group })
      return decodeAnswer(address, response, decodeTopicList).topics
    })
    return [...new Set(valuesOf(outcomes).flat())]
  }

  async #mastersOf(topic: string): Promise<BrokerAddress[]> {
    return mastersOf(await this.#topics.route(topic))
  }

  async #configsOn({ address }: BrokerAddress): Promise<readonly SubscriptionGroupConfig[]> {
    const code = RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG
    const response = await this.#client.ask(address, code)
    return decodeAnswer(address, response, decodeSubscriptionGroupTable).groups
  }

  /** Store time of the first message that the group has not processed; null when it cannot be read. */
  async #storeTimeOf(row: ConsumeProgress): Promise<number | null> {
    try {
      const { routes } = this.#client
      if (routes.brokerAddress(row.queue.brokerName) === null) await routes.get(row.queue.topic)
      const { messages } = await this.#queues.pull(row.queue, {
        group: TOOLS_GROUP,
        offset: row.consumerOffset,
        maxMessages: 1,
      })
      return messages[0]?.storeTimestamp ?? null
    } catch (error) {
      if (!(error instanceof MqError)) throw error
      return row.lastTimestamp > 0 ? row.lastTimestamp : null
    }
  }
}

function isSystemGroup(group: string): boolean {
  return (
    systemGroups.includes(group) ||
    group.startsWith('CID_RMQ_SYS_') ||
    group.startsWith('CID_ONS') ||
    [
      'SELF_TEST_P_GROUP',
      'SELF_TEST_C_GROUP',
      'CLIENT_INNER_PRODUCER',
      'SCHEDULE_CONSUMER',
    ].includes(group)
  )
}

function secondsSince(thenMs: number, nowMs: number): number {
  return Math.max(0, Math.round((nowMs - thenMs) / 100) / 10)
}

function queueText(queue: MessageQueue): string {
  return `${queue.topic}\n${queue.brokerName}\n${String(queue.queueId).padStart(8, '0')}`
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
