/**
 * A send to a retry topic: what a client does itself when the broker could not take a message back,
 * and what an orderly consumer does after its last try. The same rules hold for it as for a message
 * that is given back: the group must be known, and after the last try it is a dead letter. While
 * somebody consumes in order for the group, what comes here had its tries already: such a consumer
 * tries a message in its place, and sends it here to be rid of it. It says then how many tries there may
 * be. Who does not is no consumer and wants the message to come again, as after `dlq resend`; with
 * Apache that is a dead letter once more.
 * Source: apache/rocketmq broker/…/processor/SendMessageProcessor.java (handleRetryAndDLQ).
 */
import { dlqTopicOf, RETRY_PREFIX } from '../../protocol/names.ts'
import type { SendRequest } from '../../protocol/send-request.ts'
import type { BrokerContext } from '../context.ts'
import { KNOWS_MAX_RECONSUME_TIMES, topicOf } from '../requests/send-back.ts'
import type { Topic } from '../topic.ts'

/** The topic that the message goes to: its retry topic, or the dead-letter topic. Throws a Refusal. */
export function topicOfResent(context: BrokerContext, retry: Topic, send: SendRequest): Topic {
  const group = groupOf(context, retry.name.slice(RETRY_PREFIX.length))
  const { retryMaxTimes } = context.groups.findOrCreate(group)
  const says = send.version >= KNOWS_MAX_RECONSUME_TIMES && send.maxReconsumeTimes >= 0
  const triesMax = says ? send.maxReconsumeTimes : retryMaxTimes
  const isDead = send.reconsumeTimes > triesMax || (says && context.locks.isHeldBy(group))
  return isDead ? topicOf(context, dlqTopicOf(group), 1, 0) : retry
}

/**
 * The group of a retry topic by what follows the prefix: all of it, or what stands before the topic in the
 * retry topic that the group has for POP (`group_topic`, or `group+topic`).
 */
function groupOf({ groups, topics }: BrokerContext, name: string): string {
  if (groups.get(name) !== null) return name
  for (let at = 1; at < name.length; at++) {
    const mark = name.charAt(at)
    if (mark !== '_' && mark !== '+') continue
    const group = name.slice(0, at)
    if (groups.get(group) !== null && topics.get(name.slice(at + 1)) !== null) return group
  }
  return name
}
