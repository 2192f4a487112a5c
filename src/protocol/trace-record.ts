/**
 * What clients tell of their messages in RMQ_SYS_TRACE_TOPIC: the body of a trace message is UTF-8 text,
 * fields end with \u0001, records with \u0002. Times in ms since 1970, durations in ms.
 *
 *   Pub             time region group topic id tags keys storeHost bodyBytes took type [offsetId] [ok [clientHost]]
 *   SubBefore       time region group request id tries keys
 *   SubAfter        request id took ok keys [code [time group]]
 *   EndTransaction  time region group topic id tags keys storeHost type transactionId decision asked
 *   Recall          time region group topic id ok
 *
 * The brackets are what older clients, and those of a cloud, leave out. Java writes `null` for tags and
 * keys that there are none of; so do we, because its decoder fails at an empty field at the end.
 * Source: apache/rocketmq client/…/trace/TraceDataEncoder.java, client/…/consumer/listener/ConsumeReturnType.java.
 */

/** In the order of their numbers. Source: common/…/message/MessageType.java. */
export const tracedTypes = ['normal', 'half', 'transaction', 'delayed', 'ordered'] as const
export type TracedType = (typeof tracedTypes)[number]

/** How a handler ended, in the order of the numbers. */
export const handlingResults = ['success', 'timeout', 'exception', 'nothing', 'failed'] as const
export type HandlingResult = (typeof handlingResults)[number]

/** Decisions on transactions, by Java's names (LocalTransactionState). */
const decisionNames = {
  commit: 'COMMIT_MESSAGE',
  rollback: 'ROLLBACK_MESSAGE',
  unknown: 'UNKNOW',
} as const
export type TracedDecision = keyof typeof decisionNames

/** A message was sent and answered. */
export interface PubTrace {
  readonly kind: 'Pub'
  /** When sending began. */
  readonly timeMs: number
  readonly region: string
  readonly group: string
  readonly topic: string
  /** The unique id; of a Java batch: all of them, separated by commas. */
  readonly messageId: string
  readonly tags: string
  /** Separated by blanks. */
  readonly keys: string
  /** `host:port` of the broker. */
  readonly storeHost: string
  readonly bodyBytes: number
  readonly tookMs: number
  readonly type: TracedType
  readonly offsetMessageId: string
  readonly ok: boolean
  /** Empty: the record does not say. */
  readonly clientHost: string
}

/** A member of a group begins to process a message. */
export interface SubBeforeTrace {
  readonly kind: 'SubBefore'
  readonly timeMs: number
  readonly region: string
  readonly group: string
  /** The same as in the SubAfter of this try. */
  readonly requestId: string
  readonly messageId: string
  /** Deliveries before this one. */
  readonly tries: number
  readonly keys: string
}

/** It has ended. */
export interface SubAfterTrace {
  readonly kind: 'SubAfter'
  readonly requestId: string
  readonly messageId: string
  /** Of messages that were processed as one: the mean. */
  readonly tookMs: number
  readonly ok: boolean
  readonly keys: string
  /** Null: the record does not say. */
  readonly result: HandlingResult | null
  readonly timeMs: number | null
  /** Empty: the record does not say. */
  readonly group: string
}

/** A producer told the broker what becomes of a half message. */
export interface EndTransactionTrace {
  readonly kind: 'EndTransaction'
  readonly timeMs: number
  readonly region: string
  readonly group: string
  readonly topic: string
  readonly messageId: string
  readonly tags: string
  readonly keys: string
  readonly storeHost: string
  readonly type: TracedType
  readonly transactionId: string
  readonly decision: TracedDecision
  /** The broker had asked. */
  readonly asked: boolean
}

/** A message that waits for its time was taken back, or should have been. */
export interface RecallTrace {
  readonly kind: 'Recall'
  readonly timeMs: number
  readonly region: string
  readonly group: string
  readonly topic: string
  readonly messageId: string
  readonly ok: boolean
}

export type TraceRecord =
  PubTrace | SubBeforeTrace | SubAfterTrace | EndTransactionTrace | RecallTrace

const FIELD_END = '\u0001'
const RECORD_END = '\u0002'
const NONE = 'null'
/** A fault repeats some of what it is about. */
const QUOTED_MAX = 40

/** One record with its end. Throws RangeError when a field holds what separates fields or records. */
export function encodeTraceRecord(record: TraceRecord): string {
  const fields = fieldsOf(record).map(String)
  for (const field of fields) {
    if (field.includes(FIELD_END) || field.includes(RECORD_END)) {
      throw new RangeError(`a trace cannot hold ${JSON.stringify(field.slice(0, QUOTED_MAX))}`)
    }
  }
  return fields.join(FIELD_END) + RECORD_END
}

function fieldsOf(record: TraceRecord): readonly (string | number | boolean)[] {
  const { kind } = record
  switch (kind) {
    case 'Pub':
      return [
        ...[kind, record.timeMs, record.region, record.group, record.topic, record.messageId],
        ...[record.tags || NONE, record.keys || NONE, record.storeHost, record.bodyBytes],
        ...[record.tookMs, tracedTypes.indexOf(record.type), record.offsetMessageId, record.ok],
        ...(record.clientHost === '' ? [] : [record.clientHost]),
      ]
    case 'SubBefore':
      return [
        ...[kind, record.timeMs, record.region, record.group, record.requestId],
        ...[record.messageId, record.tries, record.keys || NONE],
      ]
    case 'SubAfter': {
      const code = record.result === null ? 0 : handlingResults.indexOf(record.result)
      return [
        ...[kind, record.requestId, record.messageId, record.tookMs, record.ok],
        ...[record.keys || NONE, code],
        ...(record.timeMs === null ? [''] : [record.timeMs, record.group]),
      ]
    }
    case 'EndTransaction':
      return [
        ...[kind, record.timeMs, record.region, record.group, record.topic, record.messageId],
        ...[record.tags || NONE, record.keys || NONE, record.storeHost],
        ...[tracedTypes.indexOf(record.type), record.transactionId],
        ...[decisionNames[record.decision], record.asked],
      ]
    case 'Recall':
      return [
        ...[kind, record.timeMs, record.region, record.group, record.topic],
        ...[record.messageId, record.ok],
      ]
  }
}

export interface DecodedTraces {
  readonly records: readonly TraceRecord[]
  /** What is wrong with each record that is left out. */
  readonly faults: readonly string[]
}

/** The records of a trace message's body. Whatever the bytes: what is no record is a fault, never an error. */
export function decodeTraceRecords(body: Uint8Array): DecodedTraces {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8')
  const records: TraceRecord[] = []
  const faults: string[] = []
  for (const line of text.split(RECORD_END)) {
    if (line === '') continue
    const record = decodeTraceRecord(line)
    if (typeof record === 'string') faults.push(record)
    else records.push(record)
  }
  return { records, faults }
}

/** The record, or what is wrong with it. */
function decodeTraceRecord(line: string): TraceRecord | string {
  const fields = new Fields(line.split(FIELD_END))
  const kind = fields.text()
  const record = decoders.get(kind)?.(fields)
  if (record === undefined) return `a record of unknown kind ${quoted(kind)}`
  return fields.fault === null ? record : `${kind}: ${fields.fault}`
}

const decoders: ReadonlyMap<string, (fields: Fields) => TraceRecord> = new Map<
  string,
  (fields: Fields) => TraceRecord
>([
  ['Pub', decodePub],
  ['SubBefore', decodeSubBefore],
  ['SubAfter', decodeSubAfter],
  ['EndTransaction', decodeEndTransaction],
  ['Recall', decodeRecall],
])

function decodePub(fields: Fields): PubTrace {
  const { count } = fields
  return {
    kind: 'Pub',
    timeMs: fields.whole(),
    region: fields.text(),
    group: fields.text(),
    topic: fields.text(),
    messageId: fields.text(),
    tags: fields.textOrNone(),
    keys: fields.textOrNone(),
    storeHost: fields.text(),
    bodyBytes: fields.whole(),
    tookMs: fields.whole(),
    type: fields.numbered(tracedTypes),
    offsetMessageId: count >= 14 ? fields.textOrNone() : '',
    ok: count >= 13 ? fields.flag() : true,
    clientHost: count >= 15 ? fields.textOrNone() : '',
  }
}

function decodeSubBefore(fields: Fields): SubBeforeTrace {
  return {
    kind: 'SubBefore',
    timeMs: fields.whole(),
    region: fields.text(),
    group: fields.text(),
    requestId: fields.text(),
    messageId: fields.text(),
    tries: fields.whole(),
    keys: fields.textOrNone(),
  }
}

function decodeSubAfter(fields: Fields): SubAfterTrace {
  const { count } = fields
  return {
    kind: 'SubAfter',
    requestId: fields.text(),
    messageId: fields.text(),
    tookMs: fields.whole(),
    ok: fields.flag(),
    keys: fields.textOrNone(),
    result: count >= 7 ? fields.numbered(handlingResults) : null,
    timeMs: count >= 9 ? fields.whole() : null,
    group: count >= 9 ? fields.textOrNone() : '',
  }
}

function decodeEndTransaction(fields: Fields): EndTransactionTrace {
  return {
    kind: 'EndTransaction',
    timeMs: fields.whole(),
    region: fields.text(),
    group: fields.text(),
    topic: fields.text(),
    messageId: fields.text(),
    tags: fields.textOrNone(),
    keys: fields.textOrNone(),
    storeHost: fields.text(),
    type: fields.numbered(tracedTypes),
    transactionId: fields.textOrNone(),
    decision: fields.decision(),
    asked: fields.flag(),
  }
}

function decodeRecall(fields: Fields): RecallTrace {
  return {
    kind: 'Recall',
    timeMs: fields.whole(),
    region: fields.text(),
    group: fields.text(),
    topic: fields.text(),
    messageId: fields.text(),
    ok: fields.flag(),
  }
}

/** Reads fields one after the other, and keeps the first thing that was wrong. */
class Fields {
  /** With the kind. */
  readonly count: number
  fault: string | null = null
  readonly #fields: readonly string[]
  #next = 0

  constructor(fields: readonly string[]) {
    this.#fields = fields
    this.count = fields.length
  }

  text(): string {
    const field = this.#fields[this.#next]
    this.#next += 1
    if (field === undefined) this.fault ??= `field ${this.#next} is missing`
    return field ?? ''
  }

  /** Java writes `null` for what there is none of. */
  textOrNone(): string {
    const field = this.text()
    return field === NONE ? '' : field
  }

  /** Java counts some durations with an int that may come out negative. */
  whole(): number {
    const field = this.text()
    if (/^-?\d{1,15}$/.test(field)) return Number(field)
    this.#wrong(field, 'no number')
    return 0
  }

  /** As Java reads it: `true` in any case is true, and all else is not. */
  flag(): boolean {
    return this.text().toLowerCase() === 'true'
  }

  numbered<Name extends string>(names: readonly [Name, ...Name[]]): Name {
    const field = this.text()
    const name = /^\d$/.test(field) ? names[Number(field)] : undefined
    if (name === undefined) this.#wrong(field, `no number below ${names.length}`)
    return name ?? names[0]
  }

  decision(): TracedDecision {
    const field = this.text()
    for (const decision of ['commit', 'rollback', 'unknown'] as const) {
      if (decisionNames[decision] === field) return decision
    }
    this.#wrong(field, 'no decision')
    return 'unknown'
  }

  #wrong(field: string, why: string): void {
    this.fault ??= `field ${this.#next} is ${why}: ${quoted(field)}`
  }
}

function quoted(text: string): string {
  return JSON.stringify(text.length > QUOTED_MAX ? `${text.slice(0, QUOTED_MAX)}…` : text)
}
