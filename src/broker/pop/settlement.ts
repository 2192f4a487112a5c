/**
 * Up to which time everything is known that may say what became of messages that were taken: an
 * acknowledgement that was accepted before that time, for messages that were due by then, stands in the
 * queue of the revive topic and was read there. Only then it can be told that a message was not acknowledged.
 *
 * An acknowledgement passes three places, and so does each round, which takes a bit more than a second:
 *   timer topic     everything that has come until now is taken by the timer
 *   timer           … and delivered, with the second in which latecomers are put
 *   revive topic    … and read
 */
import { TIMER_PRECISION_MS } from '../timer/timed-message.ts'
import type { ReviveQueue } from './revive-queue.ts'

/** What has to be seen of the timer. */
export interface TimerProgress {
  readonly comeOffset: number
  readonly takenOffset: number
  readonly nextMs: number
  readonly deliveredBeforeMs: number
}

interface Round {
  readonly wallMs: number
  readonly comeOffset: number
  /** Seconds before this one must be delivered; −1 while that is not known. */
  deliveredMs: number
  /** End of the revive queue then; −1 while that is not known. */
  end: number
}

export class Settlement {
  readonly #timer: TimerProgress
  readonly #queue: ReviveQueue
  #round: Round | null = null
  #settledMs = 0

  constructor(timer: TimerProgress, queue: ReviveQueue) {
    this.#timer = timer
    this.#queue = queue
  }

  /** What was due by this time, ms since 1970, can be judged. */
  get settledMs(): number {
    return this.#settledMs
  }

  /** Goes on with the round, or begins one. Called a few times a second while something has to be judged. */
  step(nowMs: number): void {
    this.#round ??= {
      wallMs: nowMs,
      comeOffset: this.#timer.comeOffset,
      deliveredMs: -1,
      end: -1,
    }
    const round = this.#round
    const { takenOffset, nextMs, deliveredBeforeMs } = this.#timer
    if (round.deliveredMs < 0) {
      if (takenOffset < round.comeOffset) return
      round.deliveredMs = Math.max(nextMs + TIMER_PRECISION_MS, round.wallMs)
    }
    if (round.end < 0) {
      if (deliveredBeforeMs < round.deliveredMs) return
      round.end = this.#queue.queue.nextOffset
    }
    if (this.#queue.next < round.end) return
    this.#settledMs = Math.max(this.#settledMs, round.wallMs)
    this.#round = null
  }

  /** The log lost what was appended: the round begins anew. */
  again(): void {
    this.#round = null
  }

  /** The queue is read again from further back: nothing counts that was known. */
  forget(): void {
    this.#round = null
    this.#settledMs = 0
  }
}
