/**
 * Requests of POP consumption that found nothing and wait for a message or for their time to be over.
 * Each waits under the topics that could bring it one, its own and the group's retry topics, in the
 * order of arrival within its group and queue.
 * Source of the limits: apache/rocketmq broker/…/longpolling/PopLongPollingService.java,
 * popPollingSize and maxPopPollingSize.
 */
import type { Connection } from '../../remoting/connection.ts'

/** Requests of all groups. */
const HELD_POPS_MAX = 100_000
/** Requests of one group for one queue, or for any queue, of one topic. */
const HELD_POPS_OF_KEY_MAX = 1_024

/** Why a request is tried or answered now. */
export type WakeReason = 'arrival' | 'timeout' | 'stop'

export class HeldPop {
  readonly connection: Connection
  readonly group: string
  /** The plain topic first, then the retry topics. */
  readonly topics: readonly string[]
  /** −1: any queue of the plain topic. Retry topics count whatever their queue. */
  readonly queueId: number
  readonly order: boolean
  readonly attemptId: string | null
  /** Monotonic. */
  readonly deadlineMs: number
  /** Monotonic; when to look again although nothing came, because order blocks a queue until then. */
  readonly recheckMs: number
  readonly wake: (reason: WakeReason) => void
  readonly key: string

  constructor(
    facts: Pick<
      HeldPop,
      | 'connection'
      | 'group'
      | 'topics'
      | 'queueId'
      | 'order'
      | 'attemptId'
      | 'deadlineMs'
      | 'recheckMs'
      | 'wake'
    >,
  ) {
    this.connection = facts.connection
    this.group = facts.group
    this.topics = facts.topics
    this.queueId = facts.queueId
    this.order = facts.order
    this.attemptId = facts.attemptId
    this.deadlineMs = facts.deadlineMs
    this.recheckMs = facts.recheckMs
    this.wake = facts.wake
    this.key = heldKey(this.topics[0] ?? '', this.group, this.queueId)
  }
}

function heldKey(topic: string, group: string, queueId: number): string {
  return `${topic}@${group}@${queueId}`
}

/** Those of one group that wait for the same queue, oldest first. */
export type HeldBucket = Set<HeldPop>

export class HeldPops {
  readonly #byKey = new Map<string, HeldBucket>()
  /** Topic → buckets that a message of it may serve. */
  readonly #byTopic = new Map<string, Set<HeldBucket>>()
  readonly #byConnection = new Map<Connection, Set<HeldPop>>()
  #count = 0

  get count(): number {
    return this.#count
  }

  /** Requests of the group that wait for exactly this queue, or for any with −1. */
  countOf(topic: string, group: string, queueId: number): number {
    return this.#byKey.get(heldKey(topic, group, queueId))?.size ?? 0
  }

  hasRoom(topic: string, group: string, queueId: number): boolean {
    return this.#count < HELD_POPS_MAX && this.countOf(topic, group, queueId) < HELD_POPS_OF_KEY_MAX
  }

  hold(pop: HeldPop): void {
    let bucket = this.#byKey.get(pop.key)
    if (bucket === undefined) {
      bucket = new Set()
      this.#byKey.set(pop.key, bucket)
      for (const topic of pop.topics) {
        const buckets = this.#byTopic.get(topic) ?? new Set()
        buckets.add(bucket)
        this.#byTopic.set(topic, buckets)
      }
    }
    bucket.add(pop)
    const own = this.#byConnection.get(pop.connection) ?? new Set()
    own.add(pop)
    this.#byConnection.set(pop.connection, own)
    this.#count++
  }

  /** Buckets that wait for messages of the topic. */
  bucketsOf(topic: string): readonly HeldBucket[] {
    const buckets = this.#byTopic.get(topic)
    return buckets === undefined ? [] : [...buckets]
  }

  /** Takes one out; it is not held any more. */
  take(pop: HeldPop): void {
    const bucket = this.#byKey.get(pop.key)
    if (bucket?.delete(pop) !== true) return
    this.#count--
    const own = this.#byConnection.get(pop.connection)
    own?.delete(pop)
    if (own?.size === 0) this.#byConnection.delete(pop.connection)
    if (bucket.size > 0) return
    this.#byKey.delete(pop.key)
    for (const topic of pop.topics) {
      const buckets = this.#byTopic.get(topic)
      buckets?.delete(bucket)
      if (buckets?.size === 0) this.#byTopic.delete(topic)
    }
  }

  /** Takes out what has waited long enough, and what should look again. */
  takeDue(nowMs: number): { readonly late: HeldPop[]; readonly recheck: HeldPop[] } {
    const late: HeldPop[] = []
    const recheck: HeldPop[] = []
    for (const bucket of this.#byKey.values()) {
      for (const pop of bucket) {
        if (pop.deadlineMs <= nowMs) late.push(pop)
        else if (pop.recheckMs <= nowMs) recheck.push(pop)
      }
    }
    for (const pop of late) this.take(pop)
    for (const pop of recheck) this.take(pop)
    return { late, recheck }
  }

  takeAll(): HeldPop[] {
    const all = [...this.#byKey.values()].flatMap((bucket) => [...bucket])
    for (const pop of all) this.take(pop)
    return all
  }

  /** Forgets those of a connection that is gone. */
  forget(connection: Connection): void {
    for (const pop of [...(this.#byConnection.get(connection) ?? [])]) this.take(pop)
  }
}
