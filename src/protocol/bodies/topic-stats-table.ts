/** Offsets of a topic's queues. Source: apache/rocketmq remoting/…/admin/{TopicStatsTable,TopicOffset}.java. */
import { jsonBody } from '../lenient-json.ts'
import { integerOf, numberOf, objectOf, parseBody } from './fields.ts'
import { type MessageQueue, queueTable, queueTableOf } from './message-queue.ts'

export interface TopicOffset {
  readonly queue: MessageQueue
  /** The first queue offset that is still there. */
  readonly minOffset: number
  /** The next queue offset that will be written. */
  readonly maxOffset: number
  /** Store time of the newest message, milliseconds since 1970; 0 when the queue is empty. */
  readonly lastUpdateTimestamp: number
}

export interface TopicStatsTable {
  readonly queues: readonly TopicOffset[]
  readonly topicPutTps: number
}

export function decodeTopicStatsTable(body: Buffer | null): TopicStatsTable {
  const object = parseBody(body)
  return {
    queues: queueTableOf(object['offsetTable']).map(([queue, value]) => {
      const fields = objectOf(value)
      return {
        queue,
        minOffset: integerOf(fields['minOffset']),
        maxOffset: integerOf(fields['maxOffset']),
        lastUpdateTimestamp: integerOf(fields['lastUpdateTimestamp']),
      }
    }),
    topicPutTps: numberOf(object['topicPutTps']),
  }
}

export function encodeTopicStatsTable(table: TopicStatsTable): Buffer {
  return jsonBody(
    {
      offsetTable: queueTable(
        table.queues,
        (row) => row.queue,
        (row) => ({
          lastUpdateTimestamp: row.lastUpdateTimestamp,
          maxOffset: row.maxOffset,
          minOffset: row.minOffset,
        }),
      ),
      topicPutTps: table.topicPutTps,
    },
    { bareObjectKeys: true },
  )
}
