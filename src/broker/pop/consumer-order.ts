/**
 * POP in order: which messages of a queue a group has taken and not acknowledged. While one of them is
 * out of sight nobody of the group gets another one of that queue. Kept in
 * `config/consumerOrderInfo.json` in Apache's format, written every few seconds and at the stop.
 * Source: apache/rocketmq broker/…/offset/ConsumerOrderInfoManager.java.
 */
import { integerOf, listOf, objectOf, parseBody, textOf } from '../../protocol/bodies/fields.ts'
import { type JsonValue, type WritableJson, writeJson } from '../../protocol/lenient-json.ts'
import {
  POP_PART_SEPARATOR,
  formatMessageTimes,
  formatQueueTimes,
} from '../../protocol/pop-handle.ts'
import { FlushedTable, type FlushedTableParts } from '../flushed-table.ts'
import { LongBody } from '../long-body.ts'
import { TurnBudget } from '../turn-budget.ts'

/** What came into sight this long ago, and nobody touched since, is forgotten. Source: CLEAN_SPAN_FROM_LAST. */
const FORGET_MS = 24 * 3_600_000
const QUEUES_MAX = 1_000_000

/** What one group took of one queue the last time. */
interface Taken {
  readonly popMs: number
  readonly invisibleMs: number
  readonly offsets: readonly number[]
  /** Bit i: the i-th offset is acknowledged. */
  acked: number
  /** When single messages come into sight again, where that was changed. */
  readonly visibleMs: Map<number, number>
  /** How often messages were taken before. */
  readonly times: ReadonlyMap<number, number>
  readonly attemptId: string | null
  readonly lastMs: number
}

/** What an acknowledgement did. */
export type AckOutcome =
  /** The group goes on here. */
  | { readonly next: number }
  /** `foreign`: no message that was taken; `late`: it was taken again since; `unknown`: nothing was taken. */
  | 'foreign'
  | 'late'
  | 'unknown'

export interface TakenRequest {
  readonly topic: string
  readonly group: string
  readonly queueId: number
  readonly attemptId: string | null
  readonly popMs: number
  readonly invisibleMs: number
  readonly offsets: readonly number[]
}

export interface ConsumerOrderParts extends FlushedTableParts {
  /** Whether topic and group are still there. */
  readonly isKnown: (topic: string, group: string, queueId: number) => boolean
}

export class ConsumerOrder {
  readonly #parts: ConsumerOrderParts
  /** `topic@group` → queue id → what was taken. */
  readonly #table = new Map<string, Map<number, Taken>>()
  readonly #kept: FlushedTable
  #count = 0

  private constructor(parts: ConsumerOrderParts) {
    this.#parts = parts
    this.#kept = new FlushedTable('order of pops', parts, () => this.#body())
  }

  /** Rejects with the disk's error. */
  static async load(parts: ConsumerOrderParts): Promise<ConsumerOrder> {
    const order = new ConsumerOrder(parts)
    const content = await parts.file.load()
    if (content === null) return order
    for (const [key, queues] of Object.entries(objectOf(parseBody(content)['table']))) {
      for (const [queueId, value] of Object.entries(objectOf(queues))) {
        const taken = takenFromJson(value)
        if (taken !== null && /^\d{1,5}$/.test(queueId)) order.#put(key, Number(queueId), taken)
      }
    }
    return order
  }

  /** Begins to write the table every few seconds. */
  start(): void {
    this.#kept.start()
  }

  /** Writes the table a last time. Rejects with the disk's error. */
  close(): Promise<void> {
    return this.#kept.close()
  }

  /**
   * Until when the group gets nothing of the queue, ms since 1970; 0 when it does. A request that is
   * another attempt of the one that took the messages is not blocked by them.
   */
  blockedUntil(topic: string, group: string, queueId: number, attemptId: string | null): number {
    const taken = this.#find(topic, group, queueId)
    if (taken === undefined) return 0
    if (taken.attemptId !== null && taken.attemptId === attemptId) return 0
    const nowMs = this.#parts.clock.wallMs()
    for (const [index, offset] of taken.offsets.entries()) {
      if (isAcked(taken, index)) continue
      const visibleMs = taken.visibleMs.get(offset) ?? taken.popMs + taken.invisibleMs
      if (nowMs < visibleMs) return visibleMs
    }
    return 0
  }

  /** Notes what the group has just taken. Returns how often its messages were taken before, for the answer. */
  take(request: TakenRequest): string {
    const { topic, group, queueId, attemptId, popMs, invisibleMs, offsets } = request
    const before = this.#find(topic, group, queueId)
    const times = timesOf(before, offsets, attemptId)
    const lastMs = Math.floor(this.#parts.clock.wallMs())
    const rest = { attemptId, acked: 0, visibleMs: new Map<number, number>(), lastMs, times }
    this.#put(`${topic}@${group}`, queueId, { popMs, invisibleMs, offsets, ...rest })
    this.#kept.changed()
    const parts = [...times].map(([offset, count]) =>
      formatMessageTimes(topic, queueId, offset, count),
    )
    const least = times.size < offsets.length ? 0 : Math.min(...times.values())
    return [...parts, formatQueueTimes(topic, queueId, least)].join(POP_PART_SEPARATOR)
  }

  /** The message at the offset is processed. */
  ack(topic: string, group: string, queueId: number, offset: number, popMs: number): AckOutcome {
    const taken = this.#find(topic, group, queueId)
    if (taken === undefined) return 'unknown'
    if (taken.popMs !== popMs) return 'late'
    const index = taken.offsets.indexOf(offset)
    if (index < 0) return 'foreign'
    taken.acked = (taken.acked | (1 << index)) >>> 0
    this.#kept.changed()
    const open = taken.offsets.find((_, place) => !isAcked(taken, place))
    return { next: open ?? (taken.offsets.at(-1) ?? offset) + 1 }
  }

  /** A message comes into sight again at another time. */
  changeVisible(
    topic: string,
    group: string,
    queueId: number,
    offset: number,
    popMs: number,
    visibleMs: number,
  ): void {
    const taken = this.#find(topic, group, queueId)
    if (taken?.popMs !== popMs || !taken.offsets.includes(offset)) return
    taken.visibleMs.set(offset, visibleMs)
    this.#kept.changed()
  }

  /** The group was put elsewhere: nothing blocks it. */
  clear(topic: string, group: string, queueId: number): void {
    const queues = this.#table.get(`${topic}@${group}`)
    if (queues?.delete(queueId) !== true) return
    this.#count--
    this.#kept.changed()
  }

  /** The topic is gone: offsets in one of the same name are other messages. */
  forgetTopic(topic: string): void {
    for (const [key, queues] of this.#table) {
      if (queues.size === 0 || !key.startsWith(`${topic}@`)) continue
      this.#count -= queues.size
      // Empty ones go when the table is written.
      queues.clear()
      this.#kept.changed()
    }
  }

  #find(topic: string, group: string, queueId: number): Taken | undefined {
    return this.#table.get(`${topic}@${group}`)?.get(queueId)
  }

  #put(key: string, queueId: number, taken: Taken): void {
    const queues = this.#table.get(key) ?? new Map<number, Taken>()
    if (!queues.has(queueId)) {
      if (this.#count >= QUEUES_MAX) return
      this.#count++
    }
    queues.set(queueId, taken)
    this.#table.set(key, queues)
  }

  /** Puts the file together a few milliseconds a turn, and forgets what matters no more. */
  async #body(): Promise<Buffer> {
    const { clock, isKnown } = this.#parts
    const oldestMs = clock.wallMs() - FORGET_MS
    const budget = new TurnBudget(clock)
    const body = new LongBody()
    body.add('{"table":{')
    let first = true
    for (const [key, queues] of this.#table) {
      const [topic = '', group = ''] = key.split('@')
      let comma = `${first ? '' : ','}${writeJson(key)}:{`
      for (const [queueId, taken] of queues) {
        if (touchedMs(taken) < oldestMs || !isKnown(topic, group, queueId)) {
          queues.delete(queueId)
          this.#count--
          continue
        }
        body.add(`${comma}"${queueId}":${writeJson(takenToJson(taken))}`)
        comma = ','
        if (budget.spent) await budget.nextTurn()
      }
      if (queues.size === 0) this.#table.delete(key)
      if (comma === ',') {
        body.add('}')
        first = false
      }
      if (budget.spent) await budget.nextTurn()
    }
    body.add('}}')
    return body.end(budget)
  }
}

/** Up to when it mattered: as long as a message is out of sight it does, however long ago it was taken. */
function touchedMs({ lastMs, popMs, invisibleMs, visibleMs }: Taken): number {
  return Math.max(lastMs, popMs + invisibleMs, ...visibleMs.values())
}

function isAcked({ acked }: Taken, index: number): boolean {
  return (acked & (1 << index)) !== 0
}

/** How often each of the offsets was taken before; those that never were are left out. */
function timesOf(
  before: Taken | undefined,
  offsets: readonly number[],
  attemptId: string | null,
): ReadonlyMap<number, number> {
  if (before === undefined) return new Map()
  if (before.attemptId !== null && before.attemptId === attemptId) return before.times
  const known = new Set(before.offsets)
  return new Map(
    offsets
      .filter((offset) => known.has(offset))
      .map((offset) => [offset, (before.times.get(offset) ?? 0) + 1] as const),
  )
}

/** Offsets but the first are kept as distances from it. */
function takenToJson(taken: Taken): WritableJson {
  const [first = 0, ...others] = taken.offsets
  return {
    a: taken.attemptId ?? undefined,
    cm: taken.acked,
    i: taken.invisibleMs,
    l: taken.lastMs,
    o: [first, ...others.map((offset) => offset - first)],
    oc: Object.fromEntries(taken.times),
    ot: Object.fromEntries(taken.visibleMs),
    popTime: taken.popMs,
  }
}

function takenFromJson(value: JsonValue): Taken | null {
  const object = objectOf(value)
  const [first, ...others] = listOf(object['o']).map((offset) => integerOf(offset, -1))
  if (first === undefined || first < 0 || others.length >= 32) return null
  const attemptId = textOf(object['a'])
  return {
    popMs: integerOf(object['popTime']),
    invisibleMs: integerOf(object['i']),
    offsets: [first, ...others.map((distance) => first + distance)],
    acked: integerOf(object['cm']) >>> 0,
    visibleMs: numbersOf(object['ot']),
    times: numbersOf(object['oc']),
    attemptId: attemptId === '' ? null : attemptId,
    lastMs: integerOf(object['l']),
  }
}

function numbersOf(value: JsonValue | undefined): Map<number, number> {
  return new Map(
    Object.entries(objectOf(value)).map(([key, number]) => [Number(key), integerOf(number)]),
  )
}
