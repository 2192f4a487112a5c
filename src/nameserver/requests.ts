/**
 * One table: request code → what the name server does.
 * Source: apache/rocketmq namesrv/…/processor/{DefaultRequestProcessor,ClientRequestProcessor}.java.
 */
import { MqError, messageOf } from '../base/errors.ts'
import { findOption, parseOption } from '../base/options.ts'
import type { Logger } from '../base/logger.ts'
import { encodeBrokerMemberGroup } from '../protocol/bodies/broker-member-group.ts'
import { encodeClusterInfo } from '../protocol/bodies/cluster-info.ts'
import {
  decodeDataVersion,
  encodeDataVersion,
  sameDataVersion,
} from '../protocol/bodies/data-version.ts'
import { encodeKvTable } from '../protocol/bodies/kv-table.ts'
import { formatPropertiesText, parsePropertiesText } from '../protocol/bodies/properties-text.ts'
import { encodeTopicList } from '../protocol/bodies/topic-list.ts'
import {
  type TopicRouteData,
  decodeTopicRouteData,
  encodeTopicRouteData,
} from '../protocol/bodies/topic-route-data.ts'
import { RequestCode, ResponseCode } from '../protocol/codes.ts'
import { type Command, respond } from '../protocol/command.ts'
import { LenientJsonError } from '../protocol/lenient-json.ts'
import type { Connection } from '../remoting/connection.ts'
import type { Clock } from '../world/clock.ts'
import { type KvConfig, ORDER_TOPIC_CONFIG } from './kv-config.ts'
import { type NameServerOptions, nameServerOptions } from './options.ts'
import {
  BadRequestError,
  isUsableName,
  readIdentity,
  readRegistration,
  requiredText,
} from './registration-request.ts'
import type { RouteTables, UnitKind } from './route-tables.ts'

export interface NameServerState {
  readonly clock: Clock
  readonly logger: Logger
  readonly tables: RouteTables<Connection>
  readonly kv: KvConfig
  /** The values that apply now; mutable ones are replaced by UPDATE_NAMESRV_CONFIG. */
  options: NameServerOptions
}

type Handler = (state: NameServerState, command: Command, connection: Connection) => Command

/** From this version (4.9.4) on a client reads standard JSON. Source: MQVersion, ClientRequestProcessor. */
const STANDARD_JSON_VERSION = 401

/** Answers any request; never throws. */
export function answer(state: NameServerState, command: Command, connection: Connection): Command {
  const handler = handlers.get(command.code)
  if (handler === undefined) {
    return respond(
      command,
      ResponseCode.REQUEST_CODE_NOT_SUPPORTED,
      ` request type ${command.code} not supported`,
    )
  }
  try {
    return handler(state, command, connection)
  } catch (error) {
    if (!(error instanceof BadRequestError || error instanceof LenientJsonError)) {
      state.logger.error('request failed', { code: command.code, why: messageOf(error) })
    }
    return respond(command, ResponseCode.SYSTEM_ERROR, messageOf(error))
  }
}

const registerBroker: Handler = (state, command, connection) => {
  const { registration, topicsLeftOut } = readRegistration(command, state.options.brokerExpiryMs)
  const result = state.tables.register(
    registration,
    connection,
    state.clock.monotonicMs(),
    state.options.deleteTopicWithBrokerRegistration,
  )
  const fields = { broker: registration.brokerName, id: registration.brokerId }
  if (!result.accepted) {
    state.logger.warn('registration refused', { ...fields, why: result.why })
    return respond(command, ResponseCode.SYSTEM_ERROR, result.why)
  }
  if (topicsLeftOut > 0) state.logger.warn('illegal topics left out', { ...fields, topicsLeftOut })
  if (result.first) {
    state.logger.info('broker registered', {
      ...fields,
      cluster: registration.clusterName,
      address: registration.brokerAddr,
      topics: registration.topics.length,
    })
  }
  const orders = state.options.returnOrderTopicConfigToBroker
    ? state.kv.list(ORDER_TOPIC_CONFIG)
    : null
  return respond(
    command,
    ResponseCode.SUCCESS,
    null,
    { haServerAddr: result.haServerAddr, masterAddr: result.masterAddr },
    orders === null ? null : encodeKvTable(orders),
  )
}

const unregisterBroker: Handler = (state, command) => {
  const identity = readIdentity(command)
  if (state.tables.unregister(identity)) {
    state.logger.info('broker unregistered', {
      broker: identity.brokerName,
      id: identity.brokerId,
      address: identity.brokerAddr,
    })
  }
  return respond(command, ResponseCode.SUCCESS)
}

const queryDataVersion: Handler = (state, command) => {
  const { clusterName, brokerAddr } = readIdentity(command)
  const held = state.tables.dataVersionOf(clusterName, brokerAddr)
  state.tables.touch(clusterName, brokerAddr, state.clock.monotonicMs())
  const changed = held === null || !sameDataVersion(held, decodeDataVersion(command.body))
  return respond(
    command,
    ResponseCode.SUCCESS,
    null,
    { changed },
    held === null ? null : encodeDataVersion(held),
  )
}

const brokerHeartbeat: Handler = (state, command) => {
  const { clusterName, brokerAddr } = readIdentity(command)
  state.tables.touch(clusterName, brokerAddr, state.clock.monotonicMs())
  return respond(command, ResponseCode.SUCCESS)
}

const routeOfTopic: Handler = (state, command) => {
  const topic = requiredText(command, 'topic')
  const found = state.tables.route(topic)
  const route = found === null ? null : nearRoute(found, command)
  if (route === null) {
    return respond(
      command,
      ResponseCode.TOPIC_NOT_EXIST,
      `No topic route info in name server for the topic: ${topic.slice(0, 255)}`,
    )
  }
  const orderTopicConf = state.options.orderMessageEnable
    ? state.kv.get(ORDER_TOPIC_CONFIG, topic)
    : null
  const legacy =
    command.version < STANDARD_JSON_VERSION && command.ext['acceptStandardJsonOnly'] !== 'true'
  return respond(
    command,
    ResponseCode.SUCCESS,
    null,
    {},
    encodeTopicRouteData({ ...route, orderTopicConf }, { legacy }),
  )
}

/**
 * A client that asks for its zone gets the brokers of that zone, and those whose master is gone.
 * Source: apache/rocketmq namesrv/…/route/ZoneRouteRPCHook.java.
 */
function nearRoute(route: TopicRouteData, command: Command): TopicRouteData {
  const zone = command.ext['__ZONE_NAME']?.toLowerCase()
  if (command.ext['__ZONE_MODE'] !== 'true' || zone === undefined || zone === '') return route
  const near = route.brokerDatas.filter(
    (data) => !data.brokerAddrs.has(0) || data.zoneName?.toLowerCase() === zone,
  )
  const names = new Set(near.map((data) => data.brokerName))
  return {
    ...route,
    brokerDatas: near,
    queueDatas: route.queueDatas.filter((data) => names.has(data.brokerName)),
  }
}

const clusterInfo: Handler = (state, command) =>
  respond(command, ResponseCode.SUCCESS, null, {}, encodeClusterInfo(state.tables.clusterInfo()))

const memberGroup: Handler = (state, command) => {
  const group = state.tables.memberGroup(
    requiredText(command, 'clusterName'),
    requiredText(command, 'brokerName'),
  )
  return respond(command, ResponseCode.SUCCESS, null, {}, encodeBrokerMemberGroup(group))
}

const setWritable =
  (writable: boolean): Handler =>
  (state, command) => {
    const brokerName = requiredText(command, 'brokerName')
    const count = state.tables.setWritable(brokerName, writable)
    state.logger.info(writable ? 'write permission given' : 'write permission taken', {
      broker: brokerName,
      topics: count,
    })
    const fields = writable ? { addTopicCount: count } : { wipeTopicCount: count }
    return respond(command, ResponseCode.SUCCESS, null, fields)
  }

const topics =
  (
    list: (state: NameServerState, command: Command) => readonly string[],
    isEnabled: (options: NameServerOptions) => boolean,
  ): Handler =>
  (state, command) => {
    if (!isEnabled(state.options)) return respond(command, ResponseCode.SYSTEM_ERROR, 'disable')
    const body = encodeTopicList({ topics: list(state, command), brokerAddr: null })
    return respond(command, ResponseCode.SUCCESS, null, {}, body)
  }

const unitTopics = (kind: UnitKind): Handler =>
  topics(
    (state) => state.tables.topicsOfUnitKind(kind),
    (options) => options.enableTopicList,
  )

const systemTopics: Handler = (state, command) =>
  respond(command, ResponseCode.SUCCESS, null, {}, encodeTopicList(state.tables.systemTopics()))

const deleteTopic: Handler = (state, command) => {
  const topic = requiredText(command, 'topic')
  const clusterName = command.ext['clusterName']
  state.tables.deleteTopic(
    topic,
    clusterName === undefined || clusterName === '' ? null : clusterName,
  )
  return respond(command, ResponseCode.SUCCESS)
}

const registerTopic: Handler = (state, command) => {
  const topic = requiredText(command, 'topic')
  if (!isUsableName(topic)) throw new BadRequestError('topic is no legal name')
  const { queueDatas } = decodeTopicRouteData(command.body)
  return state.tables.registerTopic(topic, queueDatas)
    ? respond(command, ResponseCode.SUCCESS)
    : respond(
        command,
        ResponseCode.SYSTEM_ERROR,
        `this name server keeps ${state.options.topicsMax} topics at most`,
      )
}

const putKv: Handler = (state, command) => {
  const { key, value, namespace } = command.ext
  if (namespace === undefined || key === undefined || value === undefined) {
    return respond(command, ResponseCode.SYSTEM_ERROR, 'namespace or key is null')
  }
  const refusal = state.kv.put(namespace, key, value)
  return refusal === null
    ? respond(command, ResponseCode.SUCCESS)
    : respond(command, ResponseCode.SYSTEM_ERROR, refusal)
}

const getKv: Handler = (state, command) => {
  const namespace = requiredText(command, 'namespace')
  const key = requiredText(command, 'key')
  const value = state.kv.get(namespace, key)
  return value === null
    ? respond(
        command,
        ResponseCode.QUERY_NOT_FOUND,
        `No config item, Namespace: ${namespace} Key: ${key}`,
      )
    : respond(command, ResponseCode.SUCCESS, null, { value })
}

const deleteKv: Handler = (state, command) => {
  state.kv.delete(requiredText(command, 'namespace'), requiredText(command, 'key'))
  return respond(command, ResponseCode.SUCCESS)
}

const listKv: Handler = (state, command) => {
  const namespace = requiredText(command, 'namespace')
  const table = state.kv.list(namespace)
  return table === null
    ? respond(command, ResponseCode.QUERY_NOT_FOUND, `No config item, Namespace: ${namespace}`)
    : respond(command, ResponseCode.SUCCESS, null, {}, encodeKvTable(table))
}

const getConfig: Handler = (state, command) => {
  const values = new Map<string, string>()
  for (const [name, row] of Object.entries(nameServerOptions)) {
    const value = state.options[name as keyof NameServerOptions]
    values.set('rocketmq' in row ? row.rocketmq : name, String(value))
  }
  const body = Buffer.from(formatPropertiesText(values), 'utf8')
  return respond(command, ResponseCode.SUCCESS, null, {}, body)
}

/** Only switches that are marked mutable can be set from outside: no path, address or limit. */
const updateConfig: Handler = (state, command) => {
  const changes: Partial<Record<string, unknown>> = {}
  for (const [key, value] of parsePropertiesText(command.body)) {
    let name: keyof NameServerOptions
    try {
      name = findOption(nameServerOptions, key) as keyof NameServerOptions
    } catch {
      return respond(
        command,
        ResponseCode.NO_PERMISSION,
        `Can not update config ${key.slice(0, 80)}`,
      )
    }
    const row: { readonly mutable?: boolean } = nameServerOptions[name]
    if (row.mutable !== true) {
      return respond(command, ResponseCode.NO_PERMISSION, `Can not update config ${name}`)
    }
    try {
      changes[name] = parseOption(nameServerOptions, name, value)
    } catch (error) {
      const why = error instanceof MqError ? error.message : messageOf(error)
      return respond(command, ResponseCode.SYSTEM_ERROR, why)
    }
  }
  state.options = Object.freeze({ ...state.options, ...changes })
  state.logger.info('configuration changed', { options: Object.keys(changes).join(',') })
  return respond(command, ResponseCode.SUCCESS)
}

const handlers: ReadonlyMap<number, Handler> = new Map([
  [RequestCode.PUT_KV_CONFIG, putKv],
  [RequestCode.GET_KV_CONFIG, getKv],
  [RequestCode.DELETE_KV_CONFIG, deleteKv],
  [RequestCode.GET_KVLIST_BY_NAMESPACE, listKv],
  [RequestCode.REGISTER_BROKER, registerBroker],
  [RequestCode.UNREGISTER_BROKER, unregisterBroker],
  [RequestCode.QUERY_DATA_VERSION, queryDataVersion],
  [RequestCode.BROKER_HEARTBEAT, brokerHeartbeat],
  [RequestCode.GET_ROUTEINFO_BY_TOPIC, routeOfTopic],
  [RequestCode.GET_BROKER_CLUSTER_INFO, clusterInfo],
  [RequestCode.GET_BROKER_MEMBER_GROUP, memberGroup],
  [RequestCode.WIPE_WRITE_PERM_OF_BROKER, setWritable(false)],
  [RequestCode.ADD_WRITE_PERM_OF_BROKER, setWritable(true)],
  [
    RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER,
    topics(
      (state) => state.tables.topicNames,
      (options) => options.enableAllTopicList,
    ),
  ],
  [
    RequestCode.GET_TOPICS_BY_CLUSTER,
    topics(
      (state, command) => state.tables.topicsOfCluster(requiredText(command, 'cluster')),
      (options) => options.enableTopicList,
    ),
  ],
  [RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_NS, systemTopics],
  [RequestCode.GET_UNIT_TOPIC_LIST, unitTopics('unit')],
  [RequestCode.GET_HAS_UNIT_SUB_TOPIC_LIST, unitTopics('unitSub')],
  [RequestCode.GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST, unitTopics('unitSubNonUnit')],
  [RequestCode.DELETE_TOPIC_IN_NAMESRV, deleteTopic],
  [RequestCode.REGISTER_TOPIC_IN_NAMESRV, registerTopic],
  [RequestCode.UPDATE_NAMESRV_CONFIG, updateConfig],
  [RequestCode.GET_NAMESRV_CONFIG, getConfig],
])
