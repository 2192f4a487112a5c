/**
 * GET_TOPIC_STATS_INFO, GET_CONSUME_STATS, GET_BROKER_CONSUME_STATS, QUERY_CONSUME_TIME_SPAN: how far
 * topics go and how far groups are in them.
 *
 * A broker may have tens of thousands of rows to tell, so they become text one by one as they are
 * looked at (`QueueRows`), a few milliseconds a turn. The shapes are those of `protocol/bodies`.
 * Source: apache/rocketmq broker/…/processor/AdminBrokerProcessor.java.
 */
import {
  type ConsumeTimeSpan,
  encodeConsumeTimeSpans,
} from '../../protocol/bodies/consume-time-span.ts'
import type { MessageQueue } from '../../protocol/bodies/message-queue.ts'
import { ResponseCode } from '../../protocol/codes.ts'
import { type Command, respond } from '../../protocol/command.ts'
import { isRetryTopic } from '../../protocol/names.ts'
import type { BrokerContext, RequestHandler } from '../context.ts'
import { LongBody } from '../long-body.ts'
import { Refusal } from '../refusal.ts'
import { StatName } from '../stats.ts'
import type { Topic } from '../topics.ts'
import { TurnBudget } from '../turn-budget.ts'
import { flagField, groupField, optionalText, topicField } from './fields.ts'

/** Rows of a Map<MessageQueue, …> as Java writes it; names are legal ones and need no escapes. */
class QueueRows {
  readonly #body: LongBody
  #comma = ''

  constructor(body: LongBody) {
    this.#body = body
  }

  /** @param value the row's value as JSON */
  add(brokerName: string, topic: string, queueId: number, value: string): void {
    this.#body.add(
      `${this.#comma}{"brokerName":"${brokerName}","queueId":${queueId},"topic":"${topic}"}:${value}`,
    )
    this.#comma = ','
  }
}

/** The topic that a request names. Refused with 17 when there is none. */
export function knownTopic(context: BrokerContext, command: Command, field = 'topic'): Topic {
  const name = topicField(command, field)
  const topic = context.topics.get(name)
  if (topic !== null) return topic
  throw new Refusal(ResponseCode.TOPIC_NOT_EXIST, `topic[${name}] not exist`)
}

/**
 * Topics that a group has progress in or has subscribed to, by name; without a retry topic that it never
 * read. A group that is broadcast to keeps its progress to itself: clients tell it by the missing rows.
 */
export function topicsOfGroup(context: BrokerContext, group: string): string[] {
  const names = new Set(context.offsets.topicsOf(group))
  const members = context.clients.consumerGroup(group)
  if (members !== null && members.messageModel !== 'BROADCASTING') {
    for (const topic of members.subscriptions.keys()) if (!isRetryTopic(topic)) names.add(topic)
  }
  return [...names].sort()
}

function queueNamed(context: BrokerContext, topic: string, queueId: number): MessageQueue {
  return { topic, brokerName: context.settings.brokerName, queueId }
}

/** Every queue of a topic, the empty ones too. */
export const topicStats: RequestHandler = async (context, _connection, command) => {
  const topic = knownTopic(context, command)
  const { store, settings } = context
  const budget = new TurnBudget(context.world.clock)
  const body = new LongBody()
  body.add('{"offsetTable":{')
  const rows = new QueueRows(body)
  for (let queueId = 0; queueId < topic.queueNums; queueId++) {
    const stored = store.peekQueue(topic.name, queueId)
    const minOffset = stored?.minOffset ?? 0
    const maxOffset = stored?.maxOffset ?? 0
    const newest =
      stored !== null && maxOffset > minOffset ? await store.storeTimeOf(stored, maxOffset - 1) : 0
    rows.add(
      settings.brokerName,
      topic.name,
      queueId,
      `{"lastUpdateTimestamp":${Math.max(newest, 0)},"maxOffset":${maxOffset},"minOffset":${minOffset}}`,
    )
    if (budget.spent) await budget.nextTurn()
  }
  const putTps = context.stats.minuteRate(StatName.topicPutNums, topic.name)
  body.add(`},"topicPutTps":${putTps}}`)
  return respond(command, ResponseCode.SUCCESS, null, {}, await body.end(budget))
}

/** What the queues of a topic add up to, for one group. */
interface Behind {
  /** Messages that the group has not processed. */
  diff: number
  /** Of these, messages that it asked for. */
  inflightDiff: number
}

/** False when the group is connected and did not subscribe to the topic. */
function mayRead(context: BrokerContext, group: string, topic: Topic): boolean {
  const subscriptions = context.clients.consumerGroup(group)?.subscriptions
  return subscriptions === undefined || subscriptions.size === 0 || subscriptions.has(topic.name)
}

/** Adds how far a group is in the queues of one topic. */
async function addProgress(
  context: BrokerContext,
  group: string,
  topic: Topic,
  rows: QueueRows,
  behind: Behind,
  budget: TurnBudget,
): Promise<void> {
  const { store, offsets, settings } = context
  for (let queueId = 0; queueId < topic.readQueueNums; queueId++) {
    const stored = store.peekQueue(topic.name, queueId)
    const brokerOffset = stored?.maxOffset ?? 0
    const consumerOffset = offsets.get(group, topic.name, queueId) ?? 0
    const pullOffset = offsets.pulled(group, topic.name, queueId)
    const lastTimestamp =
      stored !== null && consumerOffset > stored.minOffset && consumerOffset <= brokerOffset
        ? await store.storeTimeOf(stored, consumerOffset - 1)
        : 0
    rows.add(
      settings.brokerName,
      topic.name,
      queueId,
      `{"brokerOffset":${brokerOffset},"consumerOffset":${consumerOffset},` +
        `"lastTimestamp":${Math.max(lastTimestamp, 0)},"pullOffset":${pullOffset}}`,
    )
    behind.diff += brokerOffset - consumerOffset
    behind.inflightDiff += pullOffset - consumerOffset
    if (budget.spent) await budget.nextTurn()
  }
}

function getRate(context: BrokerContext, topic: string, group: string): number {
  return context.stats.minuteRate(StatName.groupGetNums, `${topic}@${group}`)
}

export const consumeStats: RequestHandler = async (context, _connection, command) => {
  const group = groupField(command)
  const one = optionalText(command, 'topic')
  const several = optionalText(command, 'topicList')
  // A list is answered as it was asked for, whatever the group has subscribed to.
  const listed = several?.split(';').filter((name) => name !== '') ?? []
  const names = listed.length > 0 ? listed : one !== null ? [one] : topicsOfGroup(context, group)
  const topics = names
    .map((name) => context.topics.get(name))
    .filter((topic) => topic !== null)
    .filter((topic) => listed.length > 0 || mayRead(context, group, topic))
  const consumeTps = topics.reduce((sum, { name }) => sum + getRate(context, name, group), 0)
  const budget = new TurnBudget(context.world.clock)
  const body = new LongBody()
  body.add(`{"consumeTps":${consumeTps},"offsetTable":{`)
  const rows = new QueueRows(body)
  const behind: Behind = { diff: 0, inflightDiff: 0 }
  for (const topic of topics) await addProgress(context, group, topic, rows, behind, budget)
  body.add('}}')
  return respond(command, ResponseCode.SUCCESS, null, {}, await body.end(budget))
}

export const brokerConsumeStats: RequestHandler = async (context, _connection, command) => {
  const isOrder = flagField(command, 'isOrder')
  const budget = new TurnBudget(context.world.clock)
  const body = new LongBody()
  const address = JSON.stringify(context.settings.advertisedAddress)
  body.add(`{"brokerAddr":${address},"consumeStatsList":[`)
  const behind: Behind = { diff: 0, inflightDiff: 0 }
  let groupComma = ''
  for (const group of [...context.groups.names()]) {
    let comma = ''
    for (const name of topicsOfGroup(context, group)) {
      const topic = context.topics.get(name)
      if (topic === null || (isOrder && !topic.order)) continue
      if (!mayRead(context, group, topic)) continue
      body.add(comma === '' ? `${groupComma}{"${group}":[` : comma)
      body.add(`{"consumeTps":${getRate(context, name, group)},"offsetTable":{`)
      await addProgress(context, group, topic, new QueueRows(body), behind, budget)
      body.add('}}')
      groupComma = comma = ','
    }
    if (comma !== '') body.add(']}')
    if (budget.spent) await budget.nextTurn()
  }
  body.add(`],"totalDiff":${behind.diff},"totalInflightDiff":${behind.inflightDiff}}`)
  return respond(command, ResponseCode.SUCCESS, null, {}, await body.end(budget))
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
