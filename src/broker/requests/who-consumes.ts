/**
 * QUERY_TOPIC_CONSUME_BY_WHO, QUERY_TOPICS_BY_CONSUMER, QUERY_SUBSCRIPTION_BY_CONSUMER,
 * GET_ALL_CONSUMER_OFFSET, GET_ALL_DELAY_OFFSET: which group reads which topic.
 * Source: apache/rocketmq broker/…/processor/AdminBrokerProcessor.java.
 */
import { encodeGroupList } from '../../protocol/bodies/name-lists.ts'
import { subscriptionDataToJson } from '../../protocol/bodies/subscription-data.ts'
import { encodeTopicList } from '../../protocol/bodies/topic-list.ts'
import { ResponseCode } from '../../protocol/codes.ts'
import { respond } from '../../protocol/command.ts'
import { jsonBody } from '../../protocol/lenient-json.ts'
import type { RequestHandler } from '../context.ts'
import { topicsOfGroup } from './consume-stats.ts'
import { groupField, optionalText, topicField } from './fields.ts'

/** Groups that are connected or have progress. */
export const groupsOfTopic: RequestHandler = (context, _connection, command) => {
  const topic = topicField(command)
  const groups = new Set(context.clients.groupsSubscribedTo(topic))
  for (const group of context.offsets.groupsOf(topic)) groups.add(group)
  const body = encodeGroupList([...groups].sort())
  return respond(command, ResponseCode.SUCCESS, null, {}, body)
}

export const topicsByGroup: RequestHandler = (context, _connection, command) => {
  const topics = topicsOfGroup(context, groupField(command, 'group'))
  const body = encodeTopicList({ topics, brokerAddr: null })
  return respond(command, ResponseCode.SUCCESS, null, {}, body)
}

export const subscriptionByGroup: RequestHandler = (context, _connection, command) => {
  const group = groupField(command, 'group')
  const topic = optionalText(command, 'topic')
  const subscription = topic === null ? null : context.clients.subscriptionOf(group, topic)
  const body = jsonBody({
    group,
    subscriptionData: subscription === null ? undefined : subscriptionDataToJson(subscription.data),
    topic: topic ?? undefined,
  })
  return respond(command, ResponseCode.SUCCESS, null, {}, body)
}

export const allConsumerOffsets: RequestHandler = async (context, _connection, command) => {
  const body = await context.offsets.tableBody()
  return respond(command, ResponseCode.SUCCESS, null, {}, body)
}

export const allDelayOffsets: RequestHandler = (context, _connection, command) =>
  respond(command, ResponseCode.SUCCESS, null, {}, context.delay.table())
