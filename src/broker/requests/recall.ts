/**
 * RECALL_MESSAGE: takes back a message that waits for its time. What takes it back is itself a message
 * with the same time; both meet in the second in which they are due, and neither is delivered.
 * Source: apache/rocketmq broker/…/processor/RecallMessageProcessor.java.
 */
import { Perm } from '../../protocol/bodies/topic-config.ts'
import { ResponseCode } from '../../protocol/codes.ts'
import { type Command, respond } from '../../protocol/command.ts'
import { PropertyName } from '../../protocol/properties.ts'
import { decodeRecallHandle } from '../../protocol/recall-handle.ts'
import type { Connection } from '../../remoting/connection.ts'
import { AppendRequest, AppendStatus } from '../../store/append.ts'
import { CONFIRMATIONS_MAX } from '../confirmations.ts'
import type { BrokerContext, RequestHandler } from '../context.ts'
import { hideUntilDue } from '../delay/hiding.ts'
import { Refusal } from '../refusal.ts'
import { keyOf } from '../timer/timed-message.ts'
import { textField, topicField } from './fields.ts'

/** As Apache's broker marks it. */
const RECALL_TAG = '_RECALL_TAG_'
const BODY = Buffer.from('0')

/** All answers name the broker's region: without it a client does not trace that it recalled. */
export const recall: RequestHandler = async (context, connection, command) => {
  const region = { MSG_REGION: context.settings.regionId }
  try {
    const msgId = await takeBack(context, connection, command)
    return respond(command, ResponseCode.SUCCESS, null, { ...region, msgId })
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return respond(command, error.code, error.message, region)
  }
}

/** Resolves with the unique key of the message. Rejects with a Refusal. */
async function takeBack(
  context: BrokerContext,
  connection: Connection,
  command: Command,
): Promise<string> {
  const { settings, store, topics, world, confirmations, stats } = context
  if (!settings.recallMessageEnable) {
    throw new Refusal(ResponseCode.NO_PERMISSION, 'recall failed, operation is forbidden')
  }
  if ((settings.brokerPermission & Perm.write) === 0) {
    throw new Refusal(ResponseCode.SERVICE_NOT_AVAILABLE, 'recall failed, broker not writeable')
  }
  const name = topicField(command)
  const topic = topics.get(name)
  if (topic === null) {
    throw new Refusal(ResponseCode.TOPIC_NOT_EXIST, `recall failed, the topic[${name}] not exist`)
  }
  const handle = decodeRecallHandle(textField(command, 'recallHandle'))
  if (handle === null) throw invalid('the handle is none that a broker made')
  if (handle.topic !== name) throw invalid(`the message was sent to ${handle.topic}`)
  if (handle.brokerName !== settings.brokerName) {
    throw invalid(`the message is on broker ${handle.brokerName}`)
  }
  const nowMs = world.clock.wallMs()
  if (handle.timeMs <= nowMs) throw invalid('the message has been delivered')
  if (confirmations.count >= CONFIRMATIONS_MAX) {
    throw new Refusal(ResponseCode.SYSTEM_ERROR, 'too many messages are recalled at once')
  }
  const append = new AppendRequest()
  append.queue = topic.queue(0)
  append.bornTimestamp = Math.floor(nowMs)
  append.bornHost = connection.remoteHost
  append.body = BODY
  append.bodyEnd = BODY.length
  const properties = Buffer.from(
    [
      [PropertyName.tags, RECALL_TAG],
      [PropertyName.timerDeleteKey, keyOf(name, handle.uniqueKey)],
      [PropertyName.uniqKey, handle.uniqueKey],
      [PropertyName.timerDeliverMs, String(handle.timeMs)],
    ]
      .map(([key, value]) => `${key ?? ''}\u0001${value ?? ''}\u0002`)
      .join(''),
  )
  append.setProperties(properties, 0, properties.length)
  const dueMs = hideUntilDue(append, settings, nowMs, (queue, id) => store.queue(queue, id))
  if (dueMs === null) throw invalid('the message has been delivered')
  if (store.append(append) !== AppendStatus.ok) {
    stats.onPutFailed()
    throw new Refusal(ResponseCode.SYSTEM_ERROR, 'recall failed, execute failed')
  }
  const fault = await confirmations.wait(store.lastAppend.end)
  if (fault !== null) throw new Refusal(ResponseCode.SYSTEM_ERROR, `recall failed, ${fault}`)
  return handle.uniqueKey
}

function invalid(why: string): Refusal {
  return new Refusal(ResponseCode.ILLEGAL_OPERATION, `recall failed, ${why}`)
}
