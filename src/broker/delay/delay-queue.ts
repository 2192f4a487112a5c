/**
 * One delay level: looks at the message in front of its queue, waits until it is due, and delivers
 * runs of due messages into their own topics. All messages of a level wait equally long, so the one
 * in front is due first: one timer serves the level, however many messages wait.
 *
 *   idle ── dispatched ──▶ look at the front ── not due ──▶ timer ──▶ look again
 *                                └── due ──▶ read a run, append it, note the progress ──▶ …
 *
 * Delivery comes first and is noted afterwards, and only what is on the disk is noted durably: after
 * a crash a message may be delivered twice, never lost.
 * Source: apache/rocketmq broker/…/schedule/ScheduleMessageService.java.
 */
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { RecordVerdict, RecordView } from '../../protocol/record.ts'
import { AppendRequest, AppendStatus } from '../../store/append.ts'
import type { Queue } from '../../store/queue.ts'
import type { Store } from '../../store/store.ts'
import type { Clock, Stop } from '../../world/clock.ts'
import { RunBuffer } from '../run-buffer.ts'
import { RunReader } from '../run-reader.ts'
import type { TurnBudget } from '../turn-budget.ts'
import { destinationOf, fillFromRecord } from './delayed-message.ts'

/** The store's time is taken once a turn: it may be older than the message by the length of a turn. */
const TURN_SLACK_MS = 10
/** The front is looked at again after this long at the latest, because the wall clock may jump. */
const WAIT_MS_MAX = 1_000
const RETRY_MS = 1_000
const BUSY_MS = 20
/** Messages of one run; other levels and connections come in between. */
const RUN_MESSAGES_MAX = 32
const RUN_BYTES_MAX = 1024 * 1024
/** Staged bytes above which nothing is delivered: the log's writes come first. */
const STAGED_BYTES_MAX = 4 * 1024 * 1024
const KEPT_BYTES_MAX = 256 * 1024

export interface DelayQueueParts {
  readonly level: number
  /** It is known how long messages of this level wait; else their own times of delivery count alone. */
  readonly isTimed: boolean
  readonly queue: Queue
  readonly store: Store
  readonly clock: Clock
  readonly logger: Logger
  /** Shared by all levels: together they take 5 ms of a turn. */
  readonly budget: TurnBudget
  /** A message was appended to its own queue; makes its topic when that is missing. */
  readonly onDeliver: (topic: string, queueId: number) => void
}

/** A run that was delivered, and the end of its last record in the log. */
interface Delivered {
  readonly first: number
  readonly next: number
  readonly end: number
}

export class DelayQueue {
  readonly #parts: DelayQueueParts
  readonly #reader: RunReader
  readonly #reply = new RunBuffer()
  readonly #view = new RecordView()
  readonly #append = new AppendRequest()
  #next = 0
  /** Everything in front of it was delivered and is on the disk. */
  #durableNext = 0
  #delivered: Delivered[] = []
  #running: Promise<void> | null = null
  #again = false
  /** Nothing waits: the next message has to start this. */
  #idle = true
  #stopped = false
  #stopTimer: Stop = () => undefined
  /** Messages in front of this offset wait no longer than until `#seenDueMs`; see `#waitMs`. */
  #seenTo = 0
  #seenDueMs = 0

  /** @param next offset of the first message that was not delivered, as it was kept */
  constructor(parts: DelayQueueParts, next: number) {
    this.#parts = parts
    this.#reader = new RunReader(parts)
    const { minOffset, maxOffset } = parts.queue
    this.#next = this.#durableNext = Math.max(minOffset, Math.min(maxOffset, next))
    if (next > maxOffset) {
      const fields = { level: parts.level, kept: next, end: maxOffset }
      parts.logger.warn('progress of a delay level lies behind its end', fields)
    }
  }

  /** Messages that wait. */
  get waiting(): number {
    return this.#parts.queue.maxOffset - this.#next
  }

  /** Offset up to which everything was delivered and may be forgotten, given what is flushed. */
  durableNext(flushed: number): number {
    let count = 0
    for (const { next, end } of this.#delivered) {
      if (end > flushed) break
      this.#durableNext = next
      count++
    }
    if (count > 0) this.#delivered.splice(0, count)
    return this.#durableNext
  }

  /** There may be something to deliver. */
  wake(): void {
    if (this.#stopped) return
    this.#stopTimer()
    this.#idle = false
    if (this.#running === null) this.#start()
    else this.#again = true
  }

  /** A new message waits. Only the first one needs a look: those behind it are due later. */
  onDispatched(): void {
    if (this.#idle || this.#running !== null) this.wake()
  }

  /** The log lost what was appended from this position on: it is delivered again. */
  onLost(fromOffset: number): void {
    const index = this.#delivered.findIndex(({ end }) => end > fromOffset)
    const lost = this.#delivered[index]
    if (lost === undefined) return
    this.#next = lost.first
    this.#delivered = this.#delivered.slice(0, index)
    this.#sleep(RETRY_MS)
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#stopTimer()
    await this.#running
  }

  #isStopped(): boolean {
    return this.#stopped
  }

  #start(): void {
    this.#running = this.#run().finally(() => {
      this.#running = null
      if (this.#again) this.wake()
    })
  }

  /** Goes on until nothing waits, or until there is a time to wait for. */
  async #run(): Promise<void> {
    const { budget, logger, level } = this.#parts
    try {
      let waitMs: number | null = 0
      while (waitMs === 0) {
        if (budget.spent) await budget.nextTurn()
        this.#again = false
        waitMs = await this.#step()
      }
      if (waitMs !== null) this.#sleep(waitMs)
    } catch (error) {
      logger.error('delayed messages cannot be delivered; trying again', {
        level,
        why: messageOf(error),
      })
      // What came meanwhile is looked at behind the pause, and does not cut it short.
      this.#again = false
      this.#sleep(RETRY_MS)
    }
  }

  #sleep(waitMs: number): void {
    this.#stopTimer()
    if (this.#stopped) return
    this.#stopTimer = this.#parts.clock.after(Math.min(waitMs, WAIT_MS_MAX), () => {
      this.wake()
    })
  }

  /** Delivers one run. Milliseconds to wait before the next step; 0: go on; null: nothing waits. */
  async #step(): Promise<number | null> {
    const { queue, store } = this.#parts
    if (this.#isStopped()) return null
    if (this.#next < queue.minOffset) this.#next = queue.minOffset
    const first = this.#next
    if (first >= queue.maxOffset) {
      this.#idle = true
      return null
    }
    if (store.watermarks.appended - store.watermarks.written > STAGED_BYTES_MAX) return BUSY_MS
    let count = 0
    while (count < RUN_MESSAGES_MAX && first + count < queue.maxOffset) {
      const unit = await store.unitAt(queue, first + count)
      if (unit === null) break
      const waitMs = this.#waitMs(first + count, unit.tagsCode)
      if (waitMs > 0 && count === 0) return waitMs
      if (waitMs > 0) break
      count++
    }
    if (count === 0) return this.#passHole(first)
    const next = await this.#read(first, count)
    if (this.#isStopped()) return null
    if (this.#next !== first) return 0
    if (next <= first) return RETRY_MS
    return this.#deliverRun(first, Math.min(next, first + count))
  }

  /**
   * How long the message still waits, in ms. When its time lies further ahead than its whole delay,
   * the wall clock was set back: then it waits for its delay from now on, and so does everything
   * that is in the queue by now. Never early, and never longer than twice the delay.
   */
  #waitMs(offset: number, deliverMs: number): number {
    const { clock, queue, isTimed } = this.#parts
    const waitMs = deliverMs + TURN_SLACK_MS - clock.wallMs()
    if (waitMs <= 0) return 0
    const nowMs = clock.monotonicMs()
    const longest = isTimed ? queue.delayMs + TURN_SLACK_MS : Infinity
    if (waitMs > longest + WAIT_MS_MAX && offset >= this.#seenTo) {
      this.#seenTo = queue.maxOffset
      this.#seenDueMs = nowMs + longest
    }
    return offset < this.#seenTo ? Math.max(0, Math.min(waitMs, this.#seenDueMs - nowMs)) : waitMs
  }

  /** There is no unit at the offset: a message was lost to a damaged log, or its file has expired. */
  async #passHole(offset: number): Promise<number> {
    const behind = await this.#read(offset, 1)
    if (this.#next !== offset) return 0
    const view = this.#view
    const { bytes, length } = this.#reply
    const found = length > 0 && view.check(bytes, 0, length, false) === RecordVerdict.ok
    const next = found ? view.queueOffset : behind
    if (next <= offset) return BUSY_MS
    const { logger, level } = this.#parts
    logger.error('delayed messages are lost', { level, from: offset, to: next })
    this.#note(offset, next)
    return 0
  }

  /** Resolves with the offset behind what was read. */
  #read(first: number, count: number): Promise<number> {
    this.#reply.reuse(KEPT_BYTES_MAX)
    return this.#reader.read(first, count, RUN_BYTES_MAX, this.#reply)
  }

  /** Appends what was read; everything in front of `next` is then done with. */
  #deliverRun(first: number, next: number): number {
    const { bytes, length } = this.#reply
    const view = this.#view
    for (let at = 0; at < length; at += view.size) {
      if (view.check(bytes, at, length, false) !== RecordVerdict.ok) break
      const { queueOffset } = view
      const status = this.#deliver(at)
      if (status === AppendStatus.ok || status === AppendStatus.illegal) continue
      if (queueOffset > first) this.#note(first, queueOffset)
      return status === AppendStatus.busy ? BUSY_MS : RETRY_MS
    }
    this.#note(first, next)
    return 0
  }

  #deliver(at: number): AppendStatus {
    const { store, level, logger, onDeliver } = this.#parts
    const { bytes } = this.#reply
    const view = this.#view
    const destination = destinationOf(bytes, view)
    if (destination === null) {
      logger.error('a delayed message names no topic that it could go to', {
        level,
        queueOffset: view.queueOffset,
      })
      return AppendStatus.illegal
    }
    const { topic, queueId } = destination
    const append = this.#append
    fillFromRecord(append, bytes, at, view)
    append.queue = store.queue(topic, queueId)
    const status = store.append(append)
    if (status === AppendStatus.illegal) {
      logger.error('a delayed message cannot be stored in its topic', { level, topic })
    } else if (status === AppendStatus.ok) onDeliver(topic, queueId)
    return status
  }

  #note(first: number, next: number): void {
    this.#next = next
    this.#delivered.push({ first, next, end: this.#parts.store.watermarks.appended })
  }
}
