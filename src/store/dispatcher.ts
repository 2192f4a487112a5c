/**
 * Makes confirmed records visible: a unit in the consume queue and keys in the index, in the order
 * of the log, from the rows that the append left in the ring. Queues that grew are reported once a
 * round, after all their units are there, so that held pulls wake.
 */
import { putBatch } from './batch-queue.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import type { DispatchRing } from './dispatch-ring.ts'
import type { KeyIndex } from './key-index.ts'
import type { Queue } from './queue.ts'
import type { Watermarks } from './watermarks.ts'

export class Dispatcher {
  /** Store time of the last record that became visible; ms, 0 before the first. */
  lastStoreTimestamp = 0
  readonly #ring: DispatchRing
  readonly #queues: ConsumeQueues
  readonly #index: KeyIndex | null
  readonly #watermarks: Watermarks
  readonly #onDispatched: (queue: Queue) => void
  readonly #waking: Queue[] = []

  constructor(
    ring: DispatchRing,
    queues: ConsumeQueues,
    index: KeyIndex | null,
    watermarks: Watermarks,
    onDispatched: (queue: Queue) => void,
  ) {
    this.#ring = ring
    this.#queues = queues
    this.#index = index
    this.#watermarks = watermarks
    this.#onDispatched = onDispatched
  }

  /** Dispatches what is confirmed, unless queues or index wait too long for the disk. */
  run(): void {
    const ring = this.#ring
    const queues = this.#queues
    const index = this.#index
    const watermarks = this.#watermarks
    const { confirmed } = watermarks
    while (ring.look()) {
      const end = ring.physicalOffset + ring.size
      if (end > confirmed) break
      if (queues.congested || index?.congested === true) break
      const { queue } = ring
      if (queue !== null && ring.messages > 0 && !queue.deleted) {
        if (queue.units === null) {
          queues.put(queue, ring.physicalOffset, ring.size, ring.tagsCode)
        } else putBatch(queues, queue, queue.units, ring)
        if (!queue.waking) {
          queue.waking = true
          this.#waking.push(queue)
        }
      }
      for (let i = ring.keyCount; i > 0; i--) {
        const hash = ring.takeKey()
        if (index !== null) index.put(hash, ring.physicalOffset, ring.storeTimestamp)
      }
      this.lastStoreTimestamp = ring.storeTimestamp
      watermarks.dispatched = end
      ring.shift()
    }
    // Behind the last confirmed record there is at most a blank.
    if (ring.count === 0) watermarks.dispatched = confirmed
    this.#wake()
  }

  #wake(): void {
    const waking = this.#waking
    for (const queue of waking) {
      queue.waking = false
      this.#onDispatched(queue)
    }
    waking.length = 0
  }
}
