/**
 * POP_MESSAGE, PEEK_MESSAGE, NOTIFICATION, POLLING_INFO: taking messages from queues that belong to
 * nobody, and asking whether there are any.
 * Source: apache/rocketmq broker/…/processor/{PopMessage,PeekMessage,Notification,PollingInfo}Processor.java.
 */
import { Perm } from '../../protocol/bodies/topic-config.ts'
import { ResponseCode } from '../../protocol/codes.ts'
import { type Command, respond } from '../../protocol/command.ts'
import { InitMode, popAnswerFields } from '../../protocol/pop-header.ts'
import { POP_MESSAGES_MAX } from '../../protocol/pop-names.ts'
import type { Connection } from '../../remoting/connection.ts'
import { OutBuffer } from '../../remoting/out-buffer.ts'
import type { BrokerContext, RequestHandler } from '../context.ts'
import { filterOfPull } from '../message-filter.ts'
import { HeldPop } from '../pop/held-pops.ts'
import { PopAttempt } from '../pop/pop-attempt.ts'
import type { PopWish } from '../pop/taken.ts'
import { priorityFactor } from '../priority.ts'
import { Refusal } from '../refusal.ts'
import type { Topic } from '../topic.ts'
import {
  flagField,
  groupField,
  integerField,
  optionalInteger,
  optionalText,
  textField,
} from './fields.ts'

/** A request that was under way for this much longer than it wanted to wait is not served any more. */
const LATE_MS = 500
/** Nobody is held longer. */
const HOLD_MS_MAX = 600_000
const QUEUE_ID_MAX = 65_535
const BYTES_MAX = 256 * 1024

export const popMessage: RequestHandler = (context, connection, command) => {
  const { world, settings } = context
  const pollMs = integerField(command, 'pollTime', -1)
  const leftMs = timeLeft(context, command, pollMs)
  const messagesMax = integerField(command, 'maxMsgNums', 1)
  const invisibleMs = integerField(command, 'invisibleTime', 0)
  const { topic, group, queueId } = readable(context, connection, command)
  const order = flagField(command, 'order')
  if (messagesMax > POP_MESSAGES_MAX) {
    throw new Refusal(
      ResponseCode.INVALID_PARAMETER,
      `the broker[${settings.advertisedAddress}] pop message's num is greater than ${POP_MESSAGES_MAX}`,
    )
  }
  checkInvisible(context, invisibleMs)
  const { enablePropertyFilter } = settings
  const expressionType = optionalText(command, 'expType')
  const wish: PopWish = {
    group,
    topic,
    queueId,
    messagesMax,
    invisibleMs,
    initMode: optionalInteger(command, 'initMode', InitMode.min),
    order,
    attemptId: optionalText(command, 'attemptId'),
    priorityFactor: priorityFactor(context.groups.findOrCreate(group)),
    filter: filterOfPull(expressionType, optionalText(command, 'exp'), enablePropertyFilter),
  }
  if (leftMs < -LATE_MS) {
    const fields = { popMs: 0, invisibleMs, reviveQueueId: 0, rest: 0 }
    const empty = { ...fields, startOffsets: '', messageOffsets: '', times: null }
    const remark = `the broker[${settings.advertisedAddress}] pop message is timeout too much`
    return respond(command, ResponseCode.POLLING_TIMEOUT, remark, popAnswerFields(empty))
  }
  const deadlineMs = world.clock.monotonicMs() + Math.max(0, leftMs)
  return new PopAttempt(context, connection, command, wish, deadlineMs).run()
}

/** The timer brings messages back, so it must be there, and reach as far. Throws a Refusal. */
export function checkInvisible({ settings }: BrokerContext, invisibleMs: number): void {
  if (!settings.timerWheelEnable) {
    throw new Refusal(
      ResponseCode.SYSTEM_ERROR,
      `the broker[${settings.advertisedAddress}] pop message is forbidden because timerWheelEnable is false`,
    )
  }
  if (invisibleMs > settings.timerMaxDelaySec * 1_000) {
    throw new Refusal(
      ResponseCode.INVALID_PARAMETER,
      `messages can be out of sight for ${settings.timerMaxDelaySec} s at most (timerMaxDelaySec), not for ${invisibleMs} ms`,
    )
  }
}

/** Whether there is something to take, now or soon. */
export const notification: RequestHandler = (context, connection, command) => {
  const { pops, world } = context
  const pollMs = integerField(command, 'pollTime', -1)
  const leftMs = timeLeft(context, command, pollMs)
  const { topic, group, queueId } = readable(context, connection, command)
  const wish: PopWish = {
    group,
    topic,
    queueId,
    messagesMax: 1,
    invisibleMs: 0,
    initMode: InitMode.min,
    order: flagField(command, 'order'),
    attemptId: optionalText(command, 'attemptId'),
    priorityFactor: priorityFactor(context.groups.findOrCreate(group)),
    filter: filterOfPull(null, null, true),
  }
  const answer = (hasMsg: boolean, pollingFull = false) =>
    respond(command, ResponseCode.SUCCESS, null, { hasMsg, pollingFull })
  if (pops.hasAnyNews(wish)) return answer(true)
  if (leftMs <= 0) return answer(false)
  if (!pops.waiting.questions.hasRoom(topic.name, group, queueId)) return answer(false, true)
  return new Promise<Command>((resolve) => {
    pops.waiting.questions.hold(
      new HeldPop({
        connection,
        group,
        topics: [topic.name, ...pops.retryTopicsOf(group, topic.name)],
        queueId,
        order: wish.order,
        attemptId: wish.attemptId,
        deadlineMs: world.clock.monotonicMs() + leftMs,
        recheckMs: Infinity,
        wake: (reason) => {
          resolve(answer(reason === 'arrival' && pops.hasAnyNews(wish)))
        },
      }),
    )
  })
}

/** How many requests of the group wait. */
export const pollingInfo: RequestHandler = (context, connection, command) => {
  const { topic, group, queueId } = readable(context, connection, command)
  const pollingNum = context.pops.waiting.takes.countOf(topic.name, group, queueId)
  return respond(command, ResponseCode.SUCCESS, null, { pollingNum })
}

/** What would be taken next, without taking it. */
export const peekMessage: RequestHandler = async (context, connection, command) => {
  const { store, offsets, topics, stats, pops } = context
  const messagesMax = Math.min(integerField(command, 'maxMsgNums', 1), POP_MESSAGES_MAX)
  const { topic, group, queueId } = readable(context, connection, command)
  const retries = pops.retryTopicsOf(group, topic.name).map((name) => topics.get(name))
  const body = new OutBuffer()
  let count = 0
  let rest = 0
  for (const source of [topic, ...retries.filter((retry) => retry !== null)]) {
    for (let id = 0; id < source.readQueueNums; id++) {
      if (source === topic && queueId >= 0 && id !== queueId) continue
      const queue = source.queue(id)
      const offset = Math.max(offsets.get(group, source.name, id) ?? 0, queue.minOffset)
      rest += Math.max(0, queue.maxOffset - offset)
      if (count >= messagesMax || offset >= queue.maxOffset) continue
      const outcome = await store.pull(queue, offset, messagesMax - count, BYTES_MAX, null, body)
      count += outcome.count
    }
  }
  // Nothing was taken: there is no time of it, and no handle.
  const fields = { popTime: 0, invisibleTime: 0, reviveQid: 0, restNum: rest }
  if (count === 0) {
    return respond(command, ResponseCode.PULL_NOT_FOUND, 'NO_MESSAGE_IN_QUEUE', fields)
  }
  stats.countGet(topic.name, group, count, body.length)
  return respond(command, ResponseCode.SUCCESS, 'FOUND', fields, body.filled())
}

interface Readable {
  readonly topic: Topic
  readonly group: string
  /** −1: any. */
  readonly queueId: number
}

/** What all these requests name, in Apache's order of checks. Throws a Refusal. */
function readable(context: BrokerContext, connection: Connection, command: Command): Readable {
  const { settings, topics, groups } = context
  const group = groupField(command)
  const name = textField(command, 'topic')
  const queueId = integerField(command, 'queueId', -QUEUE_ID_MAX, QUEUE_ID_MAX)
  if ((settings.brokerPermission & Perm.read) === 0) {
    throw new Refusal(
      ResponseCode.NO_PERMISSION,
      `the broker[${settings.advertisedAddress}] pop message is forbidden`,
    )
  }
  const topic = topics.get(name)
  if (topic === null) {
    throw new Refusal(
      ResponseCode.TOPIC_NOT_EXIST,
      `topic[${name.slice(0, 255)}] not exist, apply first please!`,
    )
  }
  if (!topic.isReadable) {
    throw new Refusal(
      ResponseCode.NO_PERMISSION,
      `the topic[${topic.name}] peeking message is forbidden`,
    )
  }
  if (topic.unserved !== null) throw new Refusal(ResponseCode.NO_PERMISSION, topic.unserved)
  if (topic.isBatch) {
    // Clients do not take apart what they get by POP: they would see a batch as one message.
    throw new Refusal(
      ResponseCode.NO_PERMISSION,
      `the topic[${topic.name}] has queue.type=BatchCQ, which this broker serves by pulling only`,
    )
  }
  if (queueId >= topic.readQueueNums) {
    throw new Refusal(
      ResponseCode.INVALID_PARAMETER,
      `queueId[${queueId}] is illegal, topic:[${topic.name}] topicConfig.readQueueNums:[${topic.readQueueNums}] consumer:[${connection.remoteAddress}]`,
    )
  }
  if (!groups.findOrCreate(group).consumeEnable) {
    throw new Refusal(ResponseCode.NO_PERMISSION, `subscription group no permission, ${group}`)
  }
  if (!groups.mayRead(group, topic.name)) {
    throw new Refusal(
      ResponseCode.NO_PERMISSION,
      `the consumer group[${group}] is forbidden for topic[${topic.name}]`,
    )
  }
  return { topic, group, queueId: Math.max(-1, queueId) }
}

/** For how long the request may be held, ms; below 0 when its time is over. By its own birth, where that is known. */
function timeLeft({ world }: BrokerContext, command: Command, pollMs: number): number {
  const nowMs = world.clock.wallMs()
  const bornMs = optionalInteger(command, 'bornTime', 0) || nowMs
  return Math.min(bornMs + pollMs - nowMs, pollMs, HOLD_MS_MAX)
}
