/** Which queue a message goes to. */
import type { MessageQueue } from '../protocol/bodies/message-queue.ts'
import { javaHash } from '../protocol/java-hash.ts'
import type { Random } from '../world/random.ts'
import type { BrokerHealth } from './broker-health.ts'

/**
 * Takes the queues of a topic in turn, starting anywhere. A retry leaves out the brokers that were
 * tried, every message those that are not well; when nothing is left, neither counts.
 */
export class RoundRobin {
  #next: number

  constructor(random: Random) {
    this.#next = random.below(2 ** 16)
  }

  take(
    queues: readonly MessageQueue[],
    health: BrokerHealth,
    tried: ReadonlySet<string>,
  ): MessageQueue | null {
    const start = this.#next
    this.#next = (this.#next + 1) % 2 ** 31
    const pick = (isFit: (queue: MessageQueue) => boolean): MessageQueue | null => {
      for (let i = 0; i < queues.length; i++) {
        const queue = queues[(start + i) % queues.length]
        if (queue !== undefined && isFit(queue)) return queue
      }
      return null
    }
    return (
      pick((queue) => !tried.has(queue.brokerName) && health.isUsable(queue.brokerName)) ??
      pick((queue) => !tried.has(queue.brokerName)) ??
      pick(() => true)
    )
  }
}

/** The queue of an order key: the same as long as the topic has the same queues. As Java's SelectMessageQueueByHash. */
export function queueOfOrderKey(
  queues: readonly MessageQueue[],
  orderKey: string,
): MessageQueue | null {
  if (queues.length === 0) return null
  return queues[Math.abs(javaHash(orderKey) % queues.length)] ?? null
}
