/**
 * Records of the revive topic, JSON bodies with short names. A checkpoint names messages that a group
 * took and until when nobody else sees them; acknowledgements name messages of a checkpoint that were
 * processed. What a checkpoint names and nobody acknowledged comes again.
 * Source: apache/rocketmq store/…/pop/{PopCheckPoint,AckMsg,BatchAckMsg}.java,
 * broker/…/processor/PopMessageProcessor.java (genCkUniqueId, genAckUniqueId, genBatchAckUniqueId).
 */
import { flagOf, integerOf, listOf, parseBody, textOf } from './bodies/fields.ts'
import { LenientJsonError, jsonBody } from './lenient-json.ts'
import { POP_MESSAGES_MAX, ReviveTag } from './pop-names.ts'

/** What a checkpoint is known by; acknowledgements repeat it. */
export interface PopBatch {
  readonly topic: string
  readonly group: string
  readonly queueId: number
  readonly startOffset: number
  readonly popMs: number
  readonly brokerName: string
}

export interface Checkpoint extends PopBatch {
  readonly invisibleMs: number
  /** Distances of the messages from `startOffset`, at most 32. */
  readonly distances: readonly number[]
  /** Bit i: the i-th message is acknowledged. */
  readonly acked: number
  /** How often it was written again because its messages could not be read. */
  readonly putAgain: number
  /** The messages were put off rather than tried: that they come again does not count as a try. */
  readonly suspended: boolean
}

export interface Ack extends PopBatch {
  /** Of the messages that were processed. */
  readonly offsets: readonly number[]
  /** In the form for several messages, whatever their number. */
  readonly isBatch: boolean
}

/** When what is not acknowledged comes again, ms since 1970. */
export function reviveMsOf(checkpoint: Checkpoint): number {
  return checkpoint.popMs + checkpoint.invisibleMs
}

/** Equal for a checkpoint and its acknowledgements. */
export function batchKey(batch: PopBatch): string {
  const { topic, group, queueId, startOffset, popMs, brokerName } = batch
  return `${topic}@${group}@${queueId}@${startOffset}@${popMs}@${brokerName}`
}

export function encodeCheckpoint(checkpoint: Checkpoint): Buffer {
  const { acked, brokerName, group, distances, invisibleMs, popMs, queueId, putAgain } = checkpoint
  return jsonBody({
    bm: acked,
    bn: brokerName,
    c: group,
    d: [...distances],
    it: invisibleMs,
    n: distances.length,
    pt: popMs,
    q: queueId,
    reviveTime: reviveMsOf(checkpoint),
    ro: 0,
    rp: putAgain === 0 ? undefined : String(putAgain),
    so: checkpoint.startOffset,
    sp: checkpoint.suspended,
    t: checkpoint.topic,
  })
}

/** Null when the body is no checkpoint. An older one names a number of messages in a row instead of distances. */
export function decodeCheckpoint(body: Buffer): Checkpoint | null {
  const object = parse(body)
  if (object === null) return null
  const count = integerOf(object['n'])
  const listed = listOf(object['d']).map((distance) => integerOf(distance, -1))
  const distances = listed.length > 0 ? listed : Array.from(Array(clampCount(count)).keys())
  const group = textOf(object['c'])
  const topic = textOf(object['t'])
  if (group === '' || topic === '' || distances.length > POP_MESSAGES_MAX) return null
  if (distances.some((distance) => distance < 0)) return null
  const putAgain = textOf(object['rp'], '0')
  return {
    topic,
    group,
    queueId: integerOf(object['q']),
    startOffset: integerOf(object['so']),
    popMs: integerOf(object['pt']),
    invisibleMs: integerOf(object['it']),
    brokerName: textOf(object['bn']),
    distances,
    acked: integerOf(object['bm']),
    putAgain: /^\d{1,3}$/.test(putAgain) ? Number(putAgain) : 127,
    suspended: flagOf(object['sp']),
  }
}

export function encodeAck(ack: Ack): Buffer {
  const { brokerName, group, offsets, popMs, queueId, startOffset, topic } = ack
  return jsonBody({
    ao: ack.isBatch ? -1 : (offsets[0] ?? -1),
    aol: ack.isBatch ? [...offsets] : undefined,
    bn: brokerName,
    c: group,
    pt: popMs,
    q: queueId,
    so: startOffset,
    t: topic,
  })
}

/** Null when the body is no acknowledgement. Long names stand for the short ones in older records. */
export function decodeAck(body: Buffer): Ack | null {
  const object = parse(body)
  if (object === null) return null
  const member = (short: string, long: string) => object[short] ?? object[long]
  const list = member('aol', 'ackOffsetList')
  const topic = textOf(member('t', 'topic'))
  const group = textOf(member('c', 'consumerGroup'))
  if (topic === '' || group === '') return null
  const isBatch = list !== undefined
  const offsets = isBatch
    ? listOf(list).map((offset) => integerOf(offset, -1))
    : [integerOf(member('ao', 'ackOffset'), -1)]
  return {
    topic,
    group,
    queueId: integerOf(member('q', 'queueId')),
    startOffset: integerOf(member('so', 'startOffset')),
    popMs: integerOf(member('pt', 'popTime')),
    brokerName: textOf(member('bn', 'brokerName')),
    offsets,
    isBatch,
  }
}

/** UNIQ_KEY of a checkpoint's record. */
export function checkpointKey(checkpoint: Checkpoint): string {
  const { topic, queueId, startOffset, group, popMs, brokerName } = checkpoint
  return [topic, queueId, startOffset, group, popMs, brokerName, ReviveTag.checkpoint].join('@')
}

/** UNIQ_KEY of an acknowledgement's record; of several messages it names no offset, as with Apache. */
export function ackKey(ack: Ack): string {
  const { topic, queueId, group, popMs, brokerName, offsets } = ack
  const offset = ack.isBatch ? -1 : (offsets[0] ?? -1)
  return [topic, queueId, offset, group, popMs, brokerName, ReviveTag.ack].join('@')
}

/** The place of a message among those of its checkpoint; −1 when it is none of them. */
export function indexInCheckpoint(checkpoint: Checkpoint, offset: number): number {
  return checkpoint.distances.indexOf(offset - checkpoint.startOffset)
}

function parse(body: Buffer) {
  try {
    return parseBody(body)
  } catch (error) {
    if (error instanceof LenientJsonError) return null
    throw error
  }
}

function clampCount(count: number): number {
  return Math.max(0, Math.min(POP_MESSAGES_MAX, count))
}
