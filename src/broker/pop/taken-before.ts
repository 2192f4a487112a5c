/**
 * What groups took just before the process died: progress is written every few seconds, so the last of it
 * is not in the file. Each checkpoint says where its group stood and how far it went: read from the end of
 * the timer topic, they bring progress up to what was answered. Without that, messages that were
 * acknowledged in the last seconds would come again, and others before their time.
 *
 * A checkpoint moves a group only from a place within it or at its start to its end: who was put elsewhere
 * by an administrator stays there, unless that was within the same few seconds. It moves nobody in a topic
 * that is gone, or was made anew since and has not as many messages.
 */
import type { Logger } from '../../base/logger.ts'
import { SystemTopic } from '../../protocol/names.ts'
import { ReviveTag } from '../../protocol/pop-names.ts'
import { decodeCheckpoint } from '../../protocol/pop-records.ts'
import { PropertyName, parseProperties } from '../../protocol/properties.ts'
import { RecordVerdict, RecordView } from '../../protocol/record.ts'
import type { Store } from '../../store/store.ts'
import type { ConsumerOffsets } from '../consumer-offsets.ts'
import { RunBuffer } from '../run-buffer.ts'
import type { TopicTable } from '../topics.ts'

/** A table that is written in time is not older than its period and this. */
const LATE_MS = 5_000
const RUN_MESSAGES_MAX = 256
const RUN_BYTES_MAX = 1024 * 1024

export interface TakenBeforeParts {
  readonly store: Store
  readonly topics: TopicTable
  readonly offsets: ConsumerOffsets
  readonly logger: Logger
  /** The revive topic. */
  readonly topic: string
  /** How often progress is written. */
  readonly flushMs: number
}

/** Returns how often a group was moved. Rejects with the disk's error. */
export async function bringUpProgress(parts: TakenBeforeParts): Promise<number> {
  const { store, logger } = parts
  const { recovery, lastStoreTimestamp } = store.facts()
  const queue = store.peekQueue(SystemTopic.timer, 0)
  if (recovery.clean || queue === null || queue.maxOffset === queue.minOffset) return 0
  const sinceMs = lastStoreTimestamp - parts.flushMs - LATE_MS
  const run = new RunBuffer()
  let moved = 0
  let next = Math.max(queue.minOffset, await store.offsetByTime(queue, sinceMs, 'LOWER'))
  while (next < queue.maxOffset) {
    run.reuse(RUN_BYTES_MAX)
    const outcome = await store.pull(queue, next, RUN_MESSAGES_MAX, RUN_BYTES_MAX, null, run)
    if (outcome.nextBeginOffset <= next) break
    next = outcome.nextBeginOffset
    moved += moveBy(run, parts)
  }
  if (moved > 0)
    logger.info('progress of groups was brought up to what they took by POP', { moved })
  return moved
}

function moveBy({ bytes, length }: RunBuffer, parts: TakenBeforeParts): number {
  const { store, topics, offsets, topic } = parts
  const view = new RecordView()
  let moved = 0
  for (let at = 0; at < length; at += view.size) {
    if (view.check(bytes, at, length, false) !== RecordVerdict.ok) break
    const properties = parseProperties(
      bytes.toString('utf8', view.propertiesStart, view.propertiesEnd),
    )
    if (properties[PropertyName.realTopic] !== topic) continue
    if (properties[PropertyName.tags] !== ReviveTag.checkpoint) continue
    const checkpoint = decodeCheckpoint(bytes.subarray(view.bodyStart, view.bodyEnd))
    const last = checkpoint?.distances.at(-1)
    if (checkpoint === null || last === undefined) continue
    const { group, queueId, startOffset } = checkpoint
    const end = startOffset + last + 1
    if (topics.get(checkpoint.topic) === null) continue
    const maxOffset = store.peekQueue(checkpoint.topic, queueId)?.maxOffset ?? 0
    if (end > maxOffset) continue
    const known = offsets.get(group, checkpoint.topic, queueId)
    const isWithin = known !== null && known >= startOffset && known < end
    // A group without progress has begun with this take.
    if (!isWithin && known !== null) continue
    if (offsets.commit(group, checkpoint.topic, queueId, end)) moved++
  }
  return moved
}
