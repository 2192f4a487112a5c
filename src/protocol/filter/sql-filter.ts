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

  /** Judges the message whose encoded properties are bytes [start, end); keeps none of them. */
  matchesEncoded(bytes: Buffer, start: number, end: number): boolean {
    this.#wanted.read(bytes, start, end)
    const matches = this.#evaluator.matches(this.#wanted)
    // The bytes may be those of a whole chunk of the log, and a filter lives as long as its consumer.
    this.#wanted.release()
    return matches
  }

  outcomeOf(properties: Properties): SqlOutcome {
    this.#wanted.take(this.#evaluator.names.map((name) => properties[name] ?? null))
    return this.#evaluator.outcome(this.#wanted)
  }
}
