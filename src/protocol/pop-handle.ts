/**
 * The handle of a message that was taken by POP, which is needed to acknowledge it: eight numbers and
 * names with a space between, also the value of the property POP_CK.
 *
 *   startOffset popTime invisibleTime reviveQueueId retryFlag brokerName queueId messageOffset
 *
 * `startOffset` is where the batch of the checkpoint begins; the last field may be missing. Apache's proxy
 * puts a ninth behind them, the message's physical offset, which is passed over.
 * Source: apache/rocketmq remoting/…/header/ExtraInfoUtil.java, common/…/consumer/ReceiptHandle.java.
 */
import { ORDER_REVIVE_QUEUE, type RetryFlag, retryFlagOf } from './pop-names.ts'

export interface PopHandle {
  readonly startOffset: number
  /** Milliseconds since 1970. */
  readonly popMs: number
  readonly invisibleMs: number
  readonly reviveQueueId: number
  readonly retryFlag: RetryFlag
  readonly brokerName: string
  readonly queueId: number
  /** Null when the handle does not say it. */
  readonly messageOffset: number | null
}

const wholeNumber = /^-?\d{1,16}$/
/** Names are the brokers' own affair; what would break keys and properties of records is none. */
const brokerLetters = /^[^\p{Cc}\s"\\]{1,255}$/u
const FIELDS_MIN = 7
const FIELDS_MAX = 9

export function formatPopHandle(handle: PopHandle): string {
  const { startOffset, popMs, invisibleMs, reviveQueueId, retryFlag, brokerName } = handle
  const own = `${startOffset} ${popMs} ${invisibleMs} ${reviveQueueId} ${retryFlag} ${brokerName} ${handle.queueId}`
  return handle.messageOffset === null ? own : `${own} ${handle.messageOffset}`
}

/** Whether a handle or an acknowledgement may name this as its broker. */
export function isBrokerName(text: string): boolean {
  return brokerLetters.test(text)
}

/** Null when the text is no handle. */
export function parsePopHandle(text: string): PopHandle | null {
  const fields = text.split(' ')
  if (fields.length < FIELDS_MIN || fields.length > FIELDS_MAX) return null
  const [start = '', pop = '', invisible = '', revive = '', flag = '', brokerName = ''] = fields
  const [queue = '', message, physical = '0'] = fields.slice(6)
  const numbers = [start, pop, invisible, revive, queue, message ?? '0', physical]
  if (numbers.some((number) => !isWhole(number)) || !isBrokerName(brokerName)) return null
  if (flag !== '0' && flag !== '1' && flag !== '2') return null
  return {
    startOffset: Number(start),
    popMs: Number(pop),
    invisibleMs: Number(invisible),
    reviveQueueId: Number(revive),
    retryFlag: flag,
    brokerName,
    queueId: Number(queue),
    messageOffset: message === undefined ? null : Number(message),
  }
}

/** Whether the message was taken in order: it is acknowledged without a checkpoint. */
export function isOrderly(handle: PopHandle): boolean {
  return handle.reviveQueueId === ORDER_REVIVE_QUEUE
}

// ---- what an answer says about the messages in it ---------------------------------------------

/** `flag queueId startOffset`, one a queue. */
export function formatStartOffset(topic: string, queueId: number, startOffset: number): string {
  return `${retryFlagOf(topic)} ${queueId} ${startOffset}`
}

/** `flag queueId offset,offset…`, one a queue. */
export function formatMessageOffsets(
  topic: string,
  queueId: number,
  offsets: readonly number[],
): string {
  return `${retryFlagOf(topic)} ${queueId} ${offsets.join(',')}`
}

/** `flag queueId times`: how often all messages of the queue were taken before, at least. */
export function formatQueueTimes(topic: string, queueId: number, times: number): string {
  return `${retryFlagOf(topic)} ${queueId} ${times}`
}

/** `flag qo<queueId>%<offset> times`: the same of one message. */
export function formatMessageTimes(
  topic: string,
  queueId: number,
  offset: number,
  times: number,
): string {
  return `${retryFlagOf(topic)} qo${queueId}%${offset} ${times}`
}

/** Parts of an answer's field are put together with this. */
export const POP_PART_SEPARATOR = ';'

/** By `flag@queueId`. Null when the text is not of that form. */
export function parseStartOffsets(text: string): Map<string, number> | null {
  return parseParts(text, (value) => (isWhole(value) ? Number(value) : null))
}

export function parseMessageOffsets(text: string): Map<string, number[]> | null {
  return parseParts(text, (value) => {
    const offsets = value.split(',')
    return offsets.every(isWhole) ? offsets.map(Number) : null
  })
}

/** By `flag@queueId` and `flag@qo<queueId>%<offset>`. */
export function parseTimes(text: string): Map<string, number> | null {
  return parseStartOffsets(text)
}

function parseParts<Value>(
  text: string,
  parseValue: (value: string) => Value | null,
): Map<string, Value> | null {
  const parts = new Map<string, Value>()
  if (text === '') return parts
  for (const part of text.split(POP_PART_SEPARATOR)) {
    const [flag = '', queue = '', value = '', ...more] = part.split(' ')
    const parsed = parseValue(value)
    const key = `${flag}@${queue}`
    if (more.length > 0 || flag === '' || queue === '' || parsed === null) return null
    if (parts.has(key)) return null
    parts.set(key, parsed)
  }
  return parts
}

function isWhole(text: string): boolean {
  return wholeNumber.test(text) && Number.isSafeInteger(Number(text))
}
