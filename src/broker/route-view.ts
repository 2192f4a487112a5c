/**
 * Which queues of a topic consumers may use on all brokers of the cluster, as the name servers say. A
 * broker needs it when it divides queues for the members of a group. Without name servers the queues of
 * this broker are all there are.
 * Source: apache/rocketmq broker/…/topic/TopicRouteInfoManager.java.
 */
import type { MessageQueue } from '../protocol/bodies/message-queue.ts'
import { Perm } from '../protocol/bodies/topic-config.ts'
import { decodeTopicRouteData } from '../protocol/bodies/topic-route-data.ts'
import { RequestCode, ResponseCode } from '../protocol/codes.ts'
import { request } from '../protocol/command.ts'
import { RemotingClient } from '../remoting/client.ts'
import type { World } from '../world/world.ts'
import type { BrokerSettings } from './options.ts'
import type { TopicTable } from './topics.ts'

/** An answer is used for this long; members ask every 20 s. */
const FRESH_MS = 5_000
const TIMEOUT_MS = 2_000
/** Topics whose answers are kept. */
const KEPT_MAX = 10_000
const QUEUES_MAX = 65_536

interface Known {
  readonly queues: Promise<readonly MessageQueue[] | null>
  readonly askedMs: number
}

export interface RouteViewParts {
  readonly world: World
  readonly settings: BrokerSettings
  readonly topics: TopicTable
}

export class RouteView {
  readonly #parts: RouteViewParts
  readonly #known = new Map<string, Known>()
  #client: RemotingClient | null = null

  constructor(parts: RouteViewParts) {
    this.#parts = parts
  }

  /** Null when there is no such topic, or when no name server answers. Never rejects. */
  queuesOf(topic: string): Promise<readonly MessageQueue[] | null> {
    const { settings, world } = this.#parts
    if (settings.namesrvAddresses.length === 0) return Promise.resolve(this.#ownQueues(topic))
    const nowMs = world.clock.monotonicMs()
    const known = this.#known.get(topic)
    if (known !== undefined && nowMs - known.askedMs < FRESH_MS) return known.queues
    if (this.#known.size >= KEPT_MAX) this.#known.clear()
    const queues = this.#ask(topic)
    this.#known.set(topic, { queues, askedMs: nowMs })
    return queues
  }

  close(): void {
    this.#client?.close()
    this.#client = null
  }

  #ownQueues(name: string): MessageQueue[] | null {
    const { topics, settings } = this.#parts
    const topic = topics.get(name)
    if (topic === null) return null
    return queuesOn(name, settings.brokerName, topic.isReadable ? topic.readQueueNums : 0)
  }

  async #ask(topic: string): Promise<readonly MessageQueue[] | null> {
    const { world, settings } = this.#parts
    this.#client ??= new RemotingClient(world)
    for (const address of settings.namesrvAddresses) {
      try {
        const command = request(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic })
        const answer = await this.#client.invoke(address, command, TIMEOUT_MS)
        if (answer.code === ResponseCode.TOPIC_NOT_EXIST) return null
        if (answer.code !== ResponseCode.SUCCESS) continue
        return decodeTopicRouteData(answer.body)
          .queueDatas.filter(({ perm }) => (perm & Perm.read) !== 0)
          .flatMap(({ brokerName, readQueueNums }) => queuesOn(topic, brokerName, readQueueNums))
      } catch {
        // The next name server may know.
      }
    }
    return null
  }
}

function queuesOn(topic: string, brokerName: string, count: number): MessageQueue[] {
  return Array.from({ length: Math.max(0, Math.min(QUEUES_MAX, count)) }, (_, queueId) => ({
    topic,
    brokerName,
    queueId,
  }))
}
