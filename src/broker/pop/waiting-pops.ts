/**
 * Requests of POP that wait for something to come: takes, and questions whether there is something. Of
 * many that wait, as many are woken as there is something for.
 * Source of the behaviour: apache/rocketmq broker/…/longpolling/PopLongPollingService.java.
 */
import type { Connection } from '../../remoting/connection.ts'
import type { Queue } from '../../store/queue.ts'
import type { TopicTable } from '../topics.ts'
import { type HeldBucket, HeldPops } from './held-pops.ts'
import type { PopSource, PopWish } from './taken.ts'

const anyOrder = { order: false, attemptId: null }

export interface WaitingPopsParts {
  readonly topics: TopicTable
  /** Whether the group would be given something of the queue. */
  readonly hasNews: (
    group: string,
    source: PopSource,
    wish: Pick<PopWish, 'order' | 'attemptId'>,
  ) => boolean
}

export class WaitingPops {
  readonly takes = new HeldPops()
  readonly questions = new HeldPops()
  readonly #parts: WaitingPopsParts
  #arrivals = 0

  constructor(parts: WaitingPopsParts) {
    this.#parts = parts
  }

  /** Grows with every round of new messages, and when a queue is free again. */
  get arrivals(): number {
    return this.#arrivals
  }

  /** Records of the queue have become visible. */
  onDispatched(queue: Queue): void {
    // Also for those that look right now and are not held yet.
    this.#arrivals++
    if (this.takes.count + this.questions.count === 0) return
    this.#wake(queue.topic, queue.queueId, null)
  }

  /** A queue of the group is free again, or has more than somebody took. */
  wakeGroup(group: string, topic: string): void {
    this.#arrivals++
    if (this.takes.count + this.questions.count > 0) this.#wake(topic, -1, group)
  }

  /** The topic is gone: whoever waits for it looks a last time, and finds nothing. */
  onDeleted(topic: string): void {
    for (const held of [this.takes, this.questions]) {
      for (const bucket of held.bucketsOf(topic)) {
        for (const pop of [...bucket]) {
          // Who waits for messages that come again waits for those of another topic.
          if (pop.topics[0] !== topic) break
          held.take(pop)
          pop.wake('arrival')
        }
      }
    }
  }

  /** Called a few times a second. */
  tick(nowMs: number): void {
    for (const held of [this.takes, this.questions]) {
      if (held.count === 0) continue
      const { late, recheck } = held.takeDue(nowMs)
      for (const pop of recheck) pop.wake('arrival')
      for (const pop of late) pop.wake('timeout')
    }
  }

  /** Forgets those of a connection that is gone. */
  onClose(connection: Connection): void {
    this.takes.forget(connection)
    this.questions.forget(connection)
  }

  /** Answers everybody who waits. */
  close(): void {
    for (const pop of [...this.takes.takeAll(), ...this.questions.takeAll()]) pop.wake('stop')
  }

  /** @param queueId −1: whatever the queue; `only` one group, or all */
  #wake(topic: string, queueId: number, only: string | null): void {
    for (const bucket of this.questions.bucketsOf(topic)) {
      this.#wakeBucket(this.questions, bucket, topic, queueId, only)
    }
    for (const bucket of this.takes.bucketsOf(topic)) {
      this.#wakeBucket(this.takes, bucket, topic, queueId, only)
    }
  }

  #wakeBucket(
    held: HeldPops,
    bucket: HeldBucket,
    topicName: string,
    queueId: number,
    only: string | null,
  ): void {
    const { topics, hasNews } = this.#parts
    const topic = topics.get(topicName)
    let left = bucket.size
    for (const first of bucket) {
      // Those that are held again stand behind.
      if (left-- === 0 || topic === null) return
      if (only !== null && first.group !== only) return
      const isOwn = first.topics[0] === topicName
      if (isOwn && first.queueId >= 0 && queueId >= 0 && first.queueId !== queueId) return
      if (queueId >= 0 && queueId < topic.readQueueNums) {
        const source = { topic, queueId, isRetry: !isOwn }
        if (!hasNews(first.group, source, anyOrder)) return
        // Order blocks the queue for some only; what comes again is not for those who keep it.
        if (first.order && (!isOwn || !hasNews(first.group, source, first))) continue
      }
      held.take(first)
      first.wake('arrival')
      if (queueId < 0 && held === this.takes) return
    }
  }
}
