/**
 * One producer's load, closed or open, by the segments of its program.
 *
 * - *closed*: every slot of the line is a sender that sends its next message as soon as it has the
 *   answer to the last. Only *service time* can be told: from the turn that staged a message to the
 *   turn that read its answer.
 * - *open*: messages are due by a schedule. A message that is due takes a free slot; when there is
 *   none it waits and keeps its time. *Response time* counts from the moment it was due, service
 *   time from the moment it was sent; the difference is the send delay. Lateness while a slot was
 *   free is the generator's own *pacing error*.
 *
 * Turns start when bytes arrive, so a time includes what the client itself takes to build and to
 * send, and its resolution is one turn of the event loop (tens of microseconds); it never comes
 * out too short. A message belongs to the phase in which it was due, or sent in a closed load.
 *
 * With batches a slot has a request of several messages under way. In a closed load each is full;
 * in an open one what is due goes together, up to its size, after a wait of `lingerMs` at most.
 */
import { assert } from '../base/assert.ts'
import { LocalOutcome, type ProducerLine } from '../drivers/driver.ts'
import { HEADER_BYTES, SEQUENCE_MAX, seal, writeHeader } from './message.ts'
import { Ledger, type PackedLedger } from './ledger.ts'
import { LoadProgram, type Segment } from './load-program.ts'
import { MessageDeal, type MessageMix, plainMix } from './message-mix.ts'
import type { PayloadPool } from './payload.ts'
import { Schedule } from './rate-shape.ts'
import { type PackedTally, Tally } from './tally.ts'

export interface ProducerLoadOptions {
  /** Number of this producer instance in the run, 0 … 65,535. */
  readonly producer: number
  /** Instances that share the schedule. */
  readonly producers: number
  readonly runId: number
  readonly slots: number
  /** Each message carries its identity. */
  readonly sequence: boolean
  /** … and a checksum. */
  readonly checksum: boolean
  /** Messages of a request; 1, unless said otherwise. */
  readonly batchSize?: number
  /** The longest that a batch of an open load waits to become full, milliseconds; 0, unless said otherwise. */
  readonly lingerMs?: number
  readonly mix?: MessageMix
}

/** Asks to be pumped at a moment, whether bytes have arrived or not. */
export type WakeWish = (atNs: number, precise: boolean) => void

/** A wake-up costs some 57 µs of CPU: at high rates one serves several messages. */
const WAKE_GAP_NS = 400_000

export class ProducerLoad {
  readonly pool: PayloadPool
  readonly ledger: Ledger
  readonly program = new LoadProgram()
  /** The whole run, warm-up included. */
  totalSent = 0
  totalAcked = 0
  totalFailed = 0
  /** One-way messages that were handed to the network. */
  totalUnanswered = 0
  pending = 0
  broken: string | null = null
  readonly #options: ProducerLoadOptions
  readonly #wake: WakeWish
  readonly #tallies = new Map<number, Tally>()
  /** By phase: messages that have no outcome yet. */
  readonly #pendingOf = new Map<number, number>()
  readonly #batchMax: number
  readonly #lingerNs: number
  /** By slot: messages of its request. */
  readonly #countOf: Uint16Array
  /** The slot of the batch that is being filled, what is in it, and since when. */
  #openSlot = 0
  #openCount = 0
  #openSinceNs = 0
  /** By message of a slot: when it was due. */
  readonly #intendedNs: Float64Array
  /** By slot: when its request was sent, the sequence of its first message, its phase (−1 for none). */
  readonly #sentNs: Float64Array
  readonly #sequenceOf: Uint32Array
  readonly #phaseOf: Int32Array
  readonly #isPending: Uint8Array
  readonly #free: Int32Array
  #freeCount: number
  #line: ProducerLine | null = null
  #index = 0
  #segment: Segment | null = null
  #schedule: Schedule | null = null
  #tally: Tally | null = null
  /** Messages are due that wait for a slot: lateness is not the generator's fault. */
  #blocked = false
  #armedNs = Number.POSITIVE_INFINITY
  #lastWakeNs = 0
  #sequence = 0
  #deal: MessageDeal | null = null
  #body = 0
  #sending = false

  constructor(pool: PayloadPool, options: ProducerLoadOptions, wake: WakeWish = () => undefined) {
    assert(
      !options.sequence || pool.sizeBytesMin >= HEADER_BYTES,
      'a checked body holds its header',
    )
    this.pool = pool
    this.#options = options
    this.#wake = wake
    this.ledger = new Ledger()
    this.#batchMax = options.batchSize ?? 1
    this.#lingerNs = (options.lingerMs ?? 0) * 1e6
    this.#countOf = new Uint16Array(options.slots)
    this.#intendedNs = new Float64Array(options.slots * this.#batchMax)
    this.#sentNs = new Float64Array(options.slots)
    this.#sequenceOf = new Uint32Array(options.slots)
    this.#phaseOf = new Int32Array(options.slots).fill(-1)
    this.#isPending = new Uint8Array(options.slots)
    this.#free = Int32Array.from({ length: options.slots }, (_, index) => options.slots - 1 - index)
    this.#freeCount = options.slots
  }

  get halted(): boolean {
    return !this.#sending
  }

  /** Begins with the first segments. */
  start(line: ProducerLine, segments: readonly Segment[]): void {
    this.#line = line
    const { mix = plainMix, producer } = this.#options
    this.#deal = new MessageDeal(line.lanes, mix, producer)
    this.#sending = true
    this.extend(segments)
  }

  /** More to do, from the first segment's start on. */
  extend(segments: readonly Segment[]): void {
    this.program.append(segments)
    const current = this.program.segment(this.#index)
    if (this.#segment !== null && current !== null) this.#segment = current
    this.pump()
  }

  /** A turn of its own: sends what is due. */
  pump(): void {
    const line = this.#line
    if (line === null) return
    line.turn(() => {
      this.#armedNs = Number.POSITIVE_INFINITY
      this.#lastWakeNs = line.nowNs
      this.#sendDue(line)
    })
  }

  /** Sends nothing new; what is under way still settles. */
  halt(): void {
    if (!this.#sending) return
    this.#sending = false
    const line = this.#line
    if (line === null) return
    const close = () => {
      this.#closeSegment(Math.min(line.nowNs, this.#segment?.endNs ?? 0), line.nowNs)
    }
    // A batch that is not full yet leaves in a turn of its own.
    if (this.#openCount > 0) line.turn(close)
    else close()
  }

  onSettled(slot: number, outcome: number): void {
    const line = this.#line
    if (line === null) return
    const phase = this.#phaseOf[slot] ?? -1
    const tally = phase < 0 ? null : this.#tallyOf(phase)
    const count = this.#countOf[slot] ?? 0
    this.pending -= count
    this.#isPending[slot] = 0
    if (phase >= 0) this.#pendingOf.set(phase, (this.#pendingOf.get(phase) ?? 0) - count)
    // Whatever became due until now found no free sender.
    if (this.#freeCount === 0) this.#blocked = true
    this.#free[this.#freeCount] = slot
    this.#freeCount += 1
    if (outcome === 0) {
      this.totalAcked += count
      if (tally !== null) {
        tally.acked += count
        tally.service.record(line.nowNs - (this.#sentNs[slot] ?? 0), count)
        const first = slot * this.#batchMax
        for (let at = first; at < first + count; at += 1) {
          tally.response?.record(line.nowNs - (this.#intendedNs[at] ?? 0))
        }
      }
    } else if (outcome === LocalOutcome.unanswered) {
      this.totalUnanswered += count
      if (tally !== null) tally.unanswered += count
    } else {
      this.totalFailed += count
      this.#addToLedger(slot)
      if (tally !== null) {
        tally.failed += count
        tally.addError(outcome, count)
      }
      // A sender goes on with its next message, as a program that logs the error would.
      if (outcome === LocalOutcome.connectionLost) return
    }
    this.#sendDue(line)
  }

  onBroken(why: string): void {
    this.broken ??= why
    this.halt()
  }

  /** What was counted since the last call, by phase. */
  takeTallies(): PackedTally[] {
    const packed: PackedTally[] = []
    for (const [phase, tally] of this.#tallies) {
      if (!tally.isEmpty) packed.push(tally.pack())
      tally.reset()
      const isOver = tally !== this.#tally && (this.#pendingOf.get(phase) ?? 0) === 0
      if (!isOver) continue
      tally.destroy()
      this.#tallies.delete(phase)
    }
    return packed
  }

  /** By phase: messages without an outcome. */
  pendingByPhase(): (readonly [phase: number, count: number])[] {
    return [...this.#pendingOf].filter(([, count]) => count > 0)
  }

  /** To be called once, at the end: what is still under way is without an outcome, stored or not. */
  packedLedger(): PackedLedger {
    for (let slot = 0; slot < this.#options.slots; slot += 1) {
      if (this.#isPending[slot] === 1) this.#addToLedger(slot)
    }
    return this.ledger.pack(this.#sequence)
  }

  #addToLedger(slot: number): void {
    if (!this.#options.sequence) return
    const first = this.#sequenceOf[slot] ?? 0
    const count = this.#countOf[slot] ?? 0
    for (let number = first; number < first + count; number += 1) this.ledger.add(number)
  }

  #tallyOf(phase: number): Tally {
    let tally = this.#tallies.get(phase)
    if (tally === undefined) {
      const segment = this.program.segments.find((one) => one.phase === phase)
      tally = new Tally(phase, segment?.load.model === 'open')
      this.#tallies.set(phase, tally)
    }
    return tally
  }

  #sendDue(line: ProducerLine): void {
    if (!this.#sending) return
    const { nowNs } = line
    if (this.#segment === null || nowNs >= this.#segment.endNs) this.#advance(nowNs)
    const segment = this.#segment
    if (segment === null) return
    if (nowNs < segment.startNs) {
      this.#arm(segment.startNs, nowNs, true)
      return
    }
    switch (segment.load.model) {
      case 'closed':
        while (this.#hasRoom) this.#send(line, nowNs)
        return
      case 'open':
        this.#sendScheduled(line, segment)
        return
      case 'idle':
        // An end that was not known before may have become known.
        this.#arm(segment.endNs, nowNs, true)
    }
  }

  /** A slot is free, or a batch has room. */
  get #hasRoom(): boolean {
    return this.#freeCount > 0 || this.#openCount > 0
  }

  #sendScheduled(line: ProducerLine, segment: Segment): void {
    const schedule = this.#schedule
    if (schedule === null) return
    const { nowNs } = line
    const tally = this.#tally
    while (schedule.nextNs <= nowNs) {
      if (!this.#hasRoom) {
        this.#blocked = true
        this.#arm(segment.endNs, nowNs, false)
        return
      }
      const intendedNs = schedule.nextNs
      schedule.take()
      if (tally !== null) {
        const lateNs = nowNs - intendedNs
        tally.scheduled += 1
        if (this.#batchMax === 1) tally.sendDelay?.record(lateNs)
        if (this.#blocked) tally.blocked += 1
        else tally.pacing?.record(lateNs)
      }
      this.#send(line, intendedNs)
    }
    this.#blocked = false
    let wakeNs = Math.min(schedule.nextNs, segment.endNs)
    if (this.#openCount > 0) {
      const leavesNs = this.#openSinceNs + this.#lingerNs
      if (leavesNs <= nowNs) this.#sendOpenBatch(line)
      else wakeNs = Math.min(wakeNs, leavesNs)
    }
    this.#arm(wakeNs, nowNs, true)
  }

  /** To the segment of this moment; null before the first and behind the last. */
  #advance(nowNs: number): void {
    while (this.#segment === null || nowNs >= this.#segment.endNs) {
      if (this.#segment !== null) {
        this.#closeSegment(this.#segment.endNs, nowNs)
        this.#index += 1
      }
      const next = this.program.segment(this.#index)
      this.#segment = next
      if (next === null) {
        if (this.program.isFinal) this.#sending = false
        return
      }
      this.#tally = next.phase === null ? null : this.#tallyOf(next.phase)
      const { producer, producers } = this.#options
      this.#schedule =
        next.load.model === 'open'
          ? new Schedule(next.load, next.startNs, producer, producers)
          : null
      this.#blocked = false
    }
    if (this.#schedule === null) this.#arm(this.#segment.endNs, nowNs, false)
  }

  /** What was due in the segment and found no free sender is counted, never sent and never forgotten. */
  #closeSegment(atNs: number, nowNs: number): void {
    if (this.#openCount > 0 && this.#line !== null) this.#sendOpenBatch(this.#line)
    const [schedule, tally] = [this.#schedule, this.#tally]
    this.#schedule = null
    this.#tally = null
    if (schedule === null || tally === null) return
    const unsent = Math.max(0, schedule.dueBefore(atNs) - schedule.taken)
    // With a sender free it was the generator that was late, and that must not look like the target.
    if (!this.#blocked) {
      for (let missed = 0; missed < unsent; missed += 1) {
        tally.pacing?.record(nowNs - schedule.nextNs)
        schedule.take()
      }
    }
    tally.unsent += unsent
    tally.scheduled += unsent
  }

  #arm(atNs: number, nowNs: number, precise: boolean): void {
    const wantedNs = Math.max(atNs, this.#lastWakeNs + WAKE_GAP_NS)
    if (!Number.isFinite(wantedNs)) return
    // An earlier call is on its way; it asks again.
    if (this.#armedNs > nowNs && this.#armedNs <= wantedNs) return
    this.#armedNs = wantedNs
    this.#wake(wantedNs, precise)
  }

  #send(line: ProducerLine, intendedNs: number): void {
    const deal = this.#deal
    if (deal === null) return
    const { pool } = this
    const body = this.#body
    this.#body = body + 1 === pool.count ? 0 : body + 1
    if (this.#batchMax > 1) {
      this.#addToBatch(line, deal, body, intendedNs)
      return
    }
    const slot = this.#takeSlot(line.nowNs)
    deal.takeLane()
    deal.takeMessage()
    this.#stamp(slot, deal.lane, body, intendedNs, 0)
    const [start, end] = [pool.startOf(body), pool.endOf(body)]
    line.send(slot, deal.lane, pool.bytes, start, end, deal.kind, deal.key)
  }

  #addToBatch(line: ProducerLine, deal: MessageDeal, body: number, intendedNs: number): void {
    if (this.#openCount === 0) {
      this.#openSlot = this.#takeSlot(line.nowNs)
      this.#openSinceNs = line.nowNs
      deal.takeLane()
    }
    deal.takeMessage()
    this.#stamp(this.#openSlot, deal.lane, body, intendedNs, this.#openCount)
    this.#openCount += 1
    const { pool } = this
    line.addToBatch(pool.bytes, pool.startOf(body), pool.endOf(body), deal.kind, deal.key)
    if (this.#openCount === this.#batchMax) this.#sendOpenBatch(line)
  }

  #sendOpenBatch(line: ProducerLine): void {
    const slot = this.#openSlot
    this.#sentNs[slot] = line.nowNs
    const delays = this.#tally?.sendDelay ?? null
    if (delays !== null) {
      const first = slot * this.#batchMax
      for (let at = first; at < first + this.#openCount; at += 1) {
        delays.record(line.nowNs - (this.#intendedNs[at] ?? 0))
      }
    }
    this.#openCount = 0
    line.sendBatch(slot, this.#deal?.lane ?? 0)
  }

  #takeSlot(nowNs: number): number {
    this.#freeCount -= 1
    const slot = this.#free[this.#freeCount] ?? 0
    this.#sentNs[slot] = nowNs
    this.#sequenceOf[slot] = this.#sequence
    this.#countOf[slot] = 0
    this.#isPending[slot] = 1
    this.#phaseOf[slot] = this.#tally?.phase ?? -1
    return slot
  }

  /** Gives the message its number and, where it carries one, its identity; counts it as sent. */
  #stamp(slot: number, lane: number, body: number, intendedNs: number, position: number): void {
    const { pool } = this
    const { runId, producer, sequence, checksum } = this.#options
    const number = this.#sequence
    assert(number < SEQUENCE_MAX, 'a producer sends fewer than 2^32 messages a run')
    this.#sequence = number + 1
    this.#countOf[slot] = position + 1
    this.#intendedNs[slot * this.#batchMax + position] = intendedNs
    const start = pool.startOf(body)
    if (sequence) {
      writeHeader(pool.bytes, start, runId, producer, slot, number, intendedNs, lane)
      if (checksum) seal(pool.bytes, start, pool.payloadCrc(body))
    }
    this.pending += 1
    this.totalSent += 1
    const tally = this.#tally
    if (tally === null) return
    tally.sent += 1
    tally.sentBytes += pool.endOf(body) - start
    this.#pendingOf.set(tally.phase, (this.#pendingOf.get(tally.phase) ?? 0) + 1)
  }
}
