/** What can be read in the ids of messages, for people and programs. */
import { MqError } from '../base/errors.ts'
import {
  decodeOffsetId,
  decodeUniqueId,
  momentOfUniqueId,
  type OffsetId,
} from '../protocol/message-id.ts'
import { decodeRecallHandle, type RecallHandle } from '../protocol/recall-handle.ts'
import { isoTime } from './time.ts'

export interface DecodedId {
  readonly id: string
  /** What the text most likely is. */
  readonly kind: 'unique' | 'offset' | 'recall'
  readonly unique: {
    readonly ip: string
    readonly pid: number
    /** If it was made within the last month, with this machine's time zone. */
    readonly born: string | null
    readonly counter: number
  } | null
  readonly offset: OffsetId | null
  readonly recall: RecallHandle | null
}

/** Throws VALUE_INVALID for a text that is neither an id nor a recall handle. */
export function decodeId(id: string, nowMs: number): DecodedId {
  const offset = decodeOffsetId(id)
  const unique = decodeUniqueId(id)
  const recall = unique === null ? decodeRecallHandle(id) : null
  if (unique === null && recall === null) {
    throw new MqError('VALUE_INVALID', {
      what: `${JSON.stringify(id.slice(0, 80))} is neither a message id (32 or 56 hex digits) nor a recall handle`,
      hint: 'senders may choose ids of their own: mqctl message get looks for any text',
    })
  }
  return {
    id,
    // The upper half of an offset id's port is 0; that of a unique id is the process.
    kind: recall !== null ? 'recall' : offset === null || hasPid(id) ? 'unique' : 'offset',
    unique: unique && {
      ip: unique.ip,
      pid: unique.pid,
      born: isoTime(momentOfUniqueId(unique, nowMs)),
      counter: unique.counter,
    },
    offset,
    recall,
  }
}

function hasPid(id: string): boolean {
  return id.slice(-24, -20) !== '0000'
}

export function idFacts({
  kind,
  unique,
  offset,
  recall,
}: DecodedId): [string, string | number | null][] {
  if (kind === 'recall' && recall !== null) {
    return [
      ['kind', 'recall handle'],
      ['topic', recall.topic],
      ['broker', recall.brokerName],
      ['due', isoTime(recall.timeMs)],
      ['message id', recall.uniqueKey],
    ]
  }
  if (kind === 'offset' && offset !== null) {
    return [
      ['kind', 'offset message id, made by the broker'],
      ['broker', offset.storeHost],
      ['log offset', offset.physicalOffset],
    ]
  }
  return [
    ['kind', 'unique id, made by the sender'],
    ['sender', unique?.ip ?? null],
    ['process', unique?.pid ?? null],
    ['made', unique?.born ?? null],
    ['counter', unique?.counter ?? null],
  ]
}
