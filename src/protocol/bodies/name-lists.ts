/**
 * Bodies that are a list of names and nothing else.
 * Source: apache/rocketmq remoting/…/body/{GetConsumerListByGroupResponseBody,GroupList}.java.
 */
import { jsonBody } from '../lenient-json.ts'
import { parseBody, textsOf } from './fields.ts'

/** Response of GET_CONSUMER_LIST_BY_GROUP: client ids. */
export function decodeConsumerList(body: Buffer | null): string[] {
  return textsOf(parseBody(body)['consumerIdList'])
}

export function encodeConsumerList(clientIds: readonly string[]): Buffer {
  return jsonBody({ consumerIdList: clientIds })
}

/** Response of QUERY_TOPIC_CONSUME_BY_WHO: groups. */
export function decodeGroupList(body: Buffer | null): string[] {
  return textsOf(parseBody(body)['groupList'])
}

export function encodeGroupList(groups: readonly string[]): Buffer {
  return jsonBody({ groupList: groups })
}
