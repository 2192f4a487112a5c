/**
 * The header of PULL_MESSAGE and LITE_PULL_MESSAGE, both ways.
 * Source: apache/rocketmq remoting/…/header/{PullMessageRequestHeader,PullMessageResponseHeader}.java, common/…/PullSysFlag.java.
 */
import { type ExtFields, extFields } from './command.ts'

/** Bits of a pull's `sysFlag`. */
export const PullSysFlag = {
  /** Store `commitOffset` as the group's progress. */
  commitOffset: 1,
  /** Hold the pull until a message comes or `suspendTimeoutMs` is over. */
  suspend: 2,
  /** The subscription is in the header; without it the broker takes the one of the heart-beat. */
  subscription: 4,
  classFilter: 8,
  litePull: 16,
} as const

export interface PullHeader {
  readonly consumerGroup: string
  readonly topic: string
  readonly queueId: number
  /** The first queue offset that is wanted. */
  readonly queueOffset: number
  readonly maxMsgNums: number
  /** See `PullSysFlag`. */
  readonly sysFlag: number
  readonly commitOffset: number
  readonly suspendTimeoutMs: number
  /** Expression, when the flag says so; else null. */
  readonly subscription: string | null
  /** Version of the subscription, milliseconds since 1970. */
  readonly subVersion: number
  /** TAG, SQL92; null means TAG. */
  readonly expressionType: string | null
  /** Null: the broker's own limit. */
  readonly maxMsgBytes: number | null
}

/** A field that is missing or no number of its kind. */
export class PullHeaderError extends Error {
  override readonly name = 'PullHeaderError'
}

/** Throws PullHeaderError. */
export function readPullHeader(ext: ExtFields): PullHeader {
  return {
    consumerGroup: text(ext, 'consumerGroup'),
    topic: text(ext, 'topic'),
    queueId: integer(ext, 'queueId'),
    queueOffset: integer(ext, 'queueOffset'),
    maxMsgNums: integer(ext, 'maxMsgNums'),
    sysFlag: integer(ext, 'sysFlag'),
    commitOffset: integer(ext, 'commitOffset'),
    suspendTimeoutMs: integer(ext, 'suspendTimeoutMillis'),
    subscription: ext['subscription'] ?? null,
    subVersion: integer(ext, 'subVersion'),
    expressionType: ext['expressionType'] ?? null,
    maxMsgBytes: ext['maxMsgBytes'] === undefined ? null : integer(ext, 'maxMsgBytes'),
  }
}

export function pullFields(header: PullHeader): ExtFields {
  return extFields({
    consumerGroup: header.consumerGroup,
    topic: header.topic,
    queueId: header.queueId,
    queueOffset: header.queueOffset,
    maxMsgNums: header.maxMsgNums,
    sysFlag: header.sysFlag,
    commitOffset: header.commitOffset,
    suspendTimeoutMillis: header.suspendTimeoutMs,
    subscription: header.subscription,
    subVersion: header.subVersion,
    expressionType: header.expressionType,
    maxMsgBytes: header.maxMsgBytes,
  })
}

/** Goes with every answer of code 0, 19, 20 and 21; clients need the first four. */
export interface PullResponseHeader {
  /** Where to pull next: 0 the master. */
  readonly suggestWhichBrokerId: number
  readonly nextBeginOffset: number
  readonly minOffset: number
  readonly maxOffset: number
}

/** Null when a field is missing. */
export function readPullResponse(ext: ExtFields): PullResponseHeader | null {
  const { suggestWhichBrokerId, nextBeginOffset, minOffset, maxOffset } = ext
  if (nextBeginOffset === undefined || minOffset === undefined || maxOffset === undefined) {
    return null
  }
  return {
    suggestWhichBrokerId: Number(suggestWhichBrokerId ?? 0),
    nextBeginOffset: Number(nextBeginOffset),
    minOffset: Number(minOffset),
    maxOffset: Number(maxOffset),
  }
}

export function pullResponseFields(header: PullResponseHeader): ExtFields {
  return extFields({
    suggestWhichBrokerId: header.suggestWhichBrokerId,
    nextBeginOffset: header.nextBeginOffset,
    minOffset: header.minOffset,
    maxOffset: header.maxOffset,
  })
}

function text(ext: ExtFields, name: string): string {
  const value = ext[name]
  if (value === undefined) throw new PullHeaderError(`the field ${name} is missing`)
  return value
}

function integer(ext: ExtFields, name: string): number {
  const value = ext[name]
  const number = value === undefined || value === '' ? Number.NaN : Number(value)
  if (!Number.isSafeInteger(number)) {
    throw new PullHeaderError(
      value === undefined
        ? `the field ${name} is missing`
        : `the field ${name} is no integer: ${value.slice(0, 40)}`,
    )
  }
  return number
}
