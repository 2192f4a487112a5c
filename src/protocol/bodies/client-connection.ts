/**
 * Who is connected to a broker as a member of a group.
 * Source: apache/rocketmq remoting/…/body/{Connection,ConsumerConnection,ProducerConnection,ProducerTableInfo}.java.
 */
import { type JsonValue, type WritableJson, jsonBody } from '../lenient-json.ts'
import { type ConsumerData, consumingWordsOf } from './consumer-data.ts'
import { integerOf, listOf, objectOf, parseBody, textOf } from './fields.ts'
import {
  type SubscriptionData,
  subscriptionDataFromJson,
  subscriptionDataToJson,
} from './subscription-data.ts'

export interface ClientConnection {
  readonly clientId: string
  /** `ip:port` as the broker sees it. */
  readonly clientAddr: string
  readonly language: string
  readonly version: number
}

export interface ConsumerConnection extends Pick<
  ConsumerData,
  'consumeType' | 'messageModel' | 'consumeFromWhere'
> {
  readonly connections: readonly ClientConnection[]
  readonly subscriptions: readonly SubscriptionData[]
}

function connectionFromJson(value: JsonValue): ClientConnection {
  const object = objectOf(value)
  return {
    clientId: textOf(object['clientId']),
    clientAddr: textOf(object['clientAddr']),
    language: textOf(object['language'], 'OTHER'),
    version: integerOf(object['version']),
  }
}

function connectionToJson(connection: ClientConnection): WritableJson {
  return {
    clientAddr: connection.clientAddr,
    clientId: connection.clientId,
    language: connection.language,
    version: connection.version,
  }
}

/** Body of GET_CONSUMER_CONNECTION_LIST. */
export function decodeConsumerConnection(body: Buffer | null): ConsumerConnection {
  const object = parseBody(body)
  return {
    connections: listOf(object['connectionSet']).map(connectionFromJson),
    ...consumingWordsOf(object),
    subscriptions: Object.values(objectOf(object['subscriptionTable'])).map(
      subscriptionDataFromJson,
    ),
  }
}

export function encodeConsumerConnection(connection: ConsumerConnection): Buffer {
  return jsonBody({
    connectionSet: connection.connections.map(connectionToJson),
    consumeFromWhere: connection.consumeFromWhere,
    consumeType: connection.consumeType,
    messageModel: connection.messageModel,
    subscriptionTable: Object.fromEntries(
      connection.subscriptions.map((data) => [data.topic, subscriptionDataToJson(data)]),
    ),
  })
}

/** Body of GET_PRODUCER_CONNECTION_LIST. */
export function decodeProducerConnection(body: Buffer | null): ClientConnection[] {
  return listOf(parseBody(body)['connectionSet']).map(connectionFromJson)
}

export function encodeProducerConnection(connections: readonly ClientConnection[]): Buffer {
  return jsonBody({ connectionSet: connections.map(connectionToJson) })
}

export interface ProducerInfo extends ClientConnection {
  /** Milliseconds since 1970 of its last heart-beat. */
  readonly lastUpdateTimestamp: number
}

/** Body of GET_ALL_PRODUCER_INFO: by producer group. */
export function decodeProducerTable(body: Buffer | null): Map<string, ProducerInfo[]> {
  const groups = Object.entries(objectOf(parseBody(body)['data']))
  return new Map(
    groups.map(([group, producers]) => [
      group,
      listOf(producers).map((value) => {
        const object = objectOf(value)
        return {
          ...connectionFromJson(value),
          clientAddr: textOf(object['remoteIP']),
          lastUpdateTimestamp: integerOf(object['lastUpdateTimestamp']),
        }
      }),
    ]),
  )
}

export function encodeProducerTable(table: ReadonlyMap<string, readonly ProducerInfo[]>): Buffer {
  return jsonBody({
    data: Object.fromEntries(
      [...table].map(([group, producers]) => [
        group,
        producers.map((producer) => ({
          clientId: producer.clientId,
          language: producer.language,
          lastUpdateTimestamp: producer.lastUpdateTimestamp,
          remoteIP: producer.clientAddr,
          version: producer.version,
        })),
      ]),
    ),
  })
}
