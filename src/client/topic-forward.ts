/**
 * Moves a backlog: copies what is in one topic into another, in most cases a wider one, and notes at the
 * brokers how far it is, as a group of its own, so that it goes on where it stopped. Copies keep their
 * ids, keys, tags and properties; those with the same order key, or without one the same first key, keep
 * their order. Batches of each queue are in memory, no more.
 */
import { createHash } from 'node:crypto'
import { MqError } from '../base/errors.ts'
import { type MessageQueue, messageQueueKey } from '../protocol/bodies/message-queue.ts'
import { subscriptionGroupConfig } from '../protocol/bodies/subscription-group-config.ts'
import { PropertyName } from '../protocol/properties.ts'
import type { Admin } from './admin.ts'
import { inParallel } from './cluster-view.ts'
import { Producer } from './producer.ts'
import { queueOfOrderKey } from './queue-choice.ts'
import { locate } from './queue-position.ts'
import type { ReceivedMessage } from './received-message.ts'
import { resentMessage } from './resent-message.ts'

export interface ForwardStep {
  readonly queue: MessageQueue
  /** Where it goes on, and up to before where: the end of the queue when it was planned. */
  readonly from: number
  readonly to: number
}

export interface ForwardPlan {
  readonly source: string
  readonly target: string
  /** Under which the progress is kept. */
  readonly group: string
  readonly steps: readonly ForwardStep[]
}

export interface ForwardOptions {
  readonly signal: AbortSignal
  readonly sendTimeoutMs: number
  readonly onMoved: (messages: number) => void
}

/** Queues that are read at once. */
const WIDTH = 16
const GROUP_CHARACTERS_MAX = 120

/** Where it would go on; changes nothing. Throws TOPIC_NOT_FOUND, USAGE. */
export async function planForward(
  admin: Admin,
  source: string,
  target: string,
): Promise<ForwardPlan> {
  if (source === target) throw new MqError('USAGE', { what: 'a topic is not moved into itself' })
  const { subscribeQueues } = await admin.client.routes.get(source)
  await admin.client.routes.get(target)
  const group = forwardGroup(source, target)
  const steps = await inParallel(subscribeQueues, WIDTH, async (queue): Promise<ForwardStep> => {
    const [progress, ends] = await Promise.all([
      admin.queues.progress(group, queue, true),
      locate(admin.queues, queue, { kind: 'start' }),
    ])
    const from = Math.min(Math.max(progress ?? 0, ends.minOffset), ends.maxOffset)
    return { queue, from, to: ends.maxOffset }
  })
  return { source, target, group, steps }
}

/**
 * Does it. Gives where each queue is afterwards, in the order of the steps; an interrupted run ends after
 * the batches under way. Throws the first error once the others have stopped; what was acknowledged until
 * then is noted, at most a batch of each queue comes twice when it goes on.
 */
export async function forward(
  admin: Admin,
  plan: ForwardPlan,
  options: ForwardOptions,
): Promise<number[]> {
  const known = (await admin.groups.names(true)).includes(plan.group)
  if (!known) await admin.groups.put(subscriptionGroupConfig(plan.group))
  const producer = Producer.over(admin.client, { sendTimeoutMs: options.sendTimeoutMs })
  const mover = new Mover(admin, producer, plan, options)
  try {
    return await mover.run()
  } finally {
    await producer.close()
  }
}

class Mover {
  readonly #admin: Admin
  readonly #producer: Producer
  readonly #plan: ForwardPlan
  readonly #options: ForwardOptions
  #failure: Error | null = null

  constructor(admin: Admin, producer: Producer, plan: ForwardPlan, options: ForwardOptions) {
    this.#admin = admin
    this.#producer = producer
    this.#plan = plan
    this.#options = options
  }

  async run(): Promise<number[]> {
    const ends = await inParallel(this.#plan.steps, WIDTH, (step) => this.#moveQueue(step))
    if (this.#failure !== null) throw this.#failure
    return ends
  }

  async #moveQueue({ queue, from, to }: ForwardStep): Promise<number> {
    const { group } = this.#plan
    let offset = from
    try {
      while (offset < to && this.#goesOn()) {
        const result = await this.#admin.queues.pull(queue, { group, offset })
        const batch = result.messages.filter(({ queueOffset }) => queueOffset < to)
        await this.#copy(batch)
        if (result.status === 'none' || result.nextOffset <= offset) break
        offset = Math.min(result.nextOffset, to)
        await this.#admin.queues.reportProgress(group, queue, offset)
        this.#options.onMoved(batch.length)
      }
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : new Error(String(error))
    }
    return offset
  }

  #goesOn(): boolean {
    return this.#failure === null && !this.#options.signal.aborted
  }

  /** Those for one queue one after the other, queues side by side. Resolves when all are acknowledged. */
  async #copy(batch: readonly ReceivedMessage[]): Promise<void> {
    const { target } = this.#plan
    const { publishQueues } = await this.#admin.client.routes.forPublish(target)
    const chains = new Map<string, ReceivedMessage[]>()
    for (const [index, message] of batch.entries()) {
      const queue = queueFor(publishQueues, message)
      const chain = queue === null ? `any ${index}` : messageQueueKey(queue)
      chains.set(chain, [...(chains.get(chain) ?? []), message])
    }
    await Promise.all(
      [...chains.values()].map(async (chain) => {
        for (const message of chain) {
          const queue = queueFor(publishQueues, message)
          await this.#producer.send({
            ...resentMessage(message, target),
            ...(queue === null ? {} : { queue }),
          })
        }
      }),
    )
  }
}

/** By order key, else by first key; null: any will do. */
function queueFor(
  queues: readonly MessageQueue[],
  { properties, keys }: ReceivedMessage,
): MessageQueue | null {
  const key = properties[PropertyName.orderKey] ?? keys.split(' ')[0] ?? ''
  return key === '' ? null : queueOfOrderKey(queues, key)
}

function forwardGroup(source: string, target: string): string {
  const name = `forward-${source}-to-${target}`.replaceAll('%', '_')
  if (name.length <= GROUP_CHARACTERS_MAX) return name
  return `forward-${createHash('sha256').update(name).digest('hex').slice(0, 32)}`
}
