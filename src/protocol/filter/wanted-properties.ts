/**
 * The properties that a filter asks for, of one message: where their values stand among its encoded
 * properties. A value is a short number or word most often and is judged as bytes; it becomes a text
 * only for who asks for that. One object is made for a filter and filled for each message.
 */
import { NAME_VALUE_SEPARATOR, nextPairEnd } from '../properties.ts'

/** Beyond so many names the one of a property is looked up instead of being compared with each. */
const NAMES_COMPARED_MAX = 16
/** Decimal digits that 32 bits hold whatever they are. */
const SHORT_DIGITS = 9
const ZERO = 0x30
const NOTHING = Buffer.alloc(0)

export class WantedProperties {
  /** Each with the separator behind it. */
  readonly #names: readonly Buffer[]
  /** Slot by name, one character a byte; null where names are few. */
  readonly #slots: ReadonlyMap<string, number> | null
  readonly #starts: Int32Array
  readonly #ends: Int32Array
  /** Null: not made yet. */
  readonly #texts: (string | null)[]
  #bytes: Buffer = NOTHING

  /** Names of letters, digits, `_` and `$`; values are asked for by their places in the list. */
  constructor(names: readonly string[]) {
    this.#names = names.map((name) => Buffer.from(`${name}\u0001`, 'latin1'))
    this.#slots =
      names.length > NAMES_COMPARED_MAX ? new Map(names.map((name, slot) => [name, slot])) : null
    this.#starts = new Int32Array(names.length).fill(-1)
    this.#ends = new Int32Array(names.length)
    this.#texts = names.map(() => null)
  }

  /** Takes the message whose encoded properties are bytes [start, end). They are kept until `release`. */
  read(bytes: Buffer, start: number, end: number): void {
    this.#forget(bytes)
    const names = this.#names
    const many = this.#slots !== null
    for (let pair = start; pair < end;) {
      const pairEnd = nextPairEnd(bytes, pair, end)
      if (many) this.#lookUp(bytes, pair, pairEnd)
      else {
        for (let slot = 0; slot < names.length; slot++) {
          const name = names[slot]
          if (name !== undefined && isAt(bytes, pair, name)) {
            this.#note(slot, pair + name.length, pairEnd)
            break
          }
        }
      }
      pair = pairEnd + 1
    }
  }

  /** Lets the bytes go: nothing may be asked before the next message is taken. */
  release(): void {
    this.#bytes = NOTHING
  }

  /** Takes values instead of a message; null where there is none. */
  take(values: readonly (string | null)[]): void {
    this.#forget(Buffer.from(values.map((value) => value ?? '').join('')))
    let at = 0
    values.forEach((value, slot) => {
      if (value === null) return
      this.#starts[slot] = at
      at += Buffer.byteLength(value)
      this.#ends[slot] = at
      this.#texts[slot] = value
    })
  }

  isMissing(slot: number): boolean {
    return (this.#starts[slot] ?? -1) < 0
  }

  /** Null where there is none. */
  text(slot: number): string | null {
    const start = this.#starts[slot] ?? -1
    if (start < 0) return null
    return (this.#texts[slot] ??= this.#bytes.toString('utf8', start, this.#ends[slot]))
  }

  /** The value as a number when it is nothing but one to nine digits; −1 for every other. */
  shortNumber(slot: number): number {
    const start = this.#starts[slot] ?? -1
    const end = this.#ends[slot] ?? -1
    if (start < 0 || end === start || end - start > SHORT_DIGITS) return -1
    const bytes = this.#bytes
    let value = 0
    for (let at = start; at < end; at++) {
      const digit = (bytes[at] ?? 0) - ZERO
      if (digit < 0 || digit > 9) return -1
      value = value * 10 + digit
    }
    return value
  }

  /** Whether the value is there and has exactly these bytes. */
  isBytes(slot: number, wanted: Buffer): boolean {
    const start = this.#starts[slot] ?? -1
    return (
      start >= 0 &&
      (this.#ends[slot] ?? -1) - start === wanted.length &&
      isAt(this.#bytes, start, wanted)
    )
  }

  #forget(bytes: Buffer): void {
    this.#bytes = bytes
    for (let slot = 0; slot < this.#names.length; slot++) {
      this.#starts[slot] = -1
      this.#texts[slot] = null
    }
  }

  /** Empty values are none. Of two pairs with one name the last counts. */
  #note(slot: number, start: number, end: number): void {
    if (start >= end) return
    this.#starts[slot] = start
    this.#ends[slot] = end
  }

  #lookUp(bytes: Buffer, start: number, end: number): void {
    let separator = start
    while (separator < end && bytes[separator] !== NAME_VALUE_SEPARATOR) separator++
    const slot = this.#slots?.get(bytes.toString('latin1', start, separator))
    if (slot !== undefined) this.#note(slot, separator + 1, end)
  }
}

function isAt(bytes: Buffer, start: number, wanted: Buffer): boolean {
  for (let i = 0; i < wanted.length; i++) if (bytes[start + i] !== wanted[i]) return false
  return true
}
