/**
 * How a group gets the messages of a topic: by pulling queues that are its members' own, or by POP
 * from queues that all may take from. Body of SET_MESSAGE_REQUEST_MODE, and content of
 * `config/messageRequestMode.json`.
 * Source: apache/rocketmq remoting/…/body/SetMessageRequestModeRequestBody.java,
 * broker/…/loadbalance/MessageRequestModeManager.java.
 */
import { type JsonValue, type WritableJson, jsonBody } from '../lenient-json.ts'
import { integerOf, objectOf, parseBody, textOf } from './fields.ts'

export const requestModes = ['PULL', 'POP'] as const
export type RequestMode = (typeof requestModes)[number]

export interface GroupRequestMode {
  readonly topic: string
  readonly group: string
  readonly mode: RequestMode
  /**
   * With POP: with how many members behind it each one shares its queues. Every member takes from
   * all queues when it is 0 or less, or as many as there are others.
   */
  readonly popShareQueueNum: number
}

/** What a body says; `mode` is whatever word stands there. */
export interface WantedRequestMode extends Omit<GroupRequestMode, 'mode'> {
  readonly mode: string
}

export function decodeRequestMode(body: Buffer | null): WantedRequestMode {
  return fromJson(parseBody(body))
}

export function encodeRequestMode(wanted: GroupRequestMode): Buffer {
  return jsonBody(toJson(wanted))
}

/** Rows of the file whose mode is none are left out. */
export function decodeRequestModes(content: Buffer): GroupRequestMode[] {
  const modes: GroupRequestMode[] = []
  for (const groups of Object.values(objectOf(parseBody(content)['messageRequestModeMap']))) {
    for (const value of Object.values(objectOf(groups))) {
      const row = fromJson(value)
      const mode = requestModes.find((word) => word === row.mode)
      if (mode !== undefined) modes.push({ ...row, mode })
    }
  }
  return modes
}

export function encodeRequestModes(modes: Iterable<GroupRequestMode>): Buffer {
  const topics = Object.create(null) as Record<string, Record<string, WritableJson>>
  for (const row of modes) {
    const groups = (topics[row.topic] ??= Object.create(null) as Record<string, WritableJson>)
    groups[row.group] = toJson(row)
  }
  return jsonBody({ messageRequestModeMap: topics })
}

function fromJson(value: JsonValue): WantedRequestMode {
  const object = objectOf(value)
  return {
    topic: textOf(object['topic']),
    group: textOf(object['consumerGroup']),
    mode: textOf(object['mode'], 'PULL'),
    popShareQueueNum: integerOf(object['popShareQueueNum']),
  }
}

function toJson({ topic, group, mode, popShareQueueNum }: GroupRequestMode): WritableJson {
  return { consumerGroup: group, mode, popShareQueueNum, topic }
}
