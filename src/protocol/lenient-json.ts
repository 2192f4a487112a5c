/**
 * JSON as RocketMQ's Java side writes it with fastjson, which is not quite JSON:
 *
 *   {0:"10.0.0.1:10911"}                      integer keys without quotes
 *   {{"topic":"T","queueId":0}:5}             whole objects as keys (a Java Map<MessageQueue, …>)
 *   {"statsMinute":{"$ref":"$.statsHour"}}    a value that was written before
 *   {"timestamp":9223372036854775807}         integers beyond 2^53
 *
 * Reading accepts all of these beside standard JSON, also single quotes, bare identifiers as keys and
 * commas too many, as fastjson does. Writing gives standard JSON unless told otherwise.
 * Source: fastjson 1.2.83 (JSONLexerBase, DefaultJSONParser), as used by apache/rocketmq remoting/…/RemotingSerializable.java.
 */
export type JsonValue = null | boolean | number | bigint | string | JsonValue[] | JsonObject
export interface JsonObject {
  [key: string]: JsonValue
}

export interface LenientJsonOptions {
  /** What an integer outside ±(2^53 − 1) becomes: an exact bigint (default), its digits, or the nearest number. */
  readonly wideIntegers?: 'bigint' | 'string' | 'number'
  /** Objects and arrays inside one another, the outermost counted; default 64. */
  readonly depthMax?: number
}

/** Why a text is not JSON of any dialect that is read here, and where. */
export class LenientJsonError extends Error {
  override readonly name = 'LenientJsonError'
  /** Characters before the fault. */
  readonly position: number

  constructor(what: string, position: number) {
    super(`${what} at character ${position}`)
    this.position = position
  }
}

const depthMaxDefault = 64
/** Java's widest integer has 20 characters; reading thousands of digits would only cost time. */
const integerDigitsMax = 40

/**
 * Parses one value. Objects have no prototype, so a key such as `__proto__` is a key like any other.
 * An object used as a key becomes the text it was written with. A `$ref` becomes the very value it
 * names when that value was complete before it, else null: a result never contains a cycle.
 * Throws LenientJsonError.
 */
export function parseLenientJson(
  source: string | Buffer,
  options: LenientJsonOptions = {},
): JsonValue {
  const text = typeof source === 'string' ? source : source.toString('utf8')
  return new Parser(text, options).parse()
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function emptyJsonObject(): JsonObject {
  return Object.create(null) as JsonObject
}

/** A container that is still being read, and the key or index that is being read in it. */
interface OpenContainer {
  readonly container: JsonValue[] | JsonObject
  current: string
}

const numberPattern = /[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/y
const integerPattern = /^[+-]?\d+$/
const bareWordPattern = /[\p{L}\p{N}_$.%@+\-|]+/uy

class Parser {
  readonly #text: string
  readonly #wideIntegers: 'bigint' | 'string' | 'number'
  readonly #depthMax: number
  /** The root first. */
  readonly #open: OpenContainer[] = []
  #at = 0

  constructor(text: string, options: LenientJsonOptions) {
    this.#text = text
    this.#wideIntegers = options.wideIntegers ?? 'bigint'
    this.#depthMax = options.depthMax ?? depthMaxDefault
  }

  parse(): JsonValue {
    if (this.#text.charCodeAt(0) === 0xfeff) this.#at = 1
    this.#skipBlank()
    const value = this.#value()
    this.#skipBlank()
    if (this.#at < this.#text.length) this.#fail('text after the value')
    return value
  }

  #fail(what: string, position = this.#at): never {
    throw new LenientJsonError(what, position)
  }

  #skipBlank(): void {
    while (this.#at < this.#text.length) {
      const code = this.#text.charCodeAt(this.#at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
      this.#at += 1
    }
  }

  #skipBlankAndCommas(): void {
    this.#skipBlank()
    while (this.#text[this.#at] === ',') {
      this.#at += 1
      this.#skipBlank()
    }
  }

  #value(): JsonValue {
    const first = this.#text[this.#at]
    switch (first) {
      case undefined:
        return this.#fail('the text ends where a value should be')
      case '{':
        return this.#object()
      case '[':
        return this.#array()
      case '"':
      case "'":
        return this.#string(first)
      default:
        return this.#scalar()
    }
  }

  #enter(container: JsonValue[] | JsonObject): OpenContainer {
    if (this.#open.length >= this.#depthMax) this.#fail(`deeper than ${this.#depthMax} levels`)
    const opened = { container, current: '' }
    this.#open.push(opened)
    this.#at += 1
    return opened
  }

  #leave(): void {
    this.#open.pop()
    this.#at += 1
  }

  #array(): JsonValue[] {
    const array: JsonValue[] = []
    const opened = this.#enter(array)
    for (;;) {
      this.#skipBlankAndCommas()
      if (this.#text[this.#at] === ']') break
      opened.current = String(array.length)
      array.push(this.#value())
      this.#skipBlank()
      const next = this.#text[this.#at]
      if (next !== ',' && next !== ']') this.#fail('expected , or ] in an array')
    }
    this.#leave()
    return array
  }

  #object(): JsonValue {
    const object = emptyJsonObject()
    const opened = this.#enter(object)
    let members = 0
    for (;;) {
      this.#skipBlankAndCommas()
      if (this.#text[this.#at] === '}') break
      const key = this.#key()
      opened.current = key
      this.#skipBlank()
      if (this.#text[this.#at] !== ':') this.#fail('expected : after a key')
      this.#at += 1
      this.#skipBlank()
      object[key] = this.#value()
      members += 1
      this.#skipBlank()
      const next = this.#text[this.#at]
      if (next !== ',' && next !== '}') this.#fail('expected , or } in an object')
    }
    this.#leave()
    const reference = members === 1 ? object['$ref'] : undefined
    return typeof reference === 'string' ? this.#resolve(reference) : object
  }

  #key(): string {
    const first = this.#text[this.#at]
    if (first === '"' || first === "'") return this.#string(first)
    if (first === '{' || first === '[') {
      const start = this.#at
      this.#value()
      return this.#text.slice(start, this.#at)
    }
    return this.#bareWord('a key')
  }

  #bareWord(what: string): string {
    bareWordPattern.lastIndex = this.#at
    const word = bareWordPattern.exec(this.#text)?.[0]
    if (word === undefined) {
      const found = this.#text[this.#at]
      return this.#fail(
        found === undefined ? `the text ends where ${what} should be` : `expected ${what}`,
      )
    }
    this.#at += word.length
    return word
  }

  #scalar(): JsonValue {
    const start = this.#at
    numberPattern.lastIndex = start
    const digits = numberPattern.exec(this.#text)?.[0]
    if (digits !== undefined) {
      this.#at += digits.length
      // A number that runs into letters (12abc) is no number.
      bareWordPattern.lastIndex = this.#at
      if (bareWordPattern.test(this.#text)) this.#fail('malformed number', start)
      return this.#number(digits)
    }
    const word = this.#bareWord('a value')
    switch (word) {
      case 'true':
        return true
      case 'false':
        return false
      case 'null':
      case 'NaN':
      case 'undefined':
        return null
      default:
        return this.#fail('unknown word', start)
    }
  }

  #number(digits: string): JsonValue {
    const nearest = Number(digits)
    if (Number.isSafeInteger(nearest) || !integerPattern.test(digits)) return nearest
    if (this.#wideIntegers === 'number') return nearest
    if (digits.length > integerDigitsMax) this.#fail('integer too long', this.#at - digits.length)
    // BigInt refuses a leading +.
    const plain = digits.startsWith('+') ? digits.slice(1) : digits
    return this.#wideIntegers === 'string' ? plain : BigInt(plain)
  }

  #string(quote: '"' | "'"): string {
    const start = this.#at
    this.#at += 1
    let result = ''
    let copied = this.#at
    for (;;) {
      const char = this.#text[this.#at]
      if (char === undefined) return this.#fail('string without an end', start)
      if (char === quote) break
      if (char !== '\\') {
        this.#at += 1
        continue
      }
      result += this.#text.slice(copied, this.#at) + this.#escape()
      copied = this.#at
    }
    result += this.#text.slice(copied, this.#at)
    this.#at += 1
    return result
  }

  /** Reads from the backslash to behind the escape. */
  #escape(): string {
    const letter = this.#text[this.#at + 1]
    if (letter === 'u' || letter === 'x') {
      const end = this.#at + (letter === 'u' ? 6 : 4)
      const hex = this.#text.slice(this.#at + 2, end)
      if (!/^[0-9a-fA-F]+$/.test(hex) || end > this.#text.length) this.#fail('malformed escape')
      this.#at = end
      return String.fromCharCode(Number.parseInt(hex, 16))
    }
    const meaning = letter === undefined ? undefined : simpleEscapes.get(letter)
    if (meaning === undefined) return this.#fail('unknown escape')
    this.#at += 2
    return meaning
  }

  /** The value at a path such as `$.a.b[0]`, when it is complete; null for the rest (parents, unknown paths). */
  #resolve(path: string): JsonValue {
    const steps = parseReference(path)
    if (steps === null || steps.length === 0) return null
    let depth = 0
    let value: JsonValue | undefined = this.#open[0]?.container
    for (const step of steps) {
      const opened = this.#open[depth]
      if (opened?.container === value && opened?.current === step && depth < this.#open.length) {
        // The step leads into what is still being read.
        depth += 1
        value = this.#open[depth]?.container
      } else if (Array.isArray(value)) value = value[Number(step)]
      else if (isJsonObject(value)) value = value[step]
      else return null
    }
    const isOpen = this.#open.some((one) => one.container === value)
    return value === undefined || isOpen ? null : value
  }
}

const simpleEscapes: ReadonlyMap<string, string> = new Map([
  ['"', '"'],
  ["'", "'"],
  ['\\', '\\'],
  ['/', '/'],
  ['b', '\b'],
  ['f', '\f'],
  ['F', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['v', '\v'],
  ...Array.from({ length: 8 }, (_, code): [string, string] => [
    String(code),
    String.fromCharCode(code),
  ]),
])

/** `$.a.b[0]` → ['a', 'b', '0']; a backslash makes the next character part of a name; null when it is no such path. */
function parseReference(path: string): string[] | null {
  if (!path.startsWith('$')) return null
  const steps: string[] = []
  let at = 1
  while (at < path.length) {
    const opener = path[at]
    at += 1
    let step = ''
    if (opener === '.') {
      while (at < path.length && path[at] !== '.' && path[at] !== '[') {
        if (path[at] === '\\') at += 1
        step += path[at] ?? ''
        at += 1
      }
    } else if (opener === '[') {
      const close = path.indexOf(']', at)
      if (close < 0) return null
      step = path.slice(at, close).replace(/^(["'])(.*)\1$/, '$2')
      at = close + 1
    } else return null
    steps.push(step)
  }
  return steps
}

export interface WriteJsonOptions {
  /** Writes `{0:"a"}` instead of `{"0":"a"}`, as fastjson does for Java's integer keys; default false. */
  readonly bareIntegerKeys?: boolean
  /** Writes a key that is the text of an object without quotes: `{{"topic":"T"}:5}`, as fastjson does; default false. */
  readonly bareObjectKeys?: boolean
  /** Escapes everything beyond ASCII, as fastjson's BrowserCompatible feature does; default false. */
  readonly asciiOnly?: boolean
}

/** What can be written: like JsonValue, but members that are undefined are left out, as Java leaves out null fields. */
export type WritableJson =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly WritableJson[]
  | { readonly [key: string]: WritableJson | undefined }

/** Standard JSON on one line; bigints as plain integers, numbers that JSON has no word for as null. */
export function writeJson(value: WritableJson, options: WriteJsonOptions = {}): string {
  const text = write(value, options)
  if (options.asciiOnly !== true) return text
  return text.replace(
    /[\u007f-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** `writeJson` as the UTF-8 body of a command. */
export function jsonBody(value: WritableJson, options: WriteJsonOptions = {}): Buffer {
  return Buffer.from(writeJson(value, options), 'utf8')
}

function write(value: WritableJson, options: WriteJsonOptions): string {
  if (typeof value === 'bigint') return value.toString()
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (isReadonlyArray(value)) {
    return `[${value.map((element) => write(element, options)).join(',')}]`
  }
  const members: string[] = []
  for (const [key, member] of Object.entries(value)) {
    if (member === undefined) continue
    const bare =
      (options.bareIntegerKeys === true && integerPattern.test(key)) ||
      (options.bareObjectKeys === true && key.startsWith('{'))
    members.push(`${bare ? key : JSON.stringify(key)}:${write(member, options)}`)
  }
  return `{${members.join(',')}}`
}

function isReadonlyArray(value: WritableJson): value is readonly WritableJson[] {
  return Array.isArray(value)
}
