/**
 * Filters by tag, as far as a broker goes: by the 32-bit hash that the consume queue holds. Two tags
 * with one hash pass here and are told apart by the consumer.
 * Source: apache/rocketmq broker/…/filter/ExpressionMessageFilter.java, FilterAPI.java.
 */
import { ResponseCode } from '../protocol/codes.ts'
import { type SubscriptionData, tagSubscription } from '../protocol/bodies/subscription-data.ts'
import type { TagFilter } from './held-pulls.ts'
import { Refusal } from './refusal.ts'

/** Whether an expression type is one by tags; null and the empty text mean that. */
export function isTagType(expressionType: string | null): boolean {
  return expressionType === null || expressionType === '' || expressionType === 'TAG'
}

/** The filter of an expression in a pull's header. Throws Refusal for anything but tags. */
export function tagFilterOf(expressionType: string | null, expression: string | null): TagFilter {
  if (!isTagType(expressionType)) {
    // As Apache answers with enablePropertyFilter=false; nothing is ever delivered unfiltered.
    throw new Refusal(
      ResponseCode.SYSTEM_ERROR,
      `The broker does not support consumer to filter message by ${expressionType ?? ''}`,
    )
  }
  return filterOfSubscription(tagSubscription('', expression ?? '*', 0))
}

/** The filter of a subscription from a heart-beat. Null lets everything through. */
export function filterOfSubscription(subscription: SubscriptionData): TagFilter {
  if (!isTagType(subscription.expressionType)) {
    throw new Refusal(
      ResponseCode.SYSTEM_ERROR,
      `The broker does not support consumer to filter message by ${subscription.expressionType}`,
    )
  }
  const { subString, codeSet } = subscription
  if (subString === '*' || subString === '') return null
  const [only] = codeSet
  if (codeSet.length === 1) return (tagsCode) => tagsCode === only
  const codes = new Set(codeSet)
  return (tagsCode) => codes.has(tagsCode)
}
