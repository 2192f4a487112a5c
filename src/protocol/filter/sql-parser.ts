/**
 * SQL92 filter expressions → trees, by Apache RocketMQ's grammar: OR, AND, then `= <> IS [NOT] NULL`,
 * then `> >= < <= CONTAINS STARTSWITH ENDSWITH BETWEEN IN` with NOT, then `+ - NOT`, then names,
 * constants and parentheses. There is no LIKE and no arithmetic. `NOT a = 1` is `(NOT a) = 1`.
 *
 * What follows a complete expression is not looked at, there and here: `a > 1 LIKE 'x'` is `a > 1`.
 * `SqlExpression.end` says where that begins, so that a person can be told.
 * Source: apache/rocketmq filter/…/parser/SelectorParser.jj, …/expression/{ComparisonExpression,ConstantExpression}.java.
 */
import { compareDoubles, compareLongs, parseJavaInt, parseJavaLong } from './java-number.ts'
import {
  type Comparison,
  constantText,
  isTruth,
  type SqlConstant,
  type SqlNode,
  type TextTest,
} from './sql-tree.ts'
import { nextToken, SqlError, type SqlToken } from './sql-token.ts'

/** Characters of an expression; Apache has no limit. */
export const SQL_CHARS_MAX = 32_768
/** How deep an expression may be nested; Apache's limit is its stack. */
export const SQL_DEPTH_MAX = 400

export interface SqlExpression {
  readonly root: SqlNode
  /** Behind the last character that belongs to the expression. */
  readonly end: number
}

/** Throws SqlError. */
export function parseSql(expression: string): SqlExpression {
  if (expression.length > SQL_CHARS_MAX) {
    throw new SqlError(`an expression has at most ${SQL_CHARS_MAX} characters`, SQL_CHARS_MAX)
  }
  const parser = new Parser(expression)
  const root = asTruth(parser.or(0))
  return { root, end: parser.end }
}

class Parser {
  /** Behind the last word that was taken. */
  end = 0
  readonly #expression: string
  #next: SqlToken | null = null

  constructor(expression: string) {
    this.#expression = expression
  }

  or(depth: number): SqlNode {
    return this.#chain('or', 'OR', () => this.#and(depth))
  }

  #and(depth: number): SqlNode {
    return this.#chain('and', 'AND', () => this.#equality(depth))
  }

  /** Long chains become one node, so that they are no deeper than short ones. */
  #chain(kind: 'and' | 'or', word: 'AND' | 'OR', operand: () => SqlNode): SqlNode {
    const first = operand()
    if (this.#peek().kind !== word) return first
    const all = [asTruth(first)]
    while (this.#peek().kind === word) {
      this.#take()
      all.push(asTruth(operand()))
    }
    return { kind, all, at: first.at }
  }

  #equality(depth: number): SqlNode {
    let left = this.#comparison(depth)
    for (let links = depth; ; links += 1) {
      checkDepth(links, this.#peek().at)
      const { kind, at } = this.#peek()
      if (kind === '=' || kind === '<>') {
        this.#take()
        const equal = equals(left, this.#comparison(links), at)
        left = kind === '=' ? equal : { kind: 'not', of: equal, at }
      } else if (kind === 'IS') {
        this.#take()
        const negated = this.#peek().kind === 'NOT'
        if (negated) this.#take()
        this.#expect('NULL', 'NULL or NOT NULL')
        const isNull: SqlNode = { kind: 'isNull', of: left, at }
        left = negated ? { kind: 'not', of: isNull, at } : isNull
      } else return left
    }
  }

  #comparison(depth: number): SqlNode {
    let left = this.#unary(depth)
    for (let links = depth; ; links += 1) {
      checkDepth(links, this.#peek().at)
      const { kind, at } = this.#peek()
      switch (kind) {
        case '>':
        case '>=':
        case '<':
        case '<=':
          this.#take()
          left = ordered(kind, left, this.#unary(links), at)
          break
        case 'CONTAINS':
        case 'STARTSWITH':
        case 'ENDSWITH':
        case 'BETWEEN':
        case 'IN':
          left = this.#test(left, false, at, links)
          break
        case 'NOT':
          this.#take()
          left = this.#test(left, true, at, links)
          break
        default:
          return left
      }
    }
  }

  #test(of: SqlNode, negated: boolean, at: number, depth: number): SqlNode {
    const { kind } = this.#peek()
    switch (kind) {
      case 'CONTAINS':
      case 'STARTSWITH':
      case 'ENDSWITH':
        this.#take()
        return {
          kind: 'text',
          test: kind satisfies TextTest,
          negated,
          of,
          search: this.#text(),
          at,
        }
      case 'BETWEEN': {
        this.#take()
        const low = this.#unary(depth)
        this.#expect('AND', 'AND and the upper end')
        return between(of, negated, low, this.#unary(depth), at)
      }
      case 'IN': {
        this.#take()
        const values = this.#texts()
        if (of.kind !== 'property') throw new SqlError('IN needs a property on its left', of.at)
        return { kind: 'in', negated, name: of.name, values, at }
      }
      default:
        throw this.#unexpected('CONTAINS, STARTSWITH, ENDSWITH, BETWEEN or IN after NOT')
    }
  }

  #unary(depth: number): SqlNode {
    const { kind, at } = this.#peek()
    checkDepth(depth, at)
    switch (kind) {
      case '+':
        this.#take()
        return this.#unary(depth + 1)
      case '-':
        this.#take()
        return { kind: 'negate', of: this.#unary(depth + 1), at }
      case 'NOT':
        this.#take()
        return { kind: 'not', of: asTruth(this.#unary(depth + 1)), at }
      default:
        return this.#primary(depth)
    }
  }

  #primary(depth: number): SqlNode {
    const { kind, image, at } = this.#peek()
    switch (kind) {
      case 'text':
        return constantNode({ type: 'text', value: this.#text() }, at)
      case 'integer':
        this.#take()
        return constantNode(integerConstant(image, at), at)
      case 'float':
        this.#take()
        return constantNode(floatConstant(image, at), at)
      case 'TRUE':
      case 'FALSE':
        this.#take()
        return constantNode({ type: 'boolean', value: kind === 'TRUE' }, at)
      case 'NULL':
        this.#take()
        return constantNode({ type: 'null', value: null }, at)
      case 'name':
        this.#take()
        return { kind: 'property', name: image, at }
      case '(': {
        this.#take()
        const inside = this.or(depth + 1)
        this.#expect(')', 'a closing parenthesis')
        return inside
      }
      default:
        throw this.#unexpected('a property, a constant or a parenthesis')
    }
  }

  #texts(): string[] {
    this.#expect('(', "a list as in ('a', 'b')")
    const values = [this.#text()]
    while (this.#peek().kind === ',') {
      this.#take()
      values.push(this.#text())
    }
    this.#expect(')', 'a comma or a closing parenthesis')
    return values
  }

  #text(): string {
    if (this.#peek().kind !== 'text') throw this.#unexpected("a text in quotes, as in 'text'")
    return this.#take().image.slice(1, -1).replaceAll("''", "'")
  }

  #peek(): SqlToken {
    this.#next ??= nextToken(this.#expression, this.end)
    return this.#next
  }

  #take(): SqlToken {
    const token = this.#peek()
    this.#next = null
    this.end = token.at + token.image.length
    return token
  }

  #expect(kind: SqlToken['kind'], what: string): void {
    if (this.#peek().kind !== kind) throw this.#unexpected(what)
    this.#take()
  }

  #unexpected(wanted: string): SqlError {
    const { kind, image, at } = this.#peek()
    const found = kind === 'end' ? 'the expression ends here' : `here stands ${image}`
    return new SqlError(`${found}; expected is ${wanted}`, at)
  }
}

function checkDepth(depth: number, at: number): void {
  if (depth <= SQL_DEPTH_MAX) return
  throw new SqlError(`an expression is nested at most ${SQL_DEPTH_MAX} deep`, at)
}

function constantNode(constant: SqlConstant, at: number): SqlNode {
  return { kind: 'constant', constant, at }
}

function integerConstant(image: string, at: number): SqlConstant {
  const digits = image.replace(/[lL]$/, '')
  const value = parseJavaLong(digits)
  if (value === null) throw new SqlError('a whole number has at most 64 bits', at)
  const int = parseJavaInt(digits)
  return int === null ? { type: 'long', value } : { type: 'int', value: int }
}

function floatConstant(image: string, at: number): SqlConstant {
  const value = Number(image)
  if (value === Number.POSITIVE_INFINITY) {
    throw new SqlError(`this number is greater than ${Number.MAX_VALUE}`, at)
  }
  if (value < Number.MIN_VALUE) {
    throw new SqlError('RocketMQ takes no zero with a point or an exponent; write 0', at)
  }
  return { type: 'double', value }
}

/** A property may stand for a truth value; numbers and texts may not. */
function asTruth(node: SqlNode): SqlNode {
  if (isTruth(node)) return node
  if (node.kind === 'property') return { kind: 'truth', of: node, at: node.at }
  throw new SqlError('this gives no truth value', node.at)
}

function equals(left: SqlNode, right: SqlNode, at: number): SqlNode {
  for (const side of [left, right]) {
    if (side.kind === 'constant' && side.constant.type === 'null') {
      throw new SqlError('nothing equals NULL; write IS NULL or IS NOT NULL', side.at)
    }
  }
  if (
    left.kind === 'constant' &&
    right.kind === 'constant' &&
    left.constant.type === 'boolean' &&
    right.constant.type !== 'boolean'
  ) {
    throw new SqlError(
      `${constantText(left.constant)} cannot be compared with ${constantText(right.constant)}`,
      right.at,
    )
  }
  return { kind: 'compare', operator: '=', left, right, at }
}

function ordered(operator: Comparison, left: SqlNode, right: SqlNode, at: number): SqlNode {
  checkOrdered(left)
  checkOrdered(right)
  return { kind: 'compare', operator, left, right, at }
}

/** Only numbers have an order; what a property holds is known when a message comes. */
function checkOrdered(node: SqlNode): void {
  const isNumber = node.kind === 'constant' && isNumeric(node.constant)
  if (isNumber || node.kind === 'property' || node.kind === 'negate') return
  throw new SqlError('greater, less and BETWEEN compare numbers and properties', node.at)
}

function isNumeric(constant: SqlConstant): boolean {
  return constant.type === 'int' || constant.type === 'long' || constant.type === 'double'
}

function between(of: SqlNode, negated: boolean, low: SqlNode, high: SqlNode, at: number): SqlNode {
  for (const side of [of, low, high]) checkOrdered(side)
  // NOT BETWEEN is not checked by Apache either.
  if (!negated && low.kind === 'constant' && high.kind === 'constant') {
    if (compareConstants(low.constant, high.constant) > 0) {
      throw new SqlError(
        `BETWEEN needs its lower end first: ${constantText(low.constant)} is above ${constantText(high.constant)}`,
        low.at,
      )
    }
  }
  return { kind: 'between', negated, of, low, high, at }
}

/** Of two numeric constants. */
function compareConstants(left: SqlConstant, right: SqlConstant): number {
  const [a, b] = [left.value ?? 0, right.value ?? 0]
  if (left.type === 'double' || right.type === 'double') return compareDoubles(Number(a), Number(b))
  return compareLongs(a as number | bigint, b as number | bigint)
}
