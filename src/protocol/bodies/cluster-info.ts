/**
 * All brokers of all clusters that a name server knows.
 * Source: apache/rocketmq remoting/…/body/ClusterInfo.java.
 */
import { jsonBody } from '../lenient-json.ts'
import { objectOf, parseBody, textsOf } from './fields.ts'
import { type BrokerData, brokerDataFromJson, brokerDataToJson } from './topic-route-data.ts'

export interface ClusterInfo {
  /** By broker name. */
  readonly brokers: ReadonlyMap<string, BrokerData>
  /** Cluster name → names of its brokers. */
  readonly clusters: ReadonlyMap<string, readonly string[]>
}

export function decodeClusterInfo(body: Buffer | null): ClusterInfo {
  const object = parseBody(body)
  return {
    brokers: new Map(
      Object.entries(objectOf(object['brokerAddrTable'])).map(([name, data]) => [
        name,
        brokerDataFromJson(data),
      ]),
    ),
    clusters: new Map(
      Object.entries(objectOf(object['clusterAddrTable'])).map(([name, brokers]) => [
        name,
        textsOf(brokers),
      ]),
    ),
  }
}

export function encodeClusterInfo(info: ClusterInfo): Buffer {
  return jsonBody({
    brokerAddrTable: Object.fromEntries(
      [...info.brokers].map(([name, data]) => [name, brokerDataToJson(data)]),
    ),
    clusterAddrTable: Object.fromEntries(info.clusters),
  })
}
