/**
 * A consumer group as a broker keeps it, and the table of them.
 * Source: apache/rocketmq remoting/…/subscription/SubscriptionGroupConfig.java, body/SubscriptionGroupWrapper.java.
 */
import { type JsonObject, type JsonValue, type WritableJson, jsonBody } from '../lenient-json.ts'
import { type DataVersion, dataVersionFromJson, dataVersionToJson } from './data-version.ts'
import { flagOf, integerOf, objectOf, parseBody, textOf, textTableOf } from './fields.ts'

export interface SubscriptionGroupConfig {
  readonly groupName: string
  readonly consumeEnable: boolean
  readonly consumeFromMinEnable: boolean
  readonly consumeBroadcastEnable: boolean
  readonly consumeMessageOrderly: boolean
  readonly retryQueueNums: number
  readonly retryMaxTimes: number
  /** As JSON: only its `type` has a meaning for every version. */
  readonly groupRetryPolicy: JsonObject
  /** Where to read: 0 the master. */
  readonly brokerId: number
  readonly whichBrokerWhenConsumeSlowly: number
  readonly notifyConsumerIdsChangedEnable: boolean
  readonly groupSysFlag: number
  readonly consumeTimeoutMinute: number
  readonly attributes: Readonly<Record<string, string>>
}

/** A group with Apache's defaults for what is not given. */
export function subscriptionGroupConfig(
  groupName: string,
  given: Partial<SubscriptionGroupConfig> = {},
): SubscriptionGroupConfig {
  return {
    groupName,
    consumeEnable: true,
    consumeFromMinEnable: true,
    consumeBroadcastEnable: true,
    consumeMessageOrderly: false,
    retryQueueNums: 1,
    retryMaxTimes: 16,
    groupRetryPolicy: { type: 'CUSTOMIZED' },
    brokerId: 0,
    whichBrokerWhenConsumeSlowly: 1,
    notifyConsumerIdsChangedEnable: true,
    groupSysFlag: 0,
    consumeTimeoutMinute: 15,
    attributes: {},
    ...given,
  }
}

export function subscriptionGroupConfigFromJson(
  value: JsonValue | undefined,
  name = '',
): SubscriptionGroupConfig {
  const object = objectOf(value)
  const otherwise = subscriptionGroupConfig(textOf(object['groupName'], name))
  const flag = (key: keyof SubscriptionGroupConfig) => flagOf(object[key], otherwise[key] === true)
  const integer = (key: keyof SubscriptionGroupConfig) =>
    integerOf(object[key], Number(otherwise[key]))
  const policy = objectOf(object['groupRetryPolicy'])
  return {
    groupName: otherwise.groupName,
    consumeEnable: flag('consumeEnable'),
    consumeFromMinEnable: flag('consumeFromMinEnable'),
    consumeBroadcastEnable: flag('consumeBroadcastEnable'),
    consumeMessageOrderly: flag('consumeMessageOrderly'),
    retryQueueNums: integer('retryQueueNums'),
    retryMaxTimes: integer('retryMaxTimes'),
    groupRetryPolicy: Object.keys(policy).length === 0 ? otherwise.groupRetryPolicy : policy,
    brokerId: integer('brokerId'),
    whichBrokerWhenConsumeSlowly: integer('whichBrokerWhenConsumeSlowly'),
    notifyConsumerIdsChangedEnable: flag('notifyConsumerIdsChangedEnable'),
    groupSysFlag: integer('groupSysFlag'),
    consumeTimeoutMinute: integer('consumeTimeoutMinute'),
    attributes: textTableOf(object['attributes']),
  }
}

export function subscriptionGroupConfigToJson(config: SubscriptionGroupConfig): WritableJson {
  return {
    attributes: config.attributes,
    brokerId: config.brokerId,
    consumeBroadcastEnable: config.consumeBroadcastEnable,
    consumeEnable: config.consumeEnable,
    consumeFromMinEnable: config.consumeFromMinEnable,
    consumeMessageOrderly: config.consumeMessageOrderly,
    consumeTimeoutMinute: config.consumeTimeoutMinute,
    groupName: config.groupName,
    groupRetryPolicy: config.groupRetryPolicy,
    groupSysFlag: config.groupSysFlag,
    notifyConsumerIdsChangedEnable: config.notifyConsumerIdsChangedEnable,
    retryMaxTimes: config.retryMaxTimes,
    retryQueueNums: config.retryQueueNums,
    whichBrokerWhenConsumeSlowly: config.whichBrokerWhenConsumeSlowly,
  }
}

/** Body of 200 (request) and 352 (response). */
export function decodeSubscriptionGroupConfig(body: Buffer | null): SubscriptionGroupConfig {
  return subscriptionGroupConfigFromJson(parseBody(body))
}

export function encodeSubscriptionGroupConfig(config: SubscriptionGroupConfig): Buffer {
  return jsonBody(subscriptionGroupConfigToJson(config))
}

/** SubscriptionGroupWrapper, also the content of a broker's config/subscriptionGroup.json. */
export interface SubscriptionGroupTable {
  readonly dataVersion: DataVersion
  readonly groups: readonly SubscriptionGroupConfig[]
  /** Group → topic → bits of what is forbidden. */
  readonly forbidden: Readonly<Record<string, Readonly<Record<string, number>>>>
}

/** Body of GET_ALL_SUBSCRIPTIONGROUP_CONFIG. */
export function decodeSubscriptionGroupTable(body: Buffer | null): SubscriptionGroupTable {
  const object = parseBody(body)
  const forbidden = Object.create(null) as Record<string, Record<string, number>>
  for (const [group, topics] of Object.entries(objectOf(object['forbiddenTable']))) {
    forbidden[group] = Object.fromEntries(
      Object.entries(objectOf(topics)).map(([topic, bits]) => [topic, integerOf(bits)]),
    )
  }
  return {
    dataVersion: dataVersionFromJson(object['dataVersion']),
    groups: Object.entries(objectOf(object['subscriptionGroupTable'])).map(([name, config]) =>
      subscriptionGroupConfigFromJson(config, name),
    ),
    forbidden,
  }
}

export function encodeSubscriptionGroupTable(table: SubscriptionGroupTable): Buffer {
  return jsonBody({
    dataVersion: dataVersionToJson(table.dataVersion),
    forbiddenTable: table.forbidden,
    subscriptionGroupTable: Object.fromEntries(
      table.groups.map((config) => [config.groupName, subscriptionGroupConfigToJson(config)]),
    ),
  })
}
