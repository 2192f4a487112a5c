/**
 * Histories of a broker that keeps its promises, made up from a seed: writers, queues, readers, retries,
 * delays, transactions, answers that got lost. What the checker is shown must not be made by what it is
 * to judge, so nothing of `src/verify` but the shape of events is used here.
 */
import type { EventBody, Feature, HistoryEvent, HistoryHead } from '../../src/verify/history.ts'

export type Timed = EventBody & { t: number }

export interface AHistory {
  readonly head: HistoryHead
  readonly events: Timed[]
}

const MS = 1e6
const QUEUES = 3
const WRITERS = 3
const RETRIES_MAX = 2
const RETRY_MS = 1_000

interface Entry {
  readonly v: string
  readonly q: string
  readonly o: number
  readonly n: number
  readonly visibleAt: number
}

/** Numbers in [0, 1) by a seed. */
export function dice(seed: number): () => number {
  let state = (seed * 2_654_435_761 + 1) >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const readersOf: Readonly<Record<Feature, readonly string[]>> = {
  order: ['g'],
  delay: ['g'],
  txn: ['g'],
  retry: ['g'],
  filter: ['all', 'some'],
  broadcast: ['g/1', 'g/2'],
}

export function headFor(feature: Feature, kills = 1): HistoryHead {
  return {
    h: 1,
    run: 'abcd',
    feature,
    seed: 1,
    at: '2026-01-01T00:00:00.000Z',
    version: '0.0.0',
    plan: {
      topic: 't',
      readers: readersOf[feature],
      ordered: feature === 'order',
      transactional: feature === 'txn',
      retriesMax: feature === 'retry' ? RETRIES_MAX : null,
      kills,
    },
  }
}

/** A valid run of some 60 messages. */
export function aHistory(feature: Feature, seed: number): AHistory {
  return new Model(feature, seed).run()
}

class Model {
  readonly #feature: Feature
  readonly #roll: () => number
  readonly #head: HistoryHead
  readonly #events: Timed[] = []
  readonly #log = new Map<string, Entry[]>()
  /** Next offset for each reader and queue, and what it is processing. */
  readonly #next = new Map<string, number>()
  readonly #open = new Map<string, Entry>()
  readonly #tries = new Map<string, number>()
  readonly #dead: Entry[] = []
  readonly #halves = new Set<string>()
  readonly #fails = new Map<string, number>()
  #t = 0

  constructor(feature: Feature, seed: number) {
    this.#feature = feature
    this.#roll = dice(seed)
    this.#head = headFor(feature)
    for (let queue = 0; queue < QUEUES; queue++) this.#log.set(`b/${queue}`, [])
    this.#log.set('b/retry/0', [])
  }

  run(): AHistory {
    for (let round = 0; round < 20; round++) {
      if (round === 10) this.#kill()
      const sends = Array.from({ length: WRITERS }, (_, writer) => this.#send(writer, round))
      // Sends of one round are under way at once; their ends come in any order.
      for (const end of this.#shuffled(sends)) end()
      for (let i = 0; i < 4; i++) this.#read()
    }
    for (const value of this.#halves) this.#check(value)
    while (this.#pending()) {
      if (!this.#read()) this.#t += 100 * MS
    }
    this.#leave()
    return { head: this.#head, events: this.#events }
  }

  #note(body: EventBody): void {
    this.#t += Math.ceil(this.#roll() * MS)
    this.#events.push({ ...body, t: this.#t })
  }

  #shuffled<T>(of: readonly T[]): T[] {
    return of
      .map((one) => ({ one, at: this.#roll() }))
      .sort((a, b) => a.at - b.at)
      .map(({ one }) => one)
  }

  #append(v: string, q: string, n: number, visibleAt: number): Entry {
    const entries = this.#log.get(q) ?? []
    const entry = { v, q, o: entries.length, n, visibleAt }
    entries.push(entry)
    return entry
  }

  /** Begins one; the answer is what is given back. */
  #send(writer: number, counter: number): () => void {
    const v = `${writer}-${counter}`
    const q = `b/${this.#feature === 'order' ? writer : Math.floor(this.#roll() * QUEUES)}`
    const d = this.#feature === 'delay' && this.#roll() < 0.7 ? 500 : 0
    this.#note({
      f: 'send',
      e: 'invoke',
      v,
      ...(this.#feature === 'order' ? { k: `key-${writer}-${counter % 2}` } : {}),
      ...(d > 0 ? { d } : {}),
      ...(this.#feature === 'filter' && this.#roll() < 0.5 ? { to: ['all'] } : {}),
    })
    const fate = this.#roll()
    const { transactional } = this.#head.plan
    const stored = fate < 0.95 || counter === 0
    // The broker stores in the order in which sends begin.
    const entry = stored && !transactional ? this.#append(v, q, 0, this.#t + d * MS) : null
    // One at least fails for good.
    const always = counter === 0 || this.#roll() < 0.1
    this.#fails.set(v, always ? 99 : this.#roll() < 0.2 ? 1 : 0)
    return () => {
      if (!stored) this.#note({ f: 'send', e: 'fail', v, why: 'refused' })
      else if (fate > 0.9) {
        this.#note({ f: 'send', e: 'info', v, why: 'no answer' })
        if (transactional) this.#halves.add(v)
      } else {
        const place = entry === null || d > 0 ? {} : { q: entry.q, o: entry.o }
        this.#note({ f: 'send', e: 'ok', v, ...place })
        if (transactional) this.#decide(v, q)
      }
    }
  }

  #decide(v: string, q: string): void {
    const roll = this.#roll()
    if (roll < 0.3) {
      this.#halves.add(v)
      return
    }
    const is = roll < 0.7 ? 'commit' : 'rollback'
    this.#note({ f: 'end', e: 'invoke', v, is })
    if (is === 'commit') this.#append(v, q, 0, this.#t)
    this.#note({ f: 'end', e: this.#roll() < 0.9 ? 'ok' : 'info', v, is })
  }

  #check(v: string): void {
    const is = this.#roll() < 0.5 ? 'commit' : 'rollback'
    this.#note({ f: 'check', v, is })
    if (is === 'commit') this.#append(v, 'b/0', 0, this.#t)
  }

  #kill(): void {
    this.#note({ f: 'fault', e: 'start', n: 'kill9', on: 'b' })
    this.#note({ f: 'fault', e: 'end', n: 'kill9', on: 'b', took: true })
  }

  #wants(reader: string, v: string): boolean {
    const sent = this.#events.find((event) => event.f === 'send' && event.v === v)
    return sent?.f === 'send' && sent.e === 'invoke' && (sent.to?.includes(reader) ?? true)
  }

  #lanes(): { reader: string; q: string; lane: string }[] {
    const { readers } = this.#head.plan
    return readers.flatMap((reader) =>
      [...this.#log.keys()].map((q) => ({ reader, q, lane: `${reader} ${q}` })),
    )
  }

  #pending(): boolean {
    return this.#lanes().some(
      ({ q, lane }) =>
        this.#open.has(lane) || (this.#next.get(lane) ?? 0) < (this.#log.get(q)?.length ?? 0),
    )
  }

  /** One step of one reader; false when none has anything to do now. */
  #read(): boolean {
    for (const { reader, q, lane } of this.#shuffled(this.#lanes())) {
      const open = this.#open.get(lane)
      if (open !== undefined) {
        this.#end(reader, lane, open)
        return true
      }
      const next = this.#next.get(lane) ?? 0
      const entry = this.#log.get(q)?.[next]
      if (entry === undefined || entry.visibleAt > this.#t) continue
      this.#next.set(lane, next + 1)
      if (!this.#wants(reader, entry.v)) return true
      const { v, o, n } = entry
      this.#note({ f: 'deliver', v, g: reader, p: 0, q, o, n })
      this.#open.set(lane, entry)
      return true
    }
    return false
  }

  #end(reader: string, lane: string, entry: Entry): void {
    const { v, q, o, n } = entry
    const who = { v, g: reader, p: 0, q, o }
    this.#open.delete(lane)
    const tries = this.#tries.get(v) ?? 0
    const bad = this.#feature === 'retry' && n < (this.#fails.get(v) ?? 0)
    const badHere = this.#feature === 'order' && tries < Math.min(1, this.#fails.get(v) ?? 0)
    if (!bad && !badHere) {
      this.#note({ f: 'ack', ...who })
      return
    }
    this.#tries.set(v, tries + 1)
    if (badHere) {
      this.#note({ f: 'nack', ...who, n })
      this.#next.set(lane, o)
    } else {
      this.#note({ f: 'nack', ...who, n, d: RETRY_MS })
      if (n === RETRIES_MAX) this.#dead.push(entry)
      else this.#append(v, 'b/retry/0', n + 1, this.#t + RETRY_MS * MS)
    }
  }

  #leave(): void {
    for (const [index, { v }] of this.#dead.entries()) {
      this.#note({ f: 'dead', v, g: 'g', q: 'g/b/dead/0', o: index })
    }
    for (const [q, entries] of this.#log) {
      if (q === 'b/retry/0') continue
      for (const { v, o } of entries) this.#note({ f: 'read', v, q, o })
    }
    this.#note({ f: 'drain', e: 'ok' })
    this.#note({ f: 'close', wallMs: 0 })
    const last = this.#events.at(-1)
    if (last?.f === 'close') Object.assign(last, { wallMs: last.t / MS })
  }
}

/** Numbered as a recorder numbers them. */
export function numbered(events: readonly Timed[]): HistoryEvent[] {
  return events.map((event, i) => ({ ...event, i }))
}
