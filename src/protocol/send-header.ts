/**
 * The header of a send, under its long names (SEND_MESSAGE) or as single letters (SEND_MESSAGE_V2,
 * SEND_BATCH_MESSAGE), which save bytes and parse time.
 * Source: apache/rocketmq remoting/…/header/{SendMessageRequestHeader,SendMessageRequestHeaderV2,SendMessageResponseHeader}.java.
 *
 *   a producerGroup    e queueId         i properties         m batch
 *   b topic            f sysFlag         j reconsumeTimes     n brokerName
 *   c defaultTopic     g bornTimestamp   k unitMode
 *   d defaultTopicQueueNums  h flag      l maxReconsumeTimes
 */
import { RequestCode } from './codes.ts'
import { type ExtFields, extFields } from './command.ts'

export interface SendHeader {
  readonly producerGroup: string
  readonly topic: string
  /** The topic whose configuration is copied when `topic` does not exist. */
  readonly defaultTopic: string
  readonly defaultTopicQueueNums: number
  /** Negative: the broker picks one. */
  readonly queueId: number
  /** Bits of MessageSysFlag. */
  readonly sysFlag: number
  /** Milliseconds since 1970. */
  readonly bornTimestamp: number
  /** The user's own flag. */
  readonly flag: number
  /** Properties in their wire form; empty when there are none. */
  readonly properties: string
  readonly reconsumeTimes: number
  readonly unitMode: boolean
  /** Null when the sender leaves it to the group. */
  readonly maxReconsumeTimes: number | null
  /** The body holds several messages. This decides, not the request code. */
  readonly batch: boolean
  /** The broker that the sender means; null when not given. */
  readonly brokerName: string | null
}

/** A field that is missing or no number of its kind. */
export class SendHeaderError extends Error {
  override readonly name = 'SendHeaderError'
}

/** Reads the header of SEND_MESSAGE, SEND_MESSAGE_V2, SEND_BATCH_MESSAGE and their reply forms. Throws SendHeaderError. */
export function readSendHeader(code: number, ext: ExtFields): SendHeader {
  return usesLongNames(code) ? readV1(ext) : readV2(ext)
}

/** The fields of SEND_MESSAGE_V2 and SEND_BATCH_MESSAGE, written out: every message has them. */
export function sendFieldsV2(header: SendHeader): ExtFields {
  const { maxReconsumeTimes, brokerName } = header
  const ext: ExtFields = {
    a: header.producerGroup,
    b: header.topic,
    c: header.defaultTopic,
    d: String(header.defaultTopicQueueNums),
    e: String(header.queueId),
    f: String(header.sysFlag),
    g: String(header.bornTimestamp),
    h: String(header.flag),
    i: header.properties,
    j: String(header.reconsumeTimes),
    k: header.unitMode ? 'true' : 'false',
    m: header.batch ? 'true' : 'false',
  }
  if (maxReconsumeTimes !== null) ext['l'] = String(maxReconsumeTimes)
  if (brokerName !== null) ext['n'] = brokerName
  return ext
}

/** The fields of SEND_MESSAGE. */
export function sendFieldsV1(header: SendHeader): ExtFields {
  return extFields({
    producerGroup: header.producerGroup,
    topic: header.topic,
    defaultTopic: header.defaultTopic,
    defaultTopicQueueNums: header.defaultTopicQueueNums,
    queueId: header.queueId,
    sysFlag: header.sysFlag,
    bornTimestamp: header.bornTimestamp,
    flag: header.flag,
    properties: header.properties,
    reconsumeTimes: header.reconsumeTimes,
    unitMode: header.unitMode,
    maxReconsumeTimes: header.maxReconsumeTimes,
    batch: header.batch,
    bname: header.brokerName,
  })
}

/** What a broker answers to a send that it stored (codes 0, 10, 11, 12): all three must be there. */
export interface SendResponseHeader {
  /** Offset id, or several joined by commas for a batch. */
  readonly msgId: string
  readonly queueId: number
  readonly queueOffset: number
  readonly transactionId?: string
  /** Of a message that waits for its time. */
  readonly recallHandle?: string
}

/** Null when a field is missing. */
export function readSendResponse(ext: ExtFields): SendResponseHeader | null {
  const { msgId, queueId, queueOffset, transactionId, recallHandle } = ext
  if (msgId === undefined || queueId === undefined || queueOffset === undefined) return null
  return {
    msgId,
    queueId: Number(queueId),
    queueOffset: Number(queueOffset),
    ...(transactionId === undefined ? {} : { transactionId }),
    ...(recallHandle === undefined ? {} : { recallHandle }),
  }
}

function usesLongNames(code: number): boolean {
  return code === RequestCode.SEND_MESSAGE || code === RequestCode.SEND_REPLY_MESSAGE
}

function readV1(ext: ExtFields): SendHeader {
  return {
    producerGroup: text(ext, 'producerGroup'),
    topic: text(ext, 'topic'),
    defaultTopic: text(ext, 'defaultTopic'),
    defaultTopicQueueNums: integer(ext, 'defaultTopicQueueNums'),
    queueId: integer(ext, 'queueId'),
    sysFlag: integer(ext, 'sysFlag'),
    bornTimestamp: integer(ext, 'bornTimestamp'),
    flag: integer(ext, 'flag'),
    properties: ext['properties'] ?? '',
    reconsumeTimes: optionalInteger(ext, 'reconsumeTimes') ?? 0,
    unitMode: ext['unitMode'] === 'true',
    maxReconsumeTimes: optionalInteger(ext, 'maxReconsumeTimes'),
    batch: ext['batch'] === 'true',
    brokerName: ext['bname'] ?? null,
  }
}

function readV2(ext: ExtFields): SendHeader {
  return {
    producerGroup: text(ext, 'a'),
    topic: text(ext, 'b'),
    defaultTopic: text(ext, 'c'),
    defaultTopicQueueNums: integer(ext, 'd'),
    queueId: integer(ext, 'e'),
    sysFlag: integer(ext, 'f'),
    bornTimestamp: integer(ext, 'g'),
    flag: integer(ext, 'h'),
    properties: ext['i'] ?? '',
    reconsumeTimes: optionalInteger(ext, 'j') ?? 0,
    unitMode: ext['k'] === 'true',
    maxReconsumeTimes: optionalInteger(ext, 'l'),
    batch: ext['m'] === 'true',
    brokerName: ext['n'] ?? null,
  }
}

function text(ext: ExtFields, name: string): string {
  const value = ext[name]
  if (value === undefined) throw new SendHeaderError(`the field ${name} is missing`)
  return value
}

function integer(ext: ExtFields, name: string): number {
  const value = optionalInteger(ext, name)
  if (value === null) throw new SendHeaderError(`the field ${name} is missing`)
  return value
}

function optionalInteger(ext: ExtFields, name: string): number | null {
  const value = ext[name]
  if (value === undefined || value === '') return null
  const number = Number(value)
  if (!Number.isSafeInteger(number)) {
    throw new SendHeaderError(`the field ${name} is no integer: ${value.slice(0, 40)}`)
  }
  return number
}
