/**
 * How far groups have taken queues by POP. Progress is reported to the table of offsets only when the
 * checkpoint of what was taken is on its place; until then it stands here, so that nothing is taken
 * twice meanwhile. A queue is given to one request at a time while the disk is read for it.
 *
 * A topic that is made again under the name of one that was deleted has queues of its own: what is still
 * under way in the old ones is no progress in the new ones.
 */
import type { ConsumerOffsets } from '../consumer-offsets.ts'
import type { Topic } from '../topic.ts'
import type { PendingProgress, PopSource } from './taken.ts'

/** Only while something is under way; otherwise the table of offsets says all. */
class Position {
  readonly topic: Topic
  next: number
  /** Checkpoints that are not on their place yet. */
  inFlight = 0
  busy = false
  /** Changes when the group was put elsewhere: what was taken before counts no more. */
  epoch = 0

  constructor(topic: Topic, next: number) {
    this.topic = topic
    this.next = next
  }
}

export function positionKey(group: string, source: PopSource): string {
  return `${source.topic.name}@${group}@${source.queueId}`
}

export class PopOffsets {
  readonly #offsets: ConsumerOffsets
  readonly #positions = new Map<string, Position>()

  constructor(offsets: ConsumerOffsets) {
    this.#offsets = offsets
  }

  /** Queues with something under way. */
  get count(): number {
    return this.#positions.size
  }

  /** Where the group goes on; null when it has no progress in the queue. */
  nextOf(key: string, group: string, source: PopSource): number | null {
    return (
      this.#at(key, source)?.next ?? this.#offsets.get(group, source.topic.name, source.queueId)
    )
  }

  isBusy(key: string, source: PopSource): boolean {
    return this.#at(key, source)?.busy ?? false
  }

  /** Nobody else gets the queue until `release`. */
  acquire(key: string, source: PopSource, next: number): void {
    this.#open(key, source, next).busy = true
  }

  release(key: string, source: PopSource): void {
    const position = this.#at(key, source)
    if (position === undefined) return
    position.busy = false
    this.#drop(key, position)
  }

  /** The group is put elsewhere. */
  reset(key: string, group: string, source: PopSource, next: number): void {
    const position = this.#at(key, source)
    if (position !== undefined) {
      position.next = next
      position.epoch++
    }
    this.#commit(group, source, next)
  }

  /** Messages were passed over that nobody wants: that needs no checkpoint. */
  skip(key: string, group: string, source: PopSource, next: number): void {
    const position = this.#at(key, source)
    if (position !== undefined) position.next = next
    if (position === undefined || position.inFlight === 0) this.#commit(group, source, next)
  }

  /** Messages were taken whose checkpoint is on its way. */
  advance(key: string, source: PopSource, nextOffset: number): PendingProgress {
    const position = this.#open(key, source, nextOffset)
    position.next = nextOffset
    position.inFlight++
    return { key, source, epoch: position.epoch, nextOffset }
  }

  /** The checkpoint is on its place, or will never be: then the messages can be taken again. */
  settle(group: string, progress: PendingProgress, isPlaced: boolean): void {
    const { key, source, epoch, nextOffset } = progress
    const position = this.#at(key, source)
    if (position === undefined) return
    position.inFlight--
    if (position.epoch === epoch) {
      if (isPlaced) {
        const reached = position.inFlight === 0 ? position.next : nextOffset
        this.#commit(group, source, reached)
      } else {
        position.epoch++
        position.next = this.#offsets.get(group, source.topic.name, source.queueId) ?? 0
      }
    }
    this.#drop(key, position)
  }

  /** What is under way in this queue, not in that of a deleted topic of the same name. */
  #at(key: string, { topic }: PopSource): Position | undefined {
    const position = this.#positions.get(key)
    return position?.topic === topic ? position : undefined
  }

  #commit(group: string, { topic, queueId }: PopSource, next: number): void {
    if (!topic.deleted) this.#offsets.commit(group, topic.name, queueId, next)
  }

  #open(key: string, source: PopSource, next: number): Position {
    let position = this.#at(key, source)
    if (position === undefined) {
      position = new Position(source.topic, next)
      this.#positions.set(key, position)
    }
    return position
  }

  #drop(key: string, position: Position): void {
    if (position.inFlight === 0 && !position.busy) this.#positions.delete(key)
  }
}
