/**
 * Who of a group takes which queues. Every member works it out for itself from the same lists, so
 * the order of both lists must be the same everywhere.
 * Source: apache/rocketmq client/…/rebalance/AllocateMessageQueueAveragely.java.
 */
import { type MessageQueue, compareMessageQueues } from '../protocol/bodies/message-queue.ts'

/**
 * The queues of `clientId`: neighbours, as evenly as can be; the first members take one more when
 * it does not come out even. Nothing when it is not in the list.
 */
export function shareOf(
  clientId: string,
  clientIds: readonly string[],
  queues: readonly MessageQueue[],
): MessageQueue[] {
  // Java's String order and the default sort here are both by UTF-16 code unit.
  const members = [...new Set(clientIds)].sort()
  const index = members.indexOf(clientId)
  if (index < 0) return []
  const sorted = [...queues].sort(compareMessageQueues)
  const rest = sorted.length % members.length
  const even = Math.floor(sorted.length / members.length)
  const size = index < rest ? even + 1 : even
  const start = index < rest ? index * size : index * size + rest
  return sorted.slice(start, start + size)
}
