/**
 * What a topic's configuration may be. Attributes that ask for a kind of topic that is not built are
 * refused rather than ignored.
 * Source: apache/rocketmq common/…/TopicAttributes.java, common/…/attribute/AttributeUtil.java.
 */
import {
  BATCH_QUEUES,
  Perm,
  type TopicConfig,
  hasBatchQueues,
} from '../protocol/bodies/topic-config.ts'
import { ResponseCode } from '../protocol/codes.ts'
import { Refusal } from './refusal.ts'

const ATTRIBUTES_MAX = 100
const ATTRIBUTE_CHARS_MAX = 1_024

/** Attribute → the values that this broker does justice to. */
const knownAttributes: ReadonlyMap<string, readonly string[]> = new Map([
  ['queue.type', ['SimpleCQ', BATCH_QUEUES]],
  ['cleanup.policy', ['DELETE']],
  ['message.type', ['UNSPECIFIED', 'NORMAL', 'FIFO', 'DELAY', 'TRANSACTION', 'MIXED', 'PRIORITY']],
])

/**
 * The attribute by which a topic that somebody else made asks for what is not built (compaction), as
 * `key=value`; null when there is none. Such a topic is kept as it is, and refused:
 * what is written to it here would be of another form, and Apache's broker would not open it again.
 */
export function unservedAttribute(attributes: Readonly<Record<string, string>>): string | null {
  for (const [key, served] of knownAttributes) {
    const value = Object.hasOwn(attributes, key) ? attributes[key] : undefined
    if (value !== undefined && !served.includes(value)) return `${key}=${clip(value)}`
  }
  return null
}

/** The attributes of a topic of which only its messages are left. */
export function attributesOfQueues(areBatch: boolean): Record<string, string> {
  return areBatch ? { 'queue.type': BATCH_QUEUES } : {}
}

/** Why the numbers of a configuration cannot be; null when they can. */
export function faultOfTopicConfig(config: TopicConfig, queuesMax: number): string | null {
  for (const name of ['readQueueNums', 'writeQueueNums'] as const) {
    const queues = config[name]
    if (!Number.isSafeInteger(queues) || queues < 0 || queues > queuesMax) {
      return `${name} must be 0 … ${queuesMax}, not ${queues}`
    }
  }
  if (!Number.isSafeInteger(config.perm) || config.perm < 0 || config.perm > Perm.all) {
    return `perm must be 0 … ${Perm.all}, not ${config.perm}`
  }
  if (!['SINGLE_TAG', 'MULTI_TAG'].includes(config.topicFilterType)) {
    return `topicFilterType must be SINGLE_TAG or MULTI_TAG`
  }
  if (!Number.isSafeInteger(config.topicSysFlag) || config.topicSysFlag < 0) {
    return `topicSysFlag must be a whole number`
  }
  return null
}

/**
 * Applies `+key` and `-key` entries to the attributes of a topic (null for a new one). Throws a
 * Refusal for an unknown key, a value that is not served, or a change that makes no sense.
 */
export function changedAttributes(
  current: Readonly<Record<string, string>> | null,
  changes: Readonly<Record<string, string>>,
): Record<string, string> {
  const entries = Object.entries(changes)
  if (entries.length > ATTRIBUTES_MAX) throw refusal(`more than ${ATTRIBUTES_MAX} attributes`)
  const result: Record<string, string> = { ...(current ?? {}) }
  for (const [change, value] of entries) {
    const sign = change.charAt(0)
    const key = change.slice(1)
    if ((sign !== '+' && sign !== '-') || key === '') {
      throw refusal(`attribute ${clip(change)} must begin with + or -`)
    }
    const allowed = knownAttributes.get(key)
    if (allowed === undefined) throw refusal(`unsupported key: ${clip(key)}`)
    if (sign === '-') {
      if (current === null) throw refusal(`only add attribute is supported while creating topic`)
      if (!Object.hasOwn(result, key)) throw refusal(`attempt to delete a nonexistent key: ${key}`)
      if (key === 'queue.type' && hasBatchQueues(result)) throw unchangeable(key)
      Reflect.deleteProperty(result, key)
      continue
    }
    if (!allowed.includes(value)) {
      throw refusal(`${key}=${clip(value)} is not served by this broker: ${allowed.join(', ')}`)
    }
    if (current !== null && key === 'queue.type' && result[key] !== value) {
      throw unchangeable(key)
    }
    result[key] = value
  }
  return result
}

/** `+key=value,-key` → entries. */
export function parseAttributes(text: string | undefined): Record<string, string> {
  const attributes: Record<string, string> = {}
  if (text === undefined || text.trim() === '') return attributes
  if (text.length > ATTRIBUTES_MAX * ATTRIBUTE_CHARS_MAX)
    throw refusal('the attributes are too long')
  for (const part of text.split(',')) {
    const trimmed = part.trim()
    const equals = trimmed.indexOf('=')
    const key = equals < 0 ? trimmed : trimmed.slice(0, equals)
    if (equals < 0 && !key.startsWith('-')) throw refusal(`attribute ${clip(trimmed)} has no value`)
    attributes[key] = equals < 0 ? '' : trimmed.slice(equals + 1)
  }
  return attributes
}

function unchangeable(key: string): Refusal {
  return refusal(`attempt to update an unchangeable attribute: ${key}`)
}

function clip(text: string): string {
  return text.slice(0, 100)
}

function refusal(why: string): Refusal {
  return new Refusal(ResponseCode.INVALID_PARAMETER, why)
}
