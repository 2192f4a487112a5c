/**
 * Body of BATCH_ACK_MESSAGE: messages of several checkpoints that were processed. Those of one
 * checkpoint are bits of a set: bit i, little end first, is the offset startOffset + i; base64.
 * Source: apache/rocketmq remoting/…/body/{BatchAckMessageRequestBody,BatchAck}.java,
 * remoting/…/BitSetSerializerDeserializer.java.
 */
import { jsonBody } from '../lenient-json.ts'
import { integerOf, listOf, objectOf, parseBody, textOf } from './fields.ts'

export interface BatchAck {
  readonly group: string
  /** The plain topic; `retryFlag` says whether its retry topic is meant. */
  readonly topic: string
  readonly retryFlag: string
  readonly startOffset: number
  readonly queueId: number
  readonly reviveQueueId: number
  readonly popMs: number
  readonly invisibleMs: number
  readonly offsets: readonly number[]
}

export interface BatchAckBody {
  readonly brokerName: string
  readonly acks: readonly BatchAck[]
}

/** A set has this many bytes at most: offsets of one batch lie near each other. */
const SET_BYTES_MAX = 128 * 1024
const OFFSETS_MAX = 1_024

export function decodeBatchAck(body: Buffer | null): BatchAckBody {
  const object = parseBody(body)
  return {
    brokerName: textOf(object['brokerName']),
    acks: listOf(object['acks']).map((value) => {
      const ack = objectOf(value)
      const member = (short: string, long: string) => ack[short] ?? ack[long]
      const startOffset = integerOf(member('so', 'startOffset'))
      return {
        group: textOf(member('c', 'consumerGroup')),
        topic: textOf(member('t', 'topic')),
        retryFlag: textOf(member('r', 'retry')),
        startOffset,
        queueId: integerOf(member('q', 'queueId')),
        reviveQueueId: integerOf(member('rq', 'reviveQueueId')),
        popMs: integerOf(member('pt', 'popTime')),
        invisibleMs: integerOf(member('it', 'invisibleTime')),
        offsets: bitsOf(textOf(member('b', 'bitSet'))).map((bit) => startOffset + bit),
      }
    }),
  }
}

export function encodeBatchAck({ brokerName, acks }: BatchAckBody): Buffer {
  return jsonBody({
    acks: acks.map((ack) => ({
      b: bitSetOf(ack.offsets.map((offset) => offset - ack.startOffset)),
      c: ack.group,
      it: ack.invisibleMs,
      pt: ack.popMs,
      q: ack.queueId,
      r: ack.retryFlag,
      rq: ack.reviveQueueId,
      so: ack.startOffset,
      t: ack.topic,
    })),
    brokerName,
  })
}

function bitsOf(base64: string): number[] {
  const bytes = Buffer.from(base64, 'base64').subarray(0, SET_BYTES_MAX)
  const bits: number[] = []
  for (const [index, byte] of bytes.entries()) {
    for (let bit = 0; bit < 8; bit++) {
      if ((byte & (1 << bit)) !== 0) bits.push(index * 8 + bit)
    }
    if (bits.length > OFFSETS_MAX) break
  }
  return bits.slice(0, OFFSETS_MAX)
}

function bitSetOf(bits: readonly number[]): string {
  const bytes = Buffer.alloc(Math.floor(Math.max(-1, ...bits) / 8) + 1)
  for (const bit of bits) {
    const index = bit >>> 3
    bytes[index] = (bytes[index] ?? 0) | (1 << (bit & 7))
  }
  return bytes.toString('base64')
}
