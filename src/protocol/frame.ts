/**
 * Frames: a command as bytes on the socket. Big-endian.
 * Source: apache/rocketmq remoting/…/{RemotingCommand,RocketMQSerializable,netty/NettyDecoder}.java.
 *
 *   0  i32  length of everything behind this field = 4 + header + body
 *   4  u8   serialise type of the header: 0 JSON, 1 ROCKETMQ (binary)
 *   5  u24  header length, bytes
 *   8  …    header
 *      …    body; no bytes means no body
 *
 * The binary header:
 *
 *   0  i16  code                    5  i32  opaque
 *   2  u8   language                9  i32  flag
 *   3  i16  version                13  i32  remark length, then UTF-8 text; 0 = none
 *      …    i32 length of the fields, then for each: i16 name length, name, i32 value length, value
 */
import { writeI32 } from '../base/bytes.ts'
import { Command, type ExtFields, SerializeType, languageCodes } from './command.ts'

/** Bytes before the header. */
export const FRAME_PREFIX_BYTES = 8

/** The largest frame, its length field included; Netty's decoder in Apache has the same limit. */
export const FRAME_BYTES_MAX = 16 * 1024 * 1024

/** Bytes that are no frame. The connection they came from cannot be used further. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
}

const languageNames = new Map(Object.entries(languageCodes).map(([name, code]) => [code, name]))

/** What is wrong with the first eight bytes of a frame, or null. `length` and `headerWord` are its two integers. */
export function prefixProblem(length: number, headerWord: number): string | null {
  const problem = lengthProblem(length)
  if (problem !== null) return problem
  const serializeType = headerWord >>> 24
  if (serializeType > 1) return `unknown serialise type ${serializeType}`
  const headerBytes = headerWord & 0xff_ffff
  if (headerBytes > length - 4) return `header of ${headerBytes} bytes in a frame of ${length}`
  return null
}

/** What is wrong with a frame's length field, or null. */
export function lengthProblem(length: number): string | null {
  if (length < 4) return `frame length ${length}`
  if (length > FRAME_BYTES_MAX - 4) return `frame length ${length} is above ${FRAME_BYTES_MAX}`
  return null
}

/** The whole frame of a command. */
export function encodeFrame(command: Command): Buffer {
  const head = encodeFrameHead(command, command.body?.length ?? 0)
  return command.body === null ? head : Buffer.concat([head, command.body])
}

/** Where a frame is put: bytes are written at `length`, after `reserve` made room (which may replace `bytes`). */
export interface FrameTarget {
  readonly bytes: Buffer
  length: number
  reserve(count: number): number
}

/** A header is written in place up to this length, in characters: room is made for three bytes each. */
const IN_PLACE_MAX = 16_384

/** Puts everything of a frame before its body of `bodyBytes` into `out`; the caller adds the body. */
export function putFrameHead(out: FrameTarget, command: Command, bodyBytes: number): void {
  const header = command.serializeType === SerializeType.json ? jsonHeader(command) : null
  if (header === null || header.length > IN_PLACE_MAX) {
    const head = encodeFrameHead(command, bodyBytes)
    const at = out.reserve(head.length)
    out.bytes.set(head, at)
    out.length = at + head.length
    return
  }
  const at = out.reserve(FRAME_PREFIX_BYTES + header.length * 3)
  const headerBytes = out.bytes.write(header, at + FRAME_PREFIX_BYTES, 'utf8')
  writeI32(out.bytes, 4 + headerBytes + bodyBytes, at)
  writeI32(out.bytes, (SerializeType.json << 24) | headerBytes, at + 4)
  out.length = at + FRAME_PREFIX_BYTES + headerBytes
}

/** Everything of a frame before its body of `bodyBytes`. */
export function encodeFrameHead(command: Command, bodyBytes: number): Buffer {
  if (command.serializeType !== SerializeType.json) {
    const header = binaryHeader(command)
    const head = Buffer.allocUnsafe(FRAME_PREFIX_BYTES + header.length)
    header.copy(head, FRAME_PREFIX_BYTES)
    return withPrefix(head, command.serializeType, bodyBytes)
  }
  const header = jsonHeader(command)
  const head = Buffer.allocUnsafe(FRAME_PREFIX_BYTES + Buffer.byteLength(header, 'utf8'))
  head.write(header, FRAME_PREFIX_BYTES, 'utf8')
  return withPrefix(head, command.serializeType, bodyBytes)
}

function withPrefix(head: Buffer, type: SerializeType, bodyBytes: number): Buffer {
  const headerBytes = head.length - FRAME_PREFIX_BYTES
  head.writeInt32BE(4 + headerBytes + bodyBytes, 0)
  head.writeInt32BE((type << 24) | headerBytes, 4)
  return head
}

/**
 * Decodes the frame in bytes [start, end), its length field included. The body is a
 * copy: the memory of `bytes` may serve the next read. Throws FrameError for anything that Apache's decoder would refuse as well.
 */
export function decodeFrame(bytes: Buffer, start: number, end: number): Command {
  if (end - start < FRAME_PREFIX_BYTES) throw new FrameError(`frame of ${end - start} bytes`)
  const length = bytes.readInt32BE(start)
  const headerWord = bytes.readInt32BE(start + 4)
  const problem = prefixProblem(length, headerWord)
  if (problem !== null) throw new FrameError(problem)
  if (length !== end - start - 4) {
    throw new FrameError(`frame length ${length} in ${end - start} bytes`)
  }
  const headerStart = start + FRAME_PREFIX_BYTES
  const headerEnd = headerStart + (headerWord & 0xff_ffff)
  const body = headerEnd < end ? Buffer.from(bytes.subarray(headerEnd, end)) : null
  return headerWord >>> 24 === SerializeType.json
    ? decodeJson(bytes, headerStart, headerEnd, body)
    : decodeBinary(bytes, headerStart, headerEnd, body)
}

/** Put together here: one JSON.stringify of the whole takes twice the time. */
function jsonHeader(command: Command): string {
  const { code, ext, extText, flag, language, opaque, remark, version } = command
  const shown = Object.hasOwn(languageCodes, language) ? `"${language}"` : JSON.stringify(language)
  const said = remark === null ? '' : `"remark":${JSON.stringify(remark)},`
  // Alphabetical, as fastjson writes it.
  return (
    `{"code":${code},"extFields":${extText ?? JSON.stringify(ext)},"flag":${flag},"language":${shown},` +
    `"opaque":${opaque},${said}"serializeTypeCurrentRPC":"JSON","version":${version}}`
  )
}

function wholeNumber(value: unknown, otherwise: number): number {
  const number = typeof value === 'string' ? Number(value) : value
  return typeof number === 'number' && Number.isInteger(number) ? number | 0 : otherwise
}

/** Lenient as the Java side: missing fields have defaults, numbers and booleans in extFields become text. */
function decodeJson(bytes: Buffer, start: number, end: number, body: Buffer | null): Command {
  let header: unknown
  try {
    header = JSON.parse(bytes.toString('utf8', start, end))
  } catch (error) {
    throw new FrameError('the header is not JSON', { cause: error })
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw new FrameError('the header is not a JSON object')
  }
  const fields = header as Record<string, unknown>
  const language = fields['language']
  return new Command(
    wholeNumber(fields['code'], 0),
    typeof language === 'string'
      ? language
      : (languageNames.get(wholeNumber(language, 0)) ?? 'OTHER'),
    wholeNumber(fields['version'], 0),
    wholeNumber(fields['opaque'], 0),
    wholeNumber(fields['flag'], 0),
    typeof fields['remark'] === 'string' ? fields['remark'] : null,
    textFields(fields['extFields']),
    body,
    SerializeType.json,
  )
}

function textFields(value: unknown): ExtFields {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  if (isObject && Object.values(value).every((field) => typeof field === 'string')) {
    // As JSON.parse made it: half the time of a copy, and quicker to read afterwards.
    return Object.setPrototypeOf(value, null) as ExtFields
  }
  const ext = Object.create(null) as ExtFields
  if (typeof value !== 'object' || value === null) return ext
  for (const [name, field] of Object.entries(value)) {
    if (typeof field === 'string') ext[name] = field
    else if (typeof field === 'number' || typeof field === 'boolean') ext[name] = String(field)
  }
  return ext
}

function binaryHeader(command: Command): Buffer {
  const remark = Buffer.from(command.remark ?? '', 'utf8')
  const fields: Buffer[] = []
  let fieldBytes = 0
  for (const [name, value] of Object.entries(command.ext)) {
    const nameBytes = Buffer.from(name, 'utf8')
    const valueBytes = Buffer.from(value, 'utf8')
    const field = Buffer.allocUnsafe(2 + nameBytes.length + 4 + valueBytes.length)
    field.writeInt16BE(nameBytes.length, 0)
    nameBytes.copy(field, 2)
    field.writeInt32BE(valueBytes.length, 2 + nameBytes.length)
    valueBytes.copy(field, 6 + nameBytes.length)
    fields.push(field)
    fieldBytes += field.length
  }
  const head = Buffer.allocUnsafe(17)
  head.writeInt16BE((command.code << 16) >> 16, 0)
  head.writeUInt8(languageCodes[command.language] ?? languageCodes['OTHER'] ?? 7, 2)
  head.writeInt16BE(command.version, 3)
  head.writeInt32BE(command.opaque, 5)
  head.writeInt32BE(command.flag, 9)
  head.writeInt32BE(remark.length, 13)
  const fieldsLength = Buffer.allocUnsafe(4)
  fieldsLength.writeInt32BE(fieldBytes, 0)
  return Buffer.concat([head, remark, fieldsLength, ...fields])
}

function decodeBinary(bytes: Buffer, start: number, end: number, body: Buffer | null): Command {
  if (end - start < 21) throw new FrameError(`binary header of ${end - start} bytes`)
  const remarkBytes = bytes.readInt32BE(start + 13)
  const remarkEnd = start + 17 + remarkBytes
  if (remarkBytes < 0 || remarkEnd + 4 > end) throw new FrameError(`remark of ${remarkBytes} bytes`)
  const fieldBytes = bytes.readInt32BE(remarkEnd)
  const fieldsEnd = remarkEnd + 4 + fieldBytes
  if (fieldBytes < 0 || fieldsEnd > end) throw new FrameError(`fields of ${fieldBytes} bytes`)
  return new Command(
    bytes.readInt16BE(start),
    languageNames.get(bytes.readUInt8(start + 2)) ?? 'OTHER',
    bytes.readInt16BE(start + 3),
    bytes.readInt32BE(start + 5),
    bytes.readInt32BE(start + 9),
    remarkBytes === 0 ? null : bytes.toString('utf8', start + 17, remarkEnd),
    binaryFields(bytes, remarkEnd + 4, fieldsEnd),
    body,
    SerializeType.rocketmq,
  )
}

function binaryFields(bytes: Buffer, start: number, end: number): ExtFields {
  const ext = Object.create(null) as ExtFields
  let at = start
  while (at < end) {
    if (at + 2 > end) throw new FrameError('a field is cut off')
    const nameEnd = at + 2 + bytes.readInt16BE(at)
    if (nameEnd < at + 2 || nameEnd + 4 > end) throw new FrameError('a field name is cut off')
    const valueEnd = nameEnd + 4 + bytes.readInt32BE(nameEnd)
    if (valueEnd < nameEnd + 4 || valueEnd > end) throw new FrameError('a field value is cut off')
    // Java turns a zero-length value into null, which is the same as absent.
    if (valueEnd > nameEnd + 4) {
      ext[bytes.toString('utf8', at + 2, nameEnd)] = bytes.toString('utf8', nameEnd + 4, valueEnd)
    }
    at = valueEnd
  }
  return ext
}
