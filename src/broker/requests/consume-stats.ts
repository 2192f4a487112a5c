/**
 * GET_TOPIC_STATS_INFO, GET_CONSUME_STATS, GET_BROKER_CONSUME_STATS, QUERY_CONSUME_TIME_SPAN: how far
 * topics go and how far groups are in them.
 * Source: apache/rocketmq broker/…/processor/AdminBrokerProcessor.java.
 */
import {
  type ConsumeProgress,
  type ConsumeStats,
  encodeBrokerConsumeStats,
  encodeConsumeStats,
} from '../../protocol/bodies/consume-stats.ts'
import {
  type ConsumeTimeSpan,
  encodeConsumeTimeSpans,
} from '../../protocol/bodies/consume-time-span.ts'
import type { MessageQueue } from '../../protocol/bodies/message-queue.ts'
import { type TopicOffset, encodeTopicStatsTable } from '../../protocol/bodies/topic-stats-table.ts'
import { ResponseCode } from '../../protocol/codes.ts'
import { isRetryTopic } from '../../protocol/names.ts'
import { type Command, respond } from '../../protocol/command.ts'
import type { BrokerContext, RequestHandler } from '../context.ts'
import { Refusal } from '../refusal.ts'
import { StatName } from '../stats.ts'
import type { Topic } from '../topics.ts'
import { TurnBudget } from '../turn-budget.ts'
import { flagField, groupField, optionalText, topicField } from './fields.ts'

/** The topic that a request names. Refused with 17 when there is none. */
export function knownTopic(context: BrokerContext, command: Command, field = 'topic'): Topic {
  const name = topicField(command, field)
  const topic = context.topics.get(name)
  if (topic !== null) return topic
  throw new Refusal(ResponseCode.TOPIC_NOT_EXIST, `topic[${name}] not exist`)
}

/** Topics that a group has progress in or has subscribed to, by name; without a retry topic that it never read. */
export function topicsOfGroup(context: BrokerContext, group: string): string[] {
  const names = new Set(context.offsets.topicsOf(group))
  for (const topic of context.clients.consumerGroup(group)?.subscriptions.keys() ?? []) {
    if (!isRetryTopic(topic)) names.add(topic)
  }
  return [...names].sort()
}

function queueNamed(context: BrokerContext, topic: string, queueId: number): MessageQueue {
  return { topic, brokerName: context.settings.brokerName, queueId }
}

/** Every queue of a topic, the empty ones too. */
export const topicStats: RequestHandler = async (context, _connection, command) => {
  const topic = knownTopic(context, command)
  const budget = new TurnBudget(context.world.clock)
  const queues: TopicOffset[] = []
  for (let queueId = 0; queueId < topic.queueNums; queueId++) {
    const stored = context.store.peekQueue(topic.name, queueId)
    const minOffset = stored?.minOffset ?? 0
    const maxOffset = stored?.maxOffset ?? 0
    const newest =
      stored !== null && maxOffset > minOffset
        ? await context.store.storeTimeOf(stored, maxOffset - 1)
        : 0
    queues.push({
      queue: queueNamed(context, topic.name, queueId),
      minOffset,
      maxOffset,
      lastUpdateTimestamp: Math.max(newest, 0),
    })
    if (budget.spent) await budget.nextTurn()
  }
  const topicPutTps = context.stats.minuteRate(StatName.topicPutNums, topic.name)
  const body = encodeTopicStatsTable({ queues, topicPutTps })
  return respond(command, ResponseCode.SUCCESS, null, {}, body)
}

/** How far a group is in the queues of one topic; null when it is connected and did not subscribe to it. */
async function progressIn(
  context: BrokerContext,
  group: string,
  topic: Topic,
  budget: TurnBudget,
): Promise<ConsumeProgress[] | null> {
  const subscriptions = context.clients.consumerGroup(group)?.subscriptions
  if (subscriptions !== undefined && subscriptions.size > 0 && !subscriptions.has(topic.name)) {
    return null
  }
  const rows: ConsumeProgress[] = []
  for (let queueId = 0; queueId < topic.readQueueNums; queueId++) {
    const stored = context.store.peekQueue(topic.name, queueId)
    const brokerOffset = stored?.maxOffset ?? 0
    const consumerOffset = context.offsets.get(group, topic.name, queueId) ?? 0
    const lastTimestamp =
      stored !== null && consumerOffset > stored.minOffset && consumerOffset <= brokerOffset
        ? await context.store.storeTimeOf(stored, consumerOffset - 1)
        : 0
    rows.push({
      queue: queueNamed(context, topic.name, queueId),
      brokerOffset,
      consumerOffset,
      pullOffset: context.offsets.pulled(group, topic.name, queueId),
      lastTimestamp: Math.max(lastTimestamp, 0),
    })
    if (budget.spent) await budget.nextTurn()
  }
  return rows
}

function getRate(context: BrokerContext, topic: string, group: string): number {
  return context.stats.minuteRate(StatName.groupGetNums, `${topic}@${group}`)
}

export const consumeStats: RequestHandler = async (context, _connection, command) => {
  const group = groupField(command)
  const one = optionalText(command, 'topic')
  const several = optionalText(command, 'topicList')
  const names =
    one !== null
      ? [one]
      : several !== null
        ? several.split(';').filter((name) => name !== '')
        : topicsOfGroup(context, group)
  const budget = new TurnBudget(context.world.clock)
  const queues: ConsumeProgress[] = []
  let consumeTps = 0
  for (const name of names) {
    const topic = context.topics.get(name)
    const rows = topic === null ? null : await progressIn(context, group, topic, budget)
    if (rows === null) continue
    for (const row of rows) queues.push(row)
    consumeTps += getRate(context, name, group)
  }
  const body = encodeConsumeStats({ queues, consumeTps })
  return respond(command, ResponseCode.SUCCESS, null, {}, body)
}

export const brokerConsumeStats: RequestHandler = async (context, _connection, command) => {
  const isOrder = flagField(command, 'isOrder')
  const budget = new TurnBudget(context.world.clock)
  const groups: [string, ConsumeStats[]][] = []
  let totalDiff = 0
  let totalInflightDiff = 0
  for (const group of [...context.groups.names()]) {
    const stats: ConsumeStats[] = []
    for (const name of topicsOfGroup(context, group)) {
      const topic = context.topics.get(name)
      if (topic === null || topic.order !== isOrder) continue
      const queues = await progressIn(context, group, topic, budget)
      if (queues === null) continue
      for (const row of queues) {
        totalDiff += row.brokerOffset - row.consumerOffset
        totalInflightDiff += row.pullOffset - row.consumerOffset
      }
      stats.push({ queues, consumeTps: getRate(context, name, group) })
    }
    if (stats.length > 0) groups.push([group, stats])
    if (budget.spent) await budget.nextTurn()
  }
  const body = encodeBrokerConsumeStats({
    brokerAddr: context.settings.advertisedAddress,
    groups,
    totalDiff,
    totalInflightDiff,
  })
  return respond(command, ResponseCode.SUCCESS, null, {}, body)
}

export const consumeTimeSpan: RequestHandler = async (context, _connection, command) => {
  const topic = knownTopic(context, command)
  const group = groupField(command, 'group')
  const { store, offsets, world } = context
  const spans: ConsumeTimeSpan[] = []
  for (let queueId = 0; queueId < topic.queueNums; queueId++) {
    const queue = queueNamed(context, topic.name, queueId)
    const stored = store.peekQueue(topic.name, queueId)
    if (stored === null || stored.maxOffset <= stored.minOffset) {
      spans.push({ queue, minTimestamp: -1, maxTimestamp: -1, consumeTimestamp: -1, delayMs: 0 })
      continue
    }
    const next = offsets.get(group, topic.name, queueId) ?? 0
    const minTimestamp = await store.storeTimeOf(stored, stored.minOffset)
    const maxTimestamp = await store.storeTimeOf(stored, stored.maxOffset - 1)
    const consumed = next > stored.minOffset && next <= stored.maxOffset
    const consumeTimestamp = consumed ? await store.storeTimeOf(stored, next - 1) : minTimestamp
    const waiting = Math.max(next, stored.minOffset)
    const waitsSince = waiting < stored.maxOffset ? await store.storeTimeOf(stored, waiting) : -1
    spans.push({
      queue,
      minTimestamp,
      maxTimestamp,
      consumeTimestamp,
      delayMs: waitsSince < 0 ? 0 : Math.max(0, Math.floor(world.clock.wallMs()) - waitsSince),
    })
  }
  return respond(command, ResponseCode.SUCCESS, null, {}, encodeConsumeTimeSpans(spans))
}
