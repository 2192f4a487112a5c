/**
 * A stored message as a message to send once more: with its body, keys, tag, id and the headers of its
 * sender, without what belongs to the way of one stored copy.
 */
import { MqError } from '../base/errors.ts'
import { SystemTopic, isDlqTopic, isRetryTopic } from '../protocol/names.ts'
import { PropertyName } from '../protocol/properties.ts'
import type { OutgoingMessage } from './outgoing-message.ts'
import type { ReceivedMessage } from './received-message.ts'

/** Set by brokers and clients on the way of a message, or by fields of `OutgoingMessage`. */
const ofTheCopy: ReadonlySet<string> = new Set<string>([
  PropertyName.tags,
  PropertyName.keys,
  PropertyName.uniqKey,
  PropertyName.wait,
  PropertyName.delay,
  PropertyName.retryTopic,
  PropertyName.realTopic,
  PropertyName.realQueueId,
  PropertyName.originMessageId,
  PropertyName.minOffset,
  PropertyName.maxOffset,
  PropertyName.cluster,
  PropertyName.region,
  PropertyName.traceOn,
  PropertyName.producerGroup,
  PropertyName.reconsumeTime,
  PropertyName.maxReconsumeTimes,
  PropertyName.transactionPrepared,
  PropertyName.transactionFirstOffset,
  PropertyName.popCheck,
  PropertyName.firstPopTime,
  PropertyName.originGroup,
  PropertyName.timerDelaySec,
  PropertyName.timerDelayMs,
  PropertyName.timerDeliverMs,
  // What Apache's brokers note when they hold or deliver a message.
  'TIMER_OUT_MS',
  'TIMER_ENQUEUE_MS',
  'TIMER_DEQUEUE_MS',
  'TIMER_ROLL_TIMES',
  'TIMER_DEL_UNIQKEY',
  'INNER_NUM',
  'DLQ_ORIGIN_TOPIC',
  'DLQ_ORIGIN_MESSAGE_ID',
  '__transactionId__',
  'TRANSACTION_CHECK_TIMES',
])

/** The topic that a retried or dead message, or a half that was put aside, was sent to in the first place. */
export function originalTopicOf(message: ReceivedMessage): string {
  if (message.topic === SystemTopic.transactionCheckMax) {
    return message.properties[PropertyName.realTopic] ?? message.topic
  }
  if (!isRetryTopic(message.topic) && !isDlqTopic(message.topic)) return message.topic
  const { properties } = message
  return properties[PropertyName.retryTopic] ?? properties['DLQ_ORIGIN_TOPIC'] ?? message.topic
}

/** The id of the place where a message that came again was stored first. */
export function originalIdOf(message: ReceivedMessage): string {
  return message.properties[PropertyName.originMessageId] ?? message.offsetMessageId
}

/**
 * The message once more, to its original topic unless `to` says otherwise. Throws MESSAGE_ILLEGAL
 * when its body is compressed in a way that this client cannot undo.
 */
export function resentMessage(message: ReceivedMessage, to: string | null = null): OutgoingMessage {
  if (message.compression !== 'none') {
    throw new MqError('MESSAGE_ILLEGAL', {
      why: `the body of ${message.messageId} is compressed with ${message.compression}, which cannot be sent again from here`,
      hint: 'let its producer send it again',
    })
  }
  const own = Object.entries(message.properties).filter(([name]) => !ofTheCopy.has(name))
  return {
    topic: to ?? originalTopicOf(message),
    body: message.body,
    flag: message.flag,
    messageId: message.messageId,
    keys: message.keys,
    tags: message.tags,
    properties: Object.fromEntries(own),
  }
}
