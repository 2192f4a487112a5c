/**
 * Words of an SQL92 filter expression. Words are read one at a time as the parser asks for them:
 * text behind the end of an expression is never looked at, as at Apache RocketMQ.
 * Source of the words: apache/rocketmq filter/…/parser/SelectorParser.jj.
 */

export type KeyWord =
  | 'NOT'
  | 'AND'
  | 'OR'
  | 'BETWEEN'
  | 'IN'
  | 'TRUE'
  | 'FALSE'
  | 'NULL'
  | 'IS'
  | 'CONTAINS'
  | 'STARTSWITH'
  | 'ENDSWITH'

export type Sign = '=' | '<>' | '>' | '>=' | '<' | '<=' | '(' | ')' | ',' | '+' | '-'

export interface SqlToken {
  readonly kind: KeyWord | Sign | 'integer' | 'float' | 'text' | 'name' | 'end'
  /** As it stands in the expression. */
  readonly image: string
  /** Where it begins, in characters from 0. */
  readonly at: number
}

/** An expression that cannot be used, and the place in it. */
export class SqlError extends Error {
  override readonly name = 'SqlError'
  /** In characters from 0. */
  readonly at: number

  constructor(what: string, at: number) {
    super(what)
    this.at = at
  }
}

const keyWords: ReadonlySet<string> = new Set<KeyWord>([
  'NOT',
  'AND',
  'OR',
  'BETWEEN',
  'IN',
  'TRUE',
  'FALSE',
  'NULL',
  'IS',
  'CONTAINS',
  'STARTSWITH',
  'ENDSWITH',
])

const blank = /[ \t\n\r\f]+/y
// Without an end of line it is no comment but two signs.
const lineComment = /--[^\n\r]*(?:\r\n|\n|\r)/y
const float =
  /(?:[0-9]+\.[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)/y
const integer = /0|[1-9][0-9]*[lL]?/y
const text = /'(?:''|[^'])*'/y
const name = /[A-Za-z_$][A-Za-z0-9_$]*/y
const sign = /<>|>=|<=|[=<>(),+-]/y

/** The first word from `start` on, behind blanks and comments. Throws SqlError. */
export function nextToken(expression: string, start: number): SqlToken {
  const at = skip(expression, start)
  if (at >= expression.length) return { kind: 'end', image: '', at }
  const word = matched(name, expression, at)
  if (word !== null) {
    const upper = word.toUpperCase()
    const kind = isKeyWord(upper) ? upper : 'name'
    return { kind, image: word, at }
  }
  const decimal = matched(float, expression, at)
  if (decimal !== null) return { kind: 'float', image: decimal, at }
  const whole = matched(integer, expression, at)
  if (whole !== null) return { kind: 'integer', image: whole, at }
  const quoted = matched(text, expression, at)
  if (quoted !== null) return { kind: 'text', image: quoted, at }
  const operator = matched(sign, expression, at)
  if (operator !== null) return { kind: operator as Sign, image: operator, at }
  throw new SqlError(whatIsWrong(expression, at), at)
}

function isKeyWord(word: string): word is KeyWord {
  return keyWords.has(word)
}

function matched(pattern: RegExp, expression: string, at: number): string | null {
  pattern.lastIndex = at
  return pattern.exec(expression)?.[0] ?? null
}

function skip(expression: string, start: number): number {
  let at = start
  for (;;) {
    const skipped = matched(blank, expression, at) ?? matched(lineComment, expression, at)
    if (skipped !== null) at += skipped.length
    else if (expression.startsWith('/*', at)) {
      const end = expression.indexOf('*/', at + 2)
      if (end < 0) return at
      at = end + 2
    } else return at
  }
}

function whatIsWrong(expression: string, at: number): string {
  if (expression[at] === "'") return 'this text has no closing quote'
  if (expression.startsWith('/*', at)) return 'this comment has no end'
  if (expression[at] === '"') return "texts stand in single quotes: 'text'"
  if (expression.startsWith('!=', at)) return '"not equal" is written <>'
  const character = String.fromCodePoint(expression.codePointAt(at) ?? 0)
  return `${JSON.stringify(character)} has no meaning here`
}
