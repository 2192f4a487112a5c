/**
 * A topic as a broker keeps and registers it, and the table of them.
 * Source: apache/rocketmq common/…/TopicConfig.java, remoting/…/body/TopicConfigSerializeWrapper.java.
 */
import { type JsonValue, type WritableJson, jsonBody } from '../lenient-json.ts'
import {
  type DataVersion,
  dataVersionFromJson,
  dataVersionToJson,
  initialDataVersion,
} from './data-version.ts'
import { flagOf, integerOf, objectOf, parseBody, textOf, textTableOf } from './fields.ts'

/** Bits of `perm`. Source: PermName.java. */
export const Perm = { inherit: 1, write: 2, read: 4, readWrite: 6, all: 7 } as const

/** Bits of `topicSysFlag`. Source: TopicSysFlag.java. */
export const TopicSysFlag = { unit: 1, unitSub: 2 } as const

export interface TopicConfig {
  readonly topicName: string
  readonly readQueueNums: number
  readonly writeQueueNums: number
  /** See `Perm`. */
  readonly perm: number
  /** SINGLE_TAG or MULTI_TAG. */
  readonly topicFilterType: string
  readonly topicSysFlag: number
  readonly order: boolean
  readonly attributes: Readonly<Record<string, string>>
}

/** Value of `queue.type` of topics with batch queues: what is sent together to them stays one record. */
export const BATCH_QUEUES = 'BatchCQ'

/** Whether a topic with these attributes has batch queues. */
export function hasBatchQueues(attributes: Readonly<Record<string, string>>): boolean {
  return Object.hasOwn(attributes, 'queue.type') && attributes['queue.type'] === BATCH_QUEUES
}

/** A topic with RocketMQ's defaults for what is not given; 8 queues, readable and writable. */
export function topicConfig(topicName: string, given: Partial<TopicConfig> = {}): TopicConfig {
  return {
    topicName,
    readQueueNums: 8,
    writeQueueNums: 8,
    perm: Perm.readWrite,
    topicFilterType: 'SINGLE_TAG',
    topicSysFlag: 0,
    order: false,
    attributes: {},
    ...given,
  }
}

function topicConfigFromJson(value: JsonValue | undefined, name = ''): TopicConfig {
  const object = objectOf(value)
  return {
    topicName: textOf(object['topicName'], name),
    readQueueNums: integerOf(object['readQueueNums'], 16),
    writeQueueNums: integerOf(object['writeQueueNums'], 16),
    perm: integerOf(object['perm'], Perm.readWrite),
    topicFilterType: textOf(object['topicFilterType'], 'SINGLE_TAG'),
    topicSysFlag: integerOf(object['topicSysFlag']),
    order: flagOf(object['order']),
    attributes: textTableOf(object['attributes']),
  }
}

export function topicConfigToJson(config: TopicConfig): WritableJson {
  return {
    attributes: config.attributes,
    order: config.order,
    perm: config.perm,
    readQueueNums: config.readQueueNums,
    topicFilterType: config.topicFilterType,
    topicName: config.topicName,
    topicSysFlag: config.topicSysFlag,
    writeQueueNums: config.writeQueueNums,
  }
}

export function sameTopicConfig(a: TopicConfig, b: TopicConfig): boolean {
  const attributes = Object.entries(a.attributes)
  return (
    a.topicName === b.topicName &&
    a.readQueueNums === b.readQueueNums &&
    a.writeQueueNums === b.writeQueueNums &&
    a.perm === b.perm &&
    a.topicFilterType === b.topicFilterType &&
    a.topicSysFlag === b.topicSysFlag &&
    a.order === b.order &&
    attributes.length === Object.keys(b.attributes).length &&
    attributes.every(([key, value]) => b.attributes[key] === value)
  )
}

/** Body of GET_TOPIC_CONFIG. */
export function decodeTopicConfig(body: Buffer | null): TopicConfig {
  return topicConfigFromJson(parseBody(body))
}

export function encodeTopicConfig(config: TopicConfig): Buffer {
  return jsonBody(topicConfigToJson(config))
}

/** TopicConfigSerializeWrapper, also the content of a broker's config/topics.json. */
export interface TopicConfigTable {
  readonly dataVersion: DataVersion
  readonly topics: readonly TopicConfig[]
}

export function topicConfigTableFromJson(value: JsonValue | undefined): TopicConfigTable {
  const object = objectOf(value)
  return {
    dataVersion: dataVersionFromJson(object['dataVersion']),
    topics: Object.entries(objectOf(object['topicConfigTable'])).map(([name, config]) =>
      topicConfigFromJson(config, name),
    ),
  }
}

/** With the empty tables for static topics that 5.x peers expect. */
export function topicConfigTableToJson(table: TopicConfigTable): WritableJson {
  return {
    dataVersion: dataVersionToJson(table.dataVersion),
    mappingDataVersion: dataVersionToJson(initialDataVersion),
    topicConfigTable: Object.fromEntries(
      table.topics.map((config) => [config.topicName, topicConfigToJson(config)]),
    ),
    topicQueueMappingDetailMap: {},
    topicQueueMappingInfoMap: {},
  }
}

/** Body of GET_ALL_TOPIC_CONFIG. */
export function decodeTopicConfigTable(body: Buffer | null): TopicConfigTable {
  return topicConfigTableFromJson(parseBody(body))
}

/** Body of UPDATE_AND_CREATE_TOPIC_LIST. */
export function decodeTopicConfigList(body: Buffer | null): TopicConfig[] {
  const list = parseBody(body)['topicConfigList']
  return Array.isArray(list) ? list.map((config) => topicConfigFromJson(config)) : []
}

export function encodeTopicConfigList(configs: readonly TopicConfig[]): Buffer {
  return jsonBody({ topicConfigList: configs.map(topicConfigToJson) })
}
