/**
 * SQL92 filters over stored records: the wanted properties are found in the record's bytes, nothing
 * else of it is decoded.
 */
import {
  NAME_VALUE_SEPARATOR,
  nextSeparator,
  type Properties,
  PROPERTY_SEPARATOR,
} from '../properties.ts'
import { parseSql } from './sql-parser.ts'
import { SqlEvaluator, type SqlOutcome } from './sql-evaluator.ts'

/** Beyond so many names the one of a property is looked up instead of being compared with each. */
const NAMES_COMPARED_MAX = 16

export class SqlFilter {
  readonly #evaluator: SqlEvaluator
  readonly #names: readonly Buffer[]
  /** Slot by name, one character a byte; null where names are few. */
  readonly #slots: ReadonlyMap<string, number> | null
  readonly #texts: (string | null)[]

  /** Throws SqlError. */
  constructor(expression: string) {
    this.#evaluator = new SqlEvaluator(parseSql(expression).root)
    this.#names = this.#evaluator.names.map((name) => Buffer.from(name, 'latin1'))
    this.#texts = this.#names.map(() => null)
    this.#slots =
      this.#names.length > NAMES_COMPARED_MAX
        ? new Map(this.#names.map((name, slot) => [name.toString('latin1'), slot]))
        : null
  }

  /** How much there is to do for a message: nodes of the expression that are looked at. */
  get steps(): number {
    return this.#evaluator.steps
  }

  /** Judges the message whose encoded properties are bytes [start, end). */
  matchesEncoded(bytes: Buffer, start: number, end: number): boolean {
    this.#texts.fill(null)
    let pairStart = start
    let separator = -1
    for (let at = nextSeparator(bytes, start, end); at < end;) {
      const byte = bytes[at]
      if (byte === PROPERTY_SEPARATOR) {
        if (separator > pairStart && at - 1 > separator) this.#note(bytes, pairStart, separator, at)
        pairStart = at + 1
        separator = -1
      } else if (byte === NAME_VALUE_SEPARATOR && separator < 0) separator = at
      at = nextSeparator(bytes, at + 1, end)
    }
    if (separator > pairStart && end - 1 > separator) this.#note(bytes, pairStart, separator, end)
    return this.#evaluator.matches(this.#texts)
  }

  outcomeOf(properties: Properties): SqlOutcome {
    return this.#evaluator.outcome(this.#evaluator.names.map((name) => properties[name] ?? null))
  }

  #note(bytes: Buffer, start: number, separator: number, end: number): void {
    if (this.#slots !== null) {
      const slot = this.#slots.get(bytes.toString('latin1', start, separator))
      if (slot !== undefined) this.#texts[slot] = bytes.toString('utf8', separator + 1, end)
      return
    }
    const length = separator - start
    for (let slot = 0; slot < this.#names.length; slot += 1) {
      const name = this.#names[slot]
      if (name?.length !== length || !isSame(bytes, start, name)) continue
      this.#texts[slot] = bytes.toString('utf8', separator + 1, end)
      return
    }
  }
}

function isSame(bytes: Buffer, start: number, name: Buffer): boolean {
  for (let at = 0; at < name.length; at += 1) if (bytes[start + at] !== name[at]) return false
  return true
}
