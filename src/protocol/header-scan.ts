/**
 * The JSON header of a request, scanned byte by byte: numbers and byte ranges, no strings and no
 * objects. For the requests that come by the ten thousand a second (`send-request.ts`,
 * `pull-request.ts`, `end-request.ts`); each says what it does with a field. Only the plain form is read: no white
 * space, no escapes, values of `extFields` as text. Whatever else JSON allows is left to
 * `JSON.parse`, which the callers fall back to.
 */
import { readI32 } from '../base/bytes.ts'
import { SerializeType } from './command.ts'
import { FRAME_PREFIX_BYTES } from './frame.ts'

export const QUOTE = 0x22
export const BACKSLASH = 0x5c
export const ZERO = 0x30
const COMMA = 0x2c
const COLON = 0x3a
const MINUS = 0x2d
const OPEN = 0x7b
const CLOSE = 0x7d

/** Whether bytes [start, end) are `text`. */
export function isText(bytes: Buffer, start: number, end: number, text: Buffer): boolean {
  const { length } = text
  if (end - start !== length) return false
  for (let i = 0; i < length; i++) if (bytes[start + i] !== text[i]) return false
  return true
}

/** Whether the frame in bytes [start, end) may have a header in the plain form: `{"code":` at its start. */
export function beginsWithCode(bytes: Buffer, start: number, end: number): boolean {
  // `{"co`, `de":`
  return (
    end - start >= 40 &&
    readI32(bytes, start + 8) === 0x7b22_636f &&
    readI32(bytes, start + 12) === 0x6465_223a
  )
}

/** Made once and reused; the fields of the frame are set by each scan. */
export abstract class HeaderScan {
  code = 0
  opaque = 0
  frameFlag = 0
  version = 0
  serializeType: SerializeType = SerializeType.json
  /** Where the scan is, in the bytes it was given. */
  protected at = 0
  /** What `scanNumber` found. */
  protected value = 0

  /** At the value of a field with the name in [nameStart, nameEnd): takes it or passes over it. False for what it cannot read. */
  protected abstract scanField(
    bytes: Buffer,
    end: number,
    nameStart: number,
    nameEnd: number,
  ): boolean

  protected forgetHeader(): void {
    this.code = this.opaque = this.frameFlag = this.version = 0
    this.serializeType = SerializeType.json
  }

  /**
   * Scans the header of the frame in bytes [start, end); answers where it ends, or −1 for one that is
   * not JSON in the plain form. Forgets the fields of the frame before.
   */
  protected scanFrame(bytes: Buffer, start: number, end: number): number {
    const headerWord = readI32(bytes, start + 4)
    if (headerWord >>> 24 !== 0) return -1
    const headerStart = start + FRAME_PREFIX_BYTES
    const headerEnd = headerStart + headerWord
    this.forgetHeader()
    if (headerEnd > end || !this.scanHeader(bytes, headerStart, headerEnd)) return -1
    return headerEnd
  }

  /**
   * Scans the JSON object in bytes [start, end). False for anything that is not in the plain form;
   * what was read until then is meaningless.
   */
  protected scanHeader(bytes: Buffer, start: number, end: number): boolean {
    this.at = start
    if (bytes[this.at] !== OPEN) return false
    this.at++
    for (;;) {
      const nameStart = this.at + 1
      const nameEnd = this.skipName(bytes, end)
      if (nameEnd < 0) return false
      if (!this.#scanTopLevel(bytes, end, nameStart, nameEnd - nameStart)) return false
      const next = bytes[this.at++]
      if (next === CLOSE) return this.at === end
      if (next !== COMMA) return false
    }
  }

  #scanTopLevel(bytes: Buffer, end: number, nameStart: number, nameLength: number): boolean {
    switch (bytes[nameStart]) {
      case 0x65: // extFields
        return (
          nameLength === 9 &&
          readI32(bytes, nameStart) === 0x6578_7446 &&
          readI32(bytes, nameStart + 4) === 0x6965_6c64 &&
          bytes[nameStart + 8] === 0x73 &&
          this.#scanFields(bytes, end)
        )
      case 0x63: // code
        if (nameLength !== 4 || readI32(bytes, nameStart) !== 0x636f_6465) return false
        if (!this.scanNumber(bytes, end)) return false
        this.code = this.value
        return true
      case 0x66: // flag
        if (nameLength !== 4 || readI32(bytes, nameStart) !== 0x666c_6167) return false
        if (!this.scanNumber(bytes, end)) return false
        this.frameFlag = this.value
        return true
      case 0x6f: // opaque
        if (nameLength !== 6 || readI32(bytes, nameStart) !== 0x6f70_6171) return false
        if (readI32(bytes, nameStart + 2) !== 0x6171_7565) return false
        if (!this.scanNumber(bytes, end)) return false
        this.opaque = this.value | 0
        return true
      case 0x76: // version
        if (nameLength !== 7 || readI32(bytes, nameStart) !== 0x7665_7273) return false
        if (readI32(bytes, nameStart + 3) !== 0x7369_6f6e) return false
        if (!this.scanNumber(bytes, end)) return false
        this.version = this.value
        return true
      case 0x6c: // language
      case 0x73: // serializeTypeCurrentRPC
        return this.skipText(bytes, end) >= 0
      default:
        return false
    }
  }

  #scanFields(bytes: Buffer, end: number): boolean {
    if (bytes[this.at] !== OPEN) return false
    this.at++
    for (;;) {
      const nameStart = this.at + 1
      const nameEnd = this.skipName(bytes, end)
      if (nameEnd < 0) return false
      if (!this.scanField(bytes, end, nameStart, nameEnd)) return false
      const next = bytes[this.at++]
      if (next === CLOSE) return true
      if (next !== COMMA) return false
    }
  }

  /** At the opening quote of a name; moves behind the colon. Returns where the name ends, or −1. */
  protected skipName(bytes: Buffer, end: number): number {
    const nameEnd = this.skipText(bytes, end)
    return nameEnd >= 0 && bytes[this.at++] === COLON ? nameEnd : -1
  }

  /** At an opening quote; moves behind the closing one. Returns where the text ends, or −1 for anything but plain text. */
  protected skipText(bytes: Buffer, end: number): number {
    let at = this.at
    if (bytes[at++] !== QUOTE) return -1
    while (at < end) {
      const byte = bytes[at]
      if (byte === QUOTE) {
        this.at = at + 1
        return at
      }
      if (byte === BACKSLASH) return -1
      at++
    }
    return -1
  }

  /** Reads a whole number into `value`. */
  protected scanNumber(bytes: Buffer, end: number): boolean {
    let at = this.at
    const negative = bytes[at] === MINUS
    if (negative) at++
    const first = at
    let value = 0
    while (at < end) {
      const digit = (bytes[at] ?? 0) - ZERO
      if (digit < 0 || digit > 9) break
      value = value * 10 + digit
      at++
    }
    // More than 15 digits may not be exact.
    if (at === first || at - first > 15) return false
    this.value = negative ? -value : value
    this.at = at
    return true
  }

  /** Reads a number inside quotes, as all fields have them. */
  protected scanQuotedNumber(bytes: Buffer, end: number): boolean {
    if (bytes[this.at] !== QUOTE) return false
    this.at++
    if (!this.scanNumber(bytes, end)) return false
    return bytes[this.at++] === QUOTE
  }
}
