import { encodeBatch } from '../../src/protocol/batch-body.ts'
import { encodeHeartbeatData } from '../../src/protocol/bodies/heartbeat-data.ts'
import { tagSubscription } from '../../src/protocol/bodies/subscription-data.ts'
import { RequestCode } from '../../src/protocol/codes.ts'
import { type ExtValues, SerializeType, request } from '../../src/protocol/command.ts'
import { encodeFrame } from '../../src/protocol/frame.ts'

/** Fields that many requests carry; a request picks what it knows. */
const fields: ExtValues = {
  a: 'PG', b: 'T1', c: 'TBW102', d: 4, e: 0, f: 0, g: 1, h: 0, i: 'KEYS\u0001k\u0002', j: 0, k: false, m: false,
  topic: 'T1', queueId: 0, queueOffset: 0, maxMsgNums: 32, sysFlag: 4, commitOffset: 0,
  suspendTimeoutMillis: 0, subscription: 'A || B', subVersion: 1, consumerGroup: 'CG', group: 'CG',
  groupName: 'CG2', producerGroup: 'PG', defaultTopic: 'TBW102', defaultTopicQueueNums: 4,
  bornTimestamp: 1, flag: 0, properties: 'a\u0001b\u0002', key: 'k', maxNum: 32, beginTimestamp: 0,
  endTimestamp: 9_999_999_999_999, offset: 0, timestamp: 0, clientID: 'c1', clientId: 'c1',
  srcGroup: 'CG', destGroup: 'CG2', statsName: 'TOPIC_PUT_NUMS', statsKey: 'T1', isForce: true,
  readQueueNums: 4, writeQueueNums: 4, perm: 6, topicFilterType: 'SINGLE_TAG', topicSysFlag: 0,
  order: false, attributes: '+message.type=NORMAL', msgId: '7F0000010000000000000000', brokerName: 'broker-a',
  brokerAddr: '127.0.0.1:1', clusterName: 'DefaultCluster', haServerAddr: '127.0.0.1:2', brokerId: 0,
  namespace: 'ns', value: 'v', index: 0, count: 10, isOrder: false,
} // prettier-ignore

const bodies: readonly (Buffer | null)[] = [
  null,
  Buffer.from('hello'),
  encodeBatch([{ flag: 0, body: Buffer.from('x'), properties: Buffer.from('a\u0001b\u0002') }]),
  Buffer.from('flushDiskType=SYNC_FLUSH\nstorePathRootDir=/tmp/x\nrocketmqHome=;id\n'),
  Buffer.from(
    '{"topicConfigList":[{"topicName":"T9","readQueueNums":4,"writeQueueNums":4,"perm":6}]}',
  ),
  Buffer.from('{"groupName":"CG3","retryMaxTimes":16,"retryQueueNums":1}'),
  Buffer.from(
    '{"clientId":"c1","consumerGroup":"CG","mqSet":[{"brokerName":"broker-a","queueId":0,"topic":"T1"}]}',
  ),
  Buffer.from('{{"topic":"T1"}:{"$ref":"$"},0:1}'),
  encodeHeartbeatData({
    clientId: 'c1',
    producerGroups: ['PG'],
    consumers: [
      {
        groupName: 'CG',
        consumeType: 'CONSUME_PASSIVELY',
        messageModel: 'CLUSTERING',
        consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
        subscriptions: [tagSubscription('T1', 'A || B', 1)],
        unitMode: false,
      },
    ],
    heartbeatFingerprint: 0,
    withoutSub: false,
  }),
]

/** One valid-looking frame for every request code, in both header forms, with every kind of body. */
export function frameCorpus(): Buffer[] {
  const frames: Buffer[] = []
  for (const [i, code] of Object.values(RequestCode).entries()) {
    for (const serializeType of [SerializeType.json, SerializeType.rocketmq]) {
      const command = request(code, fields, bodies[(i + serializeType) % bodies.length] ?? null)
      command.serializeType = serializeType
      command.opaque = i
      frames.push(encodeFrame(command))
    }
  }
  return frames
}
