/**
 * How a member of a consumer group consumes; part of heart-beats and of connection lists.
 * Source: apache/rocketmq remoting/…/heartbeat/{ConsumerData,ConsumeType,MessageModel}.java, common/…/ConsumeFromWhere.java.
 */
import type { JsonValue, WritableJson } from '../lenient-json.ts'
import { flagOf, listOf, objectOf, textOf, wordOf } from './fields.ts'
import {
  type SubscriptionData,
  subscriptionDataFromJson,
  subscriptionDataToJson,
} from './subscription-data.ts'

const consumeTypes = ['CONSUME_ACTIVELY', 'CONSUME_PASSIVELY', 'CONSUME_POP'] as const
export type ConsumeType = (typeof consumeTypes)[number]

export const messageModels = ['CLUSTERING', 'BROADCASTING'] as const
export type MessageModel = (typeof messageModels)[number]

const consumeFromWheres = [
  'CONSUME_FROM_LAST_OFFSET',
  'CONSUME_FROM_FIRST_OFFSET',
  'CONSUME_FROM_TIMESTAMP',
  'CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST',
  'CONSUME_FROM_MIN_OFFSET',
  'CONSUME_FROM_MAX_OFFSET',
] as const
export type ConsumeFromWhere = (typeof consumeFromWheres)[number]

export interface ConsumerData {
  readonly groupName: string
  readonly consumeType: ConsumeType
  readonly messageModel: MessageModel
  readonly consumeFromWhere: ConsumeFromWhere
  readonly subscriptions: readonly SubscriptionData[]
  readonly unitMode: boolean
}

/** The three words that describe a group's way of consuming, with Java's defaults. */
export function consumingWordsOf(object: {
  readonly [key: string]: JsonValue
}): Pick<ConsumerData, 'consumeType' | 'messageModel' | 'consumeFromWhere'> {
  return {
    consumeType: wordOf(object['consumeType'], consumeTypes, 'CONSUME_PASSIVELY'),
    messageModel: wordOf(object['messageModel'], messageModels, 'CLUSTERING'),
    consumeFromWhere: wordOf(
      object['consumeFromWhere'],
      consumeFromWheres,
      'CONSUME_FROM_LAST_OFFSET',
    ),
  }
}

export function consumerDataFromJson(value: JsonValue | undefined): ConsumerData {
  const object = objectOf(value)
  return {
    groupName: textOf(object['groupName']),
    ...consumingWordsOf(object),
    subscriptions: listOf(object['subscriptionDataSet']).map(subscriptionDataFromJson),
    unitMode: flagOf(object['unitMode']),
  }
}

export function consumerDataToJson(data: ConsumerData): WritableJson {
  return {
    consumeFromWhere: data.consumeFromWhere,
    consumeType: data.consumeType,
    groupName: data.groupName,
    messageModel: data.messageModel,
    subscriptionDataSet: data.subscriptions.map(subscriptionDataToJson),
    unitMode: data.unitMode,
  }
}
