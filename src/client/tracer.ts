/**
 * Tells the trace topic what becomes of messages: sent, begun and ended by a member of a group, decided.
 * Whoever looks for one (`TraceAdmin`, `mqadmin queryMsgTraceById`) finds it by its unique id or a key.
 *
 * The messages themselves never wait for it, and never fail with it: records are kept until a batch is
 * full or a second has passed, and sent in the background by a producer of their own. There is room for
 * so many; what comes on top, and what no broker takes, is lost, counted and said once.
 * Source: apache/rocketmq client/…/trace/AsyncTraceDispatcher.java, …/trace/hook/*.java.
 */
import { messageOf } from '../base/errors.ts'
import type { UniqueIdMaker } from '../protocol/message-id.ts'
import { PropertyName } from '../protocol/properties.ts'
import {
  type HandlingResult,
  type SubBeforeTrace,
  type TraceRecord,
  encodeTraceRecord,
} from '../protocol/trace-record.ts'
import type { Stop } from '../world/clock.ts'
import { makeUniqueIds } from './client-id.ts'
import type { MqClient } from './client.ts'
import type { OutgoingMessage } from './outgoing-message.ts'
import type { ReceivedMessage } from './received-message.ts'

/** What sends the trace messages: a producer that traces nothing itself. */
export interface TraceSender {
  send(message: OutgoingMessage): Promise<unknown>
  close(): Promise<void>
}

/** What became of traces that were not stored. */
export type TraceLoss = Pick<Tracer, 'lost' | 'whyLost'>

/** The producer group of trace messages; Java's have it as a prefix. */
export const TRACE_GROUP = '_INNER_TRACE_PRODUCER'
/** Of brokers and messages that name none. */
export const DEFAULT_REGION = 'DefaultRegion'

/** The same as Java's: records a message, bytes of its body, records that wait. */
const BATCH_RECORDS = 20
const BATCH_BYTES = 128_000
const PENDING_MAX = 2_048
/** For keys; brokers take properties of 32,767 bytes. */
const BATCH_KEY_BYTES = 16_000
const BATCHES_UNDER_WAY = 4
const FLUSH_PERIOD_MS = 1_000
/** For what is left at the end. */
const CLOSE_TIMEOUT_MS = 3_000

export class Tracer {
  readonly topic: string
  readonly #client: MqClient
  readonly #sender: TraceSender
  readonly #ids: UniqueIdMaker
  readonly #stopFlushing: Stop
  #pending: TraceRecord[] = []
  #underWay = 0
  #lost = 0
  #whyLost: string | null = null
  #failing = false
  #flushScheduled = false
  #closing: Promise<void> | null = null
  #onIdle: () => void = () => undefined

  constructor(client: MqClient, sender: TraceSender, topic: string) {
    this.topic = topic
    this.#client = client
    this.#sender = sender
    this.#ids = makeUniqueIds(client.world.random)
    this.#stopFlushing = client.world.clock.every(FLUSH_PERIOD_MS, () => {
      this.#flush(1)
    })
  }

  /** Records that were not sent, for want of room or of a broker that takes them. */
  get lost(): number {
    return this.#lost
  }

  /** The last reason; null when nothing was lost. */
  get whyLost(): string | null {
    return this.#whyLost
  }

  /** Never throws and never waits. */
  add(record: TraceRecord): void {
    if (this.#closing !== null || this.#pending.length >= PENDING_MAX) {
      this.#lose(1, 'there are more than brokers take')
      return
    }
    this.#pending.push(record)
    if (this.#pending.length < BATCH_RECORDS || this.#flushScheduled) return
    this.#flushScheduled = true
    this.#client.world.clock.atEndOfTurn(() => {
      this.#flushScheduled = false
      this.#flush(BATCH_RECORDS)
    })
  }

  /** A member of a group begins to process a message; null: the message is not to be traced. */
  began(group: string, message: ReceivedMessage): SubBeforeTrace | null {
    // Telling of traces that were consumed would never end.
    const isTrace = message.topic === this.topic
    if (isTrace || message.properties[PropertyName.traceOn] === 'false') return null
    const timeMs = this.#client.world.clock.wallMs()
    const record: SubBeforeTrace = {
      kind: 'SubBefore',
      timeMs,
      region: message.properties[PropertyName.region] ?? DEFAULT_REGION,
      group,
      requestId: this.#ids.next(timeMs),
      messageId: message.messageId,
      tries: message.reconsumeTimes,
      keys: message.keys,
    }
    this.add(record)
    return record
  }

  /** It has ended; `left`: it was not processed, and nothing is told when nothing was told yet. */
  ended(began: SubBeforeTrace, tookMs: number, result: HandlingResult | 'left'): void {
    if (result === 'left') {
      const at = this.#pending.lastIndexOf(began)
      if (at >= 0) {
        this.#pending.splice(at, 1)
        return
      }
    }
    const { requestId, messageId, keys, group } = began
    this.add({
      kind: 'SubAfter',
      requestId,
      messageId,
      tookMs: Math.round(tookMs),
      ok: result === 'success',
      keys,
      result: result === 'left' ? 'failed' : result,
      timeMs: this.#client.world.clock.wallMs(),
      group,
    })
  }

  /** Sends what waits, for a few seconds at most. Never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#stopFlushing()
    this.#flush(1)
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        const stop = this.#client.world.clock.after(CLOSE_TIMEOUT_MS, resolve)
        this.#onIdle = () => {
          stop()
          resolve()
        }
      })
    }
    const left = this.#pending.length
    this.#pending = []
    if (left > 0) this.#lose(left, 'time was up')
    await this.#sender.close()
    if (this.#lost > 0) this.#client.logger.warn('traces were lost', { records: this.#lost })
  }

  /** Sends batches while there are so many records, as far as there is room under way. */
  #flush(recordsMin: number): void {
    while (this.#underWay < BATCHES_UNDER_WAY && this.#pending.length >= recordsMin) {
      const { message, records } = this.#takeBatch()
      if (message === null) continue
      this.#underWay += 1
      void this.#send(message, records)
    }
  }

  async #send(message: OutgoingMessage, records: number): Promise<void> {
    try {
      await this.#sender.send(message)
      this.#failing = false
    } catch (error) {
      this.#lose(records, messageOf(error))
    }
    this.#underWay -= 1
    this.#flush(this.#closing === null ? BATCH_RECORDS : 1)
    if (this.#underWay === 0) this.#onIdle()
  }

  #takeBatch(): { message: OutgoingMessage | null; records: number } {
    const keys = new Set<string>()
    let body = ''
    let keyBytes = 0
    let taken = 0
    for (const record of this.#pending) {
      if (taken === BATCH_RECORDS) break
      let text: string
      try {
        text = encodeTraceRecord(record)
      } catch (error) {
        if (taken > 0) break
        this.#pending.shift()
        this.#lose(1, messageOf(error))
        return { message: null, records: 0 }
      }
      const fresh = keysOf(record, keys)
      const freshBytes = fresh.reduce((sum, key) => sum + Buffer.byteLength(key) + 1, 0)
      const isFull =
        Buffer.byteLength(body) + Buffer.byteLength(text) > BATCH_BYTES ||
        keyBytes + freshBytes > BATCH_KEY_BYTES
      if (isFull && taken > 0) break
      // One record whose keys are too many by themselves is found by its id and the first of them.
      for (const key of fresh) {
        keyBytes += Buffer.byteLength(key) + 1
        if (keyBytes <= BATCH_KEY_BYTES) keys.add(key)
      }
      body += text
      taken += 1
    }
    this.#pending.splice(0, taken)
    return { message: { topic: this.topic, body, keys: [...keys] }, records: taken }
  }

  #lose(records: number, why: string): void {
    this.#lost += records
    this.#whyLost = why
    if (this.#failing) return
    this.#failing = true
    this.#client.logger.warn('traces are not stored', { topic: this.topic, why })
  }
}

/** What the record is to be found by and nothing in the batch is found by yet; its id first. */
function keysOf(record: TraceRecord, known: ReadonlySet<string>): string[] {
  const all = [record.messageId, ...('keys' in record ? record.keys.split(' ') : [])]
  return [...new Set(all)].filter((key) => key !== '' && !known.has(key))
}
