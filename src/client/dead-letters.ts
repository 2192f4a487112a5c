/**
 * Dead letters of consumer groups: what was given up after its last try. They stay in the topic
 * %DLQ%group until they expire; looking at them or sending them again takes nothing away.
 */
import { MqError } from '../base/errors.ts'
import { DLQ_PREFIX, dlqTopicOf, isDlqTopic } from '../protocol/names.ts'
import { PropertyName } from '../protocol/properties.ts'
import type { Admin } from './admin.ts'
import { inParallel } from './cluster-view.ts'
import { checkGroup } from './names.ts'
import type { OutgoingMessage } from './outgoing-message.ts'
import type { QueuePosition } from './queue-position.ts'
import type { ReceivedMessage } from './received-message.ts'
import { originalTopicOf, resentMessage } from './resent-message.ts'
import { TopicReader } from './topic-reader.ts'

export interface DeadLetterCount {
  readonly group: string
  readonly topic: string
  /** Those that did not expire. */
  readonly messages: number
}

export interface DeadLetterSpan {
  readonly from: QueuePosition
  readonly to: QueuePosition
}

/** Topics that are asked about at once. */
const WIDTH = 16

/** Groups that have dead letters, by name. */
export async function countDeadLetters(admin: Admin): Promise<DeadLetterCount[]> {
  const topics = (await admin.topics.names()).filter(isDlqTopic).sort()
  const counts = await inParallel(topics, WIDTH, async (topic) => {
    const offsets = await admin.topics.offsets(topic)
    return {
      group: topic.slice(DLQ_PREFIX.length),
      topic,
      messages: offsets.reduce((sum, row) => sum + row.maxOffset - row.minOffset, 0),
    }
  })
  return counts.filter(({ messages }) => messages > 0)
}

/**
 * The dead letters of a group, the oldest of each broker first. A group that has none yields nothing.
 * Throws NAME_ILLEGAL, and TOPIC_NOT_PERMITTED when the topic may not be read.
 */
export async function* deadLetters(
  admin: Admin,
  group: string,
  span: DeadLetterSpan = { from: { kind: 'start' }, to: { kind: 'end' } },
): AsyncGenerator<ReceivedMessage> {
  checkGroup(group)
  const topic = dlqTopicOf(group)
  try {
    const route = await admin.topics.route(topic)
    if (route.subscribeQueues.length === 0) {
      // Apache's brokers of line 4 make the topic without the permission to read.
      throw new MqError('TOPIC_NOT_PERMITTED', { topic, done: 'read' })
    }
  } catch (error) {
    if (error instanceof MqError && error.code === 'TOPIC_NOT_FOUND') return
    throw error
  }
  for await (const messages of await TopicReader.open(admin.client, { topic, ...span })) {
    yield* messages
  }
}

/**
 * The dead letter as a message to send to its group alone, through a retry topic of the group. It keeps
 * its id, and its tries count from the start.
 */
export function resurrected(message: ReceivedMessage, retryTopic: string): OutgoingMessage {
  const copy = resentMessage(message, retryTopic)
  return {
    ...copy,
    properties: { ...copy.properties, [PropertyName.retryTopic]: originalTopicOf(message) },
  }
}

/** How many dead letters a group has had: the ends of its queues of them, added up. */
export async function deadLettersSoFar(admin: Admin, group: string): Promise<number> {
  try {
    const rows = await admin.topics.offsets(dlqTopicOf(group))
    return rows.reduce((sum, { maxOffset }) => sum + maxOffset, 0)
  } catch (error) {
    if (error instanceof MqError && error.code === 'TOPIC_NOT_FOUND') return 0
    throw error
  }
}
