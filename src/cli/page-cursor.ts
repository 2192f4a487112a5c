/**
 * Where the next page of a listing begins: a position for each queue, as one word for the command line.
 * `{"v":1,"t":topic,"q":[[broker, queueId, offset], …]}` in URL-safe base64.
 */
import { z } from 'zod'
import { MqError } from '../base/errors.ts'
import { type MessageQueue, messageQueueKey } from '../protocol/bodies/message-queue.ts'

const offset = z.number().int().nonnegative()
const cursorSchema = z.object({
  v: z.literal(1),
  t: z.string(),
  q: z.array(z.tuple([z.string(), offset, offset])).max(100_000),
})

/** @param positions by `messageQueueKey`; queues that are not in it are left out */
export function encodePageCursor(
  topic: string,
  queues: readonly MessageQueue[],
  positions: ReadonlyMap<string, number>,
): string {
  const q = queues.flatMap((queue) => {
    const at = positions.get(messageQueueKey(queue))
    return at === undefined ? [] : [[queue.brokerName, queue.queueId, at]]
  })
  return Buffer.from(JSON.stringify({ v: 1, t: topic, q })).toString('base64url')
}

/** Positions by `messageQueueKey`. Throws VALUE_INVALID for what is no cursor, or one of another topic. */
export function decodePageCursor(text: string, topic: string): Map<string, number> {
  const cursor = parsed(text)
  if (cursor === null) {
    throw new MqError('VALUE_INVALID', {
      what: '--after has no page behind it',
      hint: 'copy the whole word after --after that the page before ended with',
    })
  }
  if (cursor.t !== topic) {
    throw new MqError('VALUE_INVALID', {
      what: `--after is a page of topic ${cursor.t}, not of ${topic}`,
      hint: 'leave --after away to begin with the first page',
    })
  }
  return new Map(
    cursor.q.map(([brokerName, queueId, at]) => [
      messageQueueKey({ topic, brokerName, queueId }),
      at,
    ]),
  )
}

function parsed(text: string): z.infer<typeof cursorSchema> | null {
  try {
    const json: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
    return cursorSchema.safeParse(json).data ?? null
  } catch {
    return null
  }
}
