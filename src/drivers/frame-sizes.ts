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
import type { MessageKind } from './driver.ts'
import { BatchFrame, BatchItems } from './send-batch-frame.ts'
import { SendFrame, type SendFrameFields, propertiesWithHoles } from './send-frame.ts'

export interface FrameInput {
  readonly topic: string
  readonly group: string
  readonly broker: string
  /** Of each kind, how often it comes; sizes are those of the mean. One at least. */
  readonly kinds: readonly { readonly kind: MessageKind; readonly weight: number }[]
  /** Every message has a key. */
  readonly keyed: boolean
  readonly mode: 'single' | 'batch' | 'one-way'
}

/** Bytes that the protocol adds around message bodies; TCP and below are not in them. */
export interface FrameSizes {
  /** A send request without its body; of a batch, without its messages. */
  readonly sendHeadBytes: number
  /** What a message of a batch has around its body in the request; 0 when it has a request of its own. */
  readonly itemExtraBytes: number
  /** The answer to a request of one message; 0 where nobody answers. */
  readonly sendAnswerBytes: number
  /** What each further message of a batch adds to the answer. */
  readonly answerItemBytes: number
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
/** The answer to a batch names the messages, with commas between. Source: broker/write-path.ts. */
const ANSWER_ITEM_BYTES = MESSAGE_ID.length + 1
/** Pairs that brokers put behind the sender's properties; source: broker/write-path.ts. */
const BROKER_PAIRS =
  'MSG_REGION\u0001DefaultRegion\u0002TRACE_ON\u0001true\u0002CLUSTER\u0001DefaultCluster\u0002'
/** A unit of a consume queue, and one of the key index for the unique key and for each other key. */
const QUEUE_UNIT_BYTES = 20
const KEY_UNIT_BYTES = 20

export function frameSizesOf(input: FrameInput): FrameSizes {
  const { topic, group, keyed, mode } = input
  const fields = ({ kind }: FrameInput['kinds'][number]): SendFrameFields => ({
    topic,
    group,
    broker: input.broker,
    queueId: 0,
    kind,
    keyed,
    oneWay: mode === 'one-way',
    idPrefix: ID_PREFIX,
  })
  const mean = (of: (fields: SendFrameFields) => number) => {
    const weight = input.kinds.reduce((sum, one) => sum + one.weight, 0)
    return input.kinds.reduce((sum, one) => sum + of(fields(one)) * one.weight, 0) / weight
  }
  const topicBytes = Buffer.byteLength(topic)
  const isBatch = mode === 'batch'
  return {
    sendHeadBytes: mean((one) => (isBatch ? new BatchFrame(one) : new SendFrame(one)).headBytes),
    itemExtraBytes: isBatch ? mean(itemBytes) : 0,
    answerItemBytes: isBatch ? ANSWER_ITEM_BYTES : 0,
    sendAnswerBytes:
      mode === 'one-way'
        ? 0
        : answerBytes(null, {
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
      mean((one) => Buffer.byteLength(propertiesWithHoles(one))) +
      Buffer.byteLength(BROKER_PAIRS),
    unitBytes: QUEUE_UNIT_BYTES + KEY_UNIT_BYTES * (keyed ? 2 : 1),
  }
}

/** What a message of a batch has around its body. */
function itemBytes(fields: SendFrameFields): number {
  const items = new BatchItems([fields])
  items.add(Buffer.alloc(0), 0, 0, 0, 0, 0, 0)
  return items.length
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
