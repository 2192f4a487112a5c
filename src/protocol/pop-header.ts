/**
 * Headers of the requests of POP consumption: POP_MESSAGE and its answer, ACK_MESSAGE,
 * CHANGE_MESSAGE_INVISIBLETIME and its answer.
 * Source: apache/rocketmq remoting/…/header/{PopMessage,AckMessage,ChangeInvisibleTime}{Request,Response}Header.java.
 */
import type { ExtFields, ExtValues } from './command.ts'

/** Where a group begins that has no progress in a queue. */
export const InitMode = { min: 0, max: 1 } as const

export interface PopRequest {
  readonly group: string
  readonly topic: string
  /** −1: any queue. */
  readonly queueId: number
  /** 1 to 32. */
  readonly messagesMax: number
  readonly invisibleMs: number
  /** How long the broker may hold the request. */
  readonly pollMs: number
  /** When it was sent, ms since 1970. */
  readonly bornMs: number
  readonly initMode: number
  readonly expressionType: string | null
  readonly expression: string | null
  readonly order: boolean
  /** Requests with the same id are attempts of one: a queue that is taken in order does not block them. */
  readonly attemptId: string | null
}

export function popRequestFields(request: PopRequest): ExtValues {
  return {
    consumerGroup: request.group,
    topic: request.topic,
    queueId: request.queueId,
    maxMsgNums: request.messagesMax,
    invisibleTime: request.invisibleMs,
    pollTime: request.pollMs,
    bornTime: request.bornMs,
    initMode: request.initMode,
    expType: request.expressionType,
    exp: request.expression,
    order: request.order,
    attemptId: request.attemptId,
  }
}

export interface PopAnswer {
  readonly popMs: number
  readonly invisibleMs: number
  readonly reviveQueueId: number
  /** Messages that wait behind those in the answer. */
  readonly rest: number
  readonly startOffsets: string
  readonly messageOffsets: string
  /** Null when order is not kept. */
  readonly times: string | null
}

export function popAnswerFields(answer: PopAnswer): ExtValues {
  return {
    popTime: answer.popMs,
    invisibleTime: answer.invisibleMs,
    reviveQid: answer.reviveQueueId,
    restNum: answer.rest,
    startOffsetInfo: answer.startOffsets,
    msgOffsetInfo: answer.messageOffsets,
    orderCountInfo: answer.times,
  }
}

/** Null when a field that must be there is missing or no number. */
export function readPopAnswer(ext: ExtFields): PopAnswer | null {
  const invisible = readInvisible(ext)
  const rest = numberIn(ext, 'restNum')
  if (invisible === null || rest === null) return null
  return {
    ...invisible,
    rest,
    startOffsets: ext['startOffsetInfo'] ?? '',
    messageOffsets: ext['msgOffsetInfo'] ?? '',
    times: ext['orderCountInfo'] ?? null,
  }
}

/** What an answer says about how long messages are out of sight. */
export interface InvisibleAnswer {
  readonly popMs: number
  readonly invisibleMs: number
  readonly reviveQueueId: number
}

export function invisibleAnswerFields(answer: InvisibleAnswer): ExtValues {
  return {
    popTime: answer.popMs,
    invisibleTime: answer.invisibleMs,
    reviveQid: answer.reviveQueueId,
  }
}

/** Null when a field is missing or no number. */
export function readInvisible(ext: ExtFields): InvisibleAnswer | null {
  const popMs = numberIn(ext, 'popTime')
  const invisibleMs = numberIn(ext, 'invisibleTime')
  const reviveQueueId = numberIn(ext, 'reviveQid')
  if (popMs === null || invisibleMs === null || reviveQueueId === null) return null
  return { popMs, invisibleMs, reviveQueueId }
}

/** One message that was taken: of ACK_MESSAGE and, with a time, of CHANGE_MESSAGE_INVISIBLETIME. */
export interface HandleRequest {
  readonly group: string
  /** Where the message lies: the retry topic for one that came again. */
  readonly topic: string
  readonly queueId: number
  readonly offset: number
  /** As it was given: see `pop-handle.ts`. */
  readonly handle: string
}

export function handleRequestFields(request: HandleRequest): ExtValues {
  return {
    consumerGroup: request.group,
    topic: request.topic,
    queueId: request.queueId,
    offset: request.offset,
    extraInfo: request.handle,
  }
}

function numberIn(ext: ExtFields, name: string): number | null {
  const text = ext[name]
  const number = text === undefined || text === '' ? Number.NaN : Number(text)
  return Number.isSafeInteger(number) ? number : null
}
