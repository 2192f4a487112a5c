/**
 * The two numbers of a send's answer that its sender needs, its code and its opaque, without
 * decoding the rest. A JSON header is looked at in two places: the code, which peers write first,
 * and the opaque, whose distance from the header's end the last answer has taught. When the bytes
 * there are not what they should be, the header is searched, and at last parsed.
 */
import { decodeFrame } from '../protocol/frame.ts'

// `{"co`, `de":`, `"opa`, `que"`.
const OPEN_CO = 0x7b22_636f
const DE_COLON = 0x6465_223a
const OPA = 0x226f_7061
const QUE = 0x7175_6522
const COMMA = 0x2c
const COLON = 0x3a
const ZERO = 0x30
/** From the name of the opaque back to the digit of the flag: `2,"language":"JAVA",`. */
const FLAG_BACK = 20
/** Bytes of `"opaque":`. */
const NAME_BYTES = 9

export class SendAnswer {
  code = 0
  opaque = 0
  /** Of a request that was scanned: its sender waits for no answer. */
  isOneWay = false
  /** From the header's end back to the name of the opaque; 0 before the first answer. */
  #distance = 0

  /** Reads the frame in bytes [start, end). False when it is a request of the peer's. Throws FrameError. */
  read(bytes: Buffer, start: number, end: number): boolean {
    const headerWord = bytes.readInt32BE(start + 4)
    const headerStart = start + 8
    const headerEnd = headerStart + (headerWord & 0xff_ffff)
    if (headerWord >>> 24 === 0 && this.#scan(bytes, headerStart, headerEnd)) return true
    const command = decodeFrame(bytes, start, end)
    this.code = command.code
    this.opaque = command.opaque
    this.isOneWay = command.isOneway
    return command.isResponse
  }

  #scan(bytes: Buffer, headerStart: number, headerEnd: number): boolean {
    if (headerEnd - headerStart < 24) return false
    if (bytes.readInt32BE(headerStart) !== OPEN_CO) return false
    if (bytes.readInt32BE(headerStart + 4) !== DE_COLON) return false
    let at = headerStart + 8
    let code = 0
    let digit = (bytes[at] ?? 0) - ZERO
    while (digit >= 0 && digit <= 9) {
      code = code * 10 + digit
      at += 1
      digit = (bytes[at] ?? 0) - ZERO
    }
    if (bytes[at] !== COMMA) return false
    let name = headerEnd - this.#distance
    if (this.#distance === 0 || !this.#isOpaque(bytes, name, headerEnd)) {
      name = bytes.lastIndexOf('"opaque":', headerEnd - NAME_BYTES)
      if (name < headerStart) return false
      this.#distance = headerEnd - name
    }
    let opaque = 0
    let digits = 0
    digit = (bytes[name + NAME_BYTES] ?? 0) - ZERO
    while (digit >= 0 && digit <= 9) {
      opaque = opaque * 10 + digit
      digits += 1
      digit = (bytes[name + NAME_BYTES + digits] ?? 0) - ZERO
    }
    // Every request of a line has ten digits; a request of the peer's own is not told apart by
    // this scan when it has as many, and is then an answer to nothing.
    if (digits !== 10) return false
    this.code = code
    this.opaque = opaque
    // `"flag":2,"language":"JAVA",` stands before the opaque in what our own senders write.
    this.isOneWay = bytes[name - FLAG_BACK] === ZERO + 2 && bytes[name - FLAG_BACK - 1] === COLON
    return true
  }

  #isOpaque(bytes: Buffer, at: number, headerEnd: number): boolean {
    return (
      at + NAME_BYTES < headerEnd &&
      bytes.readInt32BE(at) === OPA &&
      bytes.readInt32BE(at + 4) === QUE &&
      bytes[at + 8] === COLON
    )
  }
}
