/** SQL92 filters as people write them: checked before anybody is asked, explained with the place. */
import { MqError } from '../base/errors.ts'
import { parseSql, type SqlExpression } from '../protocol/filter/sql-parser.ts'
import { SqlFilter } from '../protocol/filter/sql-filter.ts'
import { nextToken, SqlError } from '../protocol/filter/sql-token.ts'
import { outlineOf, outlineText, type Outline } from '../protocol/filter/sql-tree.ts'
import { noProperties, type Properties } from '../protocol/properties.ts'

export interface ExplainedFilter {
  readonly expression: string
  readonly type: 'SQL92'
  readonly tree: Outline
  /** What the expression says of a message with the given properties; only `true` is delivered. */
  readonly outcome?: string
}

/** The expression. Throws VALUE_INVALID with a pointer to what is wrong. */
export function checkedSql(expression: string): string {
  parsed(expression)
  return expression
}

/** Throws VALUE_INVALID. */
export function explainFilter(
  expression: string,
  headers: readonly (readonly [name: string, value: string])[],
): ExplainedFilter {
  const { root } = parsed(expression)
  const explained = { expression, type: 'SQL92' as const, tree: outlineOf(root) }
  if (headers.length === 0) return explained
  const properties: Properties = noProperties()
  for (const [name, value] of headers) properties[name] = value
  return { ...explained, outcome: new SqlFilter(expression).outcomeOf(properties) }
}

export function explainedText({ tree, outcome }: ExplainedFilter): string {
  const lines = [outlineText(tree)]
  if (outcome !== undefined) {
    const verdict = outcome === 'true' ? 'delivered' : 'not delivered'
    lines.push('', `${outcome}: such a message is ${verdict}`)
  }
  return lines.join('\n')
}

function parsed(expression: string): SqlExpression {
  let result: SqlExpression
  try {
    result = parseSql(expression)
  } catch (error) {
    if (!(error instanceof SqlError)) throw error
    throw invalid(expression, error.at, error.message)
  }
  // Brokers pass over what follows a complete expression: nobody means that.
  const rest = nextToken(expression, result.end)
  if (rest.kind === 'end') return result
  throw invalid(expression, rest.at, 'the expression is complete before this, which brokers ignore')
}

const SHOWN_BEFORE = 60
const SHOWN_BEHIND = 20

/** The line of the expression, cut to what fits, and a pointer below the place. */
function invalid(expression: string, at: number, what: string): MqError {
  const lineStart = expression.lastIndexOf('\n', at - 1) + 1
  const start = Math.max(lineStart, at - SHOWN_BEFORE)
  const [line = ''] = expression.slice(start, at + SHOWN_BEHIND).split('\n')
  const pointer = `${' '.repeat(at - start)}^`
  return new MqError('VALUE_INVALID', {
    what: `${what} (character ${at + 1})\n       ${line.replaceAll('\t', ' ')}\n       ${pointer}`,
    hint: 'there is no LIKE and no arithmetic: = <> > >= < <= BETWEEN IN IS NULL CONTAINS STARTSWITH ENDSWITH AND OR NOT',
  })
}
