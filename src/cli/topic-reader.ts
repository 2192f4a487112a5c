/**
 * Reads a topic by position, without a consumer group: all queues of all brokers, merged by store
 * time as long as there is a backlog, as it comes once everything has been read.
 *
 * A queue whose next message is not known yet holds back the others, except when it is at its end:
 * that is what keeps the order.
 */
import { MqError } from '../base/errors.ts'
import type { MqClient } from '../client/client.ts'
import { QueueAccess } from '../client/queue-access.ts'
import type { ReceivedMessage } from '../client/received-message.ts'
import type { MessageQueue } from '../protocol/bodies/message-queue.ts'
import { sleep } from '../world/node-clock.ts'
import type { Position, Span } from './position.ts'

export interface ReadOptions {
  readonly topic: string
  readonly span: Span
  /** `*`, `A`, `A || B`. */
  readonly tags: string
  /** Stop where the queues ended when reading began. */
  readonly exitAtEnd: boolean
  readonly signal: AbortSignal
  /** A broker did not answer and is asked again. */
  readonly onRetry?: (error: MqError) => void
}

/** Apache's tools pull under this name; every broker has it from the start. */
export const TOOLS_GROUP = 'TOOLS_CONSUMER'

const HOLD_MS = 10_000
const RETRY_AFTER_MS = 1_000
const RETRIES_MAX = 30

interface Lane {
  readonly queue: MessageQueue
  offset: number
  /** First offset that is not wanted; null when there is none. */
  readonly end: number | null
  /** Messages stored at this time or later are not wanted. */
  readonly endMs: number | null
  readonly startMs: number | null
  atEnd: boolean
  finished: boolean
  readonly buffer: ReceivedMessage[]
  pulling: Promise<void> | null
}

export async function* readTopic(
  client: MqClient,
  options: ReadOptions,
): AsyncGenerator<ReceivedMessage> {
  const access = new QueueAccess(client)
  const wanted = tagMatcher(options.tags)
  const route = await client.routes.get(options.topic)
  const lanes = await Promise.all(
    route.subscribeQueues.map((queue) => openLane(access, queue, options)),
  )
  const failures: unknown[] = []
  const aborted = new Promise<void>((resolve) => {
    options.signal.addEventListener('abort', () => {
      resolve()
    })
  })
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
    await Promise.race([aborted, ...pulls])
  }
}

/** Where a position lies in one queue. */
export async function resolvePosition(
  access: QueueAccess,
  queue: MessageQueue,
  position: Position,
): Promise<number> {
  switch (position.kind) {
    case 'start':
      return access.minOffset(queue)
    case 'end':
      return access.maxOffset(queue)
    case 'offset':
      return position.offset
    case 'time':
      return access.offsetAtTime(queue, position.ms)
    case 'afterStart':
      return (await access.minOffset(queue)) + position.count
    case 'beforeEnd': {
      const [min, max] = await Promise.all([access.minOffset(queue), access.maxOffset(queue)])
      return Math.max(min, max - position.count)
    }
  }
}

async function openLane(
  access: QueueAccess,
  queue: MessageQueue,
  { span, exitAtEnd }: ReadOptions,
): Promise<Lane> {
  const { from, to } = span
  const [offset, end, now] = await Promise.all([
    resolvePosition(access, queue, from),
    to === null || to.kind === 'time' ? null : resolvePosition(access, queue, to),
    exitAtEnd || to?.kind === 'time' ? access.maxOffset(queue) : null,
  ])
  const bounds = [end, now].filter((bound) => bound !== null)
  const last = bounds.length === 0 ? null : Math.min(...bounds)
  return {
    queue,
    offset,
    end: last,
    endMs: to?.kind === 'time' ? to.ms : null,
    startMs: from.kind === 'time' ? from.ms : null,
    atEnd: false,
    finished: last !== null && offset >= last,
    buffer: [],
    pulling: null,
  }
}

/** The lane whose first message was stored first; null while a lane that may be earlier is silent. */
function nextLane(lanes: readonly Lane[]): Lane | null {
  let first: Lane | null = null
  for (const lane of lanes) {
    const head = lane.buffer[0]
    if (head === undefined) {
      if (!lane.finished && !lane.atEnd) return null
      continue
    }
    if (first === null || head.storeTimestamp < (first.buffer[0]?.storeTimestamp ?? 0)) first = lane
  }
  return first
}

async function fill(
  client: MqClient,
  access: QueueAccess,
  lane: Lane,
  options: ReadOptions,
): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await pullOnce(access, lane, options.tags)
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

async function pullOnce(access: QueueAccess, lane: Lane, tags: string): Promise<void> {
  const result = await access.pull(lane.queue, {
    group: TOOLS_GROUP,
    offset: lane.offset,
    tags,
    holdMs: lane.atEnd ? HOLD_MS : 0,
  })
  for (const message of result.messages) {
    if (lane.end !== null && message.queueOffset >= lane.end) break
    if (lane.endMs !== null && message.storeTimestamp >= lane.endMs) {
      lane.finished = true
      break
    }
    // By time, a broker may answer with the last message before it.
    if (lane.startMs === null || message.storeTimestamp >= lane.startMs) lane.buffer.push(message)
  }
  lane.offset =
    result.status === 'none' ? Math.max(lane.offset, result.nextOffset) : result.nextOffset
  lane.atEnd = result.status === 'none' || lane.offset >= result.maxOffset
  if (lane.end !== null && lane.offset >= lane.end) lane.finished = true
}

/** Brokers compare hashes of tags; this compares the tags. */
export function tagMatcher(expression: string): (message: { readonly tags: string }) => boolean {
  const text = expression.trim()
  if (text === '' || text === '*') return () => true
  const tags = new Set(text.split('||').map((tag) => tag.trim()))
  return (message) => tags.has(message.tags)
}
