/**
 * SEND_BATCH_MESSAGE frames: many messages of one topic and queue in one request with one answer.
 * Items are encoded one by one into a buffer of the producer's, each from the template of its kind;
 * the frame's head comes from the template of its lane. Layout: `protocol/batch-body.ts`.
 */
import type { OutBuffer } from '../remoting/out-buffer.ts'
import { KEY_DIGITS } from './driver.ts'
import {
  type SendFrameFields,
  frameHoles,
  frameOf,
  messageHoles,
  propertiesWithHoles,
  sendHeader,
  writeDigits,
  writeHex,
} from './send-frame.ts'

const ITEM_HEAD_BYTES = 20
const INITIAL_BYTES = 64 * 1024

interface ItemTemplate {
  readonly properties: Buffer
  readonly idAt: number
  readonly keyAt: number
}

/** The messages of the batch that is being filled. */
export class BatchItems {
  bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES)
  /** Bytes that are filled. */
  length = 0
  count = 0
  readonly #templates: readonly ItemTemplate[]

  /** @param fields of each kind; what concerns the lane is not looked at */
  constructor(fields: readonly SendFrameFields[]) {
    this.#templates = fields.map((one) => {
      const properties = Buffer.from(propertiesWithHoles(one))
      return { properties, ...messageHoles(properties) }
    })
  }

  /** `sinceMonthMs` and `counter` end the unique id. */
  add(
    body: Buffer,
    start: number,
    end: number,
    kind: number,
    key: number,
    sinceMonthMs: number,
    counter: number,
  ): void {
    const template = this.#templates[kind]
    if (template === undefined) return
    const { properties, idAt, keyAt } = template
    const bodyBytes = end - start
    const size = ITEM_HEAD_BYTES + bodyBytes + 2 + properties.length
    const at = this.length
    if (at + size > this.bytes.length) this.#grow(at + size)
    const { bytes } = this
    bytes.writeInt32BE(size, at)
    bytes.fill(0, at + 4, at + 16)
    bytes.writeInt32BE(bodyBytes, at + 16)
    body.copy(bytes, at + ITEM_HEAD_BYTES, start, end)
    const propertiesAt = at + ITEM_HEAD_BYTES + bodyBytes + 2
    bytes.writeInt16BE(properties.length, propertiesAt - 2)
    properties.copy(bytes, propertiesAt)
    writeHex(bytes, propertiesAt + idAt, 8, sinceMonthMs)
    writeHex(bytes, propertiesAt + idAt + 8, 4, counter)
    if (keyAt !== 0) writeDigits(bytes, propertiesAt + keyAt, KEY_DIGITS, key)
    this.length = at + size
    this.count += 1
  }

  clear(): void {
    this.length = 0
    this.count = 0
  }

  #grow(needed: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2))
    this.bytes.copy(larger, 0, 0, this.length)
    this.bytes = larger
  }
}

/** Frames of one lane. */
export class BatchFrame {
  readonly #template: Buffer
  readonly #opaqueAt: number
  readonly #bornAt: number

  constructor(fields: SendFrameFields) {
    this.#template = frameOf(sendHeader(fields, 'WAIT\u0001true\u0002', true))
    const { opaqueAt, bornAt } = frameHoles(this.#template)
    this.#opaqueAt = opaqueAt
    this.#bornAt = bornAt
  }

  /** Bytes of a frame without its items. */
  get headBytes(): number {
    return this.#template.length
  }

  /** Stages one frame with all the items. */
  write(out: OutBuffer, opaque: number, bornMs: number, items: BatchItems): void {
    const template = this.#template
    const headBytes = template.length
    const frameBytes = headBytes + items.length
    const at = out.reserve(frameBytes)
    const { bytes } = out
    template.copy(bytes, at)
    bytes.writeInt32BE(frameBytes - 4, at)
    writeDigits(bytes, at + this.#bornAt, 13, bornMs)
    writeDigits(bytes, at + this.#opaqueAt, 10, opaque)
    items.bytes.copy(bytes, at + headBytes, 0, items.length)
    out.length = at + frameBytes
  }
}
