/**
 * Every few seconds: log, consume queues and index are put on the disk up to one position, and only
 * then that position is written down, ours (durable-end.ts) and Apache's way (checkpoint.ts).
 * Recovery starts from there. In between, how far the log alone is on the disk is noted about once a
 * second.
 */
import type { Logger } from '../base/logger.ts'
import { messageOf } from '../base/errors.ts'
import type { Clock } from '../world/clock.ts'
import type { CheckpointFile, CheckpointValues } from './checkpoint.ts'
import type { CommitLog } from './commit-log.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import type { Dispatcher } from './dispatcher.ts'
import { type DurableEnd, type DurableState, NO_QUEUES_SUM } from './durable-end.ts'
import type { KeyIndex } from './key-index.ts'
import type { RecoveryReport } from './recovery.ts'
import type { Watermarks } from './watermarks.ts'

const NOTE_INTERVAL_MS = 1_000
/** The share of time that checkpoints may take: the next one waits this many times the last one's length. */
const REST_FACTOR = 10

export interface CheckpointerParts {
  readonly clock: Clock
  readonly log: CommitLog
  readonly queues: ConsumeQueues
  readonly index: KeyIndex | null
  readonly dispatcher: Dispatcher
  readonly watermarks: Watermarks
  readonly checkpoint: CheckpointFile
  readonly durable: DurableEnd
  readonly intervalMs: number
  readonly logger: Logger
}

const NO_INDEX = { name: '', unitCount: 0 } as const

export class Checkpointer {
  readonly checkpoint: CheckpointFile
  readonly durable: DurableEnd
  readonly #parts: CheckpointerParts
  /** What the durable file says. */
  #state: DurableState | null = null
  #running: Promise<boolean> | null = null
  /** A sync failed: what the disk has of queues or index is unknown until a restart looks. */
  #frozen = false
  /** One that somebody wanted could not be made: it is tried again, also when nothing new came. */
  #owed = false
  #nextMs = 0
  #noteMs = 0
  #complainedMs = -Infinity

  constructor(parts: CheckpointerParts) {
    this.#parts = parts
    this.checkpoint = parts.checkpoint
    this.durable = parts.durable
  }

  /** Position up to which queues and index are on the disk. */
  get end(): number {
    const state = this.#state
    return state === null || state.sumOfMax === NO_QUEUES_SUM ? 0 : state.dispatchedEnd
  }

  /** Says, durably, that the store is in use, before anything is appended. */
  async begin(recovery: RecoveryReport): Promise<void> {
    this.#state = { ...recovery.state, clean: false }
    await this.durable.write(this.#state)
    if (recovery.scannedFrom < recovery.logEnd || recovery.rebuilt !== null) await this.run()
    this.#nextMs = this.#parts.clock.monotonicMs() + this.#parts.intervalMs
  }

  tick(): void {
    const nowMs = this.#parts.clock.monotonicMs()
    const state = this.#state
    if (this.#running || state === null) return
    const { watermarks } = this.#parts
    const isDue = this.#owed || watermarks.dispatched > state.dispatchedEnd
    if (nowMs >= this.#nextMs && isDue) {
      void this.run()
    } else if (nowMs >= this.#noteMs && watermarks.flushed > state.durableEnd) {
      this.#noteMs = nowMs + NOTE_INTERVAL_MS
      this.#running = this.#note({ ...state, durableEnd: watermarks.flushed }).finally(() => {
        this.#running = null
      })
    }
  }

  /** A whole checkpoint now; false when it could not be made. Waits for one that is running. */
  async run(): Promise<boolean> {
    while (this.#running) await this.#running
    const startMs = this.#parts.clock.monotonicMs()
    this.#owed = true
    this.#running = this.#make(false).finally(() => {
      this.#running = null
      const endMs = this.#parts.clock.monotonicMs()
      this.#nextMs = endMs + Math.max(this.#parts.intervalMs, (endMs - startMs) * REST_FACTOR)
    })
    return this.#running
  }

  /** The last checkpoint, after everything was flushed and dispatched; false when that is not so. */
  async finish(): Promise<boolean> {
    while (this.#running) await this.#running
    const { watermarks } = this.#parts
    if (watermarks.dispatched < watermarks.appended) return false
    this.#running = this.#make(true).finally(() => {
      this.#running = null
    })
    return this.#running
  }

  async close(): Promise<void> {
    while (this.#running) await this.#running
    await this.durable.close()
  }

  async #make(last: boolean): Promise<boolean> {
    const { log, queues, index, dispatcher, watermarks } = this.#parts
    if (this.#frozen) {
      this.#owed = false
      return false
    }
    // What is true at this moment; later units may reach the disk with it and do no harm.
    const dispatchedEnd = watermarks.dispatched
    const { sumOfMax } = queues
    const position = index?.position ?? NO_INDEX
    const timeMs = dispatcher.lastStoreTimestamp
    try {
      if (!(await log.flushAll())) return false
      if (!(await queues.flushAll())) return false
      if (index && !(await index.flushAll(last))) return false
    } catch (error) {
      this.#frozen = true
      this.#complain('queues or index could not be put on the disk; no more checkpoints', error)
      return false
    }
    const values: CheckpointValues = {
      physicMs: timeMs,
      logicsMs: timeMs,
      indexMs: index?.completeTimestamp ?? 0,
      confirmedOffset: dispatchedEnd,
    }
    const state: DurableState = {
      clean: last,
      durableEnd: watermarks.flushed,
      dispatchedEnd,
      sumOfMax,
      checkpoint: values,
      index: position,
    }
    if (!(await this.#note(state))) return false
    try {
      await this.checkpoint.write(values)
      this.#owed = false
      return true
    } catch (error) {
      this.#complain('the checkpoint could not be written', error)
      return false
    }
  }

  async #note(state: DurableState): Promise<boolean> {
    try {
      await this.durable.write(state)
      this.#state = state
      return true
    } catch (error) {
      this.#complain('the durable end could not be written', error)
      return false
    }
  }

  #complain(what: string, error: unknown): void {
    const nowMs = this.#parts.clock.monotonicMs()
    if (nowMs - this.#complainedMs < 30_000) return
    this.#complainedMs = nowMs
    this.#parts.logger.error(what, { why: messageOf(error) })
  }
}
