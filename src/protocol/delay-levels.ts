/**
 * The 18 delay levels: a message with the property DELAY = level waits in the topic
 * SCHEDULE_TOPIC_XXXX, in the queue level − 1, and is delivered to its own topic when the level's
 * time has passed since it was stored. The unit of such a message in the consume queue carries the
 * time of delivery where others carry the hash of their tag.
 * Source: apache/rocketmq store/…/MessageStoreConfig.java (messageDelayLevel),
 * broker/…/schedule/ScheduleMessageService.java (delayLevel2QueueId, computeDeliverTimestamp).
 */
import { SystemTopic } from './names.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

/** Milliseconds of level 1, 2, …; the times of RocketMQ's default configuration. */
export const delayLevelsMs: readonly number[] = [
  ...[1, 5, 10, 30].map((seconds) => seconds * SECOND),
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30].map((minutes) => minutes * MINUTE),
  ...[1, 2].map((hours) => hours * HOUR),
]

export const DELAY_LEVEL_MAX = delayLevelsMs.length

/** Level of the first try again of a failed message; each further try waits one level longer. */
export const FIRST_RETRY_LEVEL = 3

/** Milliseconds that messages in this queue wait; 0 for every queue that is not one of a delay level. */
export function delayMsOfQueue(topic: string, queueId: number): number {
  return topic === SystemTopic.schedule ? (delayLevelsMs[queueId] ?? 0) : 0
}

/** The level with exactly this time; null when there is none. */
export function delayLevelOf(delayMs: number): number | null {
  const index = delayLevelsMs.indexOf(delayMs)
  return index < 0 ? null : index + 1
}

/** The times of the levels next to this one, shorter first; one where there is only one. */
export function nearestDelaysMs(delayMs: number): number[] {
  const shorter = delayLevelsMs.findLast((ms) => ms <= delayMs)
  const longer = delayLevelsMs.find((ms) => ms >= delayMs)
  return [...new Set([shorter, longer])].filter((ms) => ms !== undefined)
}
