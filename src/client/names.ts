/** Names of topics and groups as a client judges them, before it asks and when nobody knows one. */
import { type ErrorDetails, MqError } from '../base/errors.ts'
import { faultOfGroup, faultOfTopic, isClosedToSend } from '../protocol/names.ts'

/** Throws NAME_ILLEGAL for a topic that no client may send to. */
export function checkTopic(topic: string): void {
  let why = faultOfTopic(topic)
  if (why === null && isClosedToSend(topic)) why = 'it belongs to the system'
  if (why !== null) throw illegal('topic', topic, why)
}

/** Throws NAME_ILLEGAL. */
export function checkGroup(group: string): void {
  const why = faultOfGroup(group)
  if (why !== null) throw illegal('group', group, why)
}

/**
 * A topic that does not exist. A name that cannot exist is NAME_ILLEGAL: nobody shall be told to
 * create it. One that exists all the same, on a broker that took it, is never judged.
 */
export function unknownTopic(topic: string, details: ErrorDetails = {}): MqError {
  const why = faultOfTopic(topic)
  if (why !== null) return illegal('topic', topic, why)
  return new MqError('TOPIC_NOT_FOUND', { ...details, topic })
}

/** The same for a consumer group: GROUP_NOT_FOUND or NAME_ILLEGAL. */
export function unknownGroup(group: string, details: ErrorDetails = {}): MqError {
  const why = faultOfGroup(group)
  if (why !== null) return illegal('group', group, why)
  return new MqError('GROUP_NOT_FOUND', { ...details, group })
}

function illegal(kind: 'topic' | 'group', name: string, why: string): MqError {
  return new MqError('NAME_ILLEGAL', { kind, name: quoted(name), why })
}

function quoted(name: string): string {
  return JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}…` : name)
}
