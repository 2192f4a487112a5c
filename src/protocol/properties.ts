/**
 * Message properties: `name 0x01 value 0x02` repeated, UTF-8, at most 32767 bytes. The writer ends
 * every pair with 0x02; readers accept a missing last one, and skip fragments shorter than three
 * characters and pairs whose name or value is empty. Of two pairs with one name the last counts.
 * Source: apache/rocketmq common/…/message/MessageDecoder.java (string2messageProperties).
 */
import { MqError } from '../base/errors.ts'

export const NAME_VALUE_SEPARATOR = 0x01
export const PROPERTY_SEPARATOR = 0x02
export const PROPERTIES_BYTES_MAX = 32_767

/** Names that the broker or the store looks at. The full list stands in MessageConst.java. */
export const PropertyName = {
  keys: 'KEYS',
  tags: 'TAGS',
  wait: 'WAIT',
  delay: 'DELAY',
  uniqKey: 'UNIQ_KEY',
  retryTopic: 'RETRY_TOPIC',
  realTopic: 'REAL_TOPIC',
  realQueueId: 'REAL_QID',
  transactionPrepared: 'TRAN_MSG',
  producerGroup: 'PGROUP',
  transactionId: '__transactionId__',
  transactionCheckTimes: 'TRANSACTION_CHECK_TIMES',
  transactionFirstOffset: 'TRAN_PREPARED_QUEUE_OFFSET',
  checkImmunity: 'CHECK_IMMUNITY_TIME_IN_SECONDS',
  minOffset: 'MIN_OFFSET',
  maxOffset: 'MAX_OFFSET',
  originMessageId: 'ORIGIN_MESSAGE_ID',
  maxReconsumeTimes: 'MAX_RECONSUME_TIMES',
  reconsumeTime: 'RECONSUME_TIME',
  cluster: 'CLUSTER',
  region: 'MSG_REGION',
  traceOn: 'TRACE_ON',
  orderKey: '__SHARDINGKEY',
  instanceId: 'INSTANCE_ID',
  timerDelaySec: 'TIMER_DELAY_SEC',
  timerDelayMs: 'TIMER_DELAY_MS',
  timerDeliverMs: 'TIMER_DELIVER_MS',
  timerOutMs: 'TIMER_OUT_MS',
  timerEnqueueMs: 'TIMER_ENQUEUE_MS',
  timerDequeueMs: 'TIMER_DEQUEUE_MS',
  timerRollTimes: 'TIMER_ROLL_TIMES',
  timerDeleteKey: 'TIMER_DEL_UNIQKEY',
  popCheck: 'POP_CK',
  firstPopTime: '1ST_POP_TIME',
  originGroup: 'ORIGIN_GROUP',
  priority: '_SYS_MSG_PRIORITY_',
  innerNum: 'INNER_NUM',
  innerBase: 'INNER_BASE',
  bornTimestamp: 'BORN_TIMESTAMP',
  correlationId: 'CORRELATION_ID',
  replyToClient: 'REPLY_TO_CLIENT',
  pushReplyTime: 'PUSH_REPLY_TIME',
  timeToLive: 'TTL',
  messageType: 'MSG_TYPE',
} as const

/** Null-prototype object, so that any name is an ordinary key. */
export type Properties = Record<string, string>

export function noProperties(): Properties {
  return Object.create(null) as Properties
}

/** Never throws: what is not a pair is skipped. */
export function parseProperties(text: string): Properties {
  const properties = noProperties()
  let index = 0
  while (index < text.length) {
    let end = text.indexOf('\u0002', index)
    if (end < 0) end = text.length
    if (end - index >= 3) {
      const separator = text.indexOf('\u0001', index)
      if (separator > index && separator < end - 1) {
        properties[text.slice(index, separator)] = text.slice(separator + 1, end)
      }
    }
    index = end + 1
  }
  return properties
}

const illegalName = /[\u0001\u0002]/

/** Says what is wrong with a property that a person or program wants to send; null when nothing is. */
export function faultOfProperty(name: string, value: string): string | null {
  if (name === '') return 'the name is empty'
  if (value === '') return 'the value is empty'
  if (illegalName.test(name)) return 'the name contains a separator character (0x01 or 0x02)'
  if (illegalName.test(value)) return 'the value contains a separator character (0x01 or 0x02)'
  return null
}

/** Throws PROPERTY_ILLEGAL for empty names or values and for separators inside them. */
export function encodeProperties(properties: Properties): string {
  let text = ''
  for (const name of Object.keys(properties)) {
    const value = properties[name] ?? ''
    const why = faultOfProperty(name, value)
    if (why !== null) throw new MqError('PROPERTY_ILLEGAL', { name, why })
    text += `${name}\u0001${value}\u0002`
  }
  return text
}

const HIGH_BITS = 0x80808080 | 0
let lastBytes: Buffer = Buffer.alloc(0)
let lastWords = new DataView(lastBytes.buffer, lastBytes.byteOffset, lastBytes.length)

/** The bytes as words. Made once for many scans of one buffer. */
function wordsOf(bytes: Buffer): DataView {
  if (bytes !== lastBytes) {
    lastBytes = bytes
    lastWords = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }
  return lastWords
}

const NAME_LENGTH_MIN = 4
const NAME_LENGTH_MAX = 18

function nameBytes(name: string): Buffer {
  return Buffer.from(name, 'latin1')
}

const TAGS = nameBytes(PropertyName.tags)
const KEYS = nameBytes(PropertyName.keys)
const WAIT = nameBytes(PropertyName.wait)
const DELAY = nameBytes(PropertyName.delay)
const POP_CK = nameBytes(PropertyName.popCheck)
const UNIQ_KEY = nameBytes(PropertyName.uniqKey)
const TRAN_MSG = nameBytes(PropertyName.transactionPrepared)
const TIMER_DELAY_MS = nameBytes(PropertyName.timerDelayMs)
const TIMER_DELAY_SEC = nameBytes(PropertyName.timerDelaySec)
const TIMER_DELIVER_MS = nameBytes(PropertyName.timerDeliverMs)
const PRIORITY = nameBytes(PropertyName.priority)

/** Whether `name` stands at `start`. */
export function isName(bytes: Buffer, start: number, name: Buffer): boolean {
  for (let i = 0; i < name.length; i++) if (bytes[start + i] !== name[i]) return false
  return true
}

/** Whether bytes [start, end) are the ASCII letters `text`, in either case (Java's Boolean.parseBoolean). */
function isWord(bytes: Buffer, start: number, end: number, text: Buffer): boolean {
  if (end - start !== text.length) return false
  for (let i = 0; i < text.length; i++) {
    const byte = bytes[start + i]
    if (byte === undefined || (byte | 0x20) !== text[i]) return false
  }
  return true
}

const TRUE = nameBytes('true')

/** Where the next PROPERTY_SEPARATOR is: in [from, end), or `end`. */
export function nextPairEnd(bytes: Buffer, from: number, end: number): number {
  const words = wordsOf(bytes)
  let at = from
  for (; at + 4 <= end; at += 4) {
    // The first byte is the lowest: the lowest bit that is set belongs to the first separator.
    const word = words.getInt32(at, true) ^ 0x02020202
    const found = (word - 0x01010101) & ~word & HIGH_BITS
    if (found !== 0) return at + ((31 - Math.clz32(found & -found)) >> 3)
  }
  while (at < end && bytes[at] !== PROPERTY_SEPARATOR) at += 1
  return at
}

/**
 * Finds the properties that decide what happens to a message, in one pass over their bytes and
 * without making anything. Fields are byte positions in the scanned buffer; start −1 says absent.
 * One object is made and reused; `scan` sets every field.
 */
export class PropertyScan {
  tagsStart = -1
  tagsEnd = -1
  keysStart = -1
  keysEnd = -1
  uniqKeyStart = -1
  uniqKeyEnd = -1
  delayStart = -1
  delayEnd = -1
  /** False only when WAIT is there and is not "true": the sender does not wait for flush or replica. */
  wait = true
  /** TRAN_MSG is "true": a half message. */
  transaction = false
  /** One of TIMER_DELAY_SEC, TIMER_DELAY_MS, TIMER_DELIVER_MS is there. */
  timer = false
  /** POP_CK is there; a broker drops it from what clients send. */
  popCheck = false
  /** _SYS_MSG_PRIORITY_ is there. */
  priority = false
  /** The bytes end with 0x02 or are empty, so that more pairs can be added behind them. */
  closed = true

  scan(bytes: Buffer, start: number, end: number): void {
    this.tagsStart = this.tagsEnd = -1
    this.keysStart = this.keysEnd = -1
    this.uniqKeyStart = this.uniqKeyEnd = -1
    this.delayStart = this.delayEnd = -1
    this.wait = true
    this.transaction = false
    this.timer = false
    this.popCheck = false
    this.priority = false
    this.closed = start >= end || bytes[end - 1] === PROPERTY_SEPARATOR
    const words = wordsOf(bytes)
    let pairStart = start
    let separator = -1
    for (let i = start; i < end;) {
      // Four bytes a step while none of them is below 0x03: two thirds of the time of a whole scan.
      if (i + 4 <= end) {
        const word = words.getInt32(i)
        if (((word - 0x03030303) & ~word & HIGH_BITS) === 0) {
          i += 4
          continue
        }
      }
      const byte = bytes[i]
      if (byte === PROPERTY_SEPARATOR) {
        if (separator > pairStart && i - 1 > separator) this.#pair(bytes, pairStart, separator, i)
        pairStart = i + 1
        separator = -1
      } else if (byte === NAME_VALUE_SEPARATOR && separator < 0) separator = i
      i++
    }
    if (separator > pairStart && end - 1 > separator) this.#pair(bytes, pairStart, separator, end)
  }

  #pair(bytes: Buffer, start: number, separator: number, end: number): void {
    const length = separator - start
    if (length < NAME_LENGTH_MIN || length > NAME_LENGTH_MAX) return
    const value = separator + 1
    switch (length) {
      case 4:
        if (isName(bytes, start, TAGS)) {
          this.tagsStart = value
          this.tagsEnd = end
        } else if (isName(bytes, start, KEYS)) {
          this.keysStart = value
          this.keysEnd = end
        } else if (isName(bytes, start, WAIT)) this.wait = isWord(bytes, value, end, TRUE)
        return
      case 5:
        if (isName(bytes, start, DELAY)) {
          this.delayStart = value
          this.delayEnd = end
        }
        return
      case 6:
        if (isName(bytes, start, POP_CK)) this.popCheck = true
        return
      case 8:
        if (isName(bytes, start, UNIQ_KEY)) {
          this.uniqKeyStart = value
          this.uniqKeyEnd = end
        } else if (isName(bytes, start, TRAN_MSG)) {
          this.transaction = isWord(bytes, value, end, TRUE)
        }
        return
      case 14:
        if (isName(bytes, start, TIMER_DELAY_MS)) this.timer = true
        return
      case 15:
        if (isName(bytes, start, TIMER_DELAY_SEC)) this.timer = true
        return
      case 16:
        if (isName(bytes, start, TIMER_DELIVER_MS)) this.timer = true
        return
      case 18:
        if (isName(bytes, start, PRIORITY)) this.priority = true
        return
      default:
        return
    }
  }
}
