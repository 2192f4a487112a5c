/**
 * SEND_MESSAGE_V2 frames from a template. What differs between two messages to one queue has a
 * fixed width and is patched in place: the total length, the opaque (ten digits), the birth time
 * (13 digits, valid until the year 2286) and the tail of the unique id (12 hexadecimal digits).
 * The rest of the header is the text that Apache's own client writes.
 */
import { RequestCode } from '../protocol/codes.ts'
import { FRAME_PREFIX_BYTES } from '../protocol/frame.ts'
import type { OutBuffer } from '../remoting/out-buffer.ts'

/** Opaques have ten digits, so that a patch never moves a byte. */
export const FIRST_OPAQUE = 1_000_000_000
export const OPAQUE_COUNT = 1_000_000_000

const OPAQUE_HOLE = '1000000000'
const BORN_HOLE = '1000000000000'
const ID_TAIL_HOLE = 'zzzzzzzzzzzz'
const HEX = Buffer.from('0123456789ABCDEF')
const ZERO = 0x30

export interface SendFrameFields {
  readonly group: string
  readonly topic: string
  readonly broker: string
  readonly queueId: number
  readonly tag: string | null
  /** The first 20 hexadecimal digits of the unique ids of this producer. */
  readonly idPrefix: string
}

export class SendFrame {
  readonly #template: Buffer
  readonly #opaqueAt: number
  readonly #bornAt: number
  readonly #idAt: number
  #bornMs = 0

  constructor(fields: SendFrameFields) {
    const tag = fields.tag === null ? '' : `TAGS\u0001${fields.tag}\u0002`
    const properties = `UNIQ_KEY\u0001${fields.idPrefix}${ID_TAIL_HOLE}\u0002WAIT\u0001true\u0002${tag}`
    const header = JSON.stringify({
      code: RequestCode.SEND_MESSAGE_V2,
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
        m: 'false',
        n: fields.broker,
      },
      flag: 0,
      language: 'JAVA',
      opaque: Number(OPAQUE_HOLE),
      serializeTypeCurrentRPC: 'JSON',
      version: 479,
    })
    const headerBytes = Buffer.byteLength(header)
    this.#template = Buffer.allocUnsafeSlow(FRAME_PREFIX_BYTES + headerBytes)
    this.#template.writeInt32BE(0, 0)
    this.#template.writeInt32BE(headerBytes, 4)
    this.#template.write(header, FRAME_PREFIX_BYTES)
    this.#opaqueAt = this.#hole(`"opaque":${OPAQUE_HOLE}`) + '"opaque":'.length
    this.#bornAt = this.#hole(`"g":"${BORN_HOLE}`) + '"g":"'.length
    this.#idAt = this.#hole(ID_TAIL_HOLE)
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
    body.copy(bytes, at + headBytes, bodyStart, bodyEnd)
    out.length = at + frameBytes
  }

  #hole(text: string): number {
    return this.#template.indexOf(text)
  }
}

function writeDigits(target: Buffer, start: number, count: number, value: number): void {
  let rest = value
  for (let at = start + count - 1; at >= start; at -= 1) {
    const shorter = Math.floor(rest / 10)
    target[at] = ZERO + rest - shorter * 10
    rest = shorter
  }
}

function writeHex(target: Buffer, start: number, count: number, value: number): void {
  let rest = value
  for (let at = start + count - 1; at >= start; at -= 1) {
    target[at] = HEX[rest & 15] ?? ZERO
    rest >>>= 4
  }
}
