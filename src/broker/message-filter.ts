/**
 * What a pull may see. By tags a broker looks at the 32-bit hash that the consume queue holds: two
 * tags with one hash pass here and are told apart by the consumer. By SQL92 it looks into each
 * record's properties. A filter that cannot be honoured is refused: nothing is delivered unfiltered.
 * Source: apache/rocketmq broker/…/filter/ExpressionMessageFilter.java, …/processor/PullMessageProcessor.java, FilterAPI.java.
 */
import { ResponseCode } from '../protocol/codes.ts'
import { type SubscriptionData, tagSubscription } from '../protocol/bodies/subscription-data.ts'
import { SqlFilter } from '../protocol/filter/sql-filter.ts'
import { SqlError } from '../protocol/filter/sql-token.ts'
import type { Accept, RecordTest, Select } from '../store/pull.ts'
import { TagCodes } from '../store/tag-codes.ts'
import { Refusal } from './refusal.ts'

export class MessageFilter {
  /** Whether a record with this tag code may interest the puller; null lets all through. */
  readonly accept: Accept
  /** Whether a record does; null when tags alone decide. */
  readonly select: Select

  constructor(accept: Accept, select: Select) {
    this.accept = accept
    this.select = select
  }
}

const everything = new MessageFilter(null, null)

/** Whether an expression type is one by tags; null and the empty text mean that. */
export function isTagType(expressionType: string | null): boolean {
  return expressionType === null || expressionType === '' || expressionType === 'TAG'
}

/**
 * The filter of an expression in a pull's header. Throws a Refusal: SUBSCRIPTION_PARSE_FAILED for a
 * bad expression, SYSTEM_ERROR while the broker filters by tags only.
 */
export function filterOfPull(
  expressionType: string | null,
  expression: string | null,
  sqlEnabled: boolean,
): MessageFilter {
  if (expressionType === null || isTagType(expressionType)) {
    if (lastTags.expression === expression) return lastTags.filter
    const wanted = tagSubscription('', expression ?? '*', 0)
    if (wanted.tagsSet.length === 0 && expression?.includes('||') === true) {
      throw new Refusal(
        ResponseCode.SUBSCRIPTION_PARSE_FAILED,
        "parse the consumer's subscription failed: it names no tag",
      )
    }
    const filter = filterByTags(wanted)
    if ((expression?.length ?? 0) <= TAGS_CHARS_KEPT) lastTags = { expression, filter }
    return filter
  }
  const filter = filterOfExpression(expressionType, expression ?? '')
  if (typeof filter === 'string') {
    throw new Refusal(
      ResponseCode.SUBSCRIPTION_PARSE_FAILED,
      `parse the consumer's subscription failed: ${filter}`,
    )
  }
  checkEnabled(expressionType, sqlEnabled)
  return filter
}

/** The filter of a subscription from a heart-beat; a text that says why there is none. */
export function filterOfSubscription(subscription: SubscriptionData): MessageFilter | string {
  return isTagType(subscription.expressionType)
    ? filterByTags(subscription)
    : filterOfExpression(subscription.expressionType, subscription.subString)
}

/** Throws the Refusal that Apache's broker answers with enablePropertyFilter=false. */
export function checkEnabled(expressionType: string, sqlEnabled: boolean): void {
  if (sqlEnabled) return
  throw new Refusal(
    ResponseCode.SYSTEM_ERROR,
    `The broker does not support consumer to filter message by ${expressionType.slice(0, 100)}`,
  )
}

/** Null when the expression can be used, else what is wrong with it. */
export function faultOfExpression(expressionType: string, expression: string): string | null {
  const filter = filterOfExpression(expressionType, expression)
  return typeof filter === 'string' ? filter : null
}

function filterByTags({ subString, codeSet }: SubscriptionData): MessageFilter {
  if (subString === '*' || subString === '') return everything
  const codes = new TagCodes(codeSet)
  const accept = (tagsCode: number) => codes.has(tagsCode)
  return new MessageFilter(Object.assign(accept, { codes }), null)
}

/** Longer texts are not kept. */
const TAGS_CHARS_KEPT = 1_024

/** The tags that were asked for last: pulls with a subscription of their own name the same one again and again. */
let lastTags: { readonly expression: string | null; readonly filter: MessageFilter } = {
  expression: '*',
  filter: everything,
}

/** What was compiled last, for the same reason. */
let lastSql: { readonly expression: string; readonly filter: MessageFilter } | null = null

/** The filter of an expression that is not by tags; a text that says why there is none. */
export function filterOfExpression(
  expressionType: string,
  expression: string,
): MessageFilter | string {
  if (expressionType !== 'SQL92') return `there is no filter type ${expressionType.slice(0, 100)}`
  if (expression === lastSql?.expression) return lastSql.filter
  try {
    const filter = new MessageFilter(null, selectBy(new SqlFilter(expression)))
    lastSql = { expression, filter }
    return filter
  } catch (error) {
    if (!(error instanceof SqlError)) throw error
    return `${error.message}, at character ${error.at + 1}`
  }
}

function selectBy(filter: SqlFilter): Select {
  const select: RecordTest = (bytes, { propertiesStart, propertiesEnd }) =>
    filter.matchesEncoded(bytes, propertiesStart, propertiesEnd)
  return Object.assign(select, { steps: filter.steps })
}
