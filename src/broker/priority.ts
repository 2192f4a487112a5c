/**
 * Messages with a priority: the number names the queue, and who takes messages by POP from a topic of
 * type PRIORITY looks into the queues in the order of their numbers, the largest first. A message that has
 * a place or a time of its own already (order key, delay, transaction) has no priority beside it.
 * Source: apache/rocketmq 5.5.0 SendMessageProcessor, PopMessageProcessor, TopicMessageType
 * (parseFromMessageProperty), Message (getPriority).
 */
import { PropertyName, type Properties, parseProperties } from '../protocol/properties.ts'
import type { SubscriptionGroupConfig } from '../protocol/bodies/subscription-group-config.ts'
import type { Topic } from './topic.ts'

const TOPIC_TYPE = 'message.type'
const GROUP_FACTOR = 'priority.factor'
const FACTOR_MAX = 100
/** A Java int. */
const wholeNumber = /^[+-]?\d{1,10}$/
const INT_MAX = 0x7fff_ffff

const others: readonly string[] = [
  PropertyName.delay,
  PropertyName.timerDelaySec,
  PropertyName.timerDelayMs,
  PropertyName.timerDeliverMs,
  PropertyName.orderKey,
]

/**
 * The queue for the priority that the properties name, the last one for all that is above. Null when
 * there is none that counts, `drop` when the message has no right to one.
 */
export function queueOfPriority(text: string, writeQueues: number): number | 'drop' | null {
  const properties = parseProperties(text)
  const value = properties[PropertyName.priority] ?? ''
  const priority = wholeNumber.test(value) ? Number(value) : -1
  if (priority < 0 || priority > INT_MAX) return null
  if (isOfAnotherType(properties)) return 'drop'
  return Math.max(0, Math.min(priority, writeQueues - 1))
}

function isOfAnotherType(properties: Properties): boolean {
  if (properties[PropertyName.transactionPrepared]?.toLowerCase() === 'true') return true
  return others.some((name) => properties[name] !== undefined)
}

export function hasPriorities(topic: Topic): boolean {
  return topic.attributes[TOPIC_TYPE] === 'PRIORITY'
}

/** Of 100 takes of the group, how many look at priorities; the others give every queue its turn. */
export function priorityFactor(config: SubscriptionGroupConfig): number {
  const text = config.attributes[GROUP_FACTOR] ?? config.attributes[`+${GROUP_FACTOR}`] ?? ''
  return /^\d{1,3}$/.test(text) ? Math.min(FACTOR_MAX, Number(text)) : FACTOR_MAX
}
