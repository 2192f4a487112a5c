/** Brokers and name servers: who there is, how they are, what they are told. */
import {
  type BrokerConsumeStats,
  decodeBrokerConsumeStats,
} from '../protocol/bodies/consume-stats.ts'
import {
  type BrokerStatsData,
  decodeBrokerStatsData,
} from '../protocol/bodies/broker-stats-data.ts'
import { type KvTable, decodeKvTable } from '../protocol/bodies/kv-table.ts'
import type { MessageQueue } from '../protocol/bodies/message-queue.ts'
import { formatPropertiesText, parsePropertiesText } from '../protocol/bodies/properties-text.ts'
import { type QueueView, decodeQueueView } from '../protocol/bodies/queue-view.ts'
import { RequestCode, ResponseCode } from '../protocol/codes.ts'
import { type ExtValues, request } from '../protocol/command.ts'
import { decodeAnswer, expectSuccess, responseCodeOf } from './answers.ts'
import type { MqClient } from './client.ts'
import { type BrokerAddress, type BrokerFilter, type ClusterView, askEach } from './cluster-view.ts'

export interface BrokerStatus extends BrokerAddress {
  /** `V5_3_3`; null when it did not answer. */
  readonly version: string | null
  /** Messages a second over the last ten seconds; null when it did not say. */
  readonly putTps: number | null
  readonly getTps: number | null
  /** All figures, by RocketMQ's names; empty when it did not answer. */
  readonly runtime: KvTable
  /** Why it did not answer; null when it did. */
  readonly error: string | null
}

export class BrokerAdmin {
  readonly #client: MqClient
  readonly #cluster: ClusterView

  constructor(client: MqClient, cluster: ClusterView) {
    this.#client = client
    this.#cluster = cluster
  }

  /** Every broker with its figures; one that does not answer is in the list with its error. */
  async list(filter: BrokerFilter = {}): Promise<BrokerStatus[]> {
    const brokers = await this.#cluster.brokers(filter)
    const outcomes = await askEach(brokers, ({ address }) => this.runtimeInfo(address))
    return outcomes.map((outcome): BrokerStatus => {
      const runtime = outcome.ok ? outcome.value : {}
      return {
        ...outcome.broker,
        version: runtime['brokerVersionDesc'] ?? null,
        putTps: firstNumber(runtime['putTps']),
        getTps: firstNumber(runtime['getTransferredTps']),
        runtime,
        error: outcome.ok ? null : outcome.error.message,
      }
    })
  }

  /** All figures of one broker, by RocketMQ's names. */
  async runtimeInfo(address: string): Promise<KvTable> {
    const response = await this.#client.ask(address, RequestCode.GET_BROKER_RUNTIME_INFO)
    return decodeAnswer(address, response, decodeKvTable)
  }

  async config(address: string): Promise<Map<string, string>> {
    const response = await this.#client.ask(address, RequestCode.GET_BROKER_CONFIG)
    return parsePropertiesText(response.body)
  }

  /** Changes settings of a running broker. Throws REFUSED for a key that cannot be changed. */
  async setConfig(address: string, settings: ReadonlyMap<string, string>): Promise<void> {
    const body = Buffer.from(formatPropertiesText(settings), 'utf8')
    await this.#client.ask(address, RequestCode.UPDATE_BROKER_CONFIG, {}, body)
  }

  /** Rates of one statistic, such as TOPIC_PUT_NUMS of a topic; null when it has none. */
  async stats(
    address: string,
    statsName: string,
    statsKey: string,
  ): Promise<BrokerStatsData | null> {
    try {
      const ext = { statsName, statsKey }
      const response = await this.#client.ask(address, RequestCode.VIEW_BROKER_STATS_DATA, ext)
      return decodeAnswer(address, response, decodeBrokerStatsData)
    } catch (error) {
      if (responseCodeOf(error) === ResponseCode.SYSTEM_ERROR) return null
      throw error
    }
  }

  /** Progress of every group on one broker. */
  async consumeStats(address: string): Promise<BrokerConsumeStats> {
    const ext = { isOrder: false }
    const response = await this.#client.ask(address, RequestCode.GET_BROKER_CONSUME_STATS, ext)
    return decodeAnswer(address, response, decodeBrokerConsumeStats)
  }

  /** Rows of a consume queue from an index on. */
  async queueView(
    address: string,
    queue: MessageQueue,
    index: number,
    count: number,
  ): Promise<QueueView> {
    const ext = { topic: queue.topic, queueId: queue.queueId, index, count, consumerGroup: '' }
    const response = await this.#client.ask(address, RequestCode.QUERY_CONSUME_QUEUE, ext, null, {
      topic: queue.topic,
    })
    return decodeAnswer(address, response, decodeQueueView)
  }

  /** Has a broker delete what its retention lets go: consume queues, log, or unused topics. */
  async clean(address: string, what: 'consumeQueues' | 'log' | 'topics'): Promise<void> {
    const code = {
      consumeQueues: RequestCode.CLEAN_EXPIRED_CONSUMEQUEUE,
      log: RequestCode.DELETE_EXPIRED_COMMITLOG,
      topics: RequestCode.CLEAN_UNUSED_TOPIC,
    }[what]
    await this.#client.ask(address, code, {}, null, {}, 60_000)
  }

  /** Takes or gives the write permission of a broker's topics at every name server. Returns the topics at the first. */
  async setWritable(brokerName: string, writable: boolean): Promise<number> {
    const code = writable
      ? RequestCode.ADD_WRITE_PERM_OF_BROKER
      : RequestCode.WIPE_WRITE_PERM_OF_BROKER
    const [first] = await this.#everyNameServer(code, { brokerName })
    return Number(first?.ext[writable ? 'addTopicCount' : 'wipeTopicCount'] ?? 0)
  }

  /** Settings of each name server, by address. */
  async nameServerConfigs(): Promise<Map<string, Map<string, string>>> {
    const code = RequestCode.GET_NAMESRV_CONFIG
    const responses = await this.#client.nameServers.askAll(
      () => request(code),
      this.#client.requestTimeoutMs,
    )
    return new Map(
      [...responses].map(([address, response]) => [
        address,
        parsePropertiesText(expectSuccess(address, code, response).body),
      ]),
    )
  }

  async setNameServerConfig(settings: ReadonlyMap<string, string>): Promise<void> {
    const body = Buffer.from(formatPropertiesText(settings), 'utf8')
    await this.#everyNameServer(RequestCode.UPDATE_NAMESRV_CONFIG, {}, body)
  }

  /** Null when there is no such entry. */
  async kvGet(namespace: string, key: string): Promise<string | null> {
    try {
      const response = await this.#client.askNameServer(RequestCode.GET_KV_CONFIG, {
        namespace,
        key,
      })
      return response.ext['value'] ?? null
    } catch (error) {
      if (responseCodeOf(error) === ResponseCode.QUERY_NOT_FOUND) return null
      throw error
    }
  }

  async kvPut(namespace: string, key: string, value: string): Promise<void> {
    await this.#everyNameServer(RequestCode.PUT_KV_CONFIG, { namespace, key, value })
  }

  async kvDelete(namespace: string, key: string): Promise<void> {
    await this.#everyNameServer(RequestCode.DELETE_KV_CONFIG, { namespace, key })
  }

  async #everyNameServer(code: number, ext: ExtValues, body: Buffer | null = null) {
    const responses = await this.#client.nameServers.askAll(
      () => request(code, ext, body),
      this.#client.requestTimeoutMs,
    )
    return [...responses].map(([address, response]) => expectSuccess(address, code, response))
  }
}

function firstNumber(text: string | undefined): number | null {
  const number = Number(text?.trim().split(/\s+/)[0] ?? Number.NaN)
  return text === undefined || Number.isNaN(number) ? null : number
}
