/**
 * What was a member's to read until the name servers forgot its broker: of queues that were not read to their
 * end by then, nobody can say what is left in them. A topic that is gone takes its queues with it; a broker
 * that comes back has them again.
 */
import type { MessageQueue } from '../protocol/bodies/message-queue.ts'
import type { TopicRoute } from './routes.ts'

/** Queues by `messageQueueKey`. */
type Share = ReadonlyMap<string, MessageQueue>

export class VanishedQueues {
  /** What was the member's at the last look, by topic. */
  readonly #shares = new Map<string, Share>()
  readonly #queues = new Map<string, MessageQueue>()

  /** Names of the brokers, sorted; empty when nothing has vanished. */
  get brokers(): string[] {
    return [...new Set([...this.#queues.values()].map(({ brokerName }) => brokerName))].sort()
  }

  /**
   * A new look at a topic.
   * @param route null: the topic is gone
   * @param share what is the member's now
   * @param isAtEnd whether a queue, by its key, was read to its end
   */
  look(
    topic: string,
    route: Pick<TopicRoute, 'brokers'> | null,
    share: Share,
    isAtEnd: (key: string) => boolean,
  ): void {
    const isGone = ({ brokerName }: MessageQueue) => route?.brokers.has(brokerName) === false
    for (const [key, queue] of this.#queues) {
      if (queue.topic === topic && !isGone(queue)) this.#queues.delete(key)
    }
    for (const [key, queue] of this.#shares.get(topic) ?? []) {
      if (!share.has(key) && isGone(queue) && !isAtEnd(key)) this.#queues.set(key, queue)
    }
    this.#shares.set(topic, share)
  }
}
