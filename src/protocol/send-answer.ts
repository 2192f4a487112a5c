/**
 * Answers that go out by the hundred thousand, written as bytes. That to a send: the same JSON header for every message but for four
 * numbers. The client dereferences extFields for every code and parses msgId, so both are always
 * there. Source: apache/rocketmq client/…/MQClientAPIImpl.java (processSendResponse).
 */
import { copyBytes, readI32, writeI32 } from '../base/bytes.ts'
import { ResponseCode } from './codes.ts'
import {
  type Command,
  type ExtFields,
  OUR_LANGUAGE,
  PROTOCOL_VERSION,
  SerializeType,
  respond,
} from './command.ts'
import { FRAME_PREFIX_BYTES } from './frame.ts'

const ZERO = 0x30
const TEN_9 = 1_000_000_000

/** Writes a whole number in [0, 2^53) as decimal text; returns the end. */
export function writeDecimal(target: Buffer, value: number, at: number): number {
  if (value >= TEN_9) {
    const high = Math.floor(value / TEN_9)
    at = writeDecimal(target, high, at)
    let low = value - high * TEN_9
    for (let i = at + 8; i >= at; i--) {
      const rest = (low / 10) | 0
      target[i] = ZERO + low - rest * 10
      low = rest
    }
    return at + 9
  }
  let digits = 1
  for (let bound = 10; value >= bound; bound *= 10) digits++
  let rest = value | 0
  for (let i = at + digits - 1; i >= at; i--) {
    const next = (rest / 10) | 0
    target[i] = ZERO + rest - next * 10
    rest = next
  }
  return at + digits
}

/** Writes the 16 upper-case hexadecimal digits of a whole number in [0, 2^53). */
function writeHex64(target: Buffer, value: number, at: number): number {
  const high = Math.floor(value / 0x1_0000_0000)
  writeHex32(target, high, at)
  writeHex32(target, value - high * 0x1_0000_0000, at + 8)
  return at + 16
}

function writeHex32(target: Buffer, value: number, at: number): void {
  for (let i = 0; i < 8; i++) {
    const digit = (value >>> (28 - 4 * i)) & 15
    target[at + i] = digit < 10 ? ZERO + digit : 0x37 + digit
  }
}

export class SendAnswerWriter {
  /** Room that one answer needs at most. */
  readonly bytesMax: number
  readonly #head: Buffer
  readonly #queueId = Buffer.from('","queueId":"', 'latin1')
  readonly #queueOffset = Buffer.from('","queueOffset":"', 'latin1')
  readonly #opaque = Buffer.from(`"},"flag":1,"language":"${OUR_LANGUAGE}","opaque":`, 'latin1')
  readonly #transactionId = Buffer.from('","transactionId":"', 'latin1')

  /** `storeHost` is the broker's own address in record form; it stands in every message id. */
  constructor(storeHost: Buffer, region: string, traceOn: boolean) {
    this.#head = Buffer.from(
      '\0'.repeat(FRAME_PREFIX_BYTES) +
        `{"code":0,"extFields":{"MSG_REGION":${JSON.stringify(region)},"TRACE_ON":"${traceOn}"` +
        `,"msgId":"${storeHost.toString('hex').toUpperCase()}`,
    )
    this.bytesMax =
      this.#head.length + 16 + 16 + 16 + 16 + 17 + this.#opaque.length + 12 + frameTail.length
  }

  /** Room that an answer with this transaction id needs at most. */
  bytesMaxWith(transactionId: string): number {
    return this.bytesMax + this.#transactionId.length + transactionId.length
  }

  /**
   * Writes the frame of a successful answer at `at`; returns its end.
   * @param transactionId letters and digits only; empty for none
   */
  write(
    target: Buffer,
    at: number,
    opaque: number,
    queueId: number,
    queueOffset: number,
    physicalOffset: number,
    transactionId = '',
  ): number {
    const start = at
    at = copyBytes(this.#head, 0, this.#head.length, target, at)
    at = writeHex64(target, physicalOffset, at)
    at = copyBytes(this.#queueId, 0, this.#queueId.length, target, at)
    at = writeDecimal(target, queueId, at)
    at = copyBytes(this.#queueOffset, 0, this.#queueOffset.length, target, at)
    at = writeDecimal(target, queueOffset, at)
    if (transactionId !== '') {
      at = copyBytes(this.#transactionId, 0, this.#transactionId.length, target, at)
      at += target.write(transactionId, at, 'latin1')
    }
    at = copyBytes(this.#opaque, 0, this.#opaque.length, target, at)
    return endFrame(target, start, at, opaque)
  }
}

const successHead = Buffer.from(
  '\0'.repeat(FRAME_PREFIX_BYTES) + '{"code":0,"extFields":{',
  'latin1',
)
const successOpaque = Buffer.from(`},"flag":1,"language":"${OUR_LANGUAGE}","opaque":`, 'latin1')
const frameTail = Buffer.from(
  `,"serializeTypeCurrentRPC":"JSON","version":${PROTOCOL_VERSION}}`,
  'latin1',
)
/** Room that `writeSuccess` needs at most. */
export const SUCCESS_BYTES_MAX: number =
  successHead.length + successOpaque.length + 12 + frameTail.length

/** Writes the frame of an answer that says nothing but that it is done; returns its end. */
export function writeSuccess(target: Buffer, start: number, opaque: number): number {
  const at = copyBytes(successHead, 0, successHead.length, target, start)
  return endFrame(
    target,
    start,
    copyBytes(successOpaque, 0, successOpaque.length, target, at),
    opaque,
  )
}

/** The answer that `writeSuccess` wrote into bytes [start, end); null for any other frame, which says it its own way. */
export function readSuccess(bytes: Buffer, start: number, end: number): Command | null {
  const digits = end - start - successHead.length - successOpaque.length - frameTail.length
  if (digits < 1 || digits > 10) return null
  const length = end - start - 4
  if (readI32(bytes, start) !== length || readI32(bytes, start + 4) !== length - 4) return null
  const opaqueStart = start + successHead.length + successOpaque.length
  const opaqueEnd = opaqueStart + digits
  if (
    !hasAt(bytes, opaqueEnd, frameTail, 0) ||
    !hasAt(bytes, opaqueStart - successOpaque.length, successOpaque, 0) ||
    !hasAt(bytes, start + FRAME_PREFIX_BYTES, successHead, FRAME_PREFIX_BYTES)
  ) {
    return null
  }
  let opaque = 0
  for (let at = opaqueStart; at < opaqueEnd; at++) {
    const digit = (bytes[at] ?? 0) - ZERO
    if (digit < 0 || digit > 9) return null
    opaque = opaque * 10 + digit
  }
  if (digits > 1 && bytes[opaqueStart] === ZERO) return null
  const asked = { opaque: opaque | 0, serializeType: SerializeType.json }
  const command = respond(asked, ResponseCode.SUCCESS)
  command.ext = Object.create(null) as ExtFields
  return command
}

/** Whether the text from `from` on stands at `at`. */
function hasAt(bytes: Buffer, at: number, text: Buffer, from: number): boolean {
  for (let i = from; i < text.length; i++) if (bytes[at + i - from] !== text[i]) return false
  return true
}

/** Writes the number of the request at `at`, what stands behind it, and the lengths of the frame. */
function endFrame(target: Buffer, start: number, at: number, opaque: number): number {
  if (opaque < 0) {
    target[at++] = 0x2d
    at = writeDecimal(target, -opaque, at)
  } else at = writeDecimal(target, opaque, at)
  at = copyBytes(frameTail, 0, frameTail.length, target, at)
  const length = at - start - 4
  writeI32(target, length, start)
  writeI32(target, length - 4, start + 4)
  return at
}
