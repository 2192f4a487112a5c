/**
 * How far a group is in each queue.
 * Source: apache/rocketmq remoting/…/admin/{ConsumeStats,OffsetWrapper}.java, body/ConsumeStatsList.java.
 */
import { type JsonValue, type WritableJson, jsonBody } from '../lenient-json.ts'
import { integerOf, listOf, numberOf, objectOf, parseBody, textOf } from './fields.ts'
import { type MessageQueue, queueTable, queueTableOf } from './message-queue.ts'

export interface ConsumeProgress {
  readonly queue: MessageQueue
  /** The next queue offset that will be written. */
  readonly brokerOffset: number
  /** The next queue offset that the group will process. */
  readonly consumerOffset: number
  /** The next queue offset that the group will fetch. */
  readonly pullOffset: number
  /** Store time of the last processed message, milliseconds since 1970; 0 when unknown. */
  readonly lastTimestamp: number
}

export interface ConsumeStats {
  readonly queues: readonly ConsumeProgress[]
  readonly consumeTps: number
}

function consumeStatsFromJson(value: JsonValue | undefined): ConsumeStats {
  const object = objectOf(value)
  return {
    queues: queueTableOf(object['offsetTable']).map(([queue, progress]) => {
      const fields = objectOf(progress)
      return {
        queue,
        brokerOffset: integerOf(fields['brokerOffset']),
        consumerOffset: integerOf(fields['consumerOffset']),
        pullOffset: integerOf(fields['pullOffset']),
        lastTimestamp: integerOf(fields['lastTimestamp']),
      }
    }),
    consumeTps: numberOf(object['consumeTps']),
  }
}

function consumeStatsToJson(stats: ConsumeStats): WritableJson {
  return {
    consumeTps: stats.consumeTps,
    offsetTable: queueTable(
      stats.queues,
      (row) => row.queue,
      (row) => ({
        brokerOffset: row.brokerOffset,
        consumerOffset: row.consumerOffset,
        lastTimestamp: row.lastTimestamp,
        pullOffset: row.pullOffset,
      }),
    ),
  }
}

/** Body of GET_CONSUME_STATS. */
export function decodeConsumeStats(body: Buffer | null): ConsumeStats {
  return consumeStatsFromJson(parseBody(body))
}

export function encodeConsumeStats(stats: ConsumeStats): Buffer {
  return jsonBody(consumeStatsToJson(stats), { bareObjectKeys: true })
}

/** Body of GET_BROKER_CONSUME_STATS. */
export interface BrokerConsumeStats {
  readonly brokerAddr: string
  /** Group → its figures, one entry a topic. */
  readonly groups: readonly (readonly [group: string, stats: readonly ConsumeStats[]])[]
  /** Messages behind, all groups together. */
  readonly totalDiff: number
  readonly totalInflightDiff: number
}

export function decodeBrokerConsumeStats(body: Buffer | null): BrokerConsumeStats {
  const object = parseBody(body)
  return {
    brokerAddr: textOf(object['brokerAddr']),
    groups: listOf(object['consumeStatsList']).flatMap((table) =>
      Object.entries(objectOf(table)).map(
        ([group, stats]) => [group, listOf(stats).map(consumeStatsFromJson)] as const,
      ),
    ),
    totalDiff: integerOf(object['totalDiff']),
    totalInflightDiff: integerOf(object['totalInflightDiff']),
  }
}
