/** The parsed tree of an SQL92 filter expression, and its outline for people. */

/** Java's types of constants: `int` within 32 bits, `long` within 64. */
export type SqlConstant =
  | { readonly type: 'text'; readonly value: string }
  | { readonly type: 'int'; readonly value: number }
  | { readonly type: 'long'; readonly value: number | bigint }
  | { readonly type: 'double'; readonly value: number }
  | { readonly type: 'boolean'; readonly value: boolean }
  | { readonly type: 'null'; readonly value: null }

export type Comparison = '=' | '>' | '>=' | '<' | '<='
export type TextTest = 'CONTAINS' | 'STARTSWITH' | 'ENDSWITH'

export type SqlNode =
  | { readonly kind: 'property'; readonly name: string; readonly at: number }
  | { readonly kind: 'constant'; readonly constant: SqlConstant; readonly at: number }
  | { readonly kind: 'negate'; readonly of: SqlNode; readonly at: number }
  | { readonly kind: 'not'; readonly of: SqlNode; readonly at: number }
  /** A property where a truth value is wanted. */
  | { readonly kind: 'truth'; readonly of: SqlNode; readonly at: number }
  | { readonly kind: 'and' | 'or'; readonly all: readonly SqlNode[]; readonly at: number }
  | {
      readonly kind: 'compare'
      readonly operator: Comparison
      readonly left: SqlNode
      readonly right: SqlNode
      readonly at: number
    }
  | {
      readonly kind: 'between'
      readonly negated: boolean
      readonly of: SqlNode
      readonly low: SqlNode
      readonly high: SqlNode
      readonly at: number
    }
  | { readonly kind: 'isNull'; readonly of: SqlNode; readonly at: number }
  | {
      readonly kind: 'text'
      readonly test: TextTest
      readonly negated: boolean
      readonly of: SqlNode
      readonly search: string
      readonly at: number
    }
  | {
      readonly kind: 'in'
      readonly negated: boolean
      readonly name: string
      readonly values: readonly string[]
      readonly at: number
    }

/** Whether a node gives a truth value; a property does not, though it may stand for one. */
export function isTruth(node: SqlNode): boolean {
  switch (node.kind) {
    case 'property':
    case 'negate':
      return false
    case 'constant':
      return node.constant.type === 'boolean' || node.constant.type === 'null'
    default:
      return true
  }
}

/** A constant as one would write it. */
export function constantText(constant: SqlConstant): string {
  switch (constant.type) {
    case 'text':
      return quoted(constant.value)
    case 'null':
      return 'NULL'
    case 'boolean':
      return constant.value ? 'TRUE' : 'FALSE'
    default:
      return String(constant.value)
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** What a node is, in one line, without what is below it. */
function label(node: SqlNode): string {
  switch (node.kind) {
    case 'property':
      return `property ${node.name}`
    case 'constant':
      return `${node.constant.type} ${constantText(node.constant)}`
    case 'negate':
      return '-'
    case 'not':
      return 'NOT'
    case 'truth':
      return 'is true'
    case 'and':
      return 'AND'
    case 'or':
      return 'OR'
    case 'compare':
      return node.operator
    case 'between':
      return node.negated ? 'NOT BETWEEN' : 'BETWEEN'
    case 'isNull':
      return 'IS NULL'
    case 'text':
      return `${node.negated ? 'NOT ' : ''}${node.test} ${quoted(node.search)}`
    case 'in':
      return `${node.negated ? 'NOT IN' : 'IN'} (${node.values.map(quoted).join(', ')})`
  }
}

/** What is below a node, in order. */
function below(node: SqlNode): readonly SqlNode[] {
  switch (node.kind) {
    case 'property':
    case 'constant':
      return []
    case 'and':
    case 'or':
      return node.all
    case 'compare':
      return [node.left, node.right]
    case 'between':
      return [node.of, node.low, node.high]
    case 'in':
      return [{ kind: 'property', name: node.name, at: node.at }]
    default:
      return [node.of]
  }
}

/** One node of the tree for programs. */
export interface Outline {
  readonly node: string
  readonly of: readonly Outline[]
}

export function outlineOf(node: SqlNode): Outline {
  return { node: label(node), of: below(node).map((child) => outlineOf(child)) }
}

/** The tree for people, one node a line. */
export function outlineText({ node, of }: Outline): string {
  const lines = [node]
  of.forEach((child, index) => {
    const isLast = index === of.length - 1
    const [first = '', ...rest] = outlineText(child).split('\n')
    lines.push(`${isLast ? '└─' : '├─'} ${first}`)
    lines.push(...rest.map((line) => `${isLast ? '  ' : '│ '} ${line}`))
  })
  return lines.join('\n')
}
