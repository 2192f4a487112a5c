/**
 * `--format`: how a message is written (`consume`) and read (`produce`). The same tokens both ways:
 *
 *     %v body   %k keys   %g tag   %t topic   %H{name} property   %H all properties (JSON)
 *     %q queue  %o queue offset  %i message id  %b broker  %s body bytes  %r reconsume times
 *     %d time stored: %d{iso} %d{ms} %d{%Y-%m-%d %H:%M:%S}   %% a percent sign
 *
 * Body, keys, tag and properties take a coding: %v{hex} %v{base64} %v{json} %v{utf8}; a property's
 * coding stands behind its name: %H{name}{hex}. Escapes: \n \t \r \0 \\ \xNN.
 *
 * Reading: a field ends where the next literal text begins; a record ends with the last literal of
 * the format, or at the end of the line when it has none. What a producer cannot set (%o, %i …) is
 * read over.
 */
import { MqError } from '../base/errors.ts'

/** What a format can say about a message. */
export interface FormattedMessage {
  readonly topic: string
  readonly broker: string
  readonly queueId: number
  readonly queueOffset: number
  readonly messageId: string
  /** Separated by blanks, as on the wire. */
  readonly keys: string
  readonly tags: string
  readonly properties: Readonly<Record<string, string>>
  readonly body: Buffer
  readonly storedAtMs: number
  readonly reconsumeTimes: number
}

/** What was read from a record. */
export interface ParsedMessage {
  readonly body: Buffer
  readonly keys: string | null
  readonly tags: string | null
  readonly properties: Readonly<Record<string, string>>
  readonly queueId: number | null
}

type Coding = 'utf8' | 'hex' | 'base64' | 'json'

type Part =
  | { readonly kind: 'literal'; readonly bytes: Buffer }
  | {
      readonly kind: 'field'
      readonly token: string
      readonly name: string
      readonly coding: Coding
    }
  | { readonly kind: 'time'; readonly pattern: string }

const codings: readonly string[] = ['utf8', 'hex', 'base64', 'json']
const NEWLINE = Buffer.from('\n')

export class MessageFormat {
  readonly #parts: readonly Part[]

  private constructor(parts: readonly Part[]) {
    this.#parts = parts
  }

  /** Throws VALUE_INVALID and says where. */
  static compile(text: string): MessageFormat {
    return new MessageFormat(compileParts(text))
  }

  render(message: FormattedMessage): Buffer {
    return Buffer.concat(this.#parts.map((part) => renderPart(part, message)))
  }

  /**
   * The records of `source`, from its beginning; `rest` is what does not yet end. With `atEnd` the
   * last record may end where the source ends.
   */
  read(source: Buffer, atEnd: boolean): { messages: ParsedMessage[]; rest: Buffer } {
    const last = this.#parts.at(-1)
    const parts: readonly Part[] =
      last?.kind === 'literal' ? this.#parts : [...this.#parts, { kind: 'literal', bytes: NEWLINE }]
    const messages: ParsedMessage[] = []
    let position = 0
    while (position < source.length) {
      const record = readRecord(parts, source, position, atEnd)
      if (record === null) break
      messages.push(record.message)
      position = record.end
    }
    return { messages, rest: source.subarray(position) }
  }
}

function compileParts(text: string): Part[] {
  const parts: Part[] = []
  let literal = ''
  const endLiteral = () => {
    if (literal !== '') parts.push({ kind: 'literal', bytes: Buffer.from(literal, 'latin1') })
    literal = ''
  }
  let at = 0
  while (at < text.length) {
    const char = text[at] ?? ''
    if (char === '\\') {
      const escape = readEscape(text, at)
      literal += escape.char
      at = escape.end
    } else if (char !== '%') {
      // Literals are kept as bytes so that \xNN means that byte.
      const point = String.fromCodePoint(text.codePointAt(at) ?? 0)
      literal += Buffer.from(point, 'utf8').toString('latin1')
      at += point.length
    } else if (text[at + 1] === '%') {
      literal += '%'
      at += 2
    } else {
      endLiteral()
      const token = readToken(text, at)
      parts.push(token.part)
      at = token.end
    }
  }
  endLiteral()
  return parts
}

function readEscape(text: string, at: number): { char: string; end: number } {
  const simple: Readonly<Record<string, string>> = {
    n: '\n',
    t: '\t',
    r: '\r',
    '0': '\0',
    '\\': '\\',
  }
  const next = text[at + 1] ?? ''
  const char = simple[next]
  if (char !== undefined) return { char, end: at + 2 }
  const hex = /^x([0-9a-fA-F]{2})/.exec(text.slice(at + 1))?.[1]
  if (hex !== undefined) return { char: String.fromCharCode(parseInt(hex, 16)), end: at + 4 }
  throw wrong(text, at, `unknown escape \\${next}`, 'escapes are \\n \\t \\r \\0 \\\\ \\xNN')
}

function readToken(text: string, at: number): { part: Part; end: number } {
  const token = text[at + 1] ?? ''
  if (!'vktgHqoibsrd'.includes(token) || token === '') {
    const hint = 'tokens are %v %k %g %t %H{name} %q %o %i %b %s %r %d %%'
    throw wrong(text, at, token === '' ? 'a lone % at the end' : `unknown token %${token}`, hint)
  }
  let end = at + 2
  const braces: string[] = []
  while (text[end] === '{' && braces.length < 2) {
    const close = text.indexOf('}', end)
    if (close === -1) throw wrong(text, end, 'a { without }', 'close it, as in %v{hex}')
    braces.push(text.slice(end + 1, close))
    end = close + 1
    if (token !== 'H') break
  }
  const [first = '', second] = braces
  if (token === 'd') return { part: { kind: 'time', pattern: first || 'iso' }, end }
  const name = token === 'H' ? first : ''
  const coding = (token === 'H' ? second : braces[0]) ?? 'utf8'
  if (!codings.includes(coding)) {
    throw wrong(text, at, `unknown coding {${coding}}`, `codings are ${codings.join(', ')}`)
  }
  return { part: { kind: 'field', token, name, coding: coding as Coding }, end }
}

function wrong(text: string, at: number, what: string, hint: string): MqError {
  return new MqError('VALUE_INVALID', {
    what: `format ${JSON.stringify(text)}, character ${at + 1}: ${what}`,
    hint: `${hint}; mqctl help formats has more`,
  })
}

function renderPart(part: Part, message: FormattedMessage): Buffer {
  if (part.kind === 'literal') return part.bytes
  if (part.kind === 'time') return Buffer.from(formatTime(message.storedAtMs, part.pattern))
  const value = fieldValue(part.token, part.name, message)
  switch (part.coding) {
    case 'utf8':
      return typeof value === 'string' ? Buffer.from(value) : value
    case 'json':
      return Buffer.from(JSON.stringify(value.toString()))
    case 'hex':
    case 'base64':
      return Buffer.from(Buffer.from(value).toString(part.coding))
  }
}

function fieldValue(token: string, name: string, message: FormattedMessage): Buffer | string {
  switch (token) {
    case 'v':
      return message.body
    case 'k':
      return message.keys
    case 'g':
      return message.tags
    case 't':
      return message.topic
    case 'H':
      return name === '' ? JSON.stringify(message.properties) : (message.properties[name] ?? '')
    case 'q':
      return String(message.queueId)
    case 'o':
      return String(message.queueOffset)
    case 'i':
      return message.messageId
    case 'b':
      return message.broker
    case 's':
      return String(message.body.length)
    default:
      return String(message.reconsumeTimes)
  }
}

/** `iso`, `ms`, `s`, or a strftime pattern of %Y %m %d %H %M %S %L (milliseconds) %%; UTC. */
function formatTime(ms: number, pattern: string): string {
  if (pattern === 'ms') return String(ms)
  if (pattern === 's') return String(Math.floor(ms / 1_000))
  const isoText = new Date(ms).toISOString()
  if (pattern === 'iso') return isoText
  const pieces: Readonly<Record<string, string>> = {
    Y: isoText.slice(0, 4),
    m: isoText.slice(5, 7),
    d: isoText.slice(8, 10),
    H: isoText.slice(11, 13),
    M: isoText.slice(14, 16),
    S: isoText.slice(17, 19),
    L: isoText.slice(20, 23),
    '%': '%',
  }
  return pattern.replace(/%([YmdHMSL%])/g, (_, letter: string) => pieces[letter] ?? letter)
}

function readRecord(
  parts: readonly Part[],
  source: Buffer,
  start: number,
  atEnd: boolean,
): { message: ParsedMessage; end: number } | null {
  const fields: { part: Part; bytes: Buffer }[] = []
  let position = start
  for (let index = 0; index < parts.length; index += 1) {
    const part = parts[index]
    if (part === undefined) break
    const isLast = index === parts.length - 1
    if (part.kind === 'literal') {
      const fits = source.subarray(position, position + part.bytes.length).equals(part.bytes)
      if (fits) position += part.bytes.length
      else if (!(isLast && atEnd && position === source.length)) {
        return unfinished(source, position, part.bytes, atEnd)
      }
      continue
    }
    const next = parts[index + 1]
    let end = next?.kind === 'literal' ? source.indexOf(next.bytes, position) : position
    if (next !== undefined && next.kind !== 'literal') throw adjacent()
    if (end === -1) {
      if (!(atEnd && index === parts.length - 2)) return unfinished(source, position, null, atEnd)
      end = source.length
    }
    fields.push({ part, bytes: source.subarray(position, end) })
    position = end
  }
  return { message: messageOfFields(fields), end: position }
}

function unfinished(source: Buffer, position: number, wanted: Buffer | null, atEnd: boolean): null {
  const missing = wanted === null || position + wanted.length > source.length
  if (!atEnd && missing) return null
  const near = JSON.stringify(source.subarray(position, position + 20).toString())
  throw new MqError('VALUE_INVALID', {
    what: `the input does not fit the format at byte ${position} (${near})`,
    hint: 'check the format against the input; mqctl help formats has examples',
  })
}

function adjacent(): MqError {
  return new MqError('VALUE_INVALID', {
    what: 'two fields of the format touch each other, so nobody can tell where the first ends',
    hint: 'put something between them, as in "%k %v\\n"',
  })
}

function messageOfFields(fields: readonly { part: Part; bytes: Buffer }[]): ParsedMessage {
  let body: Buffer = Buffer.alloc(0)
  let keys: string | null = null
  let tags: string | null = null
  let queueId: number | null = null
  const properties: Record<string, string> = {}
  for (const { part, bytes } of fields) {
    if (part.kind !== 'field') continue
    const value = decode(bytes, part.coding)
    if (part.token === 'v') body = value
    else if (part.token === 'k') keys = value.toString()
    else if (part.token === 'g') tags = value.toString()
    else if (part.token === 'q') queueId = Number(value.toString())
    else if (part.token === 'H' && part.name !== '') properties[part.name] = value.toString()
    else if (part.token === 'H') Object.assign(properties, propertiesOf(value))
  }
  return { body, keys, tags, properties, queueId }
}

function decode(bytes: Buffer, coding: Coding): Buffer {
  const text = bytes.toString()
  switch (coding) {
    case 'utf8':
      return bytes
    case 'hex':
      if (/^([0-9a-fA-F]{2})*$/.test(text)) return Buffer.from(text, 'hex')
      break
    case 'base64':
      if (/^[A-Za-z0-9+/_-]*={0,2}$/.test(text)) return Buffer.from(text, 'base64')
      break
    case 'json': {
      const value = parsedJson(text)
      if (value !== undefined) {
        return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
      }
      break
    }
  }
  throw new MqError('VALUE_INVALID', {
    what: `${JSON.stringify(text.slice(0, 40))} is not ${coding}`,
    hint: 'check the coding behind the field, as in %v{hex}',
  })
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

function propertiesOf(value: Buffer): Record<string, string> {
  const parsed = parsedJson(value.toString())
  if (typeof parsed !== 'object' || parsed === null) return {}
  return Object.fromEntries(Object.entries(parsed).map(([key, inner]) => [key, String(inner)]))
}
