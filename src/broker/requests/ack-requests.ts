/**
 * ACK_MESSAGE, BATCH_ACK_MESSAGE, CHANGE_MESSAGE_INVISIBLETIME: what became of messages that were taken
 * by POP. The answer waits until the acknowledgement is stored by the policy of the broker: from then
 * on the message does not come again, whatever happens to the broker. Messages that were taken in order
 * are different: their acknowledgement is progress of the group, answered at once and written with the
 * table of offsets every few seconds; after a crash what was not written comes again.
 * Source: apache/rocketmq broker/…/processor/{AckMessage,ChangeInvisibleTime}Processor.java.
 */
import { type BatchAck, decodeBatchAck } from '../../protocol/bodies/batch-ack.ts'
import { ResponseCode } from '../../protocol/codes.ts'
import { type Command, respond } from '../../protocol/command.ts'
import {
  isBrokerName,
  isOrderly,
  parsePopHandle,
  type PopHandle,
} from '../../protocol/pop-handle.ts'
import { invisibleAnswerFields } from '../../protocol/pop-header.ts'
import { ORDER_REVIVE_QUEUE, POP_MESSAGES_MAX, topicOfFlag } from '../../protocol/pop-names.ts'
import { CONFIRMATIONS_MAX } from '../confirmations.ts'
import type { BrokerContext, RequestHandler } from '../context.ts'
import { REVIVE_QUEUES } from '../pop/revive-log.ts'
import { Refusal } from '../refusal.ts'
import type { Topic } from '../topic.ts'
import { flagField, groupField, integerField, jsonField, textField } from './fields.ts'
import { checkInvisible } from './pop-requests.ts'

/** Checkpoints in one BATCH_ACK_MESSAGE. */
const BATCH_MAX = 4_096

/** Messages in one BATCH_ACK_MESSAGE. */
const BATCH_MESSAGES_MAX = BATCH_MAX * POP_MESSAGES_MAX

/** One message, as a request names it. */
interface Named {
  readonly group: string
  readonly topic: Topic
  readonly queueId: number
  readonly offset: number
  readonly handle: PopHandle
}

export const ackMessage: RequestHandler = async (context, connection, command) => {
  const { group, topic, queueId, offset, handle } = named(context, command)
  const { minOffset, maxOffset } = topic.queue(queueId)
  if (offset < minOffset || offset > maxOffset) {
    throw new Refusal(
      ResponseCode.NO_MESSAGE,
      `offset is illegal, key:${topic.name}@${queueId}, commit:${offset}, store:${minOffset}~${maxOffset}`,
    )
  }
  if (isOrderly(handle)) {
    const isKnown = ackInOrder(context, topic.name, group, queueId, offset, handle.popMs)
    if (isKnown) return respond(command, ResponseCode.SUCCESS)
    throw new Refusal(
      ResponseCode.MESSAGE_ILLEGAL,
      `offset is illegal, key:${topic.name}@${group}@${queueId}, commit:${offset}, ${connection.remoteAddress}`,
    )
  }
  const { startOffset, popMs, brokerName } = handle
  const batch = { topic: topic.name, group, queueId, startOffset, popMs, brokerName }
  const ack = { ...batch, offsets: [offset], isBatch: false }
  const reviveMs = popMs + handle.invisibleMs
  await placed(context, context.reviveLog.putAck(ack, reviveMs, handle.reviveQueueId))
  return respond(command, ResponseCode.SUCCESS)
}

export const batchAckMessage: RequestHandler = async (context, _connection, command) => {
  if (command.body === null) return respond(command, ResponseCode.NO_MESSAGE)
  const { brokerName, acks } = jsonField(command, decodeBatchAck)
  if (acks.length === 0) return respond(command, ResponseCode.NO_MESSAGE)
  if (acks.length > BATCH_MAX) {
    throw new Refusal(
      ResponseCode.INVALID_PARAMETER,
      `${acks.length} batches are acknowledged at once, at most ${BATCH_MAX} can be`,
    )
  }
  const messages = acks.reduce((sum, { offsets }) => sum + offsets.length, 0)
  if (messages > BATCH_MESSAGES_MAX) {
    throw new Refusal(
      ResponseCode.INVALID_PARAMETER,
      `${messages} messages are acknowledged at once, at most ${BATCH_MESSAGES_MAX} can be`,
    )
  }
  if (!isBrokerName(brokerName)) {
    throw new Refusal(ResponseCode.INVALID_PARAMETER, 'the member brokerName names no broker')
  }
  checkRoom(context)
  let end = 0
  for (const ack of acks) {
    const placedUpTo = ackBatch(context, ack, brokerName)
    if (placedUpTo > 0) end = placedUpTo
  }
  if (end > 0) await placed(context, end)
  return respond(command, ResponseCode.SUCCESS)
}

/** Returns the end of the log behind the acknowledgement; 0 when there was nothing to write. */
function ackBatch(context: BrokerContext, ack: BatchAck, brokerName: string): number {
  const { group, queueId, reviveQueueId, startOffset, popMs, invisibleMs } = ack
  const name = topicOfFlag(ack.retryFlag, ack.topic, group)
  const topic = name === null ? null : context.topics.get(name)
  // As with Apache, what is not there is passed over: the others count.
  if (topic === null || queueId < 0 || queueId >= topic.queueNums) return 0
  if (context.groups.get(group) === null) return 0
  const { minOffset, maxOffset } = topic.queue(queueId)
  const offsets = ack.offsets.filter((offset) => offset >= minOffset && offset <= maxOffset)
  if (offsets.length === 0) return 0
  if (reviveQueueId === ORDER_REVIVE_QUEUE) {
    for (const offset of offsets) ackInOrder(context, topic.name, group, queueId, offset, popMs)
    return 0
  }
  checkReviveQueue(reviveQueueId)
  const batch = { topic: topic.name, group, queueId, startOffset, popMs, brokerName }
  const whole = { ...batch, offsets, isBatch: true }
  return context.reviveLog.putAck(whole, popMs + invisibleMs, reviveQueueId)
}

/** The message comes again at another time than was said when it was taken. */
export const changeInvisibleTime: RequestHandler = async (context, _connection, command) => {
  const invisibleMs = integerField(command, 'invisibleTime', 0)
  const { group, topic, queueId, offset, handle } = named(context, command)
  const { minOffset, maxOffset } = topic.queue(queueId)
  if (offset < minOffset || offset >= maxOffset) return respond(command, ResponseCode.NO_MESSAGE)
  checkInvisible(context, invisibleMs)
  const { reviveQueueId, popMs, startOffset, brokerName } = handle
  // A checkpoint is known by its time too: the new one must not be taken for the old one.
  const nowMs = Math.max(Math.floor(context.world.clock.wallMs()), popMs + 1)
  if (isOrderly(handle)) {
    const { offsets, order } = context
    if (offset < (offsets.get(group, topic.name, queueId) ?? 0)) {
      return respond(command, ResponseCode.SUCCESS)
    }
    const visibleMs = nowMs + invisibleMs
    order.changeVisible(topic.name, group, queueId, offset, popMs, visibleMs)
    const answer = { popMs, invisibleMs: visibleMs - popMs, reviveQueueId }
    context.pops.waiting.wakeGroup(group, topic.name)
    return respond(command, ResponseCode.SUCCESS, null, invisibleAnswerFields(answer))
  }
  const { reviveLog } = context
  const batch = { topic: topic.name, group, queueId, brokerName }
  const times = { popMs: nowMs, invisibleMs, suspended: flagField(command, 'suspend') }
  const messages = { startOffset: offset, distances: [0], acked: 0, putAgain: 0 }
  // First what brings it back, then that the old one does not.
  reviveLog.putCheckpoint({ ...batch, ...times, ...messages }, reviveQueueId)
  const ack = { ...batch, startOffset, popMs, offsets: [offset], isBatch: false }
  await placed(context, reviveLog.putAck(ack, popMs + handle.invisibleMs, reviveQueueId))
  const answer = { popMs: nowMs, invisibleMs, reviveQueueId }
  return respond(command, ResponseCode.SUCCESS, null, invisibleAnswerFields(answer))
}

/** False when the message is none of those that the group has. */
function ackInOrder(
  context: BrokerContext,
  topic: string,
  group: string,
  queueId: number,
  offset: number,
  popMs: number,
): boolean {
  const { offsets, order, pops } = context
  if (offset < (offsets.get(group, topic, queueId) ?? 0)) return true
  const outcome = order.ack(topic, group, queueId, offset, popMs)
  if (outcome === 'foreign') return false
  if (outcome === 'late') return true
  if (outcome === 'unknown') {
    // Which messages were taken was forgotten: without them, only one step from where the group is.
    if (offset === offsets.get(group, topic, queueId)) {
      offsets.commit(group, topic, queueId, offset + 1)
    }
    return true
  }
  offsets.commit(group, topic, queueId, outcome.next)
  if (order.blockedUntil(topic, group, queueId, null) === 0) pops.waiting.wakeGroup(group, topic)
  return true
}

/** Reads and checks the fields. Throws a Refusal. */
function named(context: BrokerContext, command: Command): Named {
  const group = groupField(command)
  const name = textField(command, 'topic')
  const queueId = integerField(command, 'queueId', -1)
  const offset = integerField(command, 'offset')
  const handle = parsePopHandle(textField(command, 'extraInfo'))
  const topic = context.topics.get(name)
  if (topic === null) {
    throw new Refusal(
      ResponseCode.TOPIC_NOT_EXIST,
      `topic[${name.slice(0, 255)}] not exist, apply first please!`,
    )
  }
  if (queueId < 0 || queueId >= topic.readQueueNums) {
    throw new Refusal(
      ResponseCode.MESSAGE_ILLEGAL,
      `queueId[${queueId}] is illegal, topic:[${topic.name}] topicConfig.readQueueNums:[${topic.readQueueNums}]`,
    )
  }
  if (handle === null) {
    throw new Refusal(
      ResponseCode.INVALID_PARAMETER,
      'the field extraInfo is no handle of a message that was taken by POP',
    )
  }
  if (!isOrderly(handle)) checkReviveQueue(handle.reviveQueueId)
  checkRoom(context)
  return { group, topic, queueId, offset, handle }
}

function checkReviveQueue(reviveQueueId: number): void {
  if (reviveQueueId >= 0 && reviveQueueId < REVIVE_QUEUES) return
  throw new Refusal(
    ResponseCode.INVALID_PARAMETER,
    `there is no queue ${reviveQueueId} of the revive topic, only 0 to ${REVIVE_QUEUES - 1}`,
  )
}

function checkRoom({ confirmations, settings }: BrokerContext): void {
  if (!settings.timerWheelEnable) {
    throw new Refusal(
      ResponseCode.SYSTEM_ERROR,
      'messages cannot be acknowledged because timerWheelEnable is false',
    )
  }
  if (confirmations.count < CONFIRMATIONS_MAX) return
  throw new Refusal(ResponseCode.SYSTEM_BUSY, 'too many requests wait for the disk')
}

/** Waits until what was appended counts. Throws a Refusal. */
async function placed({ confirmations }: BrokerContext, end: number): Promise<void> {
  const fault = await confirmations.wait(end)
  if (fault === null) return
  throw new Refusal(ResponseCode.SYSTEM_ERROR, `the acknowledgement was not stored: ${fault}`)
}
