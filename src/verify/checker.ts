/**
 * Judges a history. Pure: events in, a verdict out; each event costs the same however long the history
 * is. It knows nothing of brokers: only what was promised, and what happened.
 *
 * What is allowed, and counted: that a message comes or is stored more than once (delivery is at least
 * once), that a send nobody answered is there or is not. Nothing else is.
 */
import type { EventBody, HistoryEvent, HistoryHead } from './history.ts'
import { MessageBook, NOBODY, Outcome } from './message-book.ts'
import { PlaceBook } from './place-book.ts'
import { ReaderBook } from './reader-book.ts'
import { Stored } from './stored.ts'
import { Findings, type Outage, type Verdict, judgement } from './verdict.ts'

type Of<F extends EventBody['f']> = Extract<HistoryEvent, { f: F }>

/** Times are told by a wall clock in whole milliseconds: so much earlier is not early. */
const CLOCK_SLACK_NS = 2e6
/** A wall clock that moved by more says nothing about delays any more. */
const CLOCK_MOVED_MS = 100
/** Fewer acknowledgements say nothing. */
const ACKNOWLEDGED_MIN = 10

const Said = { commit: 1, rollback: 2 } as const

export class Checker {
  readonly #head: HistoryHead
  readonly #messages = new MessageBook()
  readonly #places = new PlaceBook()
  readonly #readers: ReadonlyMap<string, ReaderBook>
  readonly #stored: Stored
  readonly #findings = new Findings()
  readonly #keys = new Map<string, number>()
  /** Of half messages: what was said of them, and when a commit was first. */
  readonly #said = new Map<number, number>()
  readonly #committedAt = new Map<number, number>()
  readonly #asked = new Set<number>()
  /** Acknowledged halves that nobody ended and no broker asked about yet. */
  readonly #open = new Set<number>()
  readonly #outages: { on: string; start: number; before: number; after: number | null }[] = []
  readonly #tally = {
    ...{ acknowledged: 0, refused: 0, unknown: 0, checks: 0, delivered: 0, firstDeliveries: 0 },
    ...{ redelivered: 0, processed: 0, failedTries: 0, deadLetters: 0, excluded: 0, kills: 0 },
  }
  readonly #reasons: string[] = []
  #owed = 0
  /** Halves that a broker with settings of its own did not ask about in time. */
  #unasked = 0
  #lastOkAt = 0
  #drained: boolean | null = null
  #closed = false

  constructor(head: HistoryHead) {
    this.#head = head
    this.#readers = new Map(head.plan.readers.map((name) => [name, new ReaderBook(name)]))
    this.#stored = new Stored(this.#messages, this.#places, this.#findings)
  }

  /**
   * Messages, once for each of their readers, that have to end in a final place and have not yet, and
   * halves that their broker has to ask about.
   */
  get owed(): number {
    return this.#owed + this.#open.size
  }

  get acknowledged(): number {
    return this.#tally.acknowledged
  }

  /** Events in the order in which they happened. Throws INPUT_BROKEN for what cannot have happened. */
  add(event: HistoryEvent): void {
    switch (event.f) {
      case 'send':
        this.#send(event)
        break
      case 'end':
        this.#says(this.#messages.find(event.v), event)
        break
      case 'check':
        this.#tally.checks += 1
        this.#asked.add(this.#messages.find(event.v))
        this.#open.delete(this.#messages.find(event.v))
        this.#says(this.#messages.find(event.v), event)
        break
      case 'deliver':
        this.#deliver(event)
        break
      case 'ack':
        this.#ack(event)
        break
      case 'nack':
        this.#nack(event)
        break
      case 'dead':
        this.#dead(event)
        break
      case 'read':
        this.#stored.add(event)
        break
      case 'fault':
        this.#fault(event)
        break
      case 'drain':
        this.#drained = event.e === 'ok'
        if (event.e === 'info') this.#reasons.push(event.why ?? 'the topic was not read to its end')
        break
      case 'close':
        this.#close(event)
        break
    }
  }

  /** Once, after the last event. */
  finish(): Verdict {
    const { plan, feature, run, seed } = this.#head
    for (let message = 0; message < this.#messages.size; message++) this.#judge(message)
    for (const reader of this.#readers.values()) this.#judgeKeys(reader)
    this.#stored.judgeOrder()
    if (this.#drained === true) this.#stored.judgeGaps()
    this.#judgeRun()
    const violations = this.#findings.list()
    const says = [...this.#said.values()]
    return {
      ...judgement(violations, this.#reasons),
      ...{ feature, run, seed, topic: plan.topic },
      counts: {
        sent: this.#messages.size,
        ...this.#tally,
        committed: says.filter((bits) => (bits & Said.commit) !== 0).length,
        rolledBack: says.filter((bits) => bits === Said.rollback).length,
        stored: this.#stored.count,
        storedTwice: this.#stored.copies,
      },
      violations,
      reasons: this.#reasons,
      outages: this.#outages.map(({ on, before, after }): Outage => ({
        on,
        gapMs: after === null ? null : Math.round((after - before) / 1e6),
      })),
      history: null,
    }
  }

  #send(event: Of<'send'>): void {
    const messages = this.#messages
    if (event.e === 'invoke') {
      const index = messages.add(event.v)
      messages.invokedAt.set(index, event.t)
      messages.line.set(index, event.i)
      if (event.k !== undefined) messages.key.set(index, this.#keyNumber(event.k))
      if (event.d !== undefined) messages.delayNs.set(index, event.d * 1e6)
      if (event.to !== undefined) messages.readers.set(index, new Set(event.to))
      return
    }
    const index = messages.find(event.v)
    if (index === NOBODY) return
    if (event.e === 'ok') {
      this.#tally.acknowledged += 1
      messages.outcome.set(index, Outcome.ok)
      messages.okAt.set(index, event.t)
      this.#noteOk(messages.invokedAt.get(index), event.t)
      if (event.q !== undefined && event.o !== undefined) {
        messages.queue.set(index, this.#places.numberOf(event.q))
        messages.offset.set(index, event.o)
        this.#stands(index, event.q, event.o, event.i)
      }
      if (!this.#head.plan.transactional) this.#owe(index)
      else if (!this.#isDecided(index)) this.#open.add(index)
    } else {
      this.#tally[event.e === 'fail' ? 'refused' : 'unknown'] += 1
      messages.outcome.set(index, event.e === 'fail' ? Outcome.fail : Outcome.info)
    }
  }

  /** A producer, or its answer to a check, decides on a half message. */
  #says(index: number, event: Of<'end'> | Of<'check'>): void {
    if (index === NOBODY || (event.f === 'end' && event.e !== 'invoke')) return
    const before = this.#said.get(index) ?? 0
    this.#said.set(index, before | Said[event.is])
    this.#open.delete(index)
    if (event.is === 'commit' && (before & Said.commit) === 0) {
      this.#committedAt.set(index, event.t)
      this.#owe(index)
    }
  }

  /** From now on it has to end in a final place, at each of its readers. */
  #owe(index: number): void {
    for (const reader of this.#readers.values()) {
      if (this.#messages.isFor(index, reader.name) && !reader.isFinal(index)) this.#owed += 1
    }
  }

  /** Whether a half was ended, or asked about. */
  #isDecided(index: number): boolean {
    return this.#said.has(index) || this.#asked.has(index)
  }

  #isOwed(index: number): boolean {
    return this.#head.plan.transactional
      ? this.#committedAt.has(index)
      : this.#messages.outcome.get(index) === Outcome.ok
  }

  /** Whose message it is, and where; NOBODY when that is a finding already. */
  #identify(event: Of<'deliver'> | Of<'dead'>, where: string): number {
    const value = event.v ?? `${event.q}:${event.o}`
    if (event.bad !== undefined) {
      const kind = event.bad === 'stranger' ? 'phantom' : 'corrupted'
      this.#findings.add(kind, value, `${where}: ${event.bad}`, [event.i])
      return NOBODY
    }
    const index = this.#messages.find(event.v)
    if (index === NOBODY) this.#findings.add('phantom', value, `${where}: never sent`, [event.i])
    return index
  }

  #deliver(event: Of<'deliver'>): void {
    const { t, i, g, q, o, n } = event
    this.#tally.delivered += 1
    const reader = this.#readers.get(g)
    const index = this.#identify(event, `delivered to ${g} from ${q}:${o}`)
    if (index === NOBODY || reader === undefined) return
    this.#stands(index, q, o, i)
    const messages = this.#messages
    const value = messages.valueOf(index)
    const lines = [messages.line.get(index), i]
    const isFirst = reader.deliver(index, t, i, messages.key.get(index))
    this.#tally[isFirst ? 'firstDeliveries' : 'redelivered'] += 1
    if (!messages.isFor(index, g)) {
      this.#findings.add('excluded', value, `${g} got it from ${q}:${o}`, lines)
    }
    const dueAt = messages.invokedAt.get(index) + (messages.delayNs.get(index) ?? -Infinity)
    const earlyNs = Math.max(dueAt, reader.notBefore(index, n)) - t
    if (earlyNs > CLOCK_SLACK_NS) {
      this.#findings.add('early', value, `${Math.ceil(earlyNs / 1e6)} ms too early to ${g}`, lines)
    }
    const { retriesMax, transactional, ordered } = this.#head.plan
    if (retriesMax !== null && n > retriesMax) {
      this.#findings.add('attempts', value, `try ${n + 1} at ${g}`, lines)
    }
    if (transactional) this.#judgeVisible(index, event, lines)
    if (ordered) this.#takeTurn(reader, index, event, isFirst)
  }

  #judgeVisible(index: number, event: Of<'deliver'>, lines: readonly number[]): void {
    const said = this.#said.get(index) ?? 0
    if ((said & Said.commit) !== 0) return
    const value = this.#messages.valueOf(index)
    if (said === Said.rollback) {
      this.#findings.add('rolledBackVisible', value, `${event.g} got it`, lines)
    } else {
      this.#findings.add('halfVisible', value, `${event.g} got it`, lines)
    }
  }

  #takeTurn(reader: ReaderBook, index: number, event: Of<'deliver'>, isFirst: boolean): void {
    const turn = reader.turnOf(event.q)
    const value = this.#messages.valueOf(index)
    const late = (what: string) => {
      this.#findings.add('overtaken', value, `${event.g} got ${event.q}:${event.o} while ${what}`, [
        event.i,
      ])
    }
    if (turn.open !== -1) late(`${event.q}:${turn.openOffset} was being processed`)
    else if (turn.failedOffset !== -1 && event.o > turn.failedOffset) {
      late(`${event.q}:${turn.failedOffset} had failed and waited`)
    }
    if (isFirst && event.o < turn.firstOffset) {
      this.#findings.add(
        'reordered',
        value,
        `${event.g} got ${event.q}:${event.o} for the first time behind ${event.q}:${turn.firstOffset}`,
        [event.i],
      )
    }
    turn.open = index
    turn.openOffset = event.o
    if (isFirst) turn.firstOffset = Math.max(turn.firstOffset, event.o)
  }

  #ack(event: Of<'ack'>): void {
    const reader = this.#readers.get(event.g)
    const index = this.#messages.find(event.v)
    if (index === NOBODY || reader === undefined) return
    if (reader.ack(index)) this.#settled(index, reader, 'processed')
    const turn = reader.turnOf(event.q)
    if (turn.open === index) turn.open = -1
    if (turn.failedOffset === event.o) turn.failedOffset = -1
  }

  #nack(event: Of<'nack'>): void {
    this.#tally.failedTries += 1
    const reader = this.#readers.get(event.g)
    const index = this.#messages.find(event.v)
    if (index === NOBODY || reader === undefined) return
    if (event.d !== undefined) reader.failed(index, event.n, event.t + event.d * 1e6)
    const turn = reader.turnOf(event.q)
    if (turn.open === index) turn.open = -1
    // One that was done before and came again holds nobody up.
    if (!reader.isAcked(index)) turn.failedOffset = event.o
  }

  #dead(event: Of<'dead'>): void {
    const reader = this.#readers.get(event.g)
    const index = this.#identify(event, `dead letter of ${event.g} at ${event.q}:${event.o}`)
    if (index === NOBODY || reader === undefined) return
    if (!this.#messages.isFor(index, event.g)) {
      const lines = [this.#messages.line.get(index), event.i]
      const text = `a dead letter of ${event.g}`
      this.#findings.add('excluded', this.#messages.valueOf(index), text, lines)
    }
    if (reader.dead(index)) this.#settled(index, reader, 'deadLetters')
  }

  #settled(index: number, reader: ReaderBook, how: 'processed' | 'deadLetters'): void {
    this.#tally[how] += 1
    if (this.#isOwed(index) && this.#messages.isFor(index, reader.name)) this.#owed -= 1
  }

  #stands(index: number, queue: string, offset: number, line: number): void {
    const there = this.#places.note(this.#places.numberOf(queue), offset, index)
    if (there === NOBODY || there === index) return
    const names = `${this.#messages.valueOf(there)} and ${this.#messages.valueOf(index)}`
    this.#findings.add('divergent', `${queue}:${offset}`, names, [line])
  }

  #fault(event: Of<'fault'>): void {
    if (event.e === 'end') {
      if (event.took === true) this.#tally.kills += 1
      return
    }
    this.#outages.push({ on: event.on, start: event.t, before: this.#lastOkAt, after: null })
  }

  #noteOk(invokedAt: number, t: number): void {
    this.#lastOkAt = t
    for (const outage of this.#outages) {
      if (outage.after === null && invokedAt > outage.start) outage.after = t
    }
  }

  #close(event: Of<'close'>): void {
    this.#closed = true
    const movedMs = Math.abs(event.wallMs - event.t / 1e6)
    if (movedMs <= CLOCK_MOVED_MS || this.#messages.delayNs.size === 0) return
    this.#findings.drop('early')
    this.#reasons.push(
      `the machine's clock was moved by ${Math.round(movedMs)} ms during the run: delays cannot be judged`,
    )
  }

  /** One message, when all is over. */
  #judge(index: number): void {
    const messages = this.#messages
    const value = messages.valueOf(index)
    const line = messages.line.get(index)
    const refused = messages.outcome.get(index) === Outcome.fail
    if (refused && this.#stored.has(index)) {
      this.#findings.add('phantom', value, 'in the topic although its send was refused', [line])
    }
    const owed = this.#isOwed(index)
    const missing = this.#drained === true && !this.#stored.has(index)
    if (owed && missing) this.#findings.add('lost', value, 'not in the topic', [line])
    if (this.#head.plan.transactional && this.#drained === true) this.#judgeEnd(index, line)
    for (const reader of this.#readers.values()) {
      const { name } = reader
      const got = reader.deliveries(index) > 0
      const lines = [line, reader.firstLine.get(index)]
      if (!messages.isFor(index, name)) {
        this.#tally.excluded += 1
        continue
      }
      if (refused && got) this.#findings.add('phantom', value, `refused, and ${name} got it`, lines)
      if (reader.isAcked(index) && reader.isDead(index)) {
        this.#findings.add('twoPlaces', value, `of ${name}`, lines)
      }
      if (!owed || reader.isFinal(index) || (missing && !got)) continue
      // A send of which nobody read the end is not lost yet.
      if (this.#drained !== true) continue
      if (got) this.#findings.add('unfinished', value, `at ${name}`, lines)
      else this.#findings.add('undelivered', value, `to ${name}`, lines)
    }
  }

  #judgeEnd(index: number, line: number): void {
    if (this.#isDecided(index) || this.#messages.outcome.get(index) !== Outcome.ok) return
    if (this.#head.plan.foreign === true) {
      this.#unasked += 1
      return
    }
    this.#findings.add('unresolved', this.#messages.valueOf(index), 'never asked about', [line])
  }

  /**
   * Messages of a key: whatever was acknowledged before another was sent has to come first. Walked
   * from the last first delivery to the first, keeping the earliest acknowledgement behind.
   */
  #judgeKeys(reader: ReaderBook): void {
    const { okAt, invokedAt } = this.#messages
    for (const [, list] of reader.keys()) {
      let earliest = NOBODY
      for (let i = list.length - 1; i >= 0; i--) {
        const message = list.at(i)
        if (earliest !== NOBODY && okAt.get(earliest) < invokedAt.get(message)) {
          const lines = [reader.firstLine.get(message), reader.firstLine.get(earliest)]
          this.#findings.add(
            'reordered',
            this.#messages.valueOf(earliest),
            `${reader.name} got ${this.#messages.valueOf(message)}, sent after it, first`,
            lines,
          )
        }
        const at = okAt.get(message)
        if (!Number.isNaN(at) && (earliest === NOBODY || at < okAt.get(earliest)))
          earliest = message
      }
    }
  }

  /** What would make "nothing was found" worth nothing. */
  #judgeRun(): void {
    const { plan, feature } = this.#head
    const { acknowledged, kills, failedTries, deadLetters, excluded, checks } = this.#tally
    const says = [...this.#said.values()]
    const need = (holds: boolean, reason: string) => {
      if (!holds) this.#reasons.push(reason)
    }
    need(this.#closed, 'the history has no end: the run was cut off')
    need(this.#drained !== null || !this.#closed, 'the topic was not read in the end')
    need(
      acknowledged >= ACKNOWLEDGED_MIN,
      `only ${acknowledged} messages were acknowledged: that says nothing`,
    )
    need(kills >= plan.kills, `${plan.kills} kills were planned, ${kills} took place`)
    need(
      this.#outages.every(({ after }) => after !== null),
      'nothing was acknowledged after a kill',
    )
    if (feature === 'order') need(this.#keys.size > 0, 'no message had an order key')
    if (feature === 'delay') need(this.#messages.delayNs.size > 0, 'no message was delayed')
    if (feature === 'retry') {
      need(failedTries > 0, 'no try failed')
      need(deadLetters > 0, 'nothing became a dead letter')
    }
    if (feature === 'filter') need(excluded > 0, 'no filter excluded anything')
    if (feature === 'broadcast') need(plan.readers.length > 1, 'there was one member only')
    if (feature === 'txn') {
      need(
        says.some((bits) => (bits & Said.commit) !== 0),
        'nothing was committed',
      )
      need(says.includes(Said.rollback), 'nothing was rolled back')
      need(checks > 0, 'no broker asked about an open transaction')
      const halves =
        this.#unasked === 1 ? '1 open transaction' : `${this.#unasked} open transactions`
      need(
        this.#unasked === 0,
        `${halves} not asked about in time: the broker's transactionTimeOut and transactionCheckInterval say when`,
      )
    }
  }

  #keyNumber(key: string): number {
    let number = this.#keys.get(key)
    if (number === undefined) this.#keys.set(key, (number = this.#keys.size))
    return number
  }
}
