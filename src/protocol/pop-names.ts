/**
 * Names and numbers of POP consumption: messages that a group took and did not acknowledge come again
 * through a retry topic of the group and the topic together, and what was taken and acknowledged is
 * written to the revive topic of the cluster.
 * Source: apache/rocketmq common/…/{KeyBuilder,PopAckConstants}.java.
 */
import { RETRY_PREFIX, isRetryTopic } from './names.ts'

/** Stands for the queue of the revive topic where order is kept: such messages have no checkpoint. */
export const ORDER_REVIVE_QUEUE = 999
/** Under this group the progress of the revive topic is kept. */
export const REVIVE_GROUP = 'CID_RMQ_SYS_REVIVE_GROUP'
/** Most messages of one POP_MESSAGE, and of one checkpoint. */
export const POP_MESSAGES_MAX = 32
/** Tags of the records in the revive topic. */
export const ReviveTag = { checkpoint: 'ck', ack: 'ack', batchAck: 'bAck' } as const

const REVIVE_PREFIX = 'rmq_sys_REVIVE_LOG_'
const SEPARATOR_V1 = '_'
const SEPARATOR_V2 = '+'

export function reviveTopicOf(clusterName: string): string {
  return REVIVE_PREFIX + clusterName
}

/** Retry topic of a group for one topic in POP mode: `%RETRY%group_topic`, in the newer form `%RETRY%group+topic`. */
export function popRetryTopicOf(group: string, topic: string, isV2 = false): string {
  return RETRY_PREFIX + group + (isV2 ? SEPARATOR_V2 : SEPARATOR_V1) + topic
}

export function isPopRetryTopicV2(topic: string): boolean {
  return isRetryTopic(topic) && topic.includes(SEPARATOR_V2)
}

/** The topic that a retry topic of the group belongs to; the topic itself when it is none. */
export function plainTopicOf(topic: string, group: string): string {
  for (const isV2 of [true, false]) {
    const prefix = popRetryTopicOf(group, '', isV2)
    if (topic.startsWith(prefix)) return topic.slice(prefix.length)
  }
  return topic
}

/** How a topic is named in offsets and handles: itself, or its retry topic in the older or newer form. */
export type RetryFlag = '0' | '1' | '2'

export function retryFlagOf(topic: string): RetryFlag {
  if (!isRetryTopic(topic)) return '0'
  return isPopRetryTopicV2(topic) ? '2' : '1'
}

/** Null when the flag is none. */
export function topicOfFlag(flag: string, topic: string, group: string): string | null {
  switch (flag) {
    case '0':
      return topic
    case '1':
      return popRetryTopicOf(group, topic)
    case '2':
      return popRetryTopicOf(group, topic, true)
    default:
      return null
  }
}
