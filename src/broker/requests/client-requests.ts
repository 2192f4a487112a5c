/**
 * HEART_BEAT, UNREGISTER_CLIENT, CHECK_CLIENT_CONFIG, GET_CONSUMER_LIST_BY_GROUP: what clients tell
 * of themselves, and ask of each other.
 * Source: apache/rocketmq broker/…/processor/{ClientManageProcessor,ConsumerManageProcessor}.java.
 */
import { decodeHeartbeatData } from '../../protocol/bodies/heartbeat-data.ts'
import type { ConsumerData } from '../../protocol/bodies/consumer-data.ts'
import { subscriptionDataFromJson } from '../../protocol/bodies/subscription-data.ts'
import { Perm, TopicSysFlag } from '../../protocol/bodies/topic-config.ts'
import { ResponseCode } from '../../protocol/codes.ts'
import { respond } from '../../protocol/command.ts'
import { faultOfGroup, faultOfTopic, retryTopicOf } from '../../protocol/names.ts'
import type { BrokerContext, RequestHandler } from '../context.ts'
import { checkEnabled, faultOfExpression, isTagType } from '../message-filter.ts'
import { Refusal } from '../refusal.ts'
import { groupField, jsonField, objectField, optionalText } from './fields.ts'

const CLIENT_ID_CHARS_MAX = 1_024
const GROUPS_MAX = 1_000

/**
 * Without the extra fields that would offer heart-beat V2: clients then send whole heart-beats.
 * Nothing of a heart-beat is taken when something in it is illegal.
 */
export const heartBeat: RequestHandler = (context, connection, command) => {
  const data = jsonField(command, decodeHeartbeatData)
  const { clientId, producerGroups, consumers } = data
  if (clientId === '' || clientId.length > CLIENT_ID_CHARS_MAX) {
    throw illegal(`the client id must have 1 to ${CLIENT_ID_CHARS_MAX} characters`)
  }
  if (producerGroups.length + consumers.length > GROUPS_MAX) {
    throw illegal(`a heart-beat may name ${GROUPS_MAX} groups at most`)
  }
  for (const group of producerGroups) checkGroup('producer', group)
  for (const consumer of consumers) checkConsumer(consumer)
  const client = { clientId, language: command.language, version: command.version }
  for (const consumer of consumers) {
    const group = context.groups.findOrCreate(consumer.groupName)
    makeRetryTopic(context, consumer, group.retryQueueNums)
    context.clients.registerConsumer(connection, client, consumer, data.withoutSub)
    // Of a client that has gone meanwhile nobody would say that it left.
    if (!data.withoutSub && !connection.isClosed)
      context.filters.register(consumer.groupName, consumer.subscriptions)
  }
  for (const group of producerGroups) context.clients.registerProducer(connection, client, group)
  return respond(command, ResponseCode.SUCCESS)
}

/** The topic through which failed messages will come back must be in routes before they do. */
function makeRetryTopic(context: BrokerContext, consumer: ConsumerData, queues: number): void {
  if (queues <= 0) return
  const name = retryTopicOf(consumer.groupName)
  if (context.topics.get(name) !== null) return
  const sysFlag = consumer.unitMode ? TopicSysFlag.unitSub : 0
  if (context.topics.ensure(name, queues, Perm.readWrite, sysFlag) !== null) return
  throw new Refusal(
    ResponseCode.SYSTEM_ERROR,
    `the topic ${name} cannot be made: too many topics, or it is being deleted`,
  )
}

function checkConsumer(consumer: ConsumerData): void {
  checkGroup('consumer', consumer.groupName)
  for (const { topic } of consumer.subscriptions) {
    const fault = faultOfTopic(topic)
    if (fault === null) continue
    throw illegal(
      `the subscribed topic ${JSON.stringify(topic.slice(0, 300))} is illegal: ${fault}`,
    )
  }
}

function checkGroup(kind: string, group: string): void {
  const fault = faultOfGroup(group)
  if (fault === null) return
  throw illegal(`the ${kind} group ${JSON.stringify(group.slice(0, 300))} is illegal: ${fault}`)
}

function illegal(what: string): Refusal {
  return new Refusal(ResponseCode.INVALID_PARAMETER, what)
}

export const unregisterClient: RequestHandler = (context, connection, command) => {
  const producerGroup = optionalText(command, 'producerGroup')
  const consumerGroup = optionalText(command, 'consumerGroup')
  if (producerGroup !== null) context.clients.unregisterProducer(connection, producerGroup)
  if (consumerGroup !== null) context.clients.unregisterConsumer(connection, consumerGroup)
  return respond(command, ResponseCode.SUCCESS)
}

/** Asked at the start of a consumer that filters by anything but tags: whether the broker can do that. */
export const checkClientConfig: RequestHandler = (context, _connection, command) => {
  const body = objectField(command)
  const { expressionType, subString } = subscriptionDataFromJson(body['subscriptionData'])
  if (isTagType(expressionType)) return respond(command, ResponseCode.SUCCESS)
  checkEnabled(expressionType, context.settings.enablePropertyFilter)
  const fault = faultOfExpression(expressionType, subString)
  return fault === null
    ? respond(command, ResponseCode.SUCCESS)
    : respond(command, ResponseCode.SUBSCRIPTION_PARSE_FAILED, `Invalid MessageSelector. ${fault}`)
}

export const consumerList: RequestHandler = (context, _connection, command) => {
  const group = groupField(command)
  const known = context.clients.consumerGroup(group)
  if (known === null) {
    return respond(command, ResponseCode.SYSTEM_ERROR, `no consumer for this group, ${group}`)
  }
  return respond(command, ResponseCode.SUCCESS, null, {}, known.idList)
}
