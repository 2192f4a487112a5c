/** RocketMQ's remoting protocol: our own broker and every Apache RocketMQ. */
import { MqError } from '../base/errors.ts'
import { decodeClusterInfo } from '../protocol/bodies/cluster-info.ts'
import { type KvTable, decodeKvTable } from '../protocol/bodies/kv-table.ts'
import {
  encodeSubscriptionGroupConfig,
  subscriptionGroupConfig,
} from '../protocol/bodies/subscription-group-config.ts'
import { decodeTopicRouteData } from '../protocol/bodies/topic-route-data.ts'
import { RequestCode, ResponseCode, responseCodeName } from '../protocol/codes.ts'
import { type Command, type ExtValues, request } from '../protocol/command.ts'
import { faultOfTopic } from '../protocol/names.ts'
import { RuntimeKey } from '../protocol/runtime-keys.ts'
import { RemotingClient } from '../remoting/client.ts'
import { sleep } from '../world/node-clock.ts'
import type { World } from '../world/world.ts'
import {
  type BrokerFacts,
  type BrokerInside,
  type ConsumerEvents,
  type ConsumerLine,
  type ConsumerOptions,
  type Driver,
  type Durability,
  type Lane,
  type LaneOffsets,
  type ProducerEvents,
  type ProducerLine,
  type ProducerOptions,
  localOutcomeName,
} from './driver.ts'
import { durabilityOf } from './rocketmq-durability.ts'
import { RocketmqConsumer } from './rocketmq-consumer.ts'
import { RocketmqProducer } from './rocketmq-producer.ts'

const TIMEOUT_MS = 5_000
const ROUTE_WAIT_MS = 15_000
const ROUTE_POLL_MS = 50
const MASTER_ID = 0
/** Questions under way at once when there are many topics or lanes. */
const TOPICS_AT_ONCE = 32
const LANES_AT_ONCE = 128
const PERM_READ_WRITE = 6
const WRITE_BIT = 2

/** Settings of a broker that a result should carry; Apache's names. */
const SETTINGS = [
  'flushDiskType',
  'brokerRole',
  'transientStorePoolEnable',
  'flushIntervalCommitLog',
  'storePathCommitLog',
  'storePathRootDir',
  'sendMessageThreadPoolNums',
  'useReentrantLockWhenPutMessage',
  'enableDLegerCommitLog',
  'maxTransferCountOnMessageInMemory',
]

export class RocketmqDriver implements Driver {
  readonly name = 'rocketmq'
  readonly #world: World
  readonly #nameServers: readonly string[]
  readonly #remoting: RemotingClient

  /** @param nameServers HOST:PORT, at least one */
  constructor(world: World, nameServers: readonly string[]) {
    this.#world = world
    this.#nameServers = nameServers
    this.#remoting = new RemotingClient(world)
  }

  async createTopic(topic: string, queues: number): Promise<boolean> {
    const fault = faultOfTopic(topic)
    if (fault !== null)
      throw new MqError('NAME_ILLEGAL', { kind: 'topic', name: topic, why: fault })
    if (await this.#exists(topic)) return false
    const masters = await this.#masters()
    for (const { address } of masters) {
      await this.#ask(address, RequestCode.UPDATE_AND_CREATE_TOPIC, {
        topic,
        defaultTopic: 'TBW102',
        readQueueNums: queues,
        writeQueueNums: queues,
        perm: PERM_READ_WRITE,
        topicFilterType: 'SINGLE_TAG',
        topicSysFlag: 0,
        order: false,
      })
    }
    const endMs = this.#world.clock.monotonicMs() + ROUTE_WAIT_MS
    for (;;) {
      const lanes = await this.#lanesOrNull(topic)
      if (lanes !== null && lanes.length >= queues * masters.length) return true
      if (this.#world.clock.monotonicMs() > endMs) {
        throw new MqError('TOPIC_NOT_FOUND', { topic })
      }
      await sleep(this.#world.clock, ROUTE_POLL_MS)
    }
  }

  async deleteTopic(topic: string): Promise<void> {
    for (const { address } of await this.#masters()) {
      await this.#ask(address, RequestCode.DELETE_TOPIC_IN_BROKER, { topic })
    }
    for (const address of this.#nameServers) {
      await this.#ask(address, RequestCode.DELETE_TOPIC_IN_NAMESRV, { topic })
    }
  }

  async createGroup(group: string): Promise<void> {
    const body = encodeSubscriptionGroupConfig(subscriptionGroupConfig(group))
    for (const { address } of await this.#masters()) {
      await this.#ask(address, RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, {}, body)
    }
  }

  async deleteGroup(group: string): Promise<void> {
    for (const { address } of await this.#masters()) {
      await this.#ask(address, RequestCode.DELETE_SUBSCRIPTIONGROUP, {
        groupName: group,
        cleanOffset: true,
      })
    }
  }

  async lanes(topics: readonly string[]): Promise<Lane[]> {
    const found = await inTurns(topics, TOPICS_AT_ONCE, async (topic) => {
      const lanes = await this.#lanesOrNull(topic)
      if (lanes === null || lanes.length === 0) throw new MqError('TOPIC_NOT_FOUND', { topic })
      return lanes
    })
    return found.flat()
  }

  async openProducer(options: ProducerOptions, events: ProducerEvents): Promise<ProducerLine> {
    const lanes = await this.lanes(options.topics)
    return RocketmqProducer.open(this.#world, lanes, idPrefix(this.#world), options, events)
  }

  async openConsumer(options: ConsumerOptions, events: ConsumerEvents): Promise<ConsumerLine> {
    const lanes = await this.lanes(options.topics)
    return RocketmqConsumer.open(this.#world, lanes, options, events)
  }

  offsets(lanes: readonly Lane[]): Promise<LaneOffsets[]> {
    return inTurns(lanes, LANES_AT_ONCE, async ({ topic, address, queueId }, lane) => {
      const [min, max] = await Promise.all([
        this.#ask(address, RequestCode.GET_MIN_OFFSET, { topic, queueId }),
        this.#ask(address, RequestCode.GET_MAX_OFFSET, { topic, queueId }),
      ])
      const minOffset = Number(min.ext['offset'])
      return { lane, minOffset, endOffset: Number(max.ext['offset']) }
    })
  }

  offsetsAt(lanes: readonly Lane[], wallMs: number): Promise<number[]> {
    return inTurns(lanes, LANES_AT_ONCE, async ({ topic, address, queueId }) => {
      const ext = { topic, queueId, timestamp: Math.max(0, Math.floor(wallMs)) }
      const answer = await this.#ask(address, RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, ext)
      return Number(answer.ext['offset'])
    })
  }

  async brokerFacts(): Promise<BrokerFacts[]> {
    const masters = await this.#masters()
    return Promise.all(
      masters.map(async ({ name, address, cluster }) => {
        const runtime = decodeKvTable(
          (await this.#ask(address, RequestCode.GET_BROKER_RUNTIME_INFO, {})).body,
        )
        const version = runtime['brokerVersionDesc'] ?? null
        const settings = await this.#settings(address)
        const inside = insideOf(runtime)
        return { name, address, cluster, version, settings, runtime, inside }
      }),
    )
  }

  durability(facts: readonly BrokerFacts[]): Durability {
    return durabilityOf(facts.map(({ settings }) => settings))
  }

  outcomeName(outcome: number): string {
    return localOutcomeName(outcome) ?? responseCodeName(outcome)
  }

  close(): void {
    this.#remoting.close()
  }

  async #exists(topic: string): Promise<boolean> {
    const lanes = await this.#lanesOrNull(topic)
    return lanes !== null && lanes.length > 0
  }

  /** Null when the name server does not know the topic. */
  async #lanesOrNull(topic: string): Promise<Lane[] | null> {
    const answer = await this.#askNameServer(RequestCode.GET_ROUTEINFO_BY_TOPIC, {
      topic,
      acceptStandardJsonOnly: true,
    })
    if (answer.code === ResponseCode.TOPIC_NOT_EXIST) return null
    if (answer.code !== ResponseCode.SUCCESS) throw refused(answer, 'GET_ROUTEINFO_BY_TOPIC', topic)
    const route = decodeTopicRouteData(answer.body)
    const lanes: Lane[] = []
    for (const queue of route.queueDatas) {
      const broker = route.brokerDatas.find((data) => data.brokerName === queue.brokerName)
      const address = broker?.brokerAddrs.get(MASTER_ID)
      if (address === undefined || (queue.perm & WRITE_BIT) === 0) continue
      for (let queueId = 0; queueId < queue.writeQueueNums; queueId += 1) {
        lanes.push({ topic, broker: queue.brokerName, address, queueId })
      }
    }
    return lanes.sort((a, b) =>
      a.broker === b.broker ? a.queueId - b.queueId : a.broker < b.broker ? -1 : 1,
    )
  }

  async #masters(): Promise<{ name: string; address: string; cluster: string }[]> {
    const answer = await this.#askNameServer(RequestCode.GET_BROKER_CLUSTER_INFO, {})
    if (answer.code !== ResponseCode.SUCCESS) {
      throw refused(answer, 'GET_BROKER_CLUSTER_INFO', this.#nameServers.join(';'))
    }
    const masters = [...decodeClusterInfo(answer.body).brokers].flatMap(([name, data]) => {
      const address = data.brokerAddrs.get(MASTER_ID)
      return address === undefined ? [] : [{ name, address, cluster: data.cluster }]
    })
    if (masters.length === 0) {
      const address = this.#nameServers.join(';')
      throw new MqError('BROKER_UNREACHABLE', { address, why: 'its name server knows no broker' })
    }
    return masters.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  async #settings(address: string): Promise<Record<string, string>> {
    const settings: Record<string, string> = {}
    const answer = await this.#remoting.invoke(
      address,
      request(RequestCode.GET_BROKER_CONFIG),
      TIMEOUT_MS,
    )
    // A broker may keep its configuration to itself; the result then says that it does not know.
    if (answer.code !== ResponseCode.SUCCESS) return settings
    for (const line of (answer.body?.toString('utf8') ?? '').split('\n')) {
      const equals = line.indexOf('=')
      const name = line.slice(0, equals).trim()
      if (SETTINGS.includes(name)) settings[name] = line.slice(equals + 1).trim()
    }
    return settings
  }

  /** The first name server that answers. */
  async #askNameServer(code: number, ext: ExtValues): Promise<Command> {
    let failure: unknown = null
    for (const address of this.#nameServers) {
      try {
        return await this.#remoting.invoke(address, request(code, ext), TIMEOUT_MS)
      } catch (error) {
        failure = error
      }
    }
    const address = this.#nameServers.join(';')
    const why =
      failure instanceof MqError ? (failure.details['why'] ?? failure.message) : 'none was given'
    throw new MqError('NAMESRV_UNREACHABLE', { address, why }, { cause: failure })
  }

  async #ask(
    address: string,
    code: number,
    ext: ExtValues,
    body: Buffer | null = null,
  ): Promise<Command> {
    const answer = await this.#remoting.invoke(address, request(code, ext, body), TIMEOUT_MS)
    if (answer.code !== ResponseCode.SUCCESS) throw refused(answer, String(code), address)
    return answer
  }
}

/** Maps with so many under way at once; the results are in the order of the items. */
async function inTurns<Item, Result>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  for (let from = 0; from < items.length; from += atOnce) {
    const part = items.slice(from, from + atOnce)
    results.push(...(await Promise.all(part.map((item, index) => work(item, from + index)))))
  }
  return results
}

function refused(answer: Command, what: string, address: string): MqError {
  return new MqError('REFUSED', {
    address,
    request: what,
    code: responseCodeName(answer.code),
    remark: answer.remark ?? '',
    hint: 'the broker’s log may say more',
  })
}

/** Our own broker says what its process does; Apache's says nothing of the kind. */
function insideOf(runtime: KvTable): BrokerInside {
  const figure = (key: string) => {
    const text = runtime[key]
    const value = Number(text)
    return text === undefined || text === '' || !Number.isFinite(value) ? null : value
  }
  return {
    pid: figure(RuntimeKey.pid),
    gcCount: figure(RuntimeKey.gcCount),
    gcPauseMs: figure(RuntimeKey.gcPauseMs),
    eventLoopP99Ms: figure(RuntimeKey.eventLoopP99Ms),
    eventLoopMaxMs: figure(RuntimeKey.eventLoopMaxMs),
    fsyncCount: figure(RuntimeKey.fsyncCount),
    fsyncTotalMs: figure(RuntimeKey.fsyncTotalMs),
    fsyncMaxMs: figure(RuntimeKey.fsyncMaxMs),
  }
}

/** Address, process and a random number: what makes the unique ids of one producer its own. */
function idPrefix(world: World): string {
  const bytes = Buffer.alloc(10)
  bytes.writeUInt32BE(0x7f00_0001, 0)
  bytes.writeUInt16BE(process.pid & 0xffff, 4)
  world.random.fill(bytes.subarray(6, 10))
  return bytes.toString('hex').toUpperCase()
}
