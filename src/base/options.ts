/**
 * Options as rows of one table: declared once in the room that uses them, checked once at the
 * edge, then frozen. Flags, `--set key=value`, configuration files, help and the documentation all
 * derive from the rows.
 *
 *     export const brokerOptions = optionTable({
 *       flush: choice({ values: ['sync', 'async'], default: 'async', rocketmq: 'flushDiskType',
 *         summary: 'when a message counts as stored' }),
 *       flushIntervalMs: duration({ default: 500, min: 10, max: 60_000, summary: '…' }),
 *     })
 *     export type BrokerOptions = OptionValues<typeof brokerOptions>
 *     const options = resolveOptions(brokerOptions, { flush: 'sync' })
 */
import { MqError, messageOf } from './errors.ts'
import { closest, nearest } from './nearest.ts'
import {
  formatBytes,
  formatDurationMs,
  parseDurationMs,
  parseSizeBytes,
  parseSwitch,
  parseWhole,
} from './units.ts'

/** More names than this make a hint that nobody reads. */
const HINT_NAMES_MAX = 6

interface RowFacts<Value> {
  /** Used when nothing else is said. */
  readonly default: Value
  /** One line: what it does. */
  readonly summary: string
  /** What a higher (or the other) value costs, when it costs something. */
  readonly cost?: string
  /** Apache RocketMQ's name for the same thing; accepted as a key as well. */
  readonly rocketmq?: string
  /** Whether it can be changed while the process runs. Default: no. */
  readonly mutable?: boolean
}

interface Range {
  readonly min?: number
  readonly max?: number
}

export type OptionKind = 'switch' | 'whole' | 'duration' | 'size' | 'choice' | 'text'

/** One option. `parse` turns text into a value; `check` says what is wrong with a value, or null. */
export interface OptionRow<Value> extends RowFacts<Value> {
  readonly kind: OptionKind
  /** Allowed values in words, for help: `10 ms … 60 s`, `sync | async`. */
  readonly range: string
  parse(text: string): Value
  check(value: Value): string | null
  /** The value for people, with its unit. */
  format(value: Value): string
}

function number(
  kind: OptionKind,
  facts: RowFacts<number> & Range,
  parse: (text: string) => number,
  format: (value: number) => string,
): OptionRow<number> {
  const min = facts.min ?? 0
  const max = facts.max ?? Number.MAX_SAFE_INTEGER
  const range =
    max === Number.MAX_SAFE_INTEGER ? `≥ ${format(min)}` : `${format(min)} … ${format(max)}`
  return {
    ...facts,
    kind,
    range,
    parse,
    format,
    check: (value) =>
      typeof value === 'number' && value >= min && value <= max
        ? null
        : `${format(value)} is out of range (${range})`,
  }
}

/** True or false. */
export function toggle(facts: RowFacts<boolean>): OptionRow<boolean> {
  return {
    ...facts,
    kind: 'switch',
    range: 'true | false',
    parse: parseSwitch,
    format: String,
    check: (value) => (typeof value === 'boolean' ? null : 'must be true or false'),
  }
}

/** A whole number; range 0 … 2^53-1 unless said otherwise. */
export function whole(facts: RowFacts<number> & Range): OptionRow<number> {
  return number('whole', facts, parseWhole, String)
}

/** Milliseconds; text needs a unit (`500ms`, `10s`). */
export function duration(facts: RowFacts<number> & Range): OptionRow<number> {
  return number('duration', facts, parseMilliseconds, (ms) => formatDurationMs(ms))
}

/** RocketMQ configuration gives its durations as bare milliseconds; those are accepted too. */
function parseMilliseconds(text: string): number {
  return /^\d+$/.test(text.trim()) ? Number(text) : parseDurationMs(text)
}

/** Bytes; text may carry a unit (`64KiB`). */
export function size(facts: RowFacts<number> & Range): OptionRow<number> {
  return number('size', facts, parseSizeBytes, formatBytes)
}

/** One word out of a few. */
export function choice<const Word extends string>(
  facts: RowFacts<NoInfer<Word>> & { readonly values: readonly Word[] },
): OptionRow<Word> {
  const { values, ...rest } = facts
  const find = (text: string) => values.find((word) => word.toLowerCase() === text.toLowerCase())
  return {
    ...rest,
    kind: 'choice',
    range: values.join(' | '),
    parse(text) {
      const word = find(text.trim())
      if (word !== undefined) return word
      throw new MqError('VALUE_INVALID', {
        what: `${JSON.stringify(text)} is not one of ${values.join(', ')}`,
        hint: `write one of ${values.join(', ')}`,
      })
    },
    format: String,
    check: (value) => (values.includes(value) ? null : `is not one of ${values.join(', ')}`),
  }
}

/** Any text; `pattern` limits it, `patternText` says how in words. */
export function text(
  facts: RowFacts<string> & { readonly pattern?: RegExp; readonly patternText?: string },
): OptionRow<string> {
  const { pattern, patternText, ...rest } = facts
  const range = patternText ?? 'any text'
  return {
    ...rest,
    kind: 'text',
    range,
    parse: (value) => value,
    format: String,
    check: (value) =>
      pattern === undefined || pattern.test(value) ? null : `must be ${patternText ?? 'different'}`,
  }
}

// A table holds rows of different value types; `never` in the parameter position admits them all.
type AnyRow = OptionRow<never> | OptionRow<boolean> | OptionRow<number> | OptionRow<string>
export type OptionTable = Readonly<Record<string, AnyRow>>

/** The frozen values of a table. */
export type OptionValues<Table> = {
  readonly [Name in keyof Table]: Table[Name] extends OptionRow<infer Value> ? Value : never
}

/** Gives the table back with its exact type; a place to say that these are options. */
export function optionTable<const Table extends OptionTable>(table: Table): Table {
  return table
}

/** Defaults, overlaid by `given`, each value checked; throws CONFIG_INVALID naming the option. */
export function resolveOptions<Table extends OptionTable>(
  table: Table,
  given: Partial<OptionValues<Table>> = {},
  where = 'options',
): OptionValues<Table> {
  const values: Record<string, unknown> = {}
  for (const name of Object.keys(given)) findOption(table, name, where)
  for (const [name, row] of Object.entries(table)) {
    const value = (given as Record<string, unknown>)[name] ?? row.default
    const wrong = (row as OptionRow<unknown>).check(value)
    if (wrong !== null) throw invalidOption(where, name, wrong, row.range)
    values[name] = value
  }
  return Object.freeze(values) as OptionValues<Table>
}

/**
 * Reads `key=value` texts, as `--set` and configuration files give them. Keys are the table's own
 * names or RocketMQ's. Throws CONFIG_INVALID for an unknown key (with the nearest one) or value.
 */
export function parseSettings<Table extends OptionTable>(
  table: Table,
  settings: readonly string[],
  where = '--set',
): Partial<OptionValues<Table>> {
  const values: Record<string, unknown> = {}
  for (const setting of settings) {
    const equals = setting.indexOf('=')
    if (equals <= 0) {
      throw new MqError('CONFIG_INVALID', {
        where,
        what: `${JSON.stringify(setting)} is not key=value`,
        hint: `write it as ${where} name=value`,
      })
    }
    const name = findOption(table, setting.slice(0, equals).trim(), where)
    values[name] = parseOption(table, name, setting.slice(equals + 1), where)
  }
  return values as Partial<OptionValues<Table>>
}

/** One value from text, checked. */
export function parseOption<Table extends OptionTable, Name extends keyof Table & string>(
  table: Table,
  name: Name,
  value: string,
  where = 'options',
): OptionValues<Table>[Name] {
  const row = table[name] as unknown as OptionRow<unknown>
  let parsed: unknown
  try {
    parsed = row.parse(value)
  } catch (error) {
    throw invalidOption(where, name, messageOf(error), row.range)
  }
  const wrong = row.check(parsed)
  if (wrong !== null) throw invalidOption(where, name, wrong, row.range)
  return parsed as OptionValues<Table>[Name]
}

/** The table's own name for `key`, which may also be RocketMQ's; throws CONFIG_INVALID. */
export function findOption(table: OptionTable, key: string, where = 'options'): string {
  if (Object.hasOwn(table, key)) return key
  for (const [name, row] of Object.entries(table)) if (row.rocketmq === key) return name
  const names = Object.keys(table)
  const close = nearest(key, names)
  throw new MqError('CONFIG_INVALID', {
    where,
    what: `unknown option ${JSON.stringify(key)}`,
    hint:
      close !== null
        ? `did you mean ${close}?`
        : names.length <= HINT_NAMES_MAX
          ? `there are: ${names.join(', ')}`
          : `closest of ${names.length} names: ${closest(key, names, HINT_NAMES_MAX).join(', ')}; mqctl broker get shows those of a running broker`,
  })
}

function invalidOption(where: string, name: string, what: string, range: string): MqError {
  return new MqError('CONFIG_INVALID', {
    where: `${where} ${name}`,
    what,
    hint: `${name} takes ${range}`,
  })
}
