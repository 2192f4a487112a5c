/**
 * Moves how far a group is: plan first, carry out, then look whether it is so. By position or time, or to
 * where another group is.
 */
import { MqError } from '../base/errors.ts'
import { subscriptionGroupConfig } from '../protocol/bodies/subscription-group-config.ts'
import { RequestCode, ResponseCode } from '../protocol/codes.ts'
import { retryTopicOf } from '../protocol/names.ts'
import { responseCodeOf } from './answers.ts'
import type { BrokerAdmin } from './broker-admin.ts'
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

interface ProgressAdminParts {
  readonly groups: GroupAdmin
  readonly topics: TopicAdmin
  readonly queues: QueueAccess
  readonly brokers: BrokerAdmin
}

export class ProgressAdmin {
  readonly #client: MqClient
  readonly #groups: GroupAdmin
  readonly #topics: TopicAdmin
  readonly #queues: QueueAccess
  readonly #brokers: BrokerAdmin

  constructor(client: MqClient, { groups, topics, queues, brokers }: ProgressAdminParts) {
    this.#client = client
    this.#groups = groups
    this.#topics = topics
    this.#queues = queues
    this.#brokers = brokers
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
   * settings. A broker of 5.x makes running members follow. An older one, or one that has that switched
   * off, takes a reset of single queues for one of all queues to their end: it is only told the progress,
   * which holds while nobody of the group is connected. Throws GROUP_IN_USE, before anything is changed,
   * when somebody is.
   */
  async apply(group: string, steps: readonly ProgressStep[]): Promise<void> {
    const known = (await this.#groups.names(true)).includes(group)
    const resetting = new Set<string>()
    for (const broker of new Set(steps.map((step) => step.broker))) {
      const topic = steps.find((step) => step.broker === broker)?.topic ?? ''
      await this.#client.routes.get(topic)
      const why = await this.#whyNoReset(this.#client.masterOf(broker))
      if (why === null) resetting.add(broker)
      else await this.#checkUnused(group, broker, why)
    }
    if (!known) await this.#groups.put(subscriptionGroupConfig(group))
    for (const step of steps) {
      await this.#client.routes.get(step.topic)
      if (resetting.has(step.broker)) await this.#reset(group, step)
      else await this.#report(group, step)
    }
  }

  /**
   * Why the broker does not set single queues itself; null when it does.
   * Source: apache/rocketmq broker/…/processor/AdminBrokerProcessor.java (resetOffset),
   * broker/…/client/net/Broker2Client.java (resetOffset).
   */
  async #whyNoReset(address: string): Promise<string | null> {
    const config = await this.#brokers.config(address).catch((error: unknown) => {
      // It may not tell its settings to everybody.
      if (responseCodeOf(error) === null) throw error
      return new Map<string, string>()
    })
    const isServerSide = config.get('useServerSideResetOffset')
    if (isServerSide !== undefined) {
      return isServerSide === 'true' ? null : 'its useServerSideResetOffset is off'
    }
    const version = (await this.#brokers.runtimeInfo(address))['brokerVersionDesc'] ?? ''
    return /^V[0-4]_/.test(version) ? `it is of version ${version}` : null
  }

  async #checkUnused(group: string, broker: string, why: string): Promise<void> {
    const members = (await this.#groups.connections(group))?.connections.length ?? 0
    if (members > 0) throw new MqError('GROUP_IN_USE', { members, group, broker, why })
  }

  async #reset(group: string, step: ProgressStep): Promise<void> {
    const { topic, broker, queueId, to } = step
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
      if (!isOffline) await this.#checkUnused(group, broker, 'it knows no such request')
      await this.#report(group, step)
    }
  }

  #report(group: string, { topic, broker, queueId, to }: ProgressStep): Promise<void> {
    return this.#queues.reportProgress(group, { topic, brokerName: broker, queueId }, to)
  }
}
