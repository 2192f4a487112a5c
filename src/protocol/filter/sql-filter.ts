/**
 * SQL92 filters over stored records: the wanted properties are found in the record's bytes, nothing
 * else of it is decoded.
 */
import type { Properties } from '../properties.ts'
import { parseSql } from './sql-parser.ts'
import { SqlEvaluator, type SqlOutcome } from './sql-evaluator.ts'
import { WantedProperties } from './wanted-properties.ts'

export class SqlFilter {
  readonly #evaluator: SqlEvaluator
  readonly #wanted: WantedProperties

  /** Throws SqlError. */
  constructor(expression: string) {
    this.#evaluator = new SqlEvaluator(parseSql(expression).root)
    this.#wanted = new WantedProperties(this.#evaluator.names)
  }

  /** How much there is to do for a message: nodes of the expression that are looked at. */
  get steps(): number {
    return this.#evaluator.steps
  }

  /** Judges the message whose encoded properties are bytes [start, end). */
  matchesEncoded(bytes: Buffer, start: number, end: number): boolean {
    this.#wanted.read(bytes, start, end)
    return this.#evaluator.matches(this.#wanted)
  }

  outcomeOf(properties: Properties): SqlOutcome {
    this.#wanted.take(this.#evaluator.names.map((name) => properties[name] ?? null))
    return this.#evaluator.outcome(this.#wanted)
  }
}
