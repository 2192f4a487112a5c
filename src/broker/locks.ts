/**
 * Who may consume which queue in order. A member of a group locks a queue before it takes the first
 * message and again every 20 s while it has it; nobody else of the group gets it until the member
 * lets go, or has not been heard of for `lockLiveMs`. A lost connection does not let go: the member
 * may still be at work on a message, and its own view of the lock (30 s in official clients) is
 * older than ours.
 *
 * Locks live in memory alone: after a restart whoever asks first has the queue, which is the member
 * that had it, because all others were told so by the division of queues.
 * Source: apache/rocketmq broker/…/client/rebalance/RebalanceLockManager.java.
 */
import type { Logger } from '../base/logger.ts'
import { type MessageQueue, messageQueueKey } from '../protocol/bodies/message-queue.ts'
import type { Clock, Stop } from '../world/clock.ts'

/** Locks of all groups together; more are not given. */
const LOCKS_MAX = 1_000_000
/** How often locks that nobody renewed are forgotten. */
const SWEEP_MS = 60_000

interface QueueLock {
  clientId: string
  /** Monotonic. */
  renewedMs: number
}

export interface QueueLocksParts {
  readonly clock: Clock
  readonly logger: Logger
  /** How long a lock lives that is not renewed. */
  readonly lockLiveMs: () => number
}

export class QueueLocks {
  readonly #parts: QueueLocksParts
  /** Group → queue → lock. */
  readonly #groups = new Map<string, Map<string, QueueLock>>()
  #count = 0
  #stop: Stop = () => undefined

  constructor(parts: QueueLocksParts) {
    this.#parts = parts
  }

  /** Begins to forget what has expired. */
  start(): void {
    this.#stop = this.#parts.clock.every(SWEEP_MS, () => {
      this.sweep()
    })
  }

  stop(): void {
    this.#stop()
  }

  /** Locks that are kept, expired ones included. */
  get count(): number {
    return this.#count
  }

  /** Locks or renews what is free or the client's own; answers the queues that it has now. */
  lock(group: string, queues: readonly MessageQueue[], clientId: string): MessageQueue[] {
    const nowMs = this.#parts.clock.monotonicMs()
    let locks = this.#groups.get(group)
    if (locks === undefined) {
      locks = new Map()
      this.#groups.set(group, locks)
    }
    const owned: MessageQueue[] = []
    for (const queue of queues) {
      if (this.#lockOne(group, locks, queue, clientId, nowMs)) owned.push(queue)
    }
    if (locks.size === 0) this.#groups.delete(group)
    return owned
  }

  /** Lets go of the client's own; those of others stay. */
  unlock(group: string, queues: readonly MessageQueue[], clientId: string): void {
    const locks = this.#groups.get(group)
    if (locks === undefined) return
    for (const queue of queues) {
      const key = messageQueueKey(queue)
      if (locks.get(key)?.clientId !== clientId) continue
      locks.delete(key)
      this.#count--
    }
    if (locks.size === 0) this.#groups.delete(group)
  }

  /** Whether somebody consumes in order for this group right now. */
  isHeldBy(group: string): boolean {
    const locks = this.#groups.get(group)
    if (locks === undefined) return false
    const nowMs = this.#parts.clock.monotonicMs()
    for (const lock of locks.values()) if (!this.#isExpired(lock, nowMs)) return true
    return false
  }

  /** Forgets what has expired; called now and then. */
  sweep(): void {
    const nowMs = this.#parts.clock.monotonicMs()
    for (const [group, locks] of this.#groups) {
      for (const [key, lock] of locks) {
        if (!this.#isExpired(lock, nowMs)) continue
        locks.delete(key)
        this.#count--
      }
      if (locks.size === 0) this.#groups.delete(group)
    }
  }

  #lockOne(
    group: string,
    locks: Map<string, QueueLock>,
    queue: MessageQueue,
    clientId: string,
    nowMs: number,
  ): boolean {
    const key = messageQueueKey(queue)
    const lock = locks.get(key)
    if (lock === undefined) {
      if (this.#count >= LOCKS_MAX) return false
      locks.set(key, { clientId, renewedMs: nowMs })
      this.#count++
      return true
    }
    if (lock.clientId !== clientId) {
      if (!this.#isExpired(lock, nowMs)) return false
      this.#parts.logger.warn('lock of a queue expired and goes to another member', {
        group,
        topic: queue.topic.slice(0, 300),
        queueId: queue.queueId,
        from: lock.clientId.slice(0, 200),
        to: clientId.slice(0, 200),
      })
      lock.clientId = clientId
    }
    lock.renewedMs = nowMs
    return true
  }

  #isExpired(lock: QueueLock, nowMs: number): boolean {
    return nowMs - lock.renewedMs > this.#parts.lockLiveMs()
  }
}
