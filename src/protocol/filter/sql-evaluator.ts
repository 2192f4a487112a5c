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
import type { WantedProperties } from './wanted-properties.ts'

/** What an expression says of a message; only `true` lets it pass. `failed`: Apache throws. */
export type SqlOutcome = 'true' | 'false' | 'unknown' | 'failed'

const FALSE = 0
const TRUE = 1
const UNKNOWN = 2
const FAILED = 3
type Truth = typeof FALSE | typeof TRUE | typeof UNKNOWN | typeof FAILED
/** Properties have the order of `SqlEvaluator.names`. */
type Test = (wanted: WantedProperties) => Truth

const outcomes: readonly SqlOutcome[] = ['false', 'true', 'unknown', 'failed']

/** A number with its Java type. */
interface Numeric {
  readonly type: 'int' | 'long' | 'double'
  readonly value: number | bigint
}

const failed = Symbol('failed')
type Value = string | boolean | Numeric | null | typeof failed
type Valuer = (wanted: WantedProperties) => Value

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

  matches(wanted: WantedProperties): boolean {
    return this.#test(wanted) === TRUE
  }

  outcome(wanted: WantedProperties): SqlOutcome {
    return outcomes[this.#test(wanted)] ?? 'failed'
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
        return (wanted) => {
          const found = value(wanted)
          return found === failed ? FAILED : found === null ? TRUE : FALSE
        }
      }
      case 'text':
        return this.#textTest(node.of, node.test, node.search, node.negated)
      case 'in': {
        const slot = this.#slotOf(node.name)
        const values = new Set(node.values)
        const { negated } = node
        return (wanted) => {
          const text = wanted.text(slot)
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
        return (wanted) => wanted.text(slot)
      }
      case 'constant': {
        const value = constantValue(node.constant)
        return () => value
      }
      case 'negate':
        return negated(this.#value(node.of))
      default: {
        const test = this.test(node)
        return (wanted) => {
          const truth = test(wanted)
          return truth === FAILED ? failed : truth === UNKNOWN ? null : truth === TRUE
        }
      }
    }
  }

  /** A property is a text, and no text is a truth value, not even 'true'. */
  #truth(of: SqlNode): Test {
    const value = this.#value(of)
    return (wanted) => (value(wanted) === null ? UNKNOWN : FALSE)
  }

  #equal(left: SqlNode, right: SqlNode): Test {
    if (left.kind === 'property' && right.kind === 'constant' && right.constant.type === 'text') {
      return equalText(this.#slotOf(left.name), right.constant.value)
    }
    if (left.kind === 'property' && right.kind === 'constant' && isNumeric(right.constant)) {
      return comparedNumber('=', this.#slotOf(left.name), right.constant)
    }
    const leftValue = this.#value(left)
    const rightValue = this.#value(right)
    return (wanted) => {
      const a = leftValue(wanted)
      if (a === failed) return FAILED
      const b = rightValue(wanted)
      if (b === failed) return FAILED
      if (a === null) return b === null ? TRUE : UNKNOWN
      if (b === null) return FALSE
      return decided(signsOf['='], compareValues(a, b))
    }
  }

  #ordered(operator: Comparison, left: SqlNode, right: SqlNode): Test {
    if (left.kind === 'property' && right.kind === 'constant' && isNumeric(right.constant)) {
      return comparedNumber(operator, this.#slotOf(left.name), right.constant)
    }
    const signs = signsOf[operator]
    const leftValue = this.#value(left)
    const rightValue = this.#value(right)
    return (wanted) => {
      const a = leftValue(wanted)
      if (a === failed) return FAILED
      if (a === null) return UNKNOWN
      const b = rightValue(wanted)
      if (b === failed) return FAILED
      if (b === null) return UNKNOWN
      if (typeof a === 'string' && typeof b === 'string') {
        const x = parseJavaDouble(a)
        const y = x === null ? null : parseJavaDouble(b)
        return x === null || y === null ? FAILED : decided(signs, compareDoubles(x, y))
      }
      return decided(signs, compareValues(a, b))
    }
  }

  #textTest(of: SqlNode, test: TextTest, search: string, isNegated: boolean): Test {
    if (search === '') return () => FALSE
    const value = this.#value(of)
    const contains = textTests[test]
    return (wanted) => {
      const text = value(wanted)
      if (text === failed) return FAILED
      if (typeof text !== 'string') return FALSE
      return contains(text, search) !== isNegated ? TRUE : FALSE
    }
  }
}

const plainText = /^[ -~]*$/

/** A property and a text. What is nothing but ASCII has one encoding, and is compared as it lies there. */
function equalText(slot: number, text: string): Test {
  if (!plainText.test(text)) {
    return (wanted) => {
      const found = wanted.text(slot)
      return found === null ? UNKNOWN : found === text ? TRUE : FALSE
    }
  }
  const bytes = Buffer.from(text, 'latin1')
  return (wanted) => {
    if (wanted.isMissing(slot)) return UNKNOWN
    return wanted.isBytes(slot, bytes) ? TRUE : FALSE
  }
}

function isNumeric(constant: SqlConstant): constant is SqlConstant & Numeric {
  return constant.type === 'int' || constant.type === 'long' || constant.type === 'double'
}

/** A property and a number. A few digits mean the same to all of Java's types. */
function comparedNumber(operator: Comparison, slot: number, constant: Numeric): Test {
  const signs = signsOf[operator]
  const value = Number(constant.value)
  // To Java's doubles −0.0 is below 0; a bigint may be none that a number can be.
  const isPlain = typeof constant.value === 'number' && !Object.is(value, -0)
  return (wanted) => {
    if (isPlain) {
      const number = wanted.shortNumber(slot)
      if (number >= 0) return decided(signs, number < value ? -1 : number > value ? 1 : 0)
    }
    const text = wanted.text(slot)
    return text === null ? UNKNOWN : decided(signs, compareValues(text, constant))
  }
}

const textTests: Readonly<Record<TextTest, (text: string, search: string) => boolean>> = {
  CONTAINS: (text, search) => text.includes(search),
  STARTSWITH: (text, search) => text.startsWith(search),
  ENDSWITH: (text, search) => text.endsWith(search),
}

function every(tests: readonly Test[]): Test {
  return (wanted) => {
    let unknown = false
    for (const test of tests) {
      const truth = test(wanted)
      if (truth === FALSE || truth === FAILED) return truth
      if (truth === UNKNOWN) unknown = true
    }
    return unknown ? UNKNOWN : TRUE
  }
}

function some(tests: readonly Test[]): Test {
  return (wanted) => {
    let unknown = false
    for (const test of tests) {
      const truth = test(wanted)
      if (truth === TRUE || truth === FAILED) return truth
      if (truth === UNKNOWN) unknown = true
    }
    return unknown ? UNKNOWN : FALSE
  }
}

function inverse(test: Test): Test {
  return (wanted) => {
    const truth = test(wanted)
    return truth === TRUE ? FALSE : truth === FALSE ? TRUE : truth
  }
}

function negated(value: Valuer): Valuer {
  return (wanted) => {
    const found = value(wanted)
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

/** Which orders satisfy an operator: bit 0 below, bit 1 equal, bit 2 above. */
const signsOf: Readonly<Record<Comparison, number>> = { '<': 1, '=': 2, '<=': 3, '>': 4, '>=': 6 }

/** `order`: −1, 0 or 1; null when a value could not be converted. */
function decided(signs: number, order: number | null): Truth {
  if (order === null) return FAILED
  return ((signs >> (order + 1)) & 1) === 1 ? TRUE : FALSE
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
