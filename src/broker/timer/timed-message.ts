/**
 * A message with a time of delivery on its way into the timer topic and out of it again. While it
 * waits it is an ordinary record of rmq_sys_wheel_timer whose properties name its own topic and queue
 * and the second in which it is due; what is delivered carries the same properties.
 * Source: apache/rocketmq broker/…/util/HookUtils.java (checkIfTimerMessage, transformTimerMessage),
 * store/…/timer/TimerMessageStore.java (convertMessage).
 */
import { ResponseCode } from '../../protocol/codes.ts'
import { SystemTopic, faultOfTopic } from '../../protocol/names.ts'
import { PropertyName, type Properties, parseProperties } from '../../protocol/properties.ts'
import type { AppendRequest } from '../../store/append.ts'
import type { Queue } from '../../store/queue.ts'
import { withoutProperties } from '../delay/delayed-message.ts'
import { Refusal } from '../refusal.ts'

/** Times are kept to the second. Source: timerPrecisionMs. */
export const TIMER_PRECISION_MS = 1_000

const QUEUE_ID_MAX = 65_535
const wholeNumber = /^[+-]?\d{1,15}$/
const dropped: ReadonlySet<string> = new Set<string>([
  PropertyName.realTopic,
  PropertyName.realQueueId,
])

function propertiesOf(append: AppendRequest): Properties {
  const { properties, propertiesStart, propertiesEnd } = append
  return parseProperties(properties.toString('utf8', propertiesStart, propertiesEnd))
}

/**
 * When the message wants to be delivered, ms since 1970; null when it has been delivered by a timer
 * before and is an ordinary message now. Throws a Refusal when the value is no number.
 */
function deliverMsOf(properties: Properties, nowMs: number): number | null {
  if (properties[PropertyName.timerOutMs] !== undefined) return null
  const number = (name: string): number | null => {
    const text = properties[name]
    if (text === undefined) return null
    if (wholeNumber.test(text)) return Number(text)
    throw new Refusal(ResponseCode.MESSAGE_ILLEGAL, `the property ${name} is not a whole number`)
  }
  const seconds = number(PropertyName.timerDelaySec)
  if (seconds !== null) return nowMs + seconds * 1_000
  const delayMs = number(PropertyName.timerDelayMs)
  return delayMs === null ? number(PropertyName.timerDeliverMs) : nowMs + delayMs
}

export interface TimerRules {
  readonly nowMs: number
  readonly timerWheelEnable: boolean
  readonly timerMaxDelayMs: number
}

/** Throws a Refusal when the time that the properties ask for cannot be. */
export function checkTimed(append: AppendRequest, rules: TimerRules): void {
  deliverMsWithin(propertiesOf(append), rules)
}

/** The same as `deliverMsOf`, null also when that time is over. Throws a Refusal when it cannot be. */
function deliverMsWithin(properties: Properties, rules: TimerRules): number | null {
  if (!rules.timerWheelEnable) {
    throw new Refusal(
      ResponseCode.SYSTEM_ERROR,
      'the message asks for a delivery time: timer messages are not enabled on this broker (timerWheelEnable)',
    )
  }
  const deliverMs = deliverMsOf(properties, rules.nowMs)
  if (deliverMs === null) return null
  if (deliverMs <= rules.nowMs) {
    if (properties[PropertyName.timerDeleteKey] === undefined) return null
    throw new Refusal(
      ResponseCode.MESSAGE_ILLEGAL,
      'a message cannot be recalled after its time of delivery',
    )
  }
  if (deliverMs - rules.nowMs > rules.timerMaxDelayMs) {
    throw new Refusal(
      ResponseCode.MESSAGE_ILLEGAL,
      `timer message illegal: the time of delivery lies more than ${rules.timerMaxDelayMs / 1_000} s ahead (timerMaxDelaySec)`,
    )
  }
  return deliverMs
}

/**
 * Turns a request for its own queue into one for the timer topic, when its properties ask for a time
 * that is still to come. Returns the second in which it is due, ms since 1970; null when it is to be
 * stored in its own queue. Throws a Refusal.
 * @param openQueue gives the store's handle of a queue
 */
export function hideTimed(
  append: AppendRequest,
  rules: TimerRules,
  openQueue: (topic: string, queueId: number) => Queue,
): number | null {
  const { queue } = append
  if (queue === null) return null
  const deliverMs = deliverMsWithin(propertiesOf(append), rules)
  if (deliverMs === null) return null
  // One second earlier when it is a whole one: a second is delivered when it has passed.
  const dueMs = Math.ceil(deliverMs / TIMER_PRECISION_MS - 1) * TIMER_PRECISION_MS
  const own = withoutProperties(append, dropped)
  const bytes = Buffer.from(
    `${own}${PropertyName.timerOutMs}\u0001${dueMs}\u0002` +
      `${PropertyName.realTopic}\u0001${queue.topic}\u0002` +
      `${PropertyName.realQueueId}\u0001${queue.queueId}\u0002`,
    'latin1',
  )
  append.setProperties(bytes, 0, bytes.length)
  append.queue = openQueue(SystemTopic.timer, 0)
  return dueMs
}

/** What the timer has to know of a message that waits. */
export interface TimedMessage {
  readonly dueMs: number
  readonly topic: string
  readonly queueId: number
  /** `topic+uniqueKey`, by which it can be taken back. */
  readonly key: string
  /** The key of the message that this one takes back; null for all others. */
  readonly recalls: string | null
  readonly rolledTimes: number
}

/** Null when the properties of a record do not say when and where it is to be delivered. */
export function timedMessageOf(properties: Properties): TimedMessage | null {
  const topic = properties[PropertyName.realTopic]
  const queueId = properties[PropertyName.realQueueId] ?? ''
  const dueMs = properties[PropertyName.timerOutMs] ?? ''
  if (topic === undefined || faultOfTopic(topic) !== null) return null
  if (topic === SystemTopic.timer || topic === SystemTopic.transactionHalf) return null
  if (!/^\d{1,5}$/.test(queueId) || Number(queueId) > QUEUE_ID_MAX) return null
  if (!/^\d{1,15}$/.test(dueMs)) return null
  const rolled = properties[PropertyName.timerRollTimes] ?? '0'
  return {
    dueMs: Number(dueMs),
    topic,
    queueId: Number(queueId),
    key: keyOf(topic, properties[PropertyName.uniqKey] ?? ''),
    recalls: properties[PropertyName.timerDeleteKey] ?? null,
    rolledTimes: /^\d{1,9}$/.test(rolled) ? Number(rolled) : 0,
  }
}

export function keyOf(topic: string, uniqueKey: string): string {
  return `${topic}+${uniqueKey}`
}
