/**
 * The delay levels, 18 unless a broker is set otherwise: a message with the property DELAY = level waits in the topic
 * SCHEDULE_TOPIC_XXXX, in the queue level − 1, and is delivered to its own topic when the level's
 * time has passed since it was stored. The unit of such a message in the consume queue carries the
 * time of delivery where others carry the hash of their tag.
 * Source: apache/rocketmq store/…/MessageStoreConfig.java (messageDelayLevel),
 * broker/…/schedule/ScheduleMessageService.java (delayLevel2QueueId, computeDeliverTimestamp).
 */
import { SystemTopic } from './names.ts'

const UNITS_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}
const ONE = /^(\d{1,9})([smhd])$/

/** RocketMQ's default configuration, as it is written there. */
export const DEFAULT_DELAY_LEVELS = '1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h'

/** Milliseconds of level 1, 2, … of a text such as `1s 5s 1m`; null when it is no such text. */
export function parseDelayLevels(levels: string): readonly number[] | null {
  const times = levels
    .trim()
    .split(/\s+/)
    .map((time) => {
      const [, count = '', unit = ''] = ONE.exec(time) ?? []
      return Number(count) * (UNITS_MS[unit] ?? 0)
    })
  return times.every((ms) => ms > 0) ? times : null
}

/** Milliseconds of level 1, 2, …; the times of RocketMQ's default configuration. */
export const delayLevelsMs: readonly number[] = parseDelayLevels(DEFAULT_DELAY_LEVELS) ?? []

export const DELAY_LEVEL_MAX = delayLevelsMs.length

/** Level of the first try again of a failed message; each further try waits one level longer. */
export const FIRST_RETRY_LEVEL = 3

/**
 * Milliseconds that messages in this queue wait; 0 for every queue that is not one of a delay level. What
 * waits in a level that the broker has no longer keeps the time of RocketMQ's default; in one that is
 * unknown there as well, the longest time of all, so that nothing is early as far as one can tell.
 */
export function delayMsOfQueue(topic: string, queueId: number, levelsMs = delayLevelsMs): number {
  if (topic !== SystemTopic.schedule) return 0
  return levelsMs[queueId] ?? delayLevelsMs[queueId] ?? Math.max(...levelsMs, ...delayLevelsMs)
}

/** The level with exactly this time; null when there is none. */
export function delayLevelOf(delayMs: number, levelsMs = delayLevelsMs): number | null {
  const index = levelsMs.indexOf(delayMs)
  return index < 0 ? null : index + 1
}

/** The times of the levels next to this one, shorter first; one where there is only one. */
export function nearestDelaysMs(delayMs: number, levelsMs = delayLevelsMs): number[] {
  const shorter = Math.max(...levelsMs.filter((ms) => ms <= delayMs))
  const longer = Math.min(...levelsMs.filter((ms) => ms >= delayMs))
  return [...new Set([shorter, longer])].filter((ms) => Number.isFinite(ms))
}
