/** A page of a topic: all queues merged by the time of storing, and where the next page begins. */
import type { Admin } from '../client/admin.ts'
import type { ReceivedMessage } from '../client/received-message.ts'
import { type MessageQueue, messageQueueKey } from '../protocol/bodies/message-queue.ts'
import { readMerged } from './merged-reader.ts'
import { decodePageCursor, encodePageCursor } from './page-cursor.ts'
import type { Span } from './position.ts'

export interface MessagePage {
  readonly messages: readonly ReceivedMessage[]
  /** Null when this was the last page. */
  readonly next: string | null
}

export interface PageOptions {
  readonly span: Span
  readonly tags: string
  readonly sql: string | null
  /** The cursor that the page before ended with; null: the first page. */
  readonly after: string | null
  /** Messages at most. */
  readonly limit: number
  readonly isWanted: (queue: MessageQueue) => boolean
}

/** Throws VALUE_INVALID for a cursor that is none, and what reading throws. */
export async function messagePage(
  admin: Admin,
  topic: string,
  options: PageOptions,
): Promise<MessagePage> {
  const { limit, after, ...wanted } = options
  const resume = after === null ? null : decodePageCursor(after, topic)
  const abort = new AbortController()
  const positions = new Map<string, number>()
  const reader = readMerged(admin.client, {
    ...wanted,
    topic,
    exitAtEnd: true,
    signal: abort.signal,
    ...(resume === null ? {} : { resume }),
    onOpen: (starts) => {
      for (const [key, offset] of starts) positions.set(key, offset)
    },
  })
  const messages: ReceivedMessage[] = []
  let more = false
  for await (const message of reader) {
    // One more than a page says whether there is another one.
    if (messages.length === limit) {
      more = true
      break
    }
    messages.push(message)
    const { broker: brokerName, queueId, queueOffset } = message
    positions.set(messageQueueKey({ topic, brokerName, queueId }), queueOffset + 1)
  }
  abort.abort()
  const { subscribeQueues } = await admin.client.routes.get(topic)
  return { messages, next: more ? encodePageCursor(topic, subscribeQueues, positions) : null }
}
