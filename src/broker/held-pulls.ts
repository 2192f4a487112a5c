/**
 * Pulls that found nothing and are held until a message comes or their time is over (long
 * polling). A pull is held under its queue. When records of that queue become visible, every pull
 * that waits for it is tried again; one whose filter matched nothing goes on waiting behind what
 * it has seen.
 *
 * Check and hold happen in one turn of the loop, so no message can slip in between.
 * Source of the behaviour: rocketmq PullRequestHoldService.
 */
import type { SerializeType } from '../protocol/command.ts'
import type { PullHeader } from '../protocol/pull-header.ts'
import type { Connection } from '../remoting/connection.ts'
import type { Queue } from '../store/queue.ts'
import type { MessageFilter } from './message-filter.ts'

/** One held pull; also what is passed around while a pull is being served. */
export class HeldPull {
  readonly connection: Connection
  readonly opaque: number
  readonly serializeType: SerializeType
  readonly header: PullHeader
  readonly queue: Queue
  readonly filter: MessageFilter
  readonly deadlineMs: number
  /** Where to go on: the request's offset, or behind what was looked at and did not match. */
  offset: number
  /** When looking for a match must end with an answer, so that the client learns how far it is; −1 until it is served. */
  lookUntilMs = -1
  /** It is being served from the disk. */
  busy = false

  constructor(
    connection: Connection,
    opaque: number,
    serializeType: SerializeType,
    header: PullHeader,
    queue: Queue,
    filter: MessageFilter,
    deadlineMs: number,
  ) {
    this.connection = connection
    this.opaque = opaque
    this.serializeType = serializeType
    this.header = header
    this.queue = queue
    this.filter = filter
    this.deadlineMs = deadlineMs
    this.offset = header.queueOffset
  }
}

export class HeldPulls {
  readonly #byQueue = new Map<Queue, Set<HeldPull>>()
  readonly #byConnection = new Map<Connection, Set<HeldPull>>()
  #count = 0

  get count(): number {
    return this.#count
  }

  hold(pull: HeldPull): void {
    add(this.#byQueue, pull.queue, pull)
    add(this.#byConnection, pull.connection, pull)
    this.#count++
  }

  /** Takes out and returns what waits for the queue. */
  takeOf(queue: Queue): readonly HeldPull[] {
    const waiting = this.#byQueue.get(queue)
    if (waiting === undefined) return []
    this.#byQueue.delete(queue)
    this.#count -= waiting.size
    const pulls = [...waiting]
    for (const pull of pulls) drop(this.#byConnection, pull.connection, pull)
    return pulls
  }

  /** Takes out and returns what has waited long enough. */
  takeExpired(nowMs: number): readonly HeldPull[] {
    const expired: HeldPull[] = []
    for (const waiting of this.#byQueue.values()) {
      for (const pull of waiting) if (pull.deadlineMs <= nowMs) expired.push(pull)
    }
    for (const pull of expired) this.#remove(pull)
    return expired
  }

  /** Takes out and returns everything, for a broker that stops or a topic that is deleted. */
  takeAll(isWanted: (queue: Queue) => boolean = () => true): readonly HeldPull[] {
    return [...this.#byQueue.keys()].filter(isWanted).flatMap((queue) => this.takeOf(queue))
  }

  /** Forgets the pulls of a connection that is gone. */
  forget(connection: Connection): void {
    const waiting = this.#byConnection.get(connection)
    if (waiting === undefined) return
    for (const pull of waiting) this.#remove(pull)
  }

  #remove(pull: HeldPull): void {
    drop(this.#byQueue, pull.queue, pull)
    drop(this.#byConnection, pull.connection, pull)
    this.#count--
  }
}

function add<Key>(sets: Map<Key, Set<HeldPull>>, key: Key, pull: HeldPull): void {
  const known = sets.get(key)
  if (known === undefined) sets.set(key, new Set([pull]))
  else known.add(pull)
}

function drop<Key>(sets: Map<Key, Set<HeldPull>>, key: Key, pull: HeldPull): void {
  const known = sets.get(key)
  if (known === undefined) return
  known.delete(pull)
  if (known.size === 0) sets.delete(key)
}
