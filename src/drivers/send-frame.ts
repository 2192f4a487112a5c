/**
 * SEND_MESSAGE_V2 frames from a template. What differs between two messages to one queue has a
 * fixed width and is patched in place: the total length, the opaque (ten digits), the birth time
 * (13 digits, valid until the year 2286) and the tail of the unique id (12 hexadecimal digits).
 * The rest of the header is the text that Apache's own client writes.
 */
import { RequestCode } from '../protocol/codes.ts'
import { FRAME_PREFIX_BYTES } from '../protocol/frame.ts'
import type { OutBuffer } from '../remoting/out-buffer.ts'
import { KEY_DIGITS, type MessageKind } from './driver.ts'

/** Opaques have ten digits, so that a patch never moves a byte. */
export const FIRST_OPAQUE = 1_000_000_000
export const OPAQUE_COUNT = 1_000_000_000

const OPAQUE_HOLE = '1000000000'
const BORN_HOLE = '1000000000000'
const ID_TAIL_HOLE = 'zzzzzzzzzzzz'
const KEY_HOLE = 'k'.padEnd(KEY_DIGITS + 1, 'y')
const HEX = Buffer.from('0123456789ABCDEF')
const ZERO = 0x30

export interface SendFrameFields {
  readonly group: string
  readonly topic: string
  readonly broker: string
  readonly queueId: number
  readonly kind: MessageKind
  readonly keyed: boolean
  readonly oneWay: boolean
  /** The first 20 hexadecimal digits of the unique ids of this producer. */
  readonly idPrefix: string
}

/** `RPC_ONEWAY`, bit 1 of the flag. Source: RemotingCommand.java. */
const ONE_WAY_FLAG = 2

/** Properties of a message as they are stored, with holes for the tail of its id and for its key. */
export function propertiesWithHoles({ idPrefix, kind, keyed }: SendFrameFields): string {
  const pairs: [name: string, value: string][] = [
    ['UNIQ_KEY', `${idPrefix}${ID_TAIL_HOLE}`],
    ['WAIT', 'true'],
  ]
  if (kind.tag !== null) pairs.push(['TAGS', kind.tag])
  if (keyed) pairs.push(['KEYS', KEY_HOLE])
  pairs.push(...Object.entries(kind.properties))
  return pairs.map(([name, value]) => `${name}\u0001${value}\u0002`).join('')
}

/** The header of a send as text, with holes for its opaque and its birth time. */
export function sendHeader(fields: SendFrameFields, properties: string, isBatch: boolean): string {
  return JSON.stringify({
    code: isBatch ? RequestCode.SEND_BATCH_MESSAGE : RequestCode.SEND_MESSAGE_V2,
    extFields: {
      a: fields.group,
      b: fields.topic,
      c: 'TBW102',
      d: '4',
      e: String(fields.queueId),
      f: '0',
      g: BORN_HOLE,
      h: '0',
      i: properties,
      j: '0',
      k: 'false',
      m: String(isBatch),
      n: fields.broker,
    },
    flag: fields.oneWay ? ONE_WAY_FLAG : 0,
    language: 'JAVA',
    opaque: Number(OPAQUE_HOLE),
    serializeTypeCurrentRPC: 'JSON',
    version: 479,
  })
}

/** A whole frame with an empty body, as a template. */
export function frameOf(header: string): Buffer {
  const headerBytes = Buffer.byteLength(header)
  const template = Buffer.allocUnsafeSlow(FRAME_PREFIX_BYTES + headerBytes)
  template.writeInt32BE(0, 0)
  template.writeInt32BE(headerBytes, 4)
  template.write(header, FRAME_PREFIX_BYTES)
  return template
}

/** Where a frame's opaque and birth time stand. */
export function frameHoles(template: Buffer): { opaqueAt: number; bornAt: number } {
  return {
    opaqueAt: template.indexOf(`"opaque":${OPAQUE_HOLE}`) + '"opaque":'.length,
    bornAt: template.indexOf(`"g":"${BORN_HOLE}`) + '"g":"'.length,
  }
}

/** Where the tail of the id and the digits of the key stand; the latter 0 when there is none. */
export function messageHoles(template: Buffer): { idAt: number; keyAt: number } {
  return {
    idAt: template.indexOf(ID_TAIL_HOLE),
    keyAt: template.indexOf(KEY_HOLE) + 1,
  }
}

export class SendFrame {
  readonly #template: Buffer
  readonly #opaqueAt: number
  readonly #bornAt: number
  readonly #idAt: number
  readonly #keyAt: number
  #bornMs = 0

  constructor(fields: SendFrameFields) {
    this.#template = frameOf(sendHeader(fields, propertiesWithHoles(fields), false))
    const { opaqueAt, bornAt } = frameHoles(this.#template)
    const { idAt, keyAt } = messageHoles(this.#template)
    this.#opaqueAt = opaqueAt
    this.#bornAt = bornAt
    this.#idAt = idAt
    this.#keyAt = keyAt
  }

  /** Bytes of a frame without its body. */
  get headBytes(): number {
    return this.#template.length
  }

  /** Stages one frame. `sinceMonthMs` and `counter` end the unique id. */
  write(
    out: OutBuffer,
    opaque: number,
    bornMs: number,
    sinceMonthMs: number,
    counter: number,
    body: Buffer,
    bodyStart: number,
    bodyEnd: number,
    key = 0,
  ): void {
    const template = this.#template
    if (bornMs !== this.#bornMs) {
      this.#bornMs = bornMs
      writeDigits(template, this.#bornAt, 13, bornMs)
      writeHex(template, this.#idAt, 8, sinceMonthMs)
    }
    const headBytes = template.length
    const frameBytes = headBytes + bodyEnd - bodyStart
    const at = out.reserve(frameBytes)
    const { bytes } = out
    template.copy(bytes, at)
    bytes.writeInt32BE(frameBytes - 4, at)
    writeDigits(bytes, at + this.#opaqueAt, 10, opaque)
    writeHex(bytes, at + this.#idAt + 8, 4, counter)
    if (this.#keyAt !== 0) writeDigits(bytes, at + this.#keyAt, KEY_DIGITS, key)
    body.copy(bytes, at + headBytes, bodyStart, bodyEnd)
    out.length = at + frameBytes
  }
}

export function writeDigits(target: Buffer, start: number, count: number, value: number): void {
  let rest = value
  for (let at = start + count - 1; at >= start; at -= 1) {
    const shorter = Math.floor(rest / 10)
    target[at] = ZERO + rest - shorter * 10
    rest = shorter
  }
}

export function writeHex(target: Buffer, start: number, count: number, value: number): void {
  let rest = value
  for (let at = start + count - 1; at >= start; at -= 1) {
    target[at] = HEX[rest & 15] ?? ZERO
    rest >>>= 4
  }
}
