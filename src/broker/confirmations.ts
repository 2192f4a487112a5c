/**
 * Who waits until the log is confirmed up to a position: requests that append now and then, beside
 * the sends, whose answers have a ring of their own (`owed-replies.ts`).
 */
import type { Store } from '../store/store.ts'
import type { Clock } from '../world/clock.ts'

/** An append that is not confirmed after this long is answered as failed; it may be stored all the same. */
const TIMEOUT_MS = 5_000
/** More than this many at once, and whoever comes is told to come later. */
export const CONFIRMATIONS_MAX = 65_536

const LOST = 'the log could not be written'

interface Waiter {
  readonly end: number
  readonly deadlineMs: number
  /** Null: confirmed; else why not. */
  readonly settle: (fault: string | null) => void
}

export class Confirmations {
  readonly #store: Store
  readonly #clock: Clock
  /** In the order of their positions, which is that of their deadlines. */
  #waiters: Waiter[] = []
  #losses = 0

  constructor(store: Store, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  /** Waiting right now. */
  get count(): number {
    return this.#waiters.length
  }

  /** Grows whenever the log lost what was appended. Who does not wait at once notes it at the append. */
  get losses(): number {
    return this.#losses
  }

  /**
   * Resolves when the log is confirmed up to `end`, with null, or with the reason why it will not be.
   * @param losses as it was at the append: after a loss the log may reach `end` with something else
   */
  wait(end: number, losses = this.#losses): Promise<string | null> {
    if (losses !== this.#losses) return Promise.resolve(LOST)
    return new Promise((settle) => {
      this.tell(end, settle)
    })
  }

  /**
   * The same for who answers at once: `settle` is called while the log's news is being told, so that its
   * answer goes out with those to the sends.
   */
  tell(end: number, settle: (fault: string | null) => void): void {
    const deadlineMs = this.#clock.monotonicMs() + TIMEOUT_MS
    this.#waiters.push({ end, deadlineMs, settle })
  }

  /** A watermark moved, or the store's state changed. */
  onAdvanced(): void {
    if (this.#waiters.length === 0) return
    const { confirmed } = this.#store.watermarks
    this.#settleWhile(({ end }) => end <= confirmed, null)
    if (this.#store.state === 'flush-failed') this.#settleWhile(() => true, 'the disk failed')
  }

  /** Everything appended behind the position is gone. */
  onLost(fromOffset: number): void {
    this.#losses++
    const lost = this.#waiters.filter(({ end }) => end > fromOffset)
    this.#waiters = this.#waiters.filter(({ end }) => end <= fromOffset)
    for (const { settle } of lost) settle(LOST)
  }

  /** Called a few times a second. */
  tick(nowMs: number): void {
    this.#settleWhile(({ deadlineMs }) => deadlineMs <= nowMs, 'the disk is slow')
  }

  #settleWhile(isDue: (waiter: Waiter) => boolean, fault: string | null): void {
    const open = this.#waiters.findIndex((waiter) => !isDue(waiter))
    const count = open < 0 ? this.#waiters.length : open
    for (const { settle } of this.#waiters.splice(0, count)) settle(fault)
  }
}
