/**
 * Delivers the messages of a second when it has passed, one second after the other: what is recalled
 * in it is left out, what is due much later goes into the timer topic once more, all others into their
 * own topics. A second counts as delivered when all of that is on the disk; after a crash it is
 * delivered again from its start. Never early, never lost.
 * Source: apache/rocketmq store/…/timer/TimerMessageStore.java (dequeue, doPut).
 */
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { SystemTopic } from '../../protocol/names.ts'
import {
  PROPERTIES_BYTES_MAX,
  type Properties,
  PropertyName,
  parseProperties,
} from '../../protocol/properties.ts'
import { RecordVerdict, RecordView, propertiesBytes } from '../../protocol/record.ts'
import { AppendRequest, AppendStatus } from '../../store/append.ts'
import type { Store } from '../../store/store.ts'
import { TimerKind, type TimerLog, type TimerUnit } from '../../store/timer-log.ts'
import type { TimerWheel } from '../../store/timer-wheel.ts'
import { type Clock, type Stop } from '../../world/clock.ts'
import { isShortage } from '../../world/disk.ts'
import { sleep } from '../../world/node-clock.ts'
import { fillFromRecord, withoutProperties } from '../delay/delayed-message.ts'
import { TurnBudget } from '../turn-budget.ts'
import { DueUnits } from './due-units.ts'
import { TIMER_PRECISION_MS, type TimedMessage, timedMessageOf } from './timed-message.ts'

/** The wall clock may jump: it is looked at this often at least. */
const WAIT_MS_MAX = 1_000
const RETRY_MS = 1_000
const BUSY_MS = 20
/** How often a read is tried before its message is passed over: for half a minute. */
const READ_TRIES = 30
/** Records that are read at one time. */
const READ_AT_ONCE = 32
/** Staged bytes above which nothing is delivered: the log's writes come first. */
const STAGED_BYTES_MAX = 4 * 1024 * 1024
/** How long a stop waits for the second that is being delivered, which would else be delivered again. */
const STOP_MS_MAX = 5_000

const NOTHING = Buffer.alloc(0)
const rollTimes: ReadonlySet<string> = new Set<string>([PropertyName.timerRollTimes])

export interface TimerOutletParts {
  readonly store: Store
  readonly clock: Clock
  readonly log: TimerLog
  readonly wheel: TimerWheel
  readonly logger: Logger
  /** A message was appended to its own queue; makes its topic when that is missing. */
  readonly onDeliver: (topic: string, queueId: number) => void
}

/** A second whose messages were appended, and the end of the log then. */
interface DeliveredSecond {
  readonly secondMs: number
  readonly end: number
}

/** A record with what its properties say; null when it is not there any more. */
interface Waiting {
  readonly record: Buffer
  readonly properties: Properties
  readonly message: TimedMessage
}

export class TimerOutlet {
  readonly #parts: TimerOutletParts
  readonly #budget: TurnBudget
  readonly #view = new RecordView()
  readonly #append = new AppendRequest()
  #nextMs: number
  #durableMs: number
  #notableMs = 0
  #delivered: DeliveredSecond[] = []
  /** The second that is being delivered; −1 when none is. */
  #currentMs = -1
  /** The log lost something: what is being delivered has to begin again. */
  #again = false
  #running: Promise<void> | null = null
  #stopped = false
  #stopByMs = Infinity
  #stopTimer: Stop = () => undefined

  /** @param nextMs the first second that was not delivered, ms since 1970 */
  constructor(parts: TimerOutletParts, nextMs: number) {
    this.#parts = parts
    this.#budget = new TurnBudget(parts.clock)
    this.#nextMs = this.#durableMs = nextMs
  }

  /** The first second that has not begun to be delivered, ms since 1970. */
  get nextMs(): number {
    return this.#nextMs
  }

  /** Every second before it was delivered: appended, perhaps not on the disk yet. */
  get deliveredBeforeMs(): number {
    return this.#currentMs < 0 ? this.#nextMs : this.#currentMs
  }

  /** Every second before it was delivered, on the disk. */
  get durableMs(): number {
    this.#settle()
    return this.#durableMs
  }

  /** Whether messages were delivered since `savedMs` was noted: empty seconds that pass need not be. */
  isNews(savedMs: number): boolean {
    this.#settle()
    return this.#delivered.length > 0 || this.#notableMs > savedMs
  }

  /** There may be something to deliver. */
  wake(): void {
    if (this.#stopped || this.#running !== null) return
    this.#stopTimer()
    this.#running = this.#run().finally(() => {
      this.#running = null
    })
  }

  /** The log lost what was appended from this position on: it is delivered again. */
  onLost(fromOffset: number): void {
    const index = this.#delivered.findIndex(({ end }) => end > fromOffset)
    const lost = this.#delivered[index]
    if (lost !== undefined) {
      this.#nextMs = lost.secondMs
      this.#delivered = this.#delivered.slice(0, index)
    } else if (this.#currentMs >= 0) this.#nextMs = this.#currentMs
    this.#again = this.#currentMs >= 0
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#stopByMs = this.#parts.clock.monotonicMs() + STOP_MS_MAX
    this.#stopTimer()
    await this.#running
  }

  /** Looks which of the seconds that were delivered are on the disk by now. */
  #settle(): void {
    const { flushed } = this.#parts.store.watermarks
    let count = 0
    for (const { secondMs, end } of this.#delivered) {
      if (end > flushed) break
      this.#durableMs = this.#notableMs = secondMs + TIMER_PRECISION_MS
      count++
    }
    this.#delivered.splice(0, count)
    // Seconds without messages are done with as soon as they have passed.
    if (this.#delivered.length === 0) {
      this.#durableMs = this.deliveredBeforeMs
    }
  }

  #isStopped(): boolean {
    return this.#stopped
  }

  async #run(): Promise<void> {
    const { clock, logger } = this.#parts
    let waitMs = 0
    try {
      while (waitMs === 0 && !this.#isStopped()) {
        if (this.#budget.spent) await this.#budget.nextTurn()
        waitMs = this.#nextMs + TIMER_PRECISION_MS - clock.wallMs()
        if (waitMs <= 0) {
          waitMs = 0
          await this.#nextSecond()
        }
      }
    } catch (error) {
      logger.error('timer messages cannot be delivered; trying again', { why: messageOf(error) })
      waitMs = RETRY_MS
    }
    if (this.#isStopped()) return
    this.#stopTimer = clock.after(Math.min(Math.ceil(waitMs), WAIT_MS_MAX), () => {
      this.wake()
    })
  }

  /** Delivers the next second, of which it is known that it has passed. */
  async #nextSecond(): Promise<void> {
    const secondMs = this.#nextMs
    const newest = this.#parts.wheel.newest(secondMs)
    this.#nextMs = secondMs + TIMER_PRECISION_MS
    if (newest < 0) return
    this.#currentMs = secondMs
    this.#again = false
    try {
      const done = await this.#deliver(newest)
      if (done) this.#delivered.push({ secondMs, end: this.#parts.store.watermarks.appended })
      else this.#nextMs = Math.min(this.#nextMs, secondMs)
    } catch (error) {
      this.#nextMs = Math.min(this.#nextMs, secondMs)
      throw error
    } finally {
      this.#currentMs = -1
    }
  }

  /** False when it has to begin again, or was stopped. */
  async #deliver(newest: number): Promise<boolean> {
    const waiting = new DueUnits()
    const recalled = await this.#collect(newest, waiting)
    // They were collected newest first.
    for (let end = waiting.count; end > 0; end -= READ_AT_ONCE) {
      const some = Array.from({ length: Math.min(READ_AT_ONCE, end) }, (_, n) => end - 1 - n)
      const found = await Promise.all(
        some.map((index) => this.#waitingAt(waiting.physicalOffsetAt(index))),
      )
      for (const [n, one] of found.entries()) {
        if (one === null) continue
        const uniqueKey = one.properties[PropertyName.uniqKey] ?? ''
        // Both forms are in use: the message's own id, and the topic before it.
        if (recalled.has(one.message.key) || recalled.has(uniqueKey)) continue
        if (!(await this.#put(one, waiting.rollsAt(some[n] ?? 0)))) return false
      }
      if (this.#budget.spent) await this.#budget.nextTurn()
    }
    return !this.#again
  }

  /** Walks over the units of a second, newest first, and adds the messages. Resolves with what is recalled. */
  async #collect(newest: number, waiting: DueUnits): Promise<Set<string>> {
    const { log } = this.#parts
    const recalled = new Set<string>()
    for (let position = newest; position >= 0;) {
      const unit = await this.#surely(position, (at) => log.unitAt(at))
      if (unit === null) break
      if (isRecall(unit)) {
        const key = (await this.#waitingAt(unit.physicalOffset))?.message.recalls
        if (key !== null && key !== undefined) recalled.add(key)
      } else waiting.add(unit.physicalOffset, (unit.kind & TimerKind.rolls) !== 0)
      position = unit.previous
      if (this.#budget.spent) await this.#budget.nextTurn()
    }
    return recalled
  }

  /**
   * Reads, again and again while the disk fails: what of the second is delivered already must not come
   * again for that. In the end it gives up, with an error line and null, unless the machine is short of
   * files or memory, which passes. Rejects when it is to stop.
   */
  async #surely<T>(position: number, read: (position: number) => Promise<T | null>) {
    const { clock, logger } = this.#parts
    for (let tries = 1; ; tries++) {
      try {
        return await read(position)
      } catch (error) {
        if (this.#isStopped()) throw error
        const fields = { position, tries, why: messageOf(error) }
        if (tries >= READ_TRIES && !isShortage(error)) {
          logger.error('timer messages cannot be read; others are delivered without them', fields)
          return null
        }
        if (tries === 1) logger.warn('timer messages cannot be read; trying again', fields)
        await sleep(clock, RETRY_MS)
      }
    }
  }

  async #waitingAt(physicalOffset: number): Promise<Waiting | null> {
    const { store, logger } = this.#parts
    const record = await this.#surely(physicalOffset, (at) => store.recordAt(at))
    const view = this.#view
    if (record === null || view.check(record, 0, record.length, false) !== RecordVerdict.ok) {
      logger.error('a timer message is lost: its record is not in the log', { physicalOffset })
      return null
    }
    const properties = parseProperties(
      record.toString('utf8', view.propertiesStart, view.propertiesEnd),
    )
    const message = timedMessageOf(properties)
    if (message === null) {
      logger.error('a timer message names no topic or time', { physicalOffset })
      return null
    }
    return { record, properties, message }
  }

  /** Appends one message; waits while the log is busy. False when the second has to begin again, or was stopped. */
  async #put({ record, message }: Waiting, rolls: boolean): Promise<boolean> {
    const { store, clock, logger, onDeliver } = this.#parts
    for (;;) {
      if (this.#again || clock.monotonicMs() > this.#stopByMs) return false
      const staged = store.watermarks.appended - store.watermarks.written
      const status =
        staged > STAGED_BYTES_MAX ? AppendStatus.busy : this.#appendTo(record, message, rolls)
      if (status === AppendStatus.ok) {
        if (!rolls) onDeliver(message.topic, message.queueId)
        return true
      }
      if (status === AppendStatus.illegal) {
        logger.error('a timer message cannot be stored in its topic', { topic: message.topic })
        return true
      }
      await sleep(clock, status === AppendStatus.busy ? BUSY_MS : RETRY_MS)
    }
  }

  #appendTo(record: Buffer, message: TimedMessage, rolls: boolean): AppendStatus {
    const { store, clock } = this.#parts
    const append = this.#append
    const view = this.#view
    view.check(record, 0, record.length, false)
    fillFromRecord(append, record, 0, view)
    if (rolls) {
      const own = withoutProperties(append, rollTimes)
      const bytes = Buffer.from(
        `${own}${PropertyName.timerRollTimes}\u0001${message.rolledTimes + 1}\u0002`,
        'latin1',
      )
      // How often is noted when there is room.
      if (bytes.length <= PROPERTIES_BYTES_MAX) append.setProperties(bytes, 0, bytes.length)
      append.suffix = NOTHING
      append.queue = store.queue(SystemTopic.timer, 0)
    } else {
      append.suffix = Buffer.from(
        `${PropertyName.timerEnqueueMs}\u0001${view.storeTimestamp}\u0002` +
          `${PropertyName.timerDequeueMs}\u0001${Math.floor(clock.wallMs())}\u0002`,
      )
      if (propertiesBytes(append) > PROPERTIES_BYTES_MAX) append.suffix = NOTHING
      append.queue = store.queue(message.topic, message.queueId)
    }
    return store.append(append)
  }
}

function isRecall({ kind }: TimerUnit): boolean {
  return (kind & TimerKind.recalls) !== 0 && (kind & TimerKind.rolls) === 0
}
