/**
 * Reads a topic by position for people: all queues of all brokers, merged by store time as long as
 * there is a backlog, as it comes once everything has been read. (`client/topic-reader.ts` is for
 * programs: it hands over whatever queue answers first.)
 *
 * A queue whose next message is not known yet holds back the others, except when it is at its end:
 * that is what keeps the order.
 */
import { orAborted } from '../base/abort.ts'
import { MqError } from '../base/errors.ts'
import type { MqClient } from '../client/client.ts'
import { TOOLS_GROUP } from '../client/group-admin.ts'
import { missingCount, QueueAccess } from '../client/queue-access.ts'
import { locate } from '../client/queue-position.ts'
import type { ReceivedMessage } from '../client/received-message.ts'
import type { TopicRoute } from '../client/routes.ts'
import { type MessageQueue, messageQueueKey } from '../protocol/bodies/message-queue.ts'
import { tagsOf } from '../protocol/bodies/subscription-data.ts'
import { sleep } from '../world/node-clock.ts'
import type { Span } from './position.ts'

export interface ReadOptions {
  readonly topic: string
  readonly span: Span
  /** `*`, `A`, `A || B`. */
  readonly tags: string
  /** SQL92 expression; null: by tags. */
  readonly sql?: string | null
  /** Stop where the queues ended when reading began. */
  readonly exitAtEnd: boolean
  /** Only these queues; all of the topic by default. */
  readonly isWanted?: (queue: MessageQueue) => boolean
  /** Where to begin in queues that are named here (`messageQueueKey`), instead of at the span's start. */
  readonly resume?: ReadonlyMap<string, number>
  /** Told once where reading begins, queue by queue. */
  readonly onOpen?: (starts: ReadonlyMap<string, number>) => void
  readonly signal: AbortSignal
  /** Without a filter: `count` messages from `offset` on that the broker could not hand out. */
  readonly onMissing?: (missing: MissingMessages) => void
  /** A broker did not answer and is asked again. */
  readonly onRetry?: (error: MqError) => void
}

export interface MissingMessages {
  readonly broker: string
  readonly queueId: number
  readonly offset: number
  readonly count: number
}

const HOLD_MS = 10_000
const RETRY_AFTER_MS = 1_000
const RETRIES_MAX = 30

interface Lane {
  readonly queue: MessageQueue
  offset: number
  /** First offset that is not wanted; null when there is none. */
  readonly end: number | null
  atEnd: boolean
  finished: boolean
  readonly buffer: ReceivedMessage[]
  pulling: Promise<void> | null
}

/** Throws TOPIC_NOT_FOUND, TOPIC_NOT_PERMITTED, BROKER_UNREACHABLE. */
export async function* readMerged(
  client: MqClient,
  options: ReadOptions,
): AsyncGenerator<ReceivedMessage> {
  const access = new QueueAccess(client)
  const wanted = tagMatcher(options.tags)
  const route = await client.routes.get(options.topic)
  checkReadable(route)
  const lanes = await Promise.all(
    route.subscribeQueues
      .filter((queue) => options.isWanted?.(queue) ?? true)
      .map((queue) => openLane(access, queue, options)),
  )
  options.onOpen?.(new Map(lanes.map(({ queue, offset }) => [messageQueueKey(queue), offset])))
  const failures: unknown[] = []
  while (!options.signal.aborted) {
    for (const lane of lanes) {
      if (lane.finished || lane.buffer.length > 0 || lane.pulling !== null) continue
      lane.pulling = fill(client, access, lane, options)
        .catch((error: unknown) => {
          failures.push(error)
        })
        .finally(() => {
          lane.pulling = null
        })
    }
    if (failures.length > 0) throw failures[0]
    const next = nextLane(lanes)
    if (next !== null) {
      const message = next.buffer.shift()
      if (message !== undefined && wanted(message)) yield message
      continue
    }
    const pulls = lanes.map(({ pulling }) => pulling).filter((pulling) => pulling !== null)
    if (pulls.length === 0) return
    await orAborted(Promise.race(pulls), options.signal)
  }
}

/** An end that nobody may read is not reached. Throws TOPIC_NOT_PERMITTED. */
export function checkReadable({ topic, subscribeQueues }: TopicRoute): void {
  if (subscribeQueues.length > 0) return
  throw new MqError('TOPIC_NOT_PERMITTED', { topic, done: 'read' })
}

async function openLane(
  access: QueueAccess,
  queue: MessageQueue,
  { span, exitAtEnd, resume }: ReadOptions,
): Promise<Lane> {
  const resumed = resume?.get(messageQueueKey(queue))
  const start = resumed === undefined ? span.from : { kind: 'offset' as const, offset: resumed }
  const from = await locate(access, queue, start)
  const to = span.to === null ? null : await locate(access, queue, span.to)
  const end = to?.offset ?? (exitAtEnd ? from.maxOffset : null)
  return {
    queue,
    offset: from.offset,
    end,
    atEnd: false,
    finished: end !== null && from.offset >= end,
    buffer: [],
    pulling: null,
  }
}

/** The lane whose first message was stored first; null while a lane that may be earlier is silent. */
function nextLane(lanes: readonly Lane[]): Lane | null {
  let first: Lane | null = null
  let firstHead: ReceivedMessage | null = null
  for (const lane of lanes) {
    const head = lane.buffer[0]
    if (head === undefined) {
      if (!lane.finished && !lane.atEnd) return null
      continue
    }
    if (firstHead === null || isBefore(head, firstHead)) {
      first = lane
      firstHead = head
    }
  }
  return first
}

/** Within one broker, the log knows the order that the clock's milliseconds cannot tell. */
function isBefore(one: ReceivedMessage, other: ReceivedMessage): boolean {
  if (one.storeTimestamp !== other.storeTimestamp) return one.storeTimestamp < other.storeTimestamp
  return one.broker === other.broker && one.physicalOffset < other.physicalOffset
}

async function fill(
  client: MqClient,
  access: QueueAccess,
  lane: Lane,
  options: ReadOptions,
): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await pullOnce(access, lane, options)
      return
    } catch (error) {
      const again = error instanceof MqError && error.retry && attempt < RETRIES_MAX
      if (!again || options.signal.aborted || options.exitAtEnd) throw error
      options.onRetry?.(error)
      await sleep(client.world.clock, RETRY_AFTER_MS)
      await client.routes.refreshAll()
    }
  }
}

async function pullOnce(
  access: QueueAccess,
  lane: Lane,
  { tags, sql = null, onMissing }: ReadOptions,
): Promise<void> {
  const result = await access.pull(lane.queue, {
    group: TOOLS_GROUP,
    offset: lane.offset,
    tags,
    sql,
    holdMs: lane.atEnd ? HOLD_MS : 0,
  })
  const count = sql === null && tags === '*' ? missingCount(result, lane.offset) : 0
  if (count > 0) {
    const { brokerName: broker, queueId } = lane.queue
    onMissing?.({ broker, queueId, offset: firstMissing(result.messages, lane.offset), count })
  }
  for (const message of result.messages) {
    if (lane.end === null || message.queueOffset < lane.end) lane.buffer.push(message)
  }
  lane.offset =
    result.status === 'none' ? Math.max(lane.offset, result.nextOffset) : result.nextOffset
  lane.atEnd = result.status === 'none' || lane.offset >= result.maxOffset
  if (lane.end !== null && lane.offset >= lane.end) lane.finished = true
}

/** The first offset from `offset` on that has no message. */
function firstMissing(messages: readonly ReceivedMessage[], offset: number): number {
  const gap = messages.findIndex((message, index) => message.queueOffset !== offset + index)
  return offset + (gap < 0 ? messages.length : gap)
}

/** Brokers compare hashes of tags; this compares the tags. */
function tagMatcher(expression: string): (message: ReceivedMessage) => boolean {
  const tags = new Set(tagsOf(expression))
  return (message) => tags.size === 0 || tags.has(message.tags)
}
