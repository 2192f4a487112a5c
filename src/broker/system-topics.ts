/**
 * Topics that a broker has from its first start.
 * Source: apache/rocketmq broker/…/topic/TopicConfigManager.java init().
 */
import { Perm, type TopicConfig, topicConfig } from '../protocol/bodies/topic-config.ts'
import { SystemTopic, isSystemTopic, replyTopicOf } from '../protocol/names.ts'

/** What the topics' names and sizes follow from. */
export interface SystemTopicFacts {
  readonly clusterName: string
  readonly brokerName: string
  readonly autoCreateTopic: boolean
  readonly defaultTopicQueueNums: number
  readonly traceTopicEnable: boolean
}

export function systemTopics(facts: SystemTopicFacts): TopicConfig[] {
  const { clusterName, brokerName } = facts
  const rows: [name: string, queues: number, perm: number][] = [
    [SystemTopic.selfTest, 1, Perm.readWrite],
    [SystemTopic.benchmark, 1024, Perm.readWrite],
    [clusterName, 16, Perm.all],
    [brokerName, 1, Perm.all],
    [SystemTopic.offsetMoved, 1, Perm.readWrite],
    [SystemTopic.schedule, 18, Perm.readWrite],
    [replyTopicOf(clusterName), 1, Perm.readWrite],
    [`rmq_sys_REVIVE_LOG_${clusterName}`, 8, Perm.readWrite],
    [`rmq_sys_SYNC_BROKER_MEMBER_${brokerName}`, 1, Perm.inherit],
    [SystemTopic.transactionHalf, 1, Perm.readWrite],
    [SystemTopic.transactionOp, 1, Perm.readWrite],
    [SystemTopic.timer, 1, Perm.readWrite],
  ]
  if (facts.traceTopicEnable) rows.push([SystemTopic.trace, 1, Perm.readWrite])
  if (facts.autoCreateTopic) {
    rows.push([SystemTopic.autoCreate, facts.defaultTopicQueueNums, Perm.all])
  }
  return rows.map(([name, queues, perm]) =>
    topicConfig(name, { readQueueNums: queues, writeQueueNums: queues, perm }),
  )
}

/** Whether a topic belongs to the system of this broker: not to be created, altered or deleted by anybody. */
export function isSystemTopicOf(facts: SystemTopicFacts, topic: string): boolean {
  return (
    isSystemTopic(topic) ||
    topic === facts.clusterName ||
    topic === facts.brokerName ||
    topic === replyTopicOf(facts.clusterName)
  )
}
