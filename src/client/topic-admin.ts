/** Topics: list, look into, create, alter, delete. */
import { MqError } from '../base/errors.ts'
import { type KvTable, decodeKvTable } from '../protocol/bodies/kv-table.ts'
import { decodeGroupList } from '../protocol/bodies/name-lists.ts'
import {
  Perm,
  type TopicConfig,
  decodeTopicConfig,
  decodeTopicConfigTable,
  topicConfig,
} from '../protocol/bodies/topic-config.ts'
import { decodeTopicList } from '../protocol/bodies/topic-list.ts'
import { type TopicOffset, decodeTopicStatsTable } from '../protocol/bodies/topic-stats-table.ts'
import { RequestCode, ResponseCode } from '../protocol/codes.ts'
import { request } from '../protocol/command.ts'
import { isDlqTopic, isRetryTopic, isSystemTopic } from '../protocol/names.ts'
import { sleep } from '../world/node-clock.ts'
import { decodeAnswer, expectSuccess, responseCodeOf } from './answers.ts'
import type { MqClient } from './client.ts'
import {
  type BrokerAddress,
  type BrokerFilter,
  type ClusterView,
  allOf,
  askEach,
  valuesOf,
} from './cluster-view.ts'
import { checkTopic } from './names.ts'
import type { TopicRoute } from './routes.ts'

/** What a topic is for: its declared message type, or what its name says. */
export type TopicType =
  | 'NORMAL'
  | 'FIFO'
  | 'DELAY'
  | 'TRANSACTION'
  | 'MIXED'
  | 'PRIORITY'
  | 'UNSPECIFIED'
  | 'RETRY'
  | 'DLQ'
  | 'SYSTEM'

export interface TopicSummary {
  readonly name: string
  /** Queues of all brokers together. */
  readonly queues: number
  /** r, w, rw, or a dash when neither. */
  readonly perm: string
  readonly type: TopicType
}

export interface TopicOnBroker {
  readonly broker: string
  readonly address: string
  readonly config: TopicConfig
}

export interface TopicDetails extends TopicSummary {
  readonly brokers: readonly TopicOnBroker[]
  readonly offsets: readonly TopicOffset[]
  /** Messages that are there, all queues together. */
  readonly messages: number
  readonly groups: readonly string[]
}

export interface NewTopic {
  readonly topic: string
  /** Queues on each broker; default 8. */
  readonly readQueues?: number
  readonly writeQueues?: number
  /** Bits of `Perm`; default read and write. */
  readonly perm?: number
  readonly order?: boolean
  /** For example `message.type` = FIFO. */
  readonly attributes?: Readonly<Record<string, string>>
}

export type TopicChanges = Omit<NewTopic, 'topic'>

const ORDER_TOPIC_CONFIG = 'ORDER_TOPIC_CONFIG'
/** How long a new topic may take from the brokers to the name servers. */
const VISIBLE_WITHIN_MS = 5_000
const VISIBLE_POLL_MS = 20

export class TopicAdmin {
  readonly #client: MqClient
  readonly #cluster: ClusterView

  constructor(client: MqClient, cluster: ClusterView) {
    this.#client = client
    this.#cluster = cluster
  }

  /** Names as the name server knows them. */
  async names(): Promise<string[]> {
    const response = await this.#client.askNameServer(
      RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER,
    )
    const list = decodeAnswer(this.#client.nameServers.active, response, decodeTopicList)
    return [...new Set(list.topics)].sort()
  }

  /** All topics, by name; those that a broker made for itself as well. */
  async list(): Promise<TopicSummary[]> {
    const names = await this.names()
    const masters = await this.#cluster.brokers()
    const outcomes = await askEach(
      masters.filter((broker) => broker.id === 0),
      (broker) => this.#configsOn(broker),
    )
    const byName = new Map<string, TopicConfig[]>(names.map((name) => [name, []]))
    for (const outcome of outcomes) {
      for (const config of outcome.ok ? outcome.value : []) {
        byName.get(config.topicName)?.push(config)
      }
    }
    const systemNames = new Set(masters.flatMap((row) => [row.cluster, row.broker]))
    const summaries: TopicSummary[] = []
    for (const [name, configs] of byName) {
      summaries.push(
        configs.length > 0 || outcomes.every((outcome) => outcome.ok)
          ? summaryOf(name, configs, systemNames)
          : await this.#summaryFromRoute(name, systemNames),
      )
    }
    return summaries
  }

  /** Who serves a topic. Throws TOPIC_NOT_FOUND. */
  route(topic: string): Promise<TopicRoute> {
    return this.#client.routes.refresh(topic)
  }

  async get(topic: string): Promise<TopicDetails> {
    const route = await this.route(topic)
    const masters = mastersOf(route)
    const brokers = valuesOf(
      await askEach(masters, async (broker): Promise<TopicOnBroker> => ({
        broker: broker.broker,
        address: broker.address,
        config: await this.configOn(broker.address, topic),
      })),
    )
    const offsets = await this.#offsetsOn(masters, topic)
    const groups = await this.groupsOf(topic)
    return {
      ...summaryOf(
        topic,
        brokers.map((row) => row.config),
        new Set(masters.flatMap((row) => [row.cluster, row.broker])),
      ),
      brokers,
      offsets,
      messages: offsets.reduce((sum, row) => sum + row.maxOffset - row.minOffset, 0),
      groups,
    }
  }

  /** First and next offset of each queue. Throws TOPIC_NOT_FOUND. */
  async offsets(topic: string): Promise<TopicOffset[]> {
    return this.#offsetsOn(mastersOf(await this.route(topic)), topic)
  }

  /** Groups that consume the topic or did. */
  async groupsOf(topic: string): Promise<string[]> {
    const route = await this.route(topic)
    const lists = valuesOf(
      await askEach(mastersOf(route), async ({ address }) => {
        const code = RequestCode.QUERY_TOPIC_CONSUME_BY_WHO
        const response = await this.#client.ask(address, code, { topic }, null, { topic })
        return decodeAnswer(address, response, decodeGroupList)
      }),
    )
    return [...new Set(lists.flat())].sort()
  }

  /** A topic's configuration on one broker. Throws TOPIC_NOT_FOUND. */
  async configOn(address: string, topic: string): Promise<TopicConfig> {
    const ext = { topic, lo: true }
    const response = await this.#client.ask(address, RequestCode.GET_TOPIC_CONFIG, ext, null, {
      topic,
    })
    return decodeAnswer(address, response, decodeTopicConfig)
  }

  /**
   * Creates the topic on every master that matches (or changes it there), and waits until the name
   * servers know it. Returns the brokers.
   */
  async create(topic: NewTopic, where: BrokerFilter = {}): Promise<BrokerAddress[]> {
    checkTopic(topic.topic)
    const masters = await this.#cluster.masters(where)
    const config = topicConfig(topic.topic, {
      readQueueNums: topic.readQueues ?? topic.writeQueues ?? 8,
      writeQueueNums: topic.writeQueues ?? topic.readQueues ?? 8,
      perm: topic.perm ?? Perm.readWrite,
      order: topic.order ?? false,
      attributes: topic.attributes ?? {},
    })
    allOf(await askEach(masters, ({ address }) => this.#put(address, config, {})))
    await this.#untilVisible(config, masters)
    return masters
  }

  /** Changes what is given on every broker that has the topic. Returns the brokers. */
  async alter(
    topic: string,
    changes: TopicChanges,
    where: BrokerFilter = {},
  ): Promise<BrokerAddress[]> {
    const masters = mastersOf(await this.route(topic)).filter(
      (row) =>
        (where.cluster === undefined || row.cluster === where.cluster) &&
        (where.broker === undefined || row.broker === where.broker),
    )
    const configs = allOf(
      await askEach(masters, async ({ address }) => {
        const before = await this.configOn(address, topic)
        const config: TopicConfig = {
          ...before,
          topicName: topic,
          readQueueNums: changes.readQueues ?? before.readQueueNums,
          writeQueueNums: changes.writeQueues ?? before.writeQueueNums,
          perm: changes.perm ?? before.perm,
          order: changes.order ?? before.order,
          attributes: changes.attributes ?? {},
        }
        await this.#put(address, config, before.attributes)
        return config
      }),
    )
    const [first] = configs
    if (first !== undefined) await this.#untilVisible(first, masters)
    return masters
  }

  /** Deletes the topic on every broker that matches and at the name servers. Returns the brokers. */
  async delete(topic: string, where: BrokerFilter = {}): Promise<BrokerAddress[]> {
    const masters = await this.#cluster.brokers(where)
    const route = await this.route(topic)
    const serving = masters.filter((row) => route.brokers.has(row.broker))
    allOf(
      await askEach(serving, ({ address }) =>
        this.#client.ask(address, RequestCode.DELETE_TOPIC_IN_BROKER, { topic }, null, { topic }),
      ),
    )
    // With a broker's name the others keep the topic, and the route with it.
    if (where.broker !== undefined && serving.length < route.brokers.size) return serving
    const clusters = where.cluster === undefined ? [null] : [where.cluster]
    for (const clusterName of clusters) {
      await this.#tellNameServers(RequestCode.DELETE_TOPIC_IN_NAMESRV, { topic, clusterName })
    }
    await this.#tellNameServers(RequestCode.DELETE_KV_CONFIG, {
      namespace: ORDER_TOPIC_CONFIG,
      key: topic,
    })
    this.#client.routes.forget(topic)
    return serving
  }

  /** The order configuration of topics; empty when there is none. */
  async orderConfigs(): Promise<KvTable> {
    try {
      const response = await this.#client.askNameServer(RequestCode.GET_KVLIST_BY_NAMESPACE, {
        namespace: ORDER_TOPIC_CONFIG,
      })
      return decodeAnswer(this.#client.nameServers.active, response, decodeKvTable)
    } catch (error) {
      if (responseCodeOf(error) === ResponseCode.QUERY_NOT_FOUND) return {}
      throw error
    }
  }

  async #put(
    address: string,
    config: TopicConfig,
    attributesBefore: Readonly<Record<string, string>>,
  ): Promise<void> {
    const changed = Object.entries(config.attributes)
      .filter(([name, value]) => attributesBefore[name] !== value)
      .map(([name, value]) => `+${name}=${value}`)
    await this.#client.ask(address, RequestCode.UPDATE_AND_CREATE_TOPIC, {
      topic: config.topicName,
      defaultTopic: 'TBW102',
      readQueueNums: config.readQueueNums,
      writeQueueNums: config.writeQueueNums,
      perm: config.perm,
      topicFilterType: config.topicFilterType,
      topicSysFlag: config.topicSysFlag,
      order: config.order,
      attributes: changed.length === 0 ? null : changed.join(','),
    })
  }

  /** Brokers tell the name servers on their own; who creates a topic wants to use it next. */
  async #untilVisible(config: TopicConfig, masters: readonly BrokerAddress[]): Promise<void> {
    const { clock } = this.#client.world
    const deadlineMs = clock.monotonicMs() + VISIBLE_WITHIN_MS
    for (;;) {
      const route = await this.#routeOrNull(config.topicName)
      const isVisible = masters.every((master) =>
        route?.data.queueDatas.some(
          (data) =>
            data.brokerName === master.broker &&
            data.writeQueueNums === config.writeQueueNums &&
            data.readQueueNums === config.readQueueNums &&
            data.perm === config.perm,
        ),
      )
      if (isVisible) return
      if (clock.monotonicMs() >= deadlineMs) {
        throw new MqError('REFUSED', {
          address: this.#client.nameServers.active,
          request: 'GET_ROUTEINFO_BY_TOPIC',
          code: 'TOPIC_NOT_EXIST',
          remark: `the brokers have topic ${config.topicName}, but the name server does not show it`,
          hint: 'are the brokers registered with this name server? mqctl cluster info',
        })
      }
      await sleep(clock, VISIBLE_POLL_MS)
    }
  }

  async #routeOrNull(topic: string): Promise<TopicRoute | null> {
    try {
      return await this.route(topic)
    } catch (error) {
      if (error instanceof MqError && error.code === 'TOPIC_NOT_FOUND') return null
      throw error
    }
  }

  async #tellNameServers(code: number, ext: Record<string, string | null>): Promise<void> {
    const responses = await this.#client.nameServers.askAll(
      () => request(code, ext),
      this.#client.requestTimeoutMs,
    )
    for (const [address, response] of responses) expectSuccess(address, code, response)
  }

  async #configsOn({ address }: BrokerAddress): Promise<readonly TopicConfig[]> {
    const response = await this.#client.ask(address, RequestCode.GET_ALL_TOPIC_CONFIG)
    return decodeAnswer(address, response, decodeTopicConfigTable).topics
  }

  async #summaryFromRoute(name: string, systemNames: ReadonlySet<string>): Promise<TopicSummary> {
    const route = await this.#routeOrNull(name)
    const configs = (route?.data.queueDatas ?? []).map((data) => topicConfig(name, data))
    return summaryOf(name, configs, systemNames)
  }

  async #offsetsOn(masters: readonly BrokerAddress[], topic: string): Promise<TopicOffset[]> {
    const tables = valuesOf(
      await askEach(masters, async ({ address }) => {
        const code = RequestCode.GET_TOPIC_STATS_INFO
        const response = await this.#client.ask(address, code, { topic }, null, { topic })
        return decodeAnswer(address, response, decodeTopicStatsTable).queues
      }),
    )
    return tables
      .flat()
      .sort(
        (a, b) =>
          (a.queue.brokerName < b.queue.brokerName ? -1 : 0) +
            (a.queue.brokerName > b.queue.brokerName ? 1 : 0) || a.queue.queueId - b.queue.queueId,
      )
  }
}

/** The masters that serve a topic. */
export function mastersOf(route: TopicRoute): BrokerAddress[] {
  return [...route.brokers.values()].flatMap((data) => {
    const address = data.brokerAddrs.get(0)
    return address === undefined
      ? []
      : [{ cluster: data.cluster, broker: data.brokerName, id: 0, address }]
  })
}

function summaryOf(
  name: string,
  configs: readonly TopicConfig[],
  systemNames: ReadonlySet<string>,
): TopicSummary {
  const queues = configs.reduce(
    (sum, config) => sum + Math.max(config.readQueueNums, config.writeQueueNums),
    0,
  )
  const perm = configs.reduce((bits, config) => bits | config.perm, 0)
  return { name, queues, perm: permText(perm), type: typeOf(name, configs, systemNames) }
}

/** r, w, rw or -. */
export function permText(perm: number): string {
  const text = `${(perm & Perm.read) === 0 ? '' : 'r'}${(perm & Perm.write) === 0 ? '' : 'w'}`
  return text === '' ? '-' : text
}

const declaredTypes: readonly TopicType[] = [
  'NORMAL',
  'FIFO',
  'DELAY',
  'TRANSACTION',
  'MIXED',
  'PRIORITY',
]

function typeOf(
  name: string,
  configs: readonly TopicConfig[],
  systemNames: ReadonlySet<string>,
): TopicType {
  if (isRetryTopic(name)) return 'RETRY'
  if (isDlqTopic(name)) return 'DLQ'
  if (isSystemTopic(name) || systemNames.has(name) || isMadeByBroker(name, systemNames)) {
    return 'SYSTEM'
  }
  const declared = configs.find((config) => config.attributes['message.type'] !== undefined)
  return declaredTypes.find((type) => type === declared?.attributes['message.type']) ?? 'NORMAL'
}

function isMadeByBroker(name: string, systemNames: ReadonlySet<string>): boolean {
  return (
    name.startsWith('RMQ_SYS_') || [...systemNames].some((one) => name === `${one}_REPLY_TOPIC`)
  )
}
