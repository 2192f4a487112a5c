/**
 * INVOKE_BROKER_TO_RESET_OFFSET and CLONE_GROUP_OFFSET: an administrator moves a group. The reset is
 * the broker's own: it stands in the table at once, and consumers hear of it with their next pull.
 * Source: apache/rocketmq broker/…/processor/AdminBrokerProcessor.java (resetOffsetInner, cloneGroupOffset).
 */
import { type QueueOffset, encodeResetOffsetBody } from '../../protocol/bodies/queue-offsets.ts'
import { ResponseCode } from '../../protocol/codes.ts'
import { respond } from '../../protocol/command.ts'
import type { BrokerContext, RequestHandler } from '../context.ts'
import { Refusal } from '../refusal.ts'
import type { Topic } from '../topics.ts'
import { knownTopic, topicsOfGroup } from './consume-stats.ts'
import { flagField, groupField, optionalInteger, optionalText, timeField } from './fields.ts'

function knownGroup(context: BrokerContext, group: string): void {
  if (context.groups.get(group) !== null) return
  throw new Refusal(
    ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
    `subscription group not exist, ${group}`,
  )
}

export const resetOffset: RequestHandler = async (context, _connection, command) => {
  const topic = knownTopic(context, command)
  const group = groupField(command, 'group')
  knownGroup(context, group)
  const queueId = optionalInteger(command, 'queueId', -1, -1)
  const offset = optionalInteger(command, 'offset', -1, -1)
  const timestamp = timeField(command, 'timestamp', -1)
  if (queueId >= topic.readQueueNums) {
    throw new Refusal(
      ResponseCode.INVALID_PARAMETER,
      `queueId[${queueId}] is illegal, topic:[${topic.name}] has ${topic.readQueueNums} queues`,
    )
  }
  const rows =
    queueId >= 0 && offset >= 0
      ? [explicitOffset(context, topic, queueId, offset)]
      : await offsetsAt(context, topic, queueId, timestamp)
  for (const { queue, offset: target } of rows) {
    context.offsets.reset(group, topic.name, queue.queueId, target)
  }
  await context.offsets.save()
  context.logger.info('offsets reset', { group, topic: topic.name, queues: rows.length })
  return respond(command, ResponseCode.SUCCESS, null, {}, encodeResetOffsetBody(rows))
}

function explicitOffset(
  context: BrokerContext,
  topic: Topic,
  queueId: number,
  offset: number,
): QueueOffset {
  const { minOffset, maxOffset } = topic.queue(queueId)
  if (offset < minOffset || offset > maxOffset) {
    throw new Refusal(
      ResponseCode.SYSTEM_ERROR,
      `Target offset ${offset} not in consume queue range [${minOffset}-${maxOffset}]`,
    )
  }
  return { queue: queueOf(context, topic, queueId), offset }
}

/** The offsets of that time, in one queue or (−1) in all; a negative time means the end. */
async function offsetsAt(
  context: BrokerContext,
  topic: Topic,
  only: number,
  timestamp: number,
): Promise<QueueOffset[]> {
  const rows: QueueOffset[] = []
  for (let queueId = 0; queueId < topic.readQueueNums; queueId++) {
    if (only >= 0 && queueId !== only) continue
    const queue = topic.queue(queueId)
    const offset =
      timestamp < 0 ? queue.maxOffset : await context.store.offsetByTime(queue, timestamp, 'LOWER')
    rows.push({ queue: queueOf(context, topic, queueId), offset })
  }
  return rows
}

function queueOf(context: BrokerContext, topic: Topic, queueId: number): QueueOffset['queue'] {
  return { topic: topic.name, brokerName: context.settings.brokerName, queueId }
}

/** Gives a group the progress of another, in one topic or in all. */
export const cloneOffsets: RequestHandler = async (context, _connection, command) => {
  const source = groupField(command, 'srcGroup')
  const target = groupField(command, 'destGroup')
  // A group that has progress is known by that; as at Apache, it may have no configuration.
  if (topicsOfGroup(context, source).length === 0) knownGroup(context, source)
  knownGroup(context, target)
  const one = optionalText(command, 'topic')
  const offline = flagField(command, 'offline')
  const names = one === null ? topicsOfGroup(context, source) : [one]
  for (const name of names) {
    if (context.topics.get(name) === null) continue
    const subscriptions = context.clients.consumerGroup(source)?.subscriptions
    if (!offline && subscriptions !== undefined && !subscriptions.has(name)) continue
    context.offsets.clone(source, target, name)
  }
  await context.offsets.save()
  return respond(command, ResponseCode.SUCCESS)
}
