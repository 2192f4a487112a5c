/**
 * One stored message, as it lies in the commit log and in the body of a pull answer. Big-endian.
 * B and S are 8 bytes (IPv4) or 20 (IPv6), told by sysFlag bits 0x10 and 0x20.
 *
 *    0 i32 totalSize    bytes, this field included     36     i32 sysFlag
 *    4 i32 magic        V1 0xDAA320A7, V2 0xDAA320AB   40     i64 bornTimestamp   ms since 1970
 *    8 i32 bodyCrc      CRC-32 & 0x7FFFFFFF            48     B   bornHost        address, port i32
 *   12 i32 queueId                                     48+B   i64 storeTimestamp  ms
 *   16 i32 flag         the producer's own             56+B   S   storeHost
 *   20 i64 queueOffset  position in its queue          56+B+S i32 reconsumeTimes
 *   28 i64 physicalOffset  position in the log                i64 preparedTransactionOffset
 *
 *   then: i32 bodyLength, body · topicLength (V1 i8, V2 i16), topic · i16 propertiesLength, properties
 *
 * V2 is written when the topic is longer than 127. A blank record (i32 rest of the segment, i32
 * 0xCBD43194) ends a segment.
 * Source: apache/rocketmq store/…/MessageExtEncoder.java, store/…/CommitLog.java
 * (checkMessageAndReturnSize), common/…/message/MessageDecoder.java.
 */
import { crc32 } from 'node:zlib'
import { copyBytes, readI16, readI32, readI8, viewOf, writeI32 } from '../base/bytes.ts'
import { fitsI64, readI64, writeI64 } from '../base/i64.ts'
import { decodeHost, HOST_V4_BYTES, HOST_V6_BYTES } from './host.ts'
import { encodeOffsetId } from './message-id.ts'
import { parseProperties, PROPERTY_SEPARATOR, type Properties } from './properties.ts'
import { compressionOf, SysFlag, type Compression } from './sys-flag.ts'

const MAGIC_V1 = 0xdaa320a7 | 0
const MAGIC_V2 = 0xdaa320ab | 0
export const MAGIC_BLANK = 0xcbd43194 | 0
/** What a blank record needs: its size and its magic. */
export const BLANK_BYTES = 8
/** A record with IPv4 hosts and without body, topic and properties. */
export const RECORD_BYTES_MIN = 91
export const QUEUE_OFFSET_AT = 20
export const PHYSICAL_OFFSET_AT = 28
/** Longest topic of a V1 record. */
export const TOPIC_BYTES_V1_MAX = 127
/** Longest topic of any record: those of retries and dead letters. */
export const RETRY_TOPIC_BYTES_MAX = 255

const NOTHING = Buffer.alloc(0)

/**
 * What a record is made of, as byte ranges that stay where they are. One object is made by the
 * writer, filled for each message and never kept; the ranges are read during the call only.
 */
export class RecordParts {
  /** The whole buffer is the topic, UTF-8. */
  topic: Buffer = NOTHING
  queueId = 0
  flag = 0
  /** The two host bits are set by `encodeRecord`. */
  sysFlag = 0
  /** Milliseconds since 1970; any safe integer. */
  bornTimestamp = 0
  /** Address and port, 8 or 20 bytes. */
  bornHost: Buffer = Buffer.alloc(HOST_V4_BYTES)
  reconsumeTimes = 0
  preparedTransactionOffset = 0
  body: Buffer = NOTHING
  bodyStart = 0
  bodyEnd = 0
  properties: Buffer = NOTHING
  propertiesStart = 0
  propertiesEnd = 0
  /** Pairs that the broker adds behind the sender's; the whole buffer. A missing 0x02 is put between. */
  suffix: Buffer = NOTHING
}

/** Whether a 0x02 has to stand between the sender's properties and the suffix. */
function needsSeparator(parts: RecordParts): boolean {
  return (
    parts.suffix.length > 0 &&
    parts.propertiesEnd > parts.propertiesStart &&
    parts.properties[parts.propertiesEnd - 1] !== PROPERTY_SEPARATOR
  )
}

/** Bytes of the properties as they will be stored. */
export function propertiesBytes(parts: RecordParts): number {
  return (
    parts.propertiesEnd -
    parts.propertiesStart +
    parts.suffix.length +
    (needsSeparator(parts) ? 1 : 0)
  )
}

/** Bytes that the record will take; `storeHostBytes` is 8 or 20. */
export function recordBytes(parts: RecordParts, storeHostBytes: number): number {
  return (
    75 +
    parts.bornHost.length +
    storeHostBytes +
    (parts.topic.length > TOPIC_BYTES_V1_MAX ? 1 : 0) +
    (parts.bodyEnd - parts.bodyStart) +
    parts.topic.length +
    propertiesBytes(parts)
  )
}

/** CRC-32 of bytes [start, end) as records carry it: without the sign bit, 0 for nothing. */
export function bodyCrcOf(bytes: Buffer, start: number, end: number): number {
  return start === end ? 0 : crc32(viewOf(bytes, start, end)) & 0x7fffffff
}

/**
 * Writes the record at `start` of `target`, which has room for `recordBytes`; returns its end.
 * Lengths must be within the layout's limits (properties 32,767, topic 32,767 bytes).
 */
export function encodeRecord(
  target: Buffer,
  start: number,
  parts: RecordParts,
  storeHost: Buffer,
  queueOffset: number,
  physicalOffset: number,
  storeTimestamp: number,
): number {
  const { topic, body, bodyStart, bodyEnd, bornHost, suffix } = parts
  const v2 = topic.length > TOPIC_BYTES_V1_MAX
  let sysFlag = parts.sysFlag & ~(SysFlag.bornHostV6 | SysFlag.storeHostV6)
  if (bornHost.length === HOST_V6_BYTES) sysFlag |= SysFlag.bornHostV6
  if (storeHost.length === HOST_V6_BYTES) sysFlag |= SysFlag.storeHostV6

  const bodyView = viewOf(body, bodyStart, bodyEnd)
  writeI32(target, v2 ? MAGIC_V2 : MAGIC_V1, start + 4)
  writeI32(target, bodyStart === bodyEnd ? 0 : crc32(bodyView) & 0x7fffffff, start + 8)
  writeI32(target, parts.queueId, start + 12)
  writeI32(target, parts.flag, start + 16)
  writeI64(target, queueOffset, start + 20)
  writeI64(target, physicalOffset, start + 28)
  writeI32(target, sysFlag, start + 36)
  writeI64(target, parts.bornTimestamp, start + 40)
  let at = copyBytes(bornHost, 0, bornHost.length, target, start + 48)
  at = writeI64(target, storeTimestamp, at)
  at = copyBytes(storeHost, 0, storeHost.length, target, at)
  at = writeI32(target, parts.reconsumeTimes, at)
  at = writeI64(target, parts.preparedTransactionOffset, at)
  at = writeI32(target, bodyEnd - bodyStart, at)
  target.set(bodyView, at)
  at += bodyEnd - bodyStart
  if (v2) target[at++] = topic.length >>> 8
  target[at++] = topic.length
  at = copyBytes(topic, 0, topic.length, target, at)
  const propertiesLength = propertiesBytes(parts)
  target[at++] = propertiesLength >>> 8
  target[at++] = propertiesLength
  at = copyBytes(parts.properties, parts.propertiesStart, parts.propertiesEnd, target, at)
  if (needsSeparator(parts)) target[at++] = PROPERTY_SEPARATOR
  at = copyBytes(suffix, 0, suffix.length, target, at)
  writeI32(target, at - start, start)
  return at
}

export const RecordVerdict = {
  /** A whole, valid record. */
  ok: 0,
  /** The end of a segment; the next record stands at the start of the next one. */
  blank: 1,
  /** No record: magic, a length or the checksum is wrong. `fault` says which. */
  bad: 2,
  /** The start of a record that goes on beyond the bytes that were given. */
  partial: 3,
} as const
export type RecordVerdict = (typeof RecordVerdict)[keyof typeof RecordVerdict]

/** The position and fields of one record; made once and reused. Valid after `check` returned `ok`. */
export class RecordView {
  /** Whole record, bytes. After `partial` the bytes it claims; after `blank` those of the blank. */
  size = 0
  queueId = 0
  queueOffset = 0
  physicalOffset = 0
  sysFlag = 0
  storeTimestamp = 0
  bornHostAt = 0
  bornHostBytes = 0
  storeHostAt = 0
  storeHostBytes = 0
  bodyStart = 0
  bodyEnd = 0
  topicStart = 0
  topicEnd = 0
  propertiesStart = 0
  propertiesEnd = 0
  /** What was wrong, after `bad`. */
  fault = ''

  #bad(fault: string): RecordVerdict {
    this.fault = fault
    return RecordVerdict.bad
  }

  /**
   * The store time in the first bytes of a record that should stand at `physicalOffset` (84 bytes
   * are enough for any), without looking at the rest; −1 when they are no record's.
   */
  static storeTimeOf(bytes: Buffer, physicalOffset: number): number {
    if (bytes.length < 84) return -1
    const magic = bytes.readInt32BE(4)
    if (magic !== MAGIC_V1 && magic !== MAGIC_V2) return -1
    if (!fitsI64(bytes, PHYSICAL_OFFSET_AT)) return -1
    if (readI64(bytes, PHYSICAL_OFFSET_AT) !== physicalOffset) return -1
    const v6 = (bytes.readInt32BE(36) & SysFlag.bornHostV6) !== 0
    const at = 48 + (v6 ? HOST_V6_BYTES : HOST_V4_BYTES)
    return fitsI64(bytes, at) ? readI64(bytes, at) : -1
  }

  /**
   * Judges bytes [start, end) as Apache's checkMessageAndReturnSize does. Never throws, whatever
   * the bytes. The stored physicalOffset is reported, not compared. Beyond Apache: 64-bit fields
   * that no real log has (above 2^53) are bad.
   */
  check(bytes: Buffer, start: number, end: number, checkCrc: boolean): RecordVerdict {
    const room = end - start
    if (room < BLANK_BYTES) return RecordVerdict.partial
    const size = readI32(bytes, start)
    const magic = readI32(bytes, start + 4)
    this.size = size
    if (magic === MAGIC_BLANK) {
      return size >= BLANK_BYTES ? RecordVerdict.blank : this.#bad('blank record too short')
    }
    if (magic !== MAGIC_V1 && magic !== MAGIC_V2) return this.#bad('magic')
    if (size < RECORD_BYTES_MIN) return this.#bad('size')
    if (size > room) return RecordVerdict.partial

    const stop = start + size
    const sysFlag = readI32(bytes, start + 36)
    const bornHostBytes = (sysFlag & SysFlag.bornHostV6) === 0 ? HOST_V4_BYTES : HOST_V6_BYTES
    const storeHostBytes = (sysFlag & SysFlag.storeHostV6) === 0 ? HOST_V4_BYTES : HOST_V6_BYTES
    const storeTimestampAt = start + 48 + bornHostBytes
    const storeHostAt = storeTimestampAt + 8
    const bodyLengthAt = storeHostAt + storeHostBytes + 12
    const bodyStart = bodyLengthAt + 4
    if (bodyStart + 3 > stop) return this.#bad('size below its own header')
    if (
      !fitsI64(bytes, start + QUEUE_OFFSET_AT) ||
      !fitsI64(bytes, start + PHYSICAL_OFFSET_AT) ||
      !fitsI64(bytes, storeTimestampAt)
    ) {
      return this.#bad('offset or time out of range')
    }
    const bodyLength = readI32(bytes, bodyLengthAt)
    if (bodyLength < 0 || bodyLength > stop - bodyStart - 3) return this.#bad('body length')
    const bodyEnd = bodyStart + bodyLength
    const v2 = magic === MAGIC_V2
    const topicLength = v2 ? readI16(bytes, bodyEnd) : readI8(bytes, bodyEnd)
    const topicStart = bodyEnd + (v2 ? 2 : 1)
    if (topicLength < 0 || topicStart + topicLength + 2 > stop) return this.#bad('topic length')
    const topicEnd = topicStart + topicLength
    const propertiesLength = readI16(bytes, topicEnd)
    if (propertiesLength < 0 || topicEnd + 2 + propertiesLength !== stop) {
      return this.#bad('lengths that do not add up')
    }
    if (
      checkCrc &&
      bodyLength > 0 &&
      bodyCrcOf(bytes, bodyStart, bodyEnd) !== readI32(bytes, start + 8)
    ) {
      return this.#bad('body checksum')
    }
    this.queueId = readI32(bytes, start + 12)
    this.queueOffset = readI64(bytes, start + QUEUE_OFFSET_AT)
    this.physicalOffset = readI64(bytes, start + PHYSICAL_OFFSET_AT)
    this.sysFlag = sysFlag
    this.storeTimestamp = readI64(bytes, storeTimestampAt)
    this.bornHostAt = start + 48
    this.bornHostBytes = bornHostBytes
    this.storeHostAt = storeHostAt
    this.storeHostBytes = storeHostBytes
    this.bodyStart = bodyStart
    this.bodyEnd = bodyEnd
    this.topicStart = topicStart
    this.topicEnd = topicEnd
    this.propertiesStart = topicEnd + 2
    this.propertiesEnd = stop
    return RecordVerdict.ok
  }
}

/** A record as values. `body` is a view into the bytes it was decoded from, as it was sent. */
export interface StoredMessage {
  readonly topic: string
  readonly queueId: number
  readonly queueOffset: number
  readonly physicalOffset: number
  readonly flag: number
  readonly sysFlag: number
  readonly bornTimestamp: number
  readonly bornHost: string
  readonly storeTimestamp: number
  readonly storeHost: string
  readonly reconsumeTimes: number
  readonly preparedTransactionOffset: number
  readonly bodyCrc: number
  readonly body: Buffer
  /** How `body` is compressed; `plainBytes` undoes it. */
  readonly compression: Compression
  readonly properties: Properties
  /** What people know it by: the producer's UNIQ_KEY, or else the offset id. */
  readonly messageId: string
  readonly offsetMessageId: string
  /** Bytes of the whole record. */
  readonly sizeBytes: number
}

function readI64Roughly(bytes: Buffer, at: number): number {
  return fitsI64(bytes, at) ? readI64(bytes, at) : Number(bytes.readBigInt64BE(at))
}

const view = new RecordView()

/** The record at `start`, or null when there is no whole, valid one. Never throws. */
export function decodeRecord(
  bytes: Buffer,
  start: number,
  end: number,
  checkCrc = true,
): StoredMessage | null {
  if (view.check(bytes, start, end, checkCrc) !== RecordVerdict.ok) return null
  const storeHost = bytes.subarray(view.storeHostAt, view.storeHostAt + view.storeHostBytes)
  const properties = parseProperties(
    bytes.toString('utf8', view.propertiesStart, view.propertiesEnd),
  )
  const offsetMessageId = encodeOffsetId(storeHost, view.physicalOffset)
  const reconsumeAt = view.storeHostAt + view.storeHostBytes
  return {
    topic: bytes.toString('utf8', view.topicStart, view.topicEnd),
    queueId: view.queueId,
    queueOffset: view.queueOffset,
    physicalOffset: view.physicalOffset,
    flag: bytes.readInt32BE(start + 16),
    sysFlag: view.sysFlag,
    bornTimestamp: readI64Roughly(bytes, start + 40),
    bornHost: decodeHost(bytes, view.bornHostAt, view.bornHostBytes),
    storeTimestamp: view.storeTimestamp,
    storeHost: decodeHost(bytes, view.storeHostAt, view.storeHostBytes),
    reconsumeTimes: bytes.readInt32BE(reconsumeAt),
    preparedTransactionOffset: readI64Roughly(bytes, reconsumeAt + 4),
    bodyCrc: bytes.readInt32BE(start + 8),
    body: bytes.subarray(view.bodyStart, view.bodyEnd),
    compression: compressionOf(view.sysFlag),
    properties,
    messageId: properties['UNIQ_KEY'] ?? offsetMessageId,
    offsetMessageId,
    sizeBytes: view.size,
  }
}

export interface DecodedRecords {
  readonly messages: StoredMessage[]
  /** Why decoding stopped before the end; null when every byte belonged to a valid record. */
  readonly fault: string | null
}

/** All records of a pull or query body, back to back. Stops at the first byte that is no record. */
export function decodeRecords(bytes: Buffer, checkCrc = true): DecodedRecords {
  const messages: StoredMessage[] = []
  let at = 0
  while (at < bytes.length) {
    const message = decodeRecord(bytes, at, bytes.length, checkCrc)
    if (message === null) return { messages, fault: `no valid record at byte ${at} of the body` }
    messages.push(message)
    at += message.sizeBytes
  }
  return { messages, fault: null }
}
