/** Names of topics. Source: apache/rocketmq remoting/…/body/TopicList.java. */
import { jsonBody } from '../lenient-json.ts'
import { parseBody, textOrNull, textsOf } from './fields.ts'

export interface TopicList {
  readonly topics: readonly string[]
  /** Some broker, where the name server answers for its system topics; else null. */
  readonly brokerAddr: string | null
}

export function decodeTopicList(body: Buffer | null): TopicList {
  const object = parseBody(body)
  return {
    topics: textsOf(object['topicList']),
    brokerAddr: textOrNull(object['brokerAddr']),
  }
}

export function encodeTopicList(list: TopicList): Buffer {
  return jsonBody({ brokerAddr: list.brokerAddr ?? undefined, topicList: list.topics })
}
