/**
 * How queues are divided among the members of a group when a broker does it for them.
 * Source: apache/rocketmq client/…/rebalance/{AllocateMessageQueueAveragely,AllocateMessageQueueAveragelyByCircle}.java,
 * broker/…/processor/QueryAssignmentProcessor.java (allocate4Pop).
 */
import { type MessageQueue, compareMessageQueues } from '../../protocol/bodies/message-queue.ts'

/** Members and queues in the order that all must use. */
export interface Division {
  readonly clientId: string
  readonly clientIds: readonly string[]
  readonly queues: readonly MessageQueue[]
}

/** In POP mode this queue id means all queues of the broker. */
const ANY_QUEUE = -1

/** Sorts the queues. @param clientIds in their order and without repetition */
export function division(
  clientId: string,
  clientIds: readonly string[],
  queues: readonly MessageQueue[],
): Division {
  return {
    clientId,
    clientIds,
    queues: [...queues].sort(compareMessageQueues),
  }
}

const strategies = { AVG: neighbours, AVG_BY_CIRCLE: byCircle } as const

function strategyOf(name: string): (typeof strategies)[keyof typeof strategies] | null {
  return name === 'AVG' || name === 'AVG_BY_CIRCLE' ? strategies[name] : null
}

/** The queues that the strategy gives the member; null when there is no such strategy. */
export function divide(strategyName: string, whole: Division): MessageQueue[] | null {
  const strategy = strategyOf(strategyName)
  if (strategy === null) return null
  const index = whole.clientIds.indexOf(whole.clientId)
  return index < 0 ? [] : strategy(whole, index)
}

/**
 * The same in POP mode, where members share: each takes from its own queues and those of the
 * `shareQueueNum` members behind it, or from all when that is 0 or less, or as many as there are others.
 */
export function divideForPop(
  strategyName: string,
  whole: Division,
  shareQueueNum: number,
): MessageQueue[] | null {
  const { clientId, clientIds, queues } = whole
  const strategy = strategyOf(strategyName)
  if (strategy === null) return null
  if (shareQueueNum <= 0 || shareQueueNum >= clientIds.length - 1) {
    const brokers = [...new Set(queues.map(({ brokerName }) => brokerName))]
    const topic = queues[0]?.topic ?? ''
    return brokers.map((brokerName) => ({ topic, brokerName, queueId: ANY_QUEUE }))
  }
  const index = clientIds.indexOf(clientId)
  if (index < 0) return []
  if (clientIds.length > queues.length) {
    // More members than queues: several have the same, nobody none.
    const shared = queues[index % queues.length]
    return shared === undefined ? [] : [shared]
  }
  const all: MessageQueue[] = []
  for (let i = 0; i <= shareQueueNum; i++) {
    all.push(...strategy(whole, (index + i) % clientIds.length))
  }
  return all
}

/** Neighbours, as evenly as can be; the first members take one more when it does not come out even. */
function neighbours({ clientIds, queues }: Division, index: number): MessageQueue[] {
  const rest = queues.length % clientIds.length
  const even = Math.floor(queues.length / clientIds.length)
  const size = index < rest ? even + 1 : even
  const start = index < rest ? index * size : index * size + rest
  return queues.slice(start, start + size)
}

/** One after the other, round the members. */
function byCircle({ clientIds, queues }: Division, index: number): MessageQueue[] {
  return queues.filter((_, place) => place % clientIds.length === index)
}
