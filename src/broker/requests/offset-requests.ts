/**
 * QUERY_CONSUMER_OFFSET, UPDATE_CONSUMER_OFFSET, GET_MAX_OFFSET, GET_MIN_OFFSET: how far a group is,
 * and how far a queue goes. Source: apache/rocketmq broker/…/processor/ConsumerManageProcessor.java.
 */
import { ResponseCode } from '../../protocol/codes.ts'
import { type Command, respond } from '../../protocol/command.ts'
import type { Queue } from '../../store/queue.ts'
import type { BrokerContext, RequestHandler } from '../context.ts'
import { Refusal } from '../refusal.ts'
import { flagField, groupField, integerField, topicField } from './fields.ts'

/** The queue that a request names by topic and queueId. Refused: 17 unknown topic, 29 no such queue. */
export function queueField(context: BrokerContext, command: Command): Queue {
  const name = topicField(command)
  const topic = context.topics.get(name)
  if (topic === null) {
    throw new Refusal(ResponseCode.TOPIC_NOT_EXIST, `topic[${name}] not exist`)
  }
  const queueId = integerField(command, 'queueId', -1)
  if (queueId < 0 || queueId >= topic.queueNums) {
    throw new Refusal(
      ResponseCode.INVALID_PARAMETER,
      `queueId[${queueId}] is illegal, topic:[${name}] has ${topic.queueNums} queues`,
    )
  }
  return topic.queue(queueId)
}

/**
 * A group that never consumed gets 0 while everything that was ever written is still there, so that
 * a message cannot slip in between this answer and the start; otherwise QUERY_NOT_FOUND, and it
 * starts where it is configured to.
 */
export const queryOffset: RequestHandler = (context, _connection, command) => {
  const group = groupField(command)
  const topic = topicField(command)
  const queueId = integerField(command, 'queueId', -1)
  const stored = context.offsets.query(group, topic, queueId)
  if (stored !== null) return respond(command, ResponseCode.SUCCESS, null, { offset: stored })
  const minOffset = context.store.peekQueue(topic, queueId)?.minOffset ?? 0
  if (minOffset <= 0 && flagField(command, 'setZeroIfNotFound', true)) {
    return respond(command, ResponseCode.SUCCESS, null, { offset: 0 })
  }
  return respond(
    command,
    ResponseCode.QUERY_NOT_FOUND,
    'Not found, maybe this group consumer boot first',
  )
}

/** A report that comes while a reset is pending is ignored, not refused: its sender does not know yet. */
export const updateOffset: RequestHandler = (context, _connection, command) => {
  const group = groupField(command)
  const name = topicField(command)
  if (context.groups.get(group) === null) {
    throw new Refusal(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, `Group ${group} not exist!`)
  }
  const topic = context.topics.get(name)
  if (topic === null) {
    throw new Refusal(ResponseCode.TOPIC_NOT_EXIST, `Topic ${name} not exist!`)
  }
  const queueId = integerField(command, 'queueId')
  const offset = integerField(command, 'commitOffset')
  if (queueId >= topic.queueNums) {
    throw new Refusal(
      ResponseCode.INVALID_PARAMETER,
      `queueId[${queueId}] is illegal, topic:[${name}] has ${topic.queueNums} queues`,
    )
  }
  if (context.offsets.pendingReset(group, name, queueId) !== null) {
    return respond(command, ResponseCode.SUCCESS, 'Offset has been previously reset')
  }
  context.offsets.commit(group, name, queueId, offset)
  return respond(command, ResponseCode.SUCCESS)
}

export const maxOffset: RequestHandler = (context, _connection, command) => {
  const queue = queueField(context, command)
  return respond(command, ResponseCode.SUCCESS, null, { offset: queue.maxOffset })
}

export const minOffset: RequestHandler = (context, _connection, command) => {
  const queue = queueField(context, command)
  // A batch queue that never had a message has no first offset at Apache, and says so.
  const isUnused = queue.units !== null && queue.maxOffset === 0
  return respond(command, ResponseCode.SUCCESS, null, { offset: isUnused ? -1 : queue.minOffset })
}
