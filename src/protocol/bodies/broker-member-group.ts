/** The addresses of one broker group. Source: apache/rocketmq remoting/…/body/BrokerMemberGroup.java. */
import { jsonBody } from '../lenient-json.ts'
import { objectOf, parseBody } from './fields.ts'
import { brokerDataFromJson } from './topic-route-data.ts'

export interface BrokerMemberGroup {
  readonly cluster: string
  readonly brokerName: string
  /** By broker id. */
  readonly brokerAddrs: ReadonlyMap<number, string>
}

export function decodeBrokerMemberGroup(body: Buffer | null): BrokerMemberGroup {
  const data = brokerDataFromJson(objectOf(parseBody(body)['brokerMemberGroup']))
  return { cluster: data.cluster, brokerName: data.brokerName, brokerAddrs: data.brokerAddrs }
}

export function encodeBrokerMemberGroup(group: BrokerMemberGroup): Buffer {
  return jsonBody({
    brokerMemberGroup: {
      brokerAddrs: Object.fromEntries(group.brokerAddrs),
      brokerName: group.brokerName,
      cluster: group.cluster,
    },
  })
}
