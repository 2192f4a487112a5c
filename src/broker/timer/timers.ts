/**
 * Messages that are delivered at a time of their own. A sender names it (TIMER_DELIVER_MS, or a delay in
 * seconds or milliseconds); until then the message lies in the topic rmq_sys_wheel_timer.
 *
 *   send ──▶ timer topic ── intake ──▶ unit of the timer log, in the chain of its second (timer wheel)
 *                                            │ the second has passed
 *   own topic ◀── outlet ◀───────────────────┘
 *
 * What waits costs no memory but the touched pages of the wheel: units and records are on the disk. The
 * three files are Apache's (`timerlog/`, `timerwheel`, `config/timercheck`) and are written in an order
 * that leaves nothing pointing to what is not there: the commit log, then the units, then the wheel,
 * then how far it all is. What was written after that is found again by reading the units behind it.
 * Source: apache/rocketmq store/…/timer/TimerMessageStore.java.
 */
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { Perm } from '../../protocol/bodies/topic-config.ts'
import { SystemTopic } from '../../protocol/names.ts'
import { RecordVerdict, RecordView } from '../../protocol/record.ts'
import type { Queue } from '../../store/queue.ts'
import type { Store } from '../../store/store.ts'
import { TimerCheckpoint } from '../../store/timer-checkpoint.ts'
import { TIMER_FILE_BYTES, TimerLog, type TimerUnit } from '../../store/timer-log.ts'
import { TimerWheel } from '../../store/timer-wheel.ts'
import type { Stop } from '../../world/clock.ts'
import type { World } from '../../world/world.ts'
import type { TopicTable } from '../topics.ts'
import { TIMER_PRECISION_MS } from './timed-message.ts'
import { TimerIntake } from './timer-intake.ts'
import { TimerOutlet } from './timer-outlet.ts'

/** Source: timerFlushIntervalMs. */
const FLUSH_MS = 1_000
const CLEAN_MS = 30_000
const COMPLAINT_MS = 30_000

export interface TimersParts {
  readonly world: World
  readonly store: Store
  readonly topics: TopicTable
  readonly logger: Logger
  /** Length of the files of the timer log, bytes. */
  readonly fileBytes?: number
}

export class Timers {
  readonly queue: Queue
  readonly #parts: TimersParts
  readonly #log: TimerLog
  readonly #wheel: TimerWheel
  readonly #checkpoint: TimerCheckpoint
  readonly #outlet: TimerOutlet
  readonly #intake: TimerIntake
  #hasCheckpoint: boolean
  #saved: { queueOffset: number; deliveredBeforeMs: number }
  #saving: Promise<void> | null = null
  #stopFlush: Stop = () => undefined
  #cleanedMs = 0
  #complainedMs = -Infinity

  private constructor(parts: TimersParts, loaded: Loaded) {
    const { world, store, topics, logger } = parts
    const { log, wheel, checkpoint, nextMs, queue } = loaded
    this.#parts = parts
    this.#log = log
    this.#wheel = wheel
    this.#checkpoint = checkpoint
    this.#hasCheckpoint = loaded.hasCheckpoint
    this.queue = queue
    const { clock } = world
    const onDeliver = (topic: string, queueId: number) => {
      // A topic that was made just before the process died has no configuration any more.
      topics.ensure(topic, queueId + 1, Perm.readWrite)
    }
    this.#outlet = new TimerOutlet({ store, clock, log, wheel, logger, onDeliver }, nextMs)
    this.#intake = new TimerIntake(
      { queue, store, clock, log, wheel, outlet: this.#outlet, logger },
      loaded.queueOffset,
    )
    this.#saved = { queueOffset: loaded.queueOffset, deliveredBeforeMs: nextMs }
  }

  /** Finds out what waits. Rejects with the disk's error. */
  static async load(parts: TimersParts): Promise<Timers> {
    return new Timers(parts, await load(parts))
  }

  /** Messages that have come and have no unit yet. */
  get behind(): number {
    return this.queue.maxOffset - this.#intake.next
  }

  /** Messages that have come, those included that nobody may see yet. */
  get comeOffset(): number {
    return this.queue.nextOffset
  }

  /** Messages before this one have their unit. */
  get takenOffset(): number {
    return this.#intake.next
  }

  /** The first second that has not begun to be delivered, ms since 1970: what comes late goes into it. */
  get nextMs(): number {
    return this.#outlet.nextMs
  }

  /** Everything that was due in a second before this one is appended to its own queue. */
  get deliveredBeforeMs(): number {
    return this.#outlet.deliveredBeforeMs
  }

  /** How late the outlet is, ms; a second and a bit when it is not. */
  get lateMs(): number {
    return Math.max(0, Math.floor(this.#parts.world.clock.wallMs()) - this.#outlet.nextMs)
  }

  /** Begins to deliver, and to put on the disk what changed every second. */
  start(): void {
    this.#intake.wake()
    this.#outlet.wake()
    this.#stopFlush = this.#parts.world.clock.every(FLUSH_MS, () => {
      this.#saving ??= this.#tick().finally(() => {
        this.#saving = null
      })
    })
  }

  /** The timer topic has new messages. */
  onDispatched(): void {
    this.#intake.wake()
  }

  /** Everything appended behind the position is gone from the log. */
  onLost(fromOffset: number): void {
    this.#outlet.onLost(fromOffset)
  }

  /** Takes and delivers nothing more; resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#stopFlush()
    await this.#intake.stop()
    await this.#outlet.stop()
    await this.#saving
  }

  /** Puts everything on the disk a last time, as far as the commit log is there. Rejects with the disk's error. */
  async save(): Promise<void> {
    await this.#save()
    await this.#log.close()
  }

  async #tick(): Promise<void> {
    const { clock } = this.#parts.world
    const nowMs = clock.monotonicMs()
    try {
      await this.#save()
      if (nowMs - this.#cleanedMs >= CLEAN_MS) {
        this.#cleanedMs = nowMs
        await this.#log.removeBefore(this.#parts.store.facts().minPhysicalOffset)
      }
    } catch (error) {
      if (nowMs - this.#complainedMs < COMPLAINT_MS) return
      this.#complainedMs = nowMs
      this.#parts.logger.error('timers could not be written; they stay in memory', {
        why: messageOf(error),
      })
    }
  }

  async #save(): Promise<void> {
    const { store, world } = this.#parts
    const { queueOffset, deliveredBeforeMs } = this.#saved
    if (this.#intake.next === queueOffset && !this.#outlet.isNews(deliveredBeforeMs)) return
    // All as it is at this moment: what comes meanwhile goes with the next save.
    const logEnd = this.#log.end
    const pages = this.#wheel.takeChanges()
    const next = this.#intake.next
    try {
      const { flushed, appended } = store.watermarks
      if (flushed < appended && !(await store.flushNow())) {
        this.#wheel.putBack(pages)
        return
      }
      const durableMs = this.#outlet.durableMs
      const nowMs = Math.floor(world.clock.wallMs())
      if (!this.#hasCheckpoint) {
        // No unit is on the disk without a time from which on it counts.
        const nothing = { deliveredBeforeMs: durableMs, logFlushed: 0, queueOffset: 0 }
        await this.#checkpoint.write(nothing, nowMs)
        this.#hasCheckpoint = true
      }
      await this.#log.flush(logEnd)
      await this.#wheel.write(pages)
      const progress = {
        deliveredBeforeMs: durableMs,
        logFlushed: this.#log.flushed,
        queueOffset: next,
      }
      await this.#checkpoint.write(progress, nowMs)
      this.#saved = { queueOffset: next, deliveredBeforeMs: durableMs }
    } catch (error) {
      this.#wheel.putBack(pages)
      throw error
    }
  }
}

interface Loaded {
  readonly log: TimerLog
  readonly wheel: TimerWheel
  readonly checkpoint: TimerCheckpoint
  readonly queue: Queue
  readonly hasCheckpoint: boolean
  readonly nextMs: number
  readonly queueOffset: number
}

async function load(parts: TimersParts): Promise<Loaded> {
  const { world, store, logger } = parts
  const { disk, clock } = world
  const { dir } = store.settings
  const log = new TimerLog(disk, dir, parts.fileBytes ?? TIMER_FILE_BYTES)
  const wheel = new TimerWheel(disk, dir)
  const checkpoint = new TimerCheckpoint(disk, dir)
  const queue = store.queue(SystemTopic.timer, 0)
  const progress = await checkpoint.read()
  await log.open()
  const nowMs = Math.floor(clock.wallMs() / TIMER_PRECISION_MS) * TIMER_PRECISION_MS
  // Nobody knows what was delivered when that is not noted: then every unit counts.
  const nextMs =
    Math.floor((progress?.deliveredBeforeMs ?? 0) / TIMER_PRECISION_MS) * TIMER_PRECISION_MS
  let firstMs = nowMs
  let queueOffset = progress?.queueOffset ?? 0

  const note = (unit: TimerUnit, position: number) => {
    firstMs = Math.min(firstMs, Math.floor(unit.dueMs / TIMER_PRECISION_MS) * TIMER_PRECISION_MS)
    if (unit.dueMs >= nextMs && wheel.newest(unit.dueMs) < position) {
      wheel.put(unit.dueMs, position, 1)
    }
  }
  const known = progress?.logFlushed ?? 0
  const view = new RecordView()
  const take = async (unit: TimerUnit, position: number) => {
    if (position >= known) {
      // Behind what was noted, a unit counts when its record is a message of the timer topic.
      const record = await store.recordAt(unit.physicalOffset)
      if (record?.length !== unit.sizeBytes) return false
      if (view.check(record, 0, record.length, false) !== RecordVerdict.ok) return false
      if (record.toString('latin1', view.topicStart, view.topicEnd) !== queue.topic) return false
      queueOffset = Math.max(queueOffset, view.queueOffset + 1)
    }
    note(unit, position)
    return true
  }
  const hasWheel = await wheel.load()
  await log.scan(hasWheel ? known : 0, take)
  if (hasWheel && wheel.pointsBehind(log.end)) {
    logger.warn('the timer wheel is built again from the timer log', { end: log.end })
    wheel.clear()
    await log.scan(0, take)
  }
  const within = Math.max(queue.minOffset, Math.min(queue.maxOffset, queueOffset))
  if (within < queueOffset) {
    logger.warn('progress of the timer topic lies behind its end', { kept: queueOffset, within })
  }
  return {
    log,
    wheel,
    checkpoint,
    queue,
    hasCheckpoint: progress !== null,
    nextMs: nextMs || firstMs,
    queueOffset: within,
  }
}
