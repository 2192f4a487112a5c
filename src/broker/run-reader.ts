/**
 * Reads runs of a queue that the broker works through by itself, in order. The log is read in blocks, and
 * a disk that does not give back one sector of a block refuses all of it: what waits there would wait for
 * good. So after half a minute in which a read fails the records are read one by one, and those alone
 * that cannot be read are passed over, with an error line each.
 */
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Queue } from '../store/queue.ts'
import type { Store } from '../store/store.ts'
import type { Clock } from '../world/clock.ts'
import { isShortage } from '../world/disk.ts'
import type { RunBuffer } from './run-buffer.ts'

/** For how long reads fail before a message is passed over, however often they are tried meanwhile. */
const FAILING_MS = 30_000
/** The same right behind one that was passed over: damage is seldom of one record alone. */
const FAILING_MS_BEHIND = 3_000
/** How often they fail at least: a machine that stands still for a while has tried nothing meanwhile. */
const FAILURES_MIN = 3

export interface RunReaderParts {
  readonly queue: Queue
  readonly store: Store
  readonly clock: Clock
  readonly logger: Logger
}

export class RunReader {
  readonly #parts: RunReaderParts
  /** Monotonic; null while nothing fails. */
  #failingSinceMs: number | null = null
  #failures = 0
  /** How long what fails now may do so. */
  #patienceMs = FAILING_MS
  /** Since a block could not be read; until one can be. */
  #singly = false

  constructor(parts: RunReaderParts) {
    this.#parts = parts
  }

  /**
   * Adds up to `count` messages from `first` on to the empty `run`. Resolves with the offset behind them and
   * behind what was passed over; with `first` when there is nothing. Rejects with the disk's error: then
   * the caller tries again in a second.
   */
  async read(first: number, count: number, bytesMax: number, run: RunBuffer): Promise<number> {
    const { queue, store } = this.#parts
    try {
      const outcome =
        store.pullNow(queue, first, count, bytesMax, null, run) ??
        (await store.pull(queue, first, count, bytesMax, null, run))
      this.#singly = false
      this.#begin(FAILING_MS)
      return outcome.nextBeginOffset
    } catch (error) {
      if (!this.#singly || isShortage(error)) this.#bear(error)
      this.#singly = true
    }
    run.length = 0
    return this.#readSingly(first, count, bytesMax, run)
  }

  /** Nothing fails now; what fails next may do so for this long. */
  #begin(patienceMs: number): void {
    this.#failingSinceMs = null
    this.#failures = 0
    this.#patienceMs = patienceMs
  }

  /** Throws the error until it has lasted too long. A machine that is short of files or memory passes. */
  #bear(error: unknown): void {
    if (isShortage(error)) {
      this.#begin(this.#patienceMs)
      throw error
    }
    const nowMs = this.#parts.clock.monotonicMs()
    this.#failingSinceMs ??= nowMs
    this.#failures++
    const isOver = nowMs - this.#failingSinceMs >= this.#patienceMs
    if (!isOver || this.#failures < FAILURES_MIN) throw error
  }

  async #readSingly(
    first: number,
    count: number,
    bytesMax: number,
    run: RunBuffer,
  ): Promise<number> {
    const { queue, store } = this.#parts
    const end = Math.min(first + count, queue.maxOffset)
    let next = first
    while (next < end && run.length < bytesMax) {
      try {
        const unit = await store.unitAt(queue, next)
        const record = unit === null ? null : await store.recordAt(unit.physicalOffset)
        if (record === null) this.#complain(next, 'its record is not in the log')
        else {
          const at = run.reserve(record.length)
          record.copy(run.bytes, at)
          run.length += record.length
        }
        this.#begin(FAILING_MS)
      } catch (error) {
        // What was read or passed over until here is done with first.
        if (next > first) return next
        this.#bear(error)
        this.#complain(next, messageOf(error))
        this.#begin(FAILING_MS_BEHIND)
      }
      next++
    }
    return next
  }

  #complain(queueOffset: number, why: string): void {
    const { queue, logger } = this.#parts
    const { topic, queueId } = queue
    const fields = { topic, queueId, queueOffset, why }
    logger.error('a message that waits is passed over: it cannot be read', fields)
  }
}
