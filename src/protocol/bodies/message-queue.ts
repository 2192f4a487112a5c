/**
 * One queue of a topic on one broker, also as the key of a map.
 * Source: apache/rocketmq common/…/message/MessageQueue.java.
 */
import { type JsonValue, type WritableJson, parseLenientJson, writeJson } from '../lenient-json.ts'
import { integerOf, objectOf, textOf } from './fields.ts'

export interface MessageQueue {
  readonly topic: string
  readonly brokerName: string
  readonly queueId: number
}

export function messageQueueFromJson(value: JsonValue | undefined): MessageQueue {
  const object = objectOf(value)
  return {
    topic: textOf(object['topic']),
    brokerName: textOf(object['brokerName']),
    queueId: integerOf(object['queueId']),
  }
}

export function messageQueueToJson(queue: MessageQueue): WritableJson {
  return { brokerName: queue.brokerName, queueId: queue.queueId, topic: queue.topic }
}

/** The queue as the text that fastjson uses for it as a key. Equal queues give equal keys. */
export function messageQueueKey(queue: MessageQueue): string {
  return writeJson(messageQueueToJson(queue))
}

/** Reads both forms of a key, which look the same once parsed. Throws LenientJsonError. */
function messageQueueFromKey(key: string): MessageQueue {
  return messageQueueFromJson(parseLenientJson(key))
}

/** The order in which every client of a group must sort queues before it divides them. */
export function compareMessageQueues(a: MessageQueue, b: MessageQueue): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1
  if (a.brokerName !== b.brokerName) return a.brokerName < b.brokerName ? -1 : 1
  return a.queueId - b.queueId
}

/** The rows of a Map<MessageQueue, …>. */
export function queueTableOf(table: JsonValue | undefined): (readonly [MessageQueue, JsonValue])[] {
  return Object.entries(objectOf(table)).map(([key, value]) => [messageQueueFromKey(key), value])
}

/** A Map<MessageQueue, …>; write it with `bareObjectKeys`, as Java clients and Go clients expect it. */
export function queueTable<Row>(
  rows: readonly Row[],
  queueOf: (row: Row) => MessageQueue,
  valueOf: (row: Row) => WritableJson,
): WritableJson {
  return Object.fromEntries(rows.map((row) => [messageQueueKey(queueOf(row)), valueOf(row)]))
}
