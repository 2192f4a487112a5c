/**
 * Who serves a topic. Source: apache/rocketmq remoting/…/route/{TopicRouteData,BrokerData,QueueData}.java.
 */
import { type JsonValue, type WritableJson, jsonBody } from '../lenient-json.ts'
import { flagOf, integerOf, listOf, objectOf, parseBody, textOf, textOrNull } from './fields.ts'

/** One broker group: a master and its slaves under one name. */
export interface BrokerData {
  readonly cluster: string
  readonly brokerName: string
  /** Address by broker id; id 0 is the master. Addresses are what the brokers registered. */
  readonly brokerAddrs: ReadonlyMap<number, string>
  readonly zoneName?: string
  readonly enableActingMaster: boolean
}

/** A topic's queues on one broker group. */
export interface QueueData {
  readonly brokerName: string
  readonly readQueueNums: number
  readonly writeQueueNums: number
  readonly perm: number
  readonly topicSysFlag: number
}

export interface TopicRouteData {
  readonly brokerDatas: readonly BrokerData[]
  readonly queueDatas: readonly QueueData[]
  /** `broker-a:4;broker-b:4` when the topic is ordered. */
  readonly orderTopicConf: string | null
  /** Broker address → filter servers; of historic interest. */
  readonly filterServerTable: Readonly<Record<string, readonly string[]>>
}

export interface RouteJsonOptions {
  /** Integer keys without quotes and no ASCII-only escaping: for peers before 4.9.4. */
  readonly legacy?: boolean
}

export function brokerDataFromJson(value: JsonValue | undefined): BrokerData {
  const object = objectOf(value)
  const addresses = new Map<number, string>()
  for (const [id, address] of Object.entries(objectOf(object['brokerAddrs']))) {
    const brokerId = Number(id)
    if (Number.isSafeInteger(brokerId) && typeof address === 'string') {
      addresses.set(brokerId, address)
    }
  }
  const zoneName = textOrNull(object['zoneName'])
  return {
    cluster: textOf(object['cluster']),
    brokerName: textOf(object['brokerName']),
    brokerAddrs: addresses,
    ...(zoneName === null ? {} : { zoneName }),
    enableActingMaster: flagOf(object['enableActingMaster']),
  }
}

export function brokerDataToJson(data: BrokerData): WritableJson {
  return {
    brokerAddrs: Object.fromEntries(data.brokerAddrs),
    brokerName: data.brokerName,
    cluster: data.cluster,
    enableActingMaster: data.enableActingMaster,
    zoneName: data.zoneName,
  }
}

function queueDataFromJson(value: JsonValue | undefined): QueueData {
  const object = objectOf(value)
  return {
    brokerName: textOf(object['brokerName']),
    readQueueNums: integerOf(object['readQueueNums']),
    writeQueueNums: integerOf(object['writeQueueNums']),
    perm: integerOf(object['perm']),
    topicSysFlag: integerOf(object['topicSysFlag']),
  }
}

function queueDataToJson(data: QueueData): WritableJson {
  return {
    brokerName: data.brokerName,
    perm: data.perm,
    readQueueNums: data.readQueueNums,
    topicSysFlag: data.topicSysFlag,
    writeQueueNums: data.writeQueueNums,
  }
}

export function decodeTopicRouteData(body: Buffer | null): TopicRouteData {
  const object = parseBody(body)
  const filterServers = Object.create(null) as Record<string, readonly string[]>
  for (const [address, servers] of Object.entries(objectOf(object['filterServerTable']))) {
    filterServers[address] = listOf(servers).map((server) => textOf(server))
  }
  return {
    brokerDatas: listOf(object['brokerDatas']).map(brokerDataFromJson),
    queueDatas: listOf(object['queueDatas']).map(queueDataFromJson),
    orderTopicConf: textOrNull(object['orderTopicConf']),
    filterServerTable: filterServers,
  }
}

export function encodeTopicRouteData(
  route: TopicRouteData,
  options: RouteJsonOptions = {},
): Buffer {
  const legacy = options.legacy ?? false
  return jsonBody(
    {
      brokerDatas: route.brokerDatas.map(brokerDataToJson),
      filterServerTable: route.filterServerTable,
      orderTopicConf: route.orderTopicConf ?? undefined,
      queueDatas: route.queueDatas.map(queueDataToJson),
    },
    { bareIntegerKeys: legacy, asciiOnly: !legacy },
  )
}
