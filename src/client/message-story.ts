/**
 * What became of one message, put together from what its clients told the trace topic, and from what
 * brokers have stored. Pure. Times are those of whoever told: where clocks differ, so does the order.
 */
import {
  type HandlingResult,
  type SubAfterTrace,
  type SubBeforeTrace,
  type TraceRecord,
  type TracedDecision,
  type TracedType,
} from '../protocol/trace-record.ts'
import type { ReceivedMessage } from './received-message.ts'

/** A record, and the host whose client sent it. */
export interface Told {
  readonly record: TraceRecord
  readonly clientHost: string
}

interface EventBase {
  /** Milliseconds since 1970: when it began. */
  readonly atMs: number
}

/** A producer sent it, and a broker answered. */
export interface SentEvent extends EventBase {
  readonly kind: 'sent'
  readonly group: string
  readonly clientHost: string
  /** `host:port`. */
  readonly brokerAddress: string
  readonly type: TracedType
  readonly bodyBytes: number
  readonly tookMs: number
  readonly offsetMessageId: string | null
  /** False: stored, but not as safely as its broker is asked to. */
  readonly ok: boolean
}

/** Where consumers find it, from when on. */
export interface StoredEvent extends EventBase {
  readonly kind: 'stored'
  readonly broker: string
  readonly queueId: number
  readonly queueOffset: number
}

/** `failed` also: the client does not say why. `unfinished`: nobody told of an end. */
export type TryResult = HandlingResult | 'unfinished'

/** A member of a group processed it, or tried to. */
export interface TriedEvent extends EventBase {
  readonly kind: 'tried'
  readonly group: string
  readonly clientHost: string
  /** 1: the first; null: not told. */
  readonly attempt: number | null
  /** Null: not ended yet, or not told. */
  readonly endedAtMs: number | null
  readonly tookMs: number | null
  readonly ok: boolean
  readonly result: TryResult
}

/** A producer decided its transaction. */
export interface DecidedEvent extends EventBase {
  readonly kind: 'decided'
  readonly group: string
  readonly clientHost: string
  readonly brokerAddress: string
  readonly decision: TracedDecision
  /** Because the broker had asked. */
  readonly asked: boolean
}

/** Somebody took it back before its time, or wanted to. */
export interface RecalledEvent extends EventBase {
  readonly kind: 'recalled'
  readonly group: string
  readonly clientHost: string
  readonly ok: boolean
}

export type StoryEvent = SentEvent | StoredEvent | TriedEvent | DecidedEvent | RecalledEvent

export interface MessageStory {
  readonly messageId: string
  /** Null: nobody told. */
  readonly topic: string | null
  readonly tags: string
  /** Separated by blanks. */
  readonly keys: string
  /** In the order of time. */
  readonly events: readonly StoryEvent[]
}

/** Of events at the same millisecond, what comes first. */
const order = ['sent', 'decided', 'recalled', 'stored', 'tried'] as const

/** Whether a record is about that message: Java tells of a whole batch at once, ids separated by commas. */
export function isAbout(record: TraceRecord, messageId: string): boolean {
  const { messageId: told } = record
  return told === messageId || (told.includes(',') && told.split(',').includes(messageId))
}

/** @param stored the message as brokers have it; several when its sender tried more than once */
export function storyOf(
  messageId: string,
  told: readonly Told[],
  stored: readonly ReceivedMessage[],
): MessageStory {
  const own = onlyOnce(told.filter(({ record }) => isAbout(record, messageId)))
  const events: StoryEvent[] = [...tries(own), ...stored.map(storedEvent)]
  for (const { record, clientHost } of own) {
    const event = eventOf(record, clientHost)
    if (event !== null) events.push(event)
  }
  events.sort((a, b) => a.atMs - b.atMs || order.indexOf(a.kind) - order.indexOf(b.kind))
  return {
    messageId,
    topic: firstText(own, 'topic') || (stored[0]?.topic ?? null),
    tags: firstText(own, 'tags') || (stored[0]?.tags ?? ''),
    keys: firstText(own, 'keys') || (stored[0]?.keys ?? ''),
    events,
  }
}

/** Traces are sent again when an answer does not come, and then stored twice. */
function onlyOnce(told: readonly Told[]): Told[] {
  return [...new Map(told.map((one) => [JSON.stringify(one), one])).values()]
}

function firstText(told: readonly Told[], field: 'topic' | 'tags' | 'keys'): string {
  for (const { record } of told) {
    const text = (record as Partial<Record<typeof field, string>>)[field]
    if (text !== undefined && text !== '') return text
  }
  return ''
}

function storedEvent(message: ReceivedMessage): StoredEvent {
  const { broker, queueId, queueOffset, storeTimestamp } = message
  return { kind: 'stored', atMs: storeTimestamp, broker, queueId, queueOffset }
}

/** Null for what tells of a try: it takes two to tell one. */
function eventOf(record: TraceRecord, clientHost: string): StoryEvent | null {
  switch (record.kind) {
    case 'Pub':
      return {
        kind: 'sent',
        atMs: record.timeMs,
        group: record.group,
        clientHost: record.clientHost || clientHost,
        brokerAddress: record.storeHost,
        type: record.type,
        bodyBytes: record.bodyBytes,
        tookMs: record.tookMs,
        offsetMessageId: record.offsetMessageId || null,
        ok: record.ok,
      }
    case 'EndTransaction':
      return {
        kind: 'decided',
        atMs: record.timeMs,
        group: record.group,
        clientHost,
        brokerAddress: record.storeHost,
        decision: record.decision,
        asked: record.asked,
      }
    case 'Recall':
      return {
        kind: 'recalled',
        atMs: record.timeMs,
        group: record.group,
        clientHost,
        ok: record.ok,
      }
    case 'SubBefore':
    case 'SubAfter':
      return null
  }
}

interface Half<Kind> {
  readonly record: Kind
  readonly clientHost: string
}

/** Begin and end of a try have the same request id; either may be missing. */
function tries(told: readonly Told[]): TriedEvent[] {
  const begun = new Map<string, Half<SubBeforeTrace>>()
  const ended = new Map<string, Half<SubAfterTrace>>()
  for (const { record, clientHost } of told) {
    if (record.kind === 'SubBefore') begun.set(record.requestId, { record, clientHost })
    if (record.kind === 'SubAfter') ended.set(record.requestId, { record, clientHost })
  }
  const requests = new Set([...begun.keys(), ...ended.keys()])
  return [...requests].map((id) => triedEvent(begun.get(id) ?? null, ended.get(id) ?? null))
}

function triedEvent(
  begun: Half<SubBeforeTrace> | null,
  ended: Half<SubAfterTrace> | null,
): TriedEvent {
  const tookMs = ended?.record.tookMs ?? null
  const begunAtMs = begun?.record.timeMs ?? null
  const endToldMs = ended?.record.timeMs ?? null
  const endedAtMs = endToldMs ?? (begunAtMs !== null && tookMs !== null ? begunAtMs + tookMs : null)
  return {
    kind: 'tried',
    atMs: begunAtMs ?? (endedAtMs ?? 0) - (tookMs ?? 0),
    group: begun?.record.group ?? ended?.record.group ?? '',
    clientHost: (begun ?? ended)?.clientHost ?? '',
    attempt: begun === null ? null : begun.record.tries + 1,
    endedAtMs,
    tookMs,
    ok: ended?.record.ok ?? false,
    result: resultOf(ended?.record ?? null),
  }
}

function resultOf(ended: SubAfterTrace | null): TryResult {
  if (ended === null) return 'unfinished'
  if (ended.result !== null && (ended.ok || ended.result !== 'success')) return ended.result
  return ended.ok ? 'success' : 'failed'
}
