/**
 * Moves how far a group is: plan first, carry out, then look whether it is so. By position or time, or to
 * where another group is.
 */
import { subscriptionGroupConfig } from '../protocol/bodies/subscription-group-config.ts'
import { RequestCode, ResponseCode } from '../protocol/codes.ts'
import { retryTopicOf } from '../protocol/names.ts'
import { responseCodeOf } from './answers.ts'
import type { MqClient } from './client.ts'
import { inParallel } from './cluster-view.ts'
import type { GroupAdmin } from './group-admin.ts'
import { checkGroup, unknownGroup } from './names.ts'
import type { QueueAccess } from './queue-access.ts'
import { type QueuePosition, locate } from './queue-position.ts'
import type { TopicAdmin } from './topic-admin.ts'

export interface ProgressStep {
  readonly topic: string
  readonly broker: string
  readonly queueId: number
  /** Null when the group has none. */
  readonly from: number | null
  readonly to: number
  readonly minOffset: number
  readonly maxOffset: number
}

const WIDTH = 16

export class ProgressAdmin {
  readonly #client: MqClient
  readonly #groups: GroupAdmin
  readonly #topics: TopicAdmin
  readonly #queues: QueueAccess

  constructor(client: MqClient, groups: GroupAdmin, topics: TopicAdmin, queues: QueueAccess) {
    this.#client = client
    this.#groups = groups
    this.#topics = topics
    this.#queues = queues
  }

  /** What a reset would do; changes nothing. Throws TOPIC_NOT_FOUND, GROUP_NOT_FOUND. */
  async planReset(group: string, topic: string, target: QueuePosition): Promise<ProgressStep[]> {
    const known = await this.#groups.names(true)
    if (!known.includes(group)) throw unknownGroup(group)
    const route = await this.#topics.route(topic)
    return inParallel(route.subscribeQueues, WIDTH, async (queue) => {
      const [from, where] = await Promise.all([
        this.#queues.progress(group, queue, true),
        locate(this.#queues, queue, target),
      ])
      return {
        topic,
        broker: queue.brokerName,
        queueId: queue.queueId,
        from,
        to: where.offset,
        minOffset: where.minOffset,
        maxOffset: where.maxOffset,
      }
    })
  }

  /**
   * What it would be to let `target` be where `source` is, in one topic or in all of the source's; changes
   * nothing. Queues in which the source has no progress are left alone, its retry topic is its own.
   * Throws GROUP_NOT_FOUND when the source does not exist, ILLEGAL_GROUP for a target that cannot be one.
   */
  async planCopy(source: string, target: string, topic?: string): Promise<ProgressStep[]> {
    checkGroup(target)
    const rows = (await this.#groups.progress(source, topic)).filter(
      ({ queue, consumerOffset }) =>
        (topic === undefined ? queue.topic !== retryTopicOf(source) : queue.topic === topic) &&
        consumerOffset >= 0,
    )
    for (const name of new Set(rows.map(({ queue }) => queue.topic))) {
      await this.#client.routes.get(name)
    }
    return inParallel(rows, WIDTH, async ({ queue, consumerOffset }) => {
      const [from, ends] = await Promise.all([
        this.#queues.progress(target, queue, true),
        locate(this.#queues, queue, { kind: 'end' }),
      ])
      return {
        topic: queue.topic,
        broker: queue.brokerName,
        queueId: queue.queueId,
        from,
        to: consumerOffset,
        minOffset: ends.minOffset,
        maxOffset: ends.maxOffset,
      }
    })
  }

  /**
   * Sets the group's progress, queue by queue; a group that does not exist is made, with the usual
   * settings. A broker of 5.x makes running members follow; an older one only takes it while nobody of
   * the group is connected.
   */
  async apply(group: string, steps: readonly ProgressStep[]): Promise<void> {
    const known = (await this.#groups.names(true)).includes(group)
    if (!known) await this.#groups.put(subscriptionGroupConfig(group))
    for (const step of steps) {
      await this.#client.routes.get(step.topic)
      await this.#set(group, step)
    }
  }

  async #set(group: string, { topic, broker, queueId, to }: ProgressStep): Promise<void> {
    const address = this.#client.masterOf(broker)
    try {
      await this.#client.ask(address, RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, {
        group,
        topic,
        queueId,
        offset: to,
        timestamp: -1,
        isForce: true,
      })
    } catch (error) {
      const code = responseCodeOf(error)
      const isOffline = code === ResponseCode.CONSUMER_NOT_ONLINE
      if (!isOffline && code !== ResponseCode.REQUEST_CODE_NOT_SUPPORTED) throw error
      if (!isOffline && (await this.#groups.connections(group)) !== null) throw error
      await this.#queues.reportProgress(group, { topic, brokerName: broker, queueId }, to)
    }
  }
}
