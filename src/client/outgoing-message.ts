/** A message as a producer sends it, and its wire form. */
import { MqError } from '../base/errors.ts'
import { type MessageQueue } from '../protocol/bodies/message-queue.ts'
import {
  PROPERTIES_BYTES_MAX,
  type Properties,
  PropertyName,
  encodeProperties,
  noProperties,
} from '../protocol/properties.ts'
import type { BodyCompressor } from './body-compressor.ts'
import { checkTopic } from './names.ts'

export interface OutgoingMessage {
  readonly topic: string
  /** Text is sent as UTF-8. At least one byte. */
  readonly body: Uint8Array | string
  /** The tag that consumers filter by. */
  readonly tags?: string
  /** What the message can be found by: a list, or one text with keys separated by blanks. */
  readonly keys?: string | readonly string[]
  /** Headers of the user's own. */
  readonly properties?: Readonly<Record<string, string>>
  /** A number of the user's own, stored beside the body. */
  readonly flag?: number
  /** Messages with the same key go to the same queue, in the order in which they are sent. */
  readonly orderKey?: string
  /** 0 and up: in topics of type PRIORITY, who takes messages by POP gets the largest number first. */
  readonly priority?: number
  /** The queue to send to, instead of one chosen here. */
  readonly queue?: Pick<MessageQueue, 'brokerName' | 'queueId'>
  /** 1 … 18: 1 s, 5 s, 10 s … 2 h. */
  readonly delayLevel?: number
  /** Milliseconds until consumers see it. */
  readonly delayMs?: number
  /** Milliseconds since 1970 from when consumers see it. */
  readonly deliverAtMs?: number
  /** False: the broker may answer before the message is flushed or replicated. Default true. */
  readonly waitStored?: boolean
  /** The unique id; made up when not given. */
  readonly messageId?: string
  /** To a retry topic: which try the next one is, and how many there may be. */
  readonly reconsumeTimes?: number
  readonly maxReconsumeTimes?: number
}

/** Largest body before compression; also the default limit of brokers. */
export const BODY_BYTES_MAX = 4 * 1024 * 1024

/** Names that have a field of their own in `OutgoingMessage`. */
const reserved: ReadonlyMap<string, string> = new Map([
  [PropertyName.tags, 'tags'],
  [PropertyName.keys, 'keys'],
  [PropertyName.uniqKey, 'messageId'],
  [PropertyName.wait, 'waitStored'],
])

/** What marks the half of a transaction, up to the name of the group that is asked about it. */
const IS_HALF = `${PropertyName.transactionPrepared}\u0001true\u0002${PropertyName.producerGroup}\u0001`

export interface PreparedMessage {
  readonly topic: string
  readonly messageId: string
  readonly body: Buffer
  readonly sysFlag: number
  readonly flag: number
  readonly waitStored: boolean
  readonly reconsumeTimes: number
  readonly maxReconsumeTimes: number | null
  /** In wire form. */
  readonly properties: string
}

/** Which bodies are compressed, and how. */
export interface Compression {
  readonly aboveBytes: number
  readonly by: BodyCompressor
}

/**
 * Checks a message and writes its properties. Throws MESSAGE_ILLEGAL, NAME_ILLEGAL, PROPERTY_ILLEGAL.
 * @param halfOf the group whose transaction it begins; null for an ordinary message
 */
export function prepareMessage(
  message: OutgoingMessage,
  messageId: string,
  compression: Compression | null,
  halfOf: string | null = null,
): PreparedMessage {
  checkTopic(message.topic)
  const body =
    typeof message.body === 'string' ? Buffer.from(message.body, 'utf8') : viewOf(message.body)
  if (body.length === 0) throw illegal('the body is empty', 'give it at least one byte')
  if (body.length > BODY_BYTES_MAX) {
    throw illegal(
      `the body has ${body.length} bytes, at most ${BODY_BYTES_MAX} are allowed`,
      'split it, or store it elsewhere and send where it is',
    )
  }
  const own = encodeProperties(propertiesOf(message, messageId))
  // Of two pairs with one name the last counts, so these hold whatever the message says.
  const properties = halfOf === null ? own : `${own}${IS_HALF}${halfOf}\u0002`
  const propertiesBytes = Buffer.byteLength(properties, 'utf8')
  if (propertiesBytes > PROPERTIES_BYTES_MAX) {
    throw illegal(
      `its properties have ${propertiesBytes} bytes, at most ${PROPERTIES_BYTES_MAX} are allowed`,
      'move what is long into the body',
    )
  }
  const compress = compression !== null && body.length >= compression.aboveBytes
  return {
    topic: message.topic,
    messageId,
    body: compress ? compression.by.compress(body) : body,
    sysFlag: compress ? compression.by.sysFlag : 0,
    flag: message.flag ?? 0,
    waitStored: message.waitStored ?? true,
    reconsumeTimes: message.reconsumeTimes ?? 0,
    maxReconsumeTimes: message.maxReconsumeTimes ?? null,
    properties,
  }
}

function propertiesOf(message: OutgoingMessage, messageId: string): Properties {
  const properties = noProperties()
  for (const [name, value] of Object.entries(message.properties ?? {})) {
    const field = reserved.get(name)
    if (field !== undefined) {
      throw new MqError('PROPERTY_ILLEGAL', { name, why: `it is set by ${field}` })
    }
    properties[name] = value
  }
  const keys = keysText(message)
  if (keys !== '') properties[PropertyName.keys] = keys
  if (message.tags !== undefined && message.tags !== '') {
    properties[PropertyName.tags] = message.tags
  }
  if (message.orderKey !== undefined) properties[PropertyName.orderKey] = message.orderKey
  if (message.priority !== undefined) {
    if (!Number.isInteger(message.priority) || message.priority < 0) {
      throw illegal(
        `its priority ${message.priority} is no whole number from 0 on`,
        'write 0 or more',
      )
    }
    properties[PropertyName.priority] = String(message.priority)
  }
  if (message.delayLevel !== undefined && message.delayLevel !== 0) {
    properties[PropertyName.delay] = String(message.delayLevel)
  }
  if (message.delayMs !== undefined) {
    properties[PropertyName.timerDelayMs] = String(Math.ceil(message.delayMs))
  }
  if (message.deliverAtMs !== undefined) {
    properties[PropertyName.timerDeliverMs] = String(Math.ceil(message.deliverAtMs))
  }
  properties[PropertyName.uniqKey] = messageId
  properties[PropertyName.wait] = String(message.waitStored ?? true)
  return properties
}

/** As they travel: separated by blanks. */
export function keysText({ keys = '' }: OutgoingMessage): string {
  return typeof keys === 'string' ? keys : keys.join(' ')
}

function viewOf(body: Uint8Array): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength)
}

export function illegal(why: string, hint: string): MqError {
  return new MqError('MESSAGE_ILLEGAL', { why, hint })
}
