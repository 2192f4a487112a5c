/**
 * Takes messages out of the timer topic, in the order in which they came: each becomes a unit of the
 * timer log, in the chain of the second in which it is due. Only what is confirmed is taken, so that no
 * unit ever stands for a record that the log lost.
 * Source: apache/rocketmq store/…/timer/TimerMessageStore.java (enqueue, doEnqueue).
 */
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { javaHash } from '../../protocol/java-hash.ts'
import { parseProperties } from '../../protocol/properties.ts'
import { RecordVerdict, RecordView } from '../../protocol/record.ts'
import type { Queue } from '../../store/queue.ts'
import type { Store } from '../../store/store.ts'
import { TimerKind, type TimerLog } from '../../store/timer-log.ts'
import { type TimerWheel, WHEEL_SECONDS } from '../../store/timer-wheel.ts'
import type { Clock, Stop } from '../../world/clock.ts'
import { sleep } from '../../world/node-clock.ts'
import { RunBuffer } from '../run-buffer.ts'
import { RunReader } from '../run-reader.ts'
import { TurnBudget } from '../turn-budget.ts'
import { TIMER_PRECISION_MS, timedMessageOf } from './timed-message.ts'
import type { TimerOutlet } from './timer-outlet.ts'

/** What is due later is stored again half-way. Source: timerRollWindowSlot. */
const ROLL_WINDOW_MS = 172_800 * TIMER_PRECISION_MS
/** No second may be this far ahead of the first that was not delivered: it would take its slot. */
const AHEAD_MS_MAX = (WHEEL_SECONDS - 60) * TIMER_PRECISION_MS
const RUN_MESSAGES_MAX = 64
const RUN_BYTES_MAX = 1024 * 1024
const KEPT_BYTES_MAX = 256 * 1024
const RETRY_MS = 1_000
const BUSY_MS = 20

export interface TimerIntakeParts {
  readonly queue: Queue
  readonly store: Store
  readonly clock: Clock
  readonly log: TimerLog
  readonly wheel: TimerWheel
  readonly outlet: TimerOutlet
  readonly logger: Logger
}

export class TimerIntake {
  readonly #parts: TimerIntakeParts
  readonly #budget: TurnBudget
  readonly #reader: RunReader
  readonly #run = new RunBuffer()
  readonly #view = new RecordView()
  #next: number
  #running: Promise<void> | null = null
  #stopped = false
  /** A read has failed and is tried again in a while, whatever comes meanwhile. */
  #isPausing = false
  #stopRetry: Stop = () => undefined

  /** @param next queue offset of the first message that has no unit */
  constructor(parts: TimerIntakeParts, next: number) {
    this.#parts = parts
    this.#reader = new RunReader(parts)
    this.#budget = new TurnBudget(parts.clock)
    this.#next = next
  }

  /** Queue offset of the first message that has no unit. */
  get next(): number {
    return this.#next
  }

  /** There may be something to take. */
  wake(): void {
    if (this.#stopped || this.#isPausing || this.#running !== null) return
    if (this.#next >= this.#parts.queue.maxOffset) return
    this.#running = this.#takeAll()
      .catch((error: unknown) => {
        const why = messageOf(error)
        this.#parts.logger.error('timer messages cannot be read; trying again', { why })
        this.#isPausing = true
        this.#stopRetry = this.#parts.clock.after(RETRY_MS, () => {
          this.#isPausing = false
          this.wake()
        })
      })
      .finally(() => {
        this.#running = null
      })
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#stopRetry()
    await this.#running
  }

  #isStopped(): boolean {
    return this.#stopped
  }

  async #takeAll(): Promise<void> {
    const { queue, outlet, clock } = this.#parts
    while (!this.#isStopped() && this.#next < queue.maxOffset) {
      if (clock.wallMs() + 2 * ROLL_WINDOW_MS - outlet.durableMs > AHEAD_MS_MAX) {
        // After a long time off, old seconds are delivered first.
        await sleep(clock, BUSY_MS)
        continue
      }
      const first = Math.max(this.#next, queue.minOffset)
      const run = this.#run
      run.reuse(KEPT_BYTES_MAX)
      const next = await this.#reader.read(first, RUN_MESSAGES_MAX, RUN_BYTES_MAX, run)
      if (next <= first) throw new Error(`nothing at offset ${first}`)
      this.#takeRun()
      this.#next = next
      outlet.wake()
      if (this.#budget.spent) await this.#budget.nextTurn()
    }
  }

  #takeRun(): void {
    const { bytes, length } = this.#run
    const view = this.#view
    for (let at = 0; at < length; at += view.size) {
      if (view.check(bytes, at, length, false) !== RecordVerdict.ok) return
      this.#take(bytes.toString('utf8', view.propertiesStart, view.propertiesEnd))
    }
  }

  #take(properties: string): void {
    const { clock, log, wheel, outlet, logger } = this.#parts
    const { physicalOffset, size, queueOffset } = this.#view
    const message = timedMessageOf(parseProperties(properties))
    if (message === null) {
      logger.error('a timer message names no topic or time', { queueOffset })
      return
    }
    const nowMs = Math.floor(clock.wallMs() / TIMER_PRECISION_MS) * TIMER_PRECISION_MS
    let { dueMs } = message
    let kind: number = TimerKind.waits
    const beyondMs = dueMs - nowMs - ROLL_WINDOW_MS
    if (beyondMs >= 0) {
      kind |= TimerKind.rolls
      dueMs = nowMs + (beyondMs < ROLL_WINDOW_MS / 3 ? ROLL_WINDOW_MS / 2 : ROLL_WINDOW_MS)
    }
    if (message.recalls !== null) kind |= TimerKind.recalls
    // A second that has begun to be delivered takes nothing more.
    dueMs = Math.max(dueMs, outlet.nextMs)
    const unit = { previous: wheel.newest(dueMs), kind, dueMs, physicalOffset, sizeBytes: size }
    const position = log.append(unit, nowMs, javaHash(message.topic))
    wheel.put(dueMs, position, message.recalls === null ? 1 : -1)
  }
}
