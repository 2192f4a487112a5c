/** Time range of a topic's queues for a group. Source: apache/rocketmq remoting/…/body/QueryConsumeTimeSpanBody.java. */
import { jsonBody } from '../lenient-json.ts'
import { integerOf, listOf, objectOf, parseBody } from './fields.ts'
import { type MessageQueue, messageQueueFromJson, messageQueueToJson } from './message-queue.ts'

/** Times are store times in milliseconds since 1970; −1 when there is no message. */
export interface ConsumeTimeSpan {
  readonly queue: MessageQueue
  readonly minTimestamp: number
  readonly maxTimestamp: number
  readonly consumeTimestamp: number
  /** Milliseconds that the group is behind. */
  readonly delayMs: number
}

/** Response of QUERY_CONSUME_TIME_SPAN. */
export function decodeConsumeTimeSpans(body: Buffer | null): ConsumeTimeSpan[] {
  return listOf(parseBody(body)['consumeTimeSpanSet']).map((value) => {
    const object = objectOf(value)
    return {
      queue: messageQueueFromJson(object['messageQueue']),
      minTimestamp: integerOf(object['minTimeStamp']),
      maxTimestamp: integerOf(object['maxTimeStamp']),
      consumeTimestamp: integerOf(object['consumeTimeStamp']),
      delayMs: integerOf(object['delayTime']),
    }
  })
}

export function encodeConsumeTimeSpans(spans: readonly ConsumeTimeSpan[]): Buffer {
  return jsonBody({
    consumeTimeSpanSet: spans.map((span) => ({
      consumeTimeStamp: span.consumeTimestamp,
      delayTime: span.delayMs,
      maxTimeStamp: span.maxTimestamp,
      messageQueue: messageQueueToJson(span.queue),
      minTimeStamp: span.minTimestamp,
    })),
  })
}
