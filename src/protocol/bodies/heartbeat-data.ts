/** Body of HEART_BEAT. Source: apache/rocketmq remoting/…/heartbeat/HeartbeatData.java. */
import { jsonBody } from '../lenient-json.ts'
import { type ConsumerData, consumerDataFromJson, consumerDataToJson } from './consumer-data.ts'
import { flagOf, integerOf, listOf, objectOf, parseBody, textOf } from './fields.ts'

export interface HeartbeatData {
  readonly clientId: string
  readonly producerGroups: readonly string[]
  readonly consumers: readonly ConsumerData[]
  /** 0: no heart-beat V2. */
  readonly heartbeatFingerprint: number
  /** True: the subscriptions are those of the last heart-beat and left out here. */
  readonly withoutSub: boolean
}

export function decodeHeartbeatData(body: Buffer | null): HeartbeatData {
  const object = parseBody(body)
  return {
    clientId: textOf(object['clientID']),
    producerGroups: listOf(object['producerDataSet'])
      .map((data) => textOf(objectOf(data)['groupName']))
      .filter((group) => group !== ''),
    consumers: listOf(object['consumerDataSet']).map(consumerDataFromJson),
    heartbeatFingerprint: integerOf(object['heartbeatFingerprint']),
    withoutSub: flagOf(object['withoutSub']),
  }
}

export function encodeHeartbeatData(data: HeartbeatData): Buffer {
  return jsonBody({
    clientID: data.clientId,
    consumerDataSet: data.consumers.map(consumerDataToJson),
    heartbeatFingerprint: data.heartbeatFingerprint,
    producerDataSet: data.producerGroups.map((groupName) => ({ groupName })),
    withoutSub: data.withoutSub,
  })
}
