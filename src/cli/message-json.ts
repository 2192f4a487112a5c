/** Messages as JSON: what `consume -o ndjson` writes, `produce --input ndjson` reads back. */
import { isUtf8 } from 'node:buffer'
import { MqError, messageOf } from '../base/errors.ts'
import type { ReceivedMessage } from '../client/received-message.ts'
import type { FormattedMessage } from './message-format.ts'
import { isoTime } from './time.ts'

/** Field names are fixed; see `help formats`. */
export interface MessageJson {
  readonly topic: string
  readonly broker: string
  readonly queueId: number
  readonly queueOffset: number
  /** Bytes from the start of the broker's log. */
  readonly physicalOffset: number
  readonly messageId: string
  readonly offsetMessageId: string
  readonly keys: readonly string[]
  readonly tags: string | null
  readonly properties: Readonly<Record<string, string>>
  readonly body: string
  readonly bodyEncoding: 'utf8' | 'base64'
  /** Only when the body could not be decompressed. */
  readonly compression?: string
  /** ISO 8601, by the producer's clock. */
  readonly bornAt: string | null
  readonly bornHost: string
  /** ISO 8601, by the broker's clock. */
  readonly storedAt: string | null
  readonly storeHost: string
  readonly reconsumeTimes: number
}

export function messageJson(message: ReceivedMessage): MessageJson {
  return {
    topic: message.topic,
    broker: message.broker,
    queueId: message.queueId,
    queueOffset: message.queueOffset,
    physicalOffset: message.physicalOffset,
    messageId: message.messageId,
    offsetMessageId: message.offsetMessageId,
    keys: message.keys === '' ? [] : message.keys.split(' '),
    tags: message.tags === '' ? null : message.tags,
    properties: { ...message.properties },
    ...bodyJson(message.body),
    ...(message.compression === 'none' ? {} : { compression: message.compression }),
    bornAt: isoTime(message.bornTimestamp),
    bornHost: message.bornHost,
    storedAt: isoTime(message.storeTimestamp),
    storeHost: message.storeHost,
    reconsumeTimes: message.reconsumeTimes,
  }
}

/** The same message for `--format`. */
export function formattedMessage(message: ReceivedMessage): FormattedMessage {
  const { topic, broker, queueId, queueOffset, messageId, keys, tags, properties, body } = message
  return {
    topic,
    broker,
    queueId,
    queueOffset,
    messageId,
    keys,
    tags,
    properties,
    body,
    storedAtMs: message.storeTimestamp,
    reconsumeTimes: message.reconsumeTimes,
  }
}

/** A body as JSON can hold it. */
export function bodyJson(body: Buffer): Pick<MessageJson, 'body' | 'bodyEncoding'> {
  const isText = isUtf8(body)
  return {
    body: body.toString(isText ? 'utf8' : 'base64'),
    bodyEncoding: isText ? 'utf8' : 'base64',
  }
}

/** A message to be sent, wherever it came from. */
export interface OutgoingMessage {
  readonly body: Buffer
  readonly keys: readonly string[]
  readonly tags: string | null
  readonly properties: Readonly<Record<string, string>>
}

/**
 * Properties that belong to one stored copy of a message; a new copy gets its own. What changes how
 * a broker treats a message (DELAY …) is not here: it is sent, and the broker decides. A copy of a
 * committed message is an ordinary message.
 */
const ownProperties: ReadonlySet<string> = new Set([
  'KEYS',
  'TAGS',
  'UNIQ_KEY',
  'WAIT',
  'MIN_OFFSET',
  'MAX_OFFSET',
  'CLUSTER',
  'MSG_REGION',
  'TRACE_ON',
  'PGROUP',
  'TRAN_MSG',
  'REAL_TOPIC',
  'REAL_QID',
  '__transactionId__',
  'TRANSACTION_CHECK_TIMES',
  'TRAN_PREPARED_QUEUE_OFFSET',
  'BORN_TIMESTAMP',
  'POP_CK',
  'ORIGIN_MESSAGE_ID',
  'RECONSUME_TIME',
  'INNER_NUM',
  'DUP_INFO',
])

/** Reads one line; `where` names it in errors. Unknown fields are passed over. Throws VALUE_INVALID. */
export function parseMessageJson(line: string, where: string): OutgoingMessage {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error) {
    throw invalid(where, `is not JSON: ${messageOf(error)}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(where, 'is not a JSON object')
  }
  const { body, bodyEncoding, keys, tags, tag, properties } = value as Record<string, unknown>
  return {
    body: bodyOf(body, bodyEncoding, where),
    keys: keysOf(keys, where),
    tags: textOrNull(tags ?? tag, 'tags', where),
    properties: propertiesOf(properties, where),
  }
}

function bodyOf(body: unknown, encoding: unknown, where: string): Buffer {
  if (body === undefined) throw invalid(where, 'has no field "body"')
  if (encoding !== undefined && encoding !== 'utf8' && encoding !== 'base64') {
    throw invalid(where, `has the unknown bodyEncoding ${JSON.stringify(encoding)}`)
  }
  // A body that is an object or a number is meant as its JSON text.
  if (typeof body !== 'string') return Buffer.from(JSON.stringify(body))
  if (encoding !== 'base64') return Buffer.from(body)
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(body)) throw invalid(where, 'has a body that is not base64')
  return Buffer.from(body, 'base64')
}

function keysOf(keys: unknown, where: string): string[] {
  if (keys === undefined || keys === null || keys === '') return []
  if (typeof keys === 'string') return keys.split(' ').filter((key) => key !== '')
  if (Array.isArray(keys) && keys.every((key) => typeof key === 'string')) return keys
  throw invalid(where, 'has keys that are neither a text nor a list of texts')
}

function textOrNull(value: unknown, name: string, where: string): string | null {
  if (value === undefined || value === null || value === '') return null
  if (typeof value === 'string') return value
  throw invalid(where, `has ${name} that are not a text`)
}

function propertiesOf(value: unknown, where: string): Record<string, string> {
  if (value === undefined || value === null) return {}
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw invalid(where, 'has properties that are not an object')
  }
  const properties: Record<string, string> = {}
  for (const [name, inner] of Object.entries(value)) {
    if (ownProperties.has(name)) continue
    if (!['string', 'number', 'boolean'].includes(typeof inner)) {
      throw invalid(where, `has the property ${JSON.stringify(name)}, which is not a text`)
    }
    properties[name] = String(inner)
  }
  return properties
}

function invalid(where: string, what: string): MqError {
  return new MqError('VALUE_INVALID', {
    what: `${where} ${what}`,
    hint: 'a line looks like {"body":"hello","keys":["k1"],"tags":"paid","properties":{"a":"b"}}',
  })
}
