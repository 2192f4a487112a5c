/** Where the target's queues end, as the target says when it is asked. */
import type { Driver, Lane, LaneOffsets } from '../drivers/driver.ts'
import type { Clock, Stop } from '../world/clock.ts'
import { sleep } from '../world/node-clock.ts'
import type { LaneEnd } from './lag-book.ts'

/** How often the ends of queues are asked for, with so many lanes less often. */
const ENDS_MS = 1_000
const ENDS_PAUSED_MS = 200
const ENDS_LANE_MS = 10
const STORED_WAIT_MS = 2_000
const STORED_POLL_MS = 50

export class QueueEnds {
  readonly #clock: Clock
  readonly #driver: Driver
  readonly #lanes: readonly Lane[]

  constructor(clock: Clock, driver: Driver, lanes: readonly Lane[]) {
    this.#clock = clock
    this.#driver = driver
    this.#lanes = lanes
  }

  /** Rejects with MqError. */
  now(): Promise<LaneOffsets[]> {
    return this.#driver.offsets(this.#lanes)
  }

  /**
   * Consumers that stand still, or whose requests are not answered, do not learn how their queues
   * grow: so the broker is asked, more often when they are to stand still.
   */
  watch(isPaused: boolean, onEnds: (ends: readonly LaneEnd[], atNs: number) => void): Stop {
    let asking = false
    return this.#clock.every(
      Math.max(isPaused ? ENDS_PAUSED_MS : ENDS_MS, this.#lanes.length * ENDS_LANE_MS),
      () => {
        if (asking) return
        asking = true
        this.now()
          .then((ends) => {
            onEnds(ends, Number(this.#clock.monotonicNs()))
          })
          // It may be gone; the load processes say so.
          .catch(() => undefined)
          .finally(() => {
            asking = false
          })
      },
    )
  }

  /**
   * By how much each queue grew since `before`, once that is all that was acknowledged, or a moment
   * later. Rejects when the target does not answer that long.
   */
  async growth(before: readonly LaneOffsets[], acked: number): Promise<number[]> {
    const endMs = this.#clock.monotonicMs() + STORED_WAIT_MS
    for (;;) {
      try {
        const after = await this.now()
        const growth = before.map(({ lane, endOffset }) => {
          const now = after.find((one) => one.lane === lane)
          return (now?.endOffset ?? endOffset) - endOffset
        })
        const stored = growth.reduce((sum, messages) => sum + messages, 0)
        // A broker may show a message in its queue a moment after it has acknowledged it.
        if (stored >= acked || this.#clock.monotonicMs() > endMs) return growth
      } catch (error) {
        if (this.#clock.monotonicMs() > endMs) throw error
      }
      await sleep(this.#clock, STORED_POLL_MS)
    }
  }
}
