/**
 * What a consumer wants of a topic.
 * Source: apache/rocketmq remoting/…/heartbeat/SubscriptionData.java, FilterAPI.java.
 */
import type { JsonValue, WritableJson } from '../lenient-json.ts'
import { javaHash } from '../java-hash.ts'
import { flagOf, integerOf, listOf, objectOf, textOf, textsOf } from './fields.ts'

export interface SubscriptionData {
  readonly topic: string
  /** `*` or `TagA || TagB`, or an SQL92 expression. */
  readonly subString: string
  /** TAG or SQL92. */
  readonly expressionType: string
  readonly tagsSet: readonly string[]
  /** Java hash codes of the tags, as the consume queue stores them. */
  readonly codeSet: readonly number[]
  /** Milliseconds since 1970 when the subscription was made; a broker keeps the newest. */
  readonly subVersion: number
  readonly classFilterMode: boolean
}

const SUB_ALL = '*'

/** A subscription by tags: `*` and the empty text mean all, else tags separated by `||`. */
export function tagSubscription(
  topic: string,
  expression: string,
  subVersion: number,
): SubscriptionData {
  const tags = tagsOf(expression)
  return {
    topic,
    subString: tags.length === 0 ? SUB_ALL : expression,
    expressionType: 'TAG',
    tagsSet: tags,
    codeSet: [...new Set(tags.map((tag) => javaHash(tag)))],
    subVersion,
    classFilterMode: false,
  }
}

/** A subscription by an SQL92 expression, which is not looked at here. */
export function sqlSubscription(
  topic: string,
  expression: string,
  subVersion: number,
): SubscriptionData {
  return {
    topic,
    subString: expression,
    expressionType: 'SQL92',
    tagsSet: [],
    codeSet: [],
    subVersion,
    classFilterMode: false,
  }
}

/** The tags of an expression without repetition; none means all messages. */
export function tagsOf(expression: string): string[] {
  if (expression.trim() === SUB_ALL) return []
  const tags = expression.split('||').map((tag) => tag.trim())
  return [...new Set(tags.filter((tag) => tag !== ''))]
}

export function subscriptionDataFromJson(value: JsonValue | undefined): SubscriptionData {
  const object = objectOf(value)
  return {
    topic: textOf(object['topic']),
    subString: textOf(object['subString']),
    expressionType: textOf(object['expressionType'], 'TAG'),
    tagsSet: textsOf(object['tagsSet']),
    codeSet: listOf(object['codeSet']).map((code) => integerOf(code)),
    subVersion: integerOf(object['subVersion']),
    classFilterMode: flagOf(object['classFilterMode']),
  }
}

export function subscriptionDataToJson(data: SubscriptionData): WritableJson {
  return {
    classFilterMode: data.classFilterMode,
    codeSet: data.codeSet,
    expressionType: data.expressionType,
    subString: data.subString,
    subVersion: data.subVersion,
    tagsSet: data.tagsSet,
    topic: data.topic,
  }
}
