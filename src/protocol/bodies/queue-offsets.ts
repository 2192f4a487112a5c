/**
 * A queue offset for each of some queues.
 * Source: apache/rocketmq remoting/…/body/{ResetOffsetBody,GetConsumerStatusBody,ConsumerOffsetSerializeWrapper}.java.
 */
import { type JsonValue, type WritableJson, jsonBody } from '../lenient-json.ts'
import { type DataVersion, dataVersionFromJson, dataVersionToJson } from './data-version.ts'
import { integerOf, objectOf, parseBody } from './fields.ts'
import { type MessageQueue, queueTable, queueTableOf } from './message-queue.ts'

export interface QueueOffset {
  readonly queue: MessageQueue
  readonly offset: number
}

function offsetsFromJson(table: JsonValue | undefined): QueueOffset[] {
  return queueTableOf(table).map(([queue, offset]) => ({ queue, offset: integerOf(offset) }))
}

function offsetsToJson(offsets: readonly QueueOffset[]): WritableJson {
  return queueTable(
    offsets,
    (row) => row.queue,
    (row) => row.offset,
  )
}

/** ResetOffsetBody: response of 222, body of 220. */
export function decodeResetOffsetBody(body: Buffer | null): QueueOffset[] {
  return offsetsFromJson(parseBody(body)['offsetTable'])
}

export function encodeResetOffsetBody(offsets: readonly QueueOffset[]): Buffer {
  return jsonBody({ offsetTable: offsetsToJson(offsets) }, { bareObjectKeys: true })
}

/** GetConsumerStatusBody, response of 223: the offsets of each member of a group, by client id. */
export function decodeConsumerStatus(body: Buffer | null): Map<string, QueueOffset[]> {
  const clients = Object.entries(objectOf(parseBody(body)['consumerTable']))
  return new Map(clients.map(([clientId, table]) => [clientId, offsetsFromJson(table)]))
}

export function encodeConsumerStatus(clients: ReadonlyMap<string, readonly QueueOffset[]>): Buffer {
  return jsonBody(
    {
      consumerTable: Object.fromEntries(
        [...clients].map(([clientId, offsets]) => [clientId, offsetsToJson(offsets)]),
      ),
      messageQueueTable: {},
    },
    { bareObjectKeys: true },
  )
}

/** The same of one client: what it answers to 221. */
export function decodeClientStatus(body: Buffer | null): QueueOffset[] {
  return offsetsFromJson(parseBody(body)['messageQueueTable'])
}

export function encodeClientStatus(offsets: readonly QueueOffset[]): Buffer {
  return jsonBody(
    { consumerTable: {}, messageQueueTable: offsetsToJson(offsets) },
    { bareObjectKeys: true },
  )
}

/** Progress of all groups in one broker; also the content of its config/consumerOffset.json. */
export interface ConsumerOffsetTable {
  readonly dataVersion: DataVersion
  /** `topic@group` → queue id → queue offset. */
  readonly offsets: ReadonlyMap<string, ReadonlyMap<number, number>>
}

/** Response of GET_ALL_CONSUMER_OFFSET. */
export function decodeConsumerOffsetTable(body: Buffer | null): ConsumerOffsetTable {
  const object = parseBody(body)
  const offsets = new Map<string, Map<number, number>>()
  for (const [key, queues] of Object.entries(objectOf(object['offsetTable']))) {
    const byQueue = new Map<number, number>()
    for (const [queueId, offset] of Object.entries(objectOf(queues))) {
      if (/^\d+$/.test(queueId)) byQueue.set(Number(queueId), integerOf(offset))
    }
    offsets.set(key, byQueue)
  }
  return { dataVersion: dataVersionFromJson(object['dataVersion']), offsets }
}

/** With bare integer keys, as Apache writes it. */
export function encodeConsumerOffsetTable(table: ConsumerOffsetTable): Buffer {
  return jsonBody(
    {
      dataVersion: dataVersionToJson(table.dataVersion),
      offsetTable: Object.fromEntries(
        [...table.offsets].map(([key, queues]) => [key, Object.fromEntries(queues)]),
      ),
    },
    { bareIntegerKeys: true },
  )
}
