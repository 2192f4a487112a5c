/** A place in a queue, said in words that fit every queue of a topic. */
import type { MessageQueue } from '../protocol/bodies/message-queue.ts'
import type { QueueAccess } from './queue-access.ts'

/**
 * `start` and `end`: the first message that is there, and behind the last. `afterStart` and
 * `beforeEnd` count messages from there. `time`: the first message stored then or later (ms since 1970).
 */
export type QueuePosition =
  | { readonly kind: 'start' }
  | { readonly kind: 'end' }
  | { readonly kind: 'offset'; readonly offset: number }
  | { readonly kind: 'afterStart'; readonly count: number }
  | { readonly kind: 'beforeEnd'; readonly count: number }
  | { readonly kind: 'time'; readonly ms: number }

export interface Located {
  /** Within [minOffset, maxOffset]. */
  readonly offset: number
  readonly minOffset: number
  readonly maxOffset: number
}

/** The queue offset of a position as the queue is now. */
export async function locate(
  queues: QueueAccess,
  queue: MessageQueue,
  position: QueuePosition,
): Promise<Located> {
  const [minOffset, maxOffset] = await Promise.all([
    queues.minOffset(queue),
    queues.maxOffset(queue),
  ])
  const wanted = await wantedOffset(queues, queue, position, minOffset, maxOffset)
  return { offset: Math.min(Math.max(wanted, minOffset), maxOffset), minOffset, maxOffset }
}

async function wantedOffset(
  queues: QueueAccess,
  queue: MessageQueue,
  position: QueuePosition,
  minOffset: number,
  maxOffset: number,
): Promise<number> {
  switch (position.kind) {
    case 'start':
      return minOffset
    case 'end':
      return maxOffset
    case 'offset':
      return position.offset
    case 'afterStart':
      return minOffset + position.count
    case 'beforeEnd':
      return maxOffset - position.count
    case 'time':
      return offsetAtTime(queues, queue, position.ms, maxOffset)
  }
}

/** Brokers before 5.x answer a time behind the last message with the last message itself. */
async function offsetAtTime(
  queues: QueueAccess,
  queue: MessageQueue,
  timeMs: number,
  maxOffset: number,
): Promise<number> {
  const offset = await queues.offsetAtTime(queue, timeMs)
  if (offset !== maxOffset - 1) return offset
  const { messages } = await queues.pull(queue, {
    group: 'TOOLS_CONSUMER',
    offset,
    maxMessages: 1,
  })
  const last = messages[0]
  return last !== undefined && last.storeTimestamp < timeMs ? maxOffset : offset
}
