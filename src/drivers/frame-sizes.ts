/**
 * What a message costs in bytes on a RocketMQ wire and in its log, from the frames themselves: each
 * size is that of a frame that the codecs of this build make, with numbers of usual length in it.
 * Apache's brokers and clients write the same fields, give or take a few characters.
 */
import { PullSysFlag, pullFields, pullResponseFields } from '../protocol/pull-header.ts'
import { type ExtValues, SerializeType, request, respond } from '../protocol/command.ts'
import { RequestCode, ResponseCode } from '../protocol/codes.ts'
import { encodeFrame } from '../protocol/frame.ts'
import { RECORD_BYTES_MIN, TOPIC_BYTES_V1_MAX } from '../protocol/record.ts'
import { SendFrame } from './send-frame.ts'

export interface FrameNames {
  readonly topic: string
  readonly group: string
  readonly broker: string
  readonly tag: string | null
}

/** Bytes that the protocol adds around message bodies; TCP and below are not in them. */
export interface FrameSizes {
  /** A send request without its body. */
  readonly sendHeadBytes: number
  readonly sendAnswerBytes: number
  readonly pullRequestBytes: number
  /** The answer to a pull, without its records. */
  readonly pullAnswerHeadBytes: number
  /** A stored record without its body: on disk, and in an answer to a pull. */
  readonly recordExtraBytes: number
  /** What the consume queue and the key index add to each record on disk. */
  readonly unitBytes: number
}

/** Numbers of the length that they have after a million messages in a queue. */
const OFFSET = 1_000_000
const OPAQUE = 1_000_000_000
const ID_PREFIX = '0'.repeat(20)
const MESSAGE_ID = '0'.repeat(32)
/** Pairs that brokers put behind the sender's properties; source: broker/write-path.ts. */
const BROKER_PAIRS =
  'MSG_REGION\u0001DefaultRegion\u0002TRACE_ON\u0001true\u0002CLUSTER\u0001DefaultCluster\u0002'
/** One unit of a consume queue and one of the key index, which holds the unique key. */
const UNIT_BYTES = 20 + 20

export function frameSizesOf({ topic, group, broker, tag }: FrameNames): FrameSizes {
  const tagPair = tag === null ? '' : `TAGS\u0001${tag}\u0002`
  const pairs = `UNIQ_KEY\u0001${MESSAGE_ID}\u0002WAIT\u0001true\u0002${tagPair}${BROKER_PAIRS}`
  const topicBytes = Buffer.byteLength(topic)
  return {
    sendHeadBytes: new SendFrame({
      topic,
      group,
      broker,
      queueId: 0,
      kind: { tag, properties: {} },
      keyed: false,
      oneWay: false,
      idPrefix: ID_PREFIX,
    }).headBytes,
    sendAnswerBytes: answerBytes(null, {
      MSG_REGION: 'DefaultRegion',
      TRACE_ON: 'true',
      msgId: MESSAGE_ID,
      queueId: '0',
      queueOffset: String(OFFSET),
    }),
    pullRequestBytes: pullRequestBytes(topic, group),
    pullAnswerHeadBytes: answerBytes(
      'FOUND',
      pullResponseFields({
        suggestWhichBrokerId: 0,
        nextBeginOffset: OFFSET,
        minOffset: 0,
        maxOffset: OFFSET,
      }),
    ),
    recordExtraBytes:
      RECORD_BYTES_MIN +
      topicBytes +
      (topicBytes > TOPIC_BYTES_V1_MAX ? 1 : 0) +
      Buffer.byteLength(pairs),
    unitBytes: UNIT_BYTES,
  }
}

function answerBytes(remark: string | null, ext: ExtValues): number {
  const asked = { opaque: OPAQUE, serializeType: SerializeType.json }
  return encodeFrame(respond(asked, ResponseCode.SUCCESS, remark, ext)).length
}

function pullRequestBytes(topic: string, group: string): number {
  const pull = request(
    RequestCode.PULL_MESSAGE,
    pullFields({
      consumerGroup: group,
      topic,
      queueId: 0,
      queueOffset: OFFSET,
      maxMsgNums: 32,
      sysFlag: PullSysFlag.commitOffset | PullSysFlag.suspend | PullSysFlag.subscription,
      commitOffset: OFFSET,
      suspendTimeoutMs: 15_000,
      subscription: '*',
      subVersion: 1_700_000_000_000,
      expressionType: 'TAG',
      maxMsgBytes: null,
    }),
  )
  pull.opaque = OPAQUE
  return encodeFrame(pull).length
}
