/**
 * Trees of SQL92 filters → functions that judge a message by its properties. Java's types and
 * conversions are kept, with the outcomes that they have at Apache RocketMQ:
 * - a missing property is unknown; AND, OR and NOT are three-valued, left before right
 * - a property is a text, turned into the type of the number that it meets; one that is no such
 *   number makes the whole expression fail, unless AND or OR was decided before
 * - a message passes when the whole is true; unknown and failed do not pass
 *
 * Work is bounded: each node of the tree is looked at once a message at most, texts have at most
 * 32,767 bytes.
 * Source: apache/rocketmq filter/…/expression/{ComparisonExpression,LogicExpression,UnaryExpression,UnaryInExpression}.java.
 */
import {
  compareDoubles,
  compareLongs,
  parseJavaDouble,
  parseJavaInt,
  parseJavaLong,
} from './java-number.ts'
import type { Comparison, SqlConstant, SqlNode, TextTest } from './sql-tree.ts'

/** What an expression says of a message; only `true` lets it pass. `failed`: Apache throws. */
export type SqlOutcome = 'true' | 'false' | 'unknown' | 'failed'

/** Texts of the wanted properties, in the order of `SqlEvaluator.names`; null where there is none. */
export type PropertyTexts = readonly (string | null)[]

const FALSE = 0
const TRUE = 1
const UNKNOWN = 2
const FAILED = 3
type Truth = typeof FALSE | typeof TRUE | typeof UNKNOWN | typeof FAILED
type Test = (texts: PropertyTexts) => Truth

const outcomes: readonly SqlOutcome[] = ['false', 'true', 'unknown', 'failed']

/** A number with its Java type. */
interface Numeric {
  readonly type: 'int' | 'long' | 'double'
  readonly value: number | bigint
}

const failed = Symbol('failed')
type Value = string | boolean | Numeric | null | typeof failed
type Valuer = (texts: PropertyTexts) => Value

export class SqlEvaluator {
  /** Names of the properties that the expression looks at, without repetition. */
  readonly names: readonly string[]
  /** Nodes that are looked at for a message, at most. */
  readonly steps: number
  readonly #test: Test

  constructor(root: SqlNode) {
    const builder = new Builder()
    this.#test = builder.test(root)
    this.names = [...builder.slots.keys()]
    this.steps = builder.steps
  }

  matches(texts: PropertyTexts): boolean {
    return this.#test(texts) === TRUE
  }

  outcome(texts: PropertyTexts): SqlOutcome {
    return outcomes[this.#test(texts)] ?? 'failed'
  }
}

class Builder {
  /** In the order in which the names were met. */
  readonly slots = new Map<string, number>()
  steps = 0

  #slotOf(name: string): number {
    const known = this.slots.get(name)
    if (known !== undefined) return known
    const slot = this.slots.size
    this.slots.set(name, slot)
    return slot
  }

  test(node: SqlNode): Test {
    this.steps++
    switch (node.kind) {
      case 'and':
        return every(node.all.map((child) => this.test(child)))
      case 'or':
        return some(node.all.map((child) => this.test(child)))
      case 'not':
        return inverse(this.test(node.of))
      case 'truth':
        return this.#truth(node.of)
      case 'constant':
        return constantTest(node.constant)
      case 'compare':
        return node.operator === '='
          ? this.#equal(node.left, node.right)
          : this.#ordered(node.operator, node.left, node.right)
      case 'between': {
        const { negated, of, low, high } = node
        return negated
          ? some([this.#ordered('<', of, low), this.#ordered('>', of, high)])
          : every([this.#ordered('>=', of, low), this.#ordered('<=', of, high)])
      }
      case 'isNull': {
        const value = this.#value(node.of)
        return (texts) => {
          const found = value(texts)
          return found === failed ? FAILED : found === null ? TRUE : FALSE
        }
      }
      case 'text':
        return this.#textTest(node.of, node.test, node.search, node.negated)
      case 'in': {
        const slot = this.#slotOf(node.name)
        const values = new Set(node.values)
        const { negated } = node
        return (texts) => {
          const text = texts[slot] ?? null
          if (text === null) return UNKNOWN
          return values.has(text) !== negated ? TRUE : FALSE
        }
      }
      case 'property':
      case 'negate':
        // The parser lets neither stand for a truth value.
        return () => FAILED
    }
  }

  #value(node: SqlNode): Valuer {
    switch (node.kind) {
      case 'property': {
        const slot = this.#slotOf(node.name)
        return (texts) => texts[slot] ?? null
      }
      case 'constant': {
        const value = constantValue(node.constant)
        return () => value
      }
      case 'negate':
        return negated(this.#value(node.of))
      default: {
        const test = this.test(node)
        return (texts) => {
          const truth = test(texts)
          return truth === FAILED ? failed : truth === UNKNOWN ? null : truth === TRUE
        }
      }
    }
  }

  /** A property is a text, and no text is a truth value, not even 'true'. */
  #truth(of: SqlNode): Test {
    const value = this.#value(of)
    return (texts) => (value(texts) === null ? UNKNOWN : FALSE)
  }

  #equal(left: SqlNode, right: SqlNode): Test {
    if (left.kind === 'property' && right.kind === 'constant' && right.constant.type === 'text') {
      const slot = this.#slotOf(left.name)
      const wanted = right.constant.value
      return (texts) => {
        const text = texts[slot] ?? null
        return text === null ? UNKNOWN : text === wanted ? TRUE : FALSE
      }
    }
    const leftValue = this.#value(left)
    const rightValue = this.#value(right)
    return (texts) => {
      const a = leftValue(texts)
      if (a === failed) return FAILED
      const b = rightValue(texts)
      if (b === failed) return FAILED
      if (a === null) return b === null ? TRUE : UNKNOWN
      if (b === null) return FALSE
      return decided('=', compareValues(a, b))
    }
  }

  #ordered(operator: Comparison, left: SqlNode, right: SqlNode): Test {
    const leftValue = this.#value(left)
    const rightValue = this.#value(right)
    return (texts) => {
      const a = leftValue(texts)
      if (a === failed) return FAILED
      if (a === null) return UNKNOWN
      const b = rightValue(texts)
      if (b === failed) return FAILED
      if (b === null) return UNKNOWN
      if (typeof a === 'string' && typeof b === 'string') {
        const x = parseJavaDouble(a)
        const y = x === null ? null : parseJavaDouble(b)
        return x === null || y === null ? FAILED : decided(operator, compareDoubles(x, y))
      }
      return decided(operator, compareValues(a, b))
    }
  }

  #textTest(of: SqlNode, test: TextTest, search: string, isNegated: boolean): Test {
    if (search === '') return () => FALSE
    const value = this.#value(of)
    const contains = textTests[test]
    return (texts) => {
      const text = value(texts)
      if (text === failed) return FAILED
      if (typeof text !== 'string') return FALSE
      return contains(text, search) !== isNegated ? TRUE : FALSE
    }
  }
}

const textTests: Readonly<Record<TextTest, (text: string, search: string) => boolean>> = {
  CONTAINS: (text, search) => text.includes(search),
  STARTSWITH: (text, search) => text.startsWith(search),
  ENDSWITH: (text, search) => text.endsWith(search),
}

function every(tests: readonly Test[]): Test {
  return (texts) => {
    let unknown = false
    for (const test of tests) {
      const truth = test(texts)
      if (truth === FALSE || truth === FAILED) return truth
      if (truth === UNKNOWN) unknown = true
    }
    return unknown ? UNKNOWN : TRUE
  }
}

function some(tests: readonly Test[]): Test {
  return (texts) => {
    let unknown = false
    for (const test of tests) {
      const truth = test(texts)
      if (truth === TRUE || truth === FAILED) return truth
      if (truth === UNKNOWN) unknown = true
    }
    return unknown ? UNKNOWN : FALSE
  }
}

function inverse(test: Test): Test {
  return (texts) => {
    const truth = test(texts)
    return truth === TRUE ? FALSE : truth === FALSE ? TRUE : truth
  }
}

function negated(value: Valuer): Valuer {
  return (texts) => {
    const found = value(texts)
    if (found === failed) return failed
    if (found === null || typeof found !== 'object') return null
    return { type: found.type, value: -found.value }
  }
}

function constantTest(constant: SqlConstant): Test {
  const truth = constant.type === 'boolean' ? (constant.value ? TRUE : FALSE) : UNKNOWN
  return () => truth
}

function constantValue(constant: SqlConstant): Value {
  switch (constant.type) {
    case 'int':
    case 'long':
    case 'double':
      return constant
    default:
      return constant.value
  }
}

/** `order`: below, at or above 0; null when a value could not be converted. */
function decided(operator: Comparison, order: number | null): Truth {
  if (order === null) return FAILED
  switch (operator) {
    case '=':
      return order === 0 ? TRUE : FALSE
    case '>':
      return order > 0 ? TRUE : FALSE
    case '>=':
      return order >= 0 ? TRUE : FALSE
    case '<':
      return order < 0 ? TRUE : FALSE
    case '<=':
      return order <= 0 ? TRUE : FALSE
  }
}

/** The order of two values after Java's conversions; null when they have none. */
function compareValues(
  left: string | boolean | Numeric,
  right: string | boolean | Numeric,
): number | null {
  if (typeof left === 'string') {
    if (typeof right === 'string') return left === right ? 0 : left < right ? -1 : 1
    if (typeof right === 'boolean') return order(left.toLowerCase() === 'true', right)
    const number = numberOf(left, right.type)
    return number === null ? null : compareNumbers({ type: right.type, value: number }, right)
  }
  if (typeof left === 'boolean') {
    if (typeof right === 'boolean') return order(left, right)
    // Apache casts the wrong side and fails; a number is simply different.
    return typeof right === 'string' ? null : -1
  }
  if (typeof right === 'boolean') return -1
  if (typeof right === 'string') {
    const number = numberOf(right, left.type)
    return number === null ? null : compareNumbers(left, { type: left.type, value: number })
  }
  return compareNumbers(left, right)
}

function order(left: boolean, right: boolean): number {
  return Number(left) - Number(right)
}

function numberOf(text: string, type: Numeric['type']): number | bigint | null {
  switch (type) {
    case 'int':
      return parseJavaInt(text)
    case 'long':
      return parseJavaLong(text)
    case 'double':
      return parseJavaDouble(text)
  }
}

function compareNumbers(left: Numeric, right: Numeric): number {
  return left.type === 'double' || right.type === 'double'
    ? compareDoubles(Number(left.value), Number(right.value))
    : compareLongs(left.value, right.value)
}
