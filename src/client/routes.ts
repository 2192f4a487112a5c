/**
 * Who serves the topics that this client uses: asked once, kept, asked again every 30 s. While all
 * name servers are down the last answer stays in use; so it does while they know nothing of the topic: a
 * name server forgets what a broker has as soon as that broker is away, and after a restart of its own
 * hears of it only after a while. A topic is gone when one of its brokers says so too.
 * Source: apache/rocketmq client/…/impl/factory/MQClientInstance.java.
 */
import type { MqError } from '../base/errors.ts'
import { type MessageQueue, compareMessageQueues } from '../protocol/bodies/message-queue.ts'
import { Perm } from '../protocol/bodies/topic-config.ts'
import {
  type BrokerData,
  type TopicRouteData,
  decodeTopicRouteData,
} from '../protocol/bodies/topic-route-data.ts'
import { RequestCode, ResponseCode } from '../protocol/codes.ts'
import { type Command, request } from '../protocol/command.ts'
import { SystemTopic } from '../protocol/names.ts'
import type { Clock } from '../world/clock.ts'
import { decodeAnswer, refusalOf } from './answers.ts'
import type { NameServers } from './name-servers.ts'

export interface TopicRoute {
  readonly topic: string
  readonly data: TopicRouteData
  /** By broker name. */
  readonly brokers: ReadonlyMap<string, BrokerData>
  /** Queues that can be sent to: writable, with a master. */
  readonly publishQueues: readonly MessageQueue[]
  /** Queues that can be read. */
  readonly subscribeQueues: readonly MessageQueue[]
  /** The topic does not exist: these are the brokers that would create it at the first message. */
  readonly isTemplate: boolean
}

/** Queues that a producer asks for when its message creates the topic. */
export const QUEUES_OF_NEW_TOPIC = 4
/** How long the route of a topic that did not exist may be taken for true. */
const TEMPLATE_MS = 1_000
const MASTER_ID = 0

interface KnownRoute {
  readonly route: TopicRoute
  readonly askedMs: number
  /** A broker said that there is no such topic. */
  isDenied: boolean
}

export class RouteCache {
  readonly #clock: Clock
  readonly #nameServers: NameServers
  readonly #timeoutMs: number
  readonly #known = new Map<string, KnownRoute>()
  readonly #asking = new Map<string, Promise<TopicRoute>>()
  /** Called when the queues or addresses of a topic are others than before. */
  onChange: (topic: string) => void = () => undefined

  constructor(clock: Clock, nameServers: NameServers, timeoutMs: number) {
    this.#clock = clock
    this.#nameServers = nameServers
    this.#timeoutMs = timeoutMs
  }

  /** The route as it is known; asks when it is not. Throws TOPIC_NOT_FOUND, NAMESRV_UNREACHABLE. */
  async get(topic: string): Promise<TopicRoute> {
    const known = this.#known.get(topic)
    return known === undefined || known.route.isTemplate ? this.refresh(topic) : known.route
  }

  /** What is known without asking. */
  peek(topic: string): TopicRoute | null {
    return this.#known.get(topic)?.route ?? null
  }

  /**
   * A route to send to. For a topic that does not exist, the brokers that create topics by
   * themselves; when there is none, throws TOPIC_NOT_FOUND.
   */
  async forPublish(topic: string): Promise<TopicRoute> {
    const known = this.#known.get(topic)
    if (known !== undefined) {
      const ageMs = this.#clock.monotonicMs() - known.askedMs
      if (!known.route.isTemplate || ageMs < TEMPLATE_MS) return known.route
    }
    try {
      return await this.refresh(topic)
    } catch (error) {
      if ((error as MqError).code !== 'TOPIC_NOT_FOUND') throw error
      return this.#template(topic, error)
    }
  }

  /**
   * Asks now; several who ask at the same time share one question. Throws TOPIC_NOT_FOUND also while a
   * route of before stays in use.
   */
  refresh(topic: string): Promise<TopicRoute> {
    const asking = this.#asking.get(topic)
    if (asking !== undefined) return asking
    const answer = this.#ask(topic).finally(() => {
      this.#asking.delete(topic)
    })
    this.#asking.set(topic, answer)
    return answer
  }

  /** A broker has not got the topic: if the name servers know nothing of it either, it is gone. */
  denied(topic: string): void {
    const known = this.#known.get(topic)
    if (known !== undefined) known.isDenied = true
  }

  /** Asks for all topics in use; those without an answer keep what is known. */
  async refreshAll(): Promise<void> {
    await Promise.allSettled([...this.#known.keys()].map((topic) => this.refresh(topic)))
  }

  forget(topic: string): void {
    this.#known.delete(topic)
  }

  /** The address of a broker by its name and id, from any route; null when it is in none. */
  brokerAddress(brokerName: string, brokerId = MASTER_ID): string | null {
    for (const { route } of this.#known.values()) {
      const address = route.brokers.get(brokerName)?.brokerAddrs.get(brokerId)
      if (address !== undefined) return address
    }
    return null
  }

  /** For reading: the broker with that id, else any that is there. */
  addressToRead(brokerName: string, brokerId: number): { address: string; id: number } | null {
    for (const { route } of this.#known.values()) {
      const addresses = route.brokers.get(brokerName)?.brokerAddrs
      if (addresses === undefined) continue
      const wanted = addresses.get(brokerId)
      if (wanted !== undefined) return { address: wanted, id: brokerId }
      const [first] = addresses
      if (first !== undefined) return { address: first[1], id: first[0] }
    }
    return null
  }

  /** Addresses of all brokers in all routes; masters only when asked so. */
  brokerAddresses(mastersOnly: boolean): string[] {
    const addresses = new Set<string>()
    for (const { route } of this.#known.values()) {
      for (const broker of route.brokers.values()) {
        for (const [id, address] of broker.brokerAddrs) {
          if (!mastersOnly || id === MASTER_ID) addresses.add(address)
        }
      }
    }
    return [...addresses]
  }

  async #ask(topic: string): Promise<TopicRoute> {
    const response = await this.#nameServers.ask(() => routeRequest(topic), this.#timeoutMs)
    if (response.code !== ResponseCode.SUCCESS) {
      if (response.code === ResponseCode.TOPIC_NOT_EXIST) this.#dropIfGone(topic)
      throw refusalOf(this.#nameServers.active, RequestCode.GET_ROUTEINFO_BY_TOPIC, response, {
        topic,
      })
    }
    const data = decodeAnswer(this.#nameServers.active, response, decodeTopicRouteData)
    return this.#keep(routeOf(topic, data, false))
  }

  /** A topic that is gone has no queues; who uses it is told. */
  #dropIfGone(topic: string): void {
    const known = this.#known.get(topic)
    if (known === undefined || !(known.isDenied || known.route.isTemplate)) return
    this.#known.delete(topic)
    this.onChange(topic)
  }

  #keep(route: TopicRoute): TopicRoute {
    const before = this.#known.get(route.topic)?.route
    this.#known.set(route.topic, {
      route,
      askedMs: this.#clock.monotonicMs(),
      isDenied: false,
    })
    if (before === undefined || !sameRoute(before, route)) this.onChange(route.topic)
    return route
  }

  async #template(topic: string, notFound: unknown): Promise<TopicRoute> {
    const make = () => routeRequest(SystemTopic.autoCreate)
    const response = await this.#nameServers.ask(make, this.#timeoutMs)
    if (response.code !== ResponseCode.SUCCESS) throw notFound
    const template = decodeAnswer(this.#nameServers.active, response, decodeTopicRouteData)
    const queueDatas = template.queueDatas.map((data) => {
      const queues = Math.min(QUEUES_OF_NEW_TOPIC, data.readQueueNums)
      return { ...data, readQueueNums: queues, writeQueueNums: queues }
    })
    const route = routeOf(topic, { ...template, queueDatas, orderTopicConf: null }, true)
    if (route.publishQueues.length === 0) throw notFound
    return this.#keep(route)
  }
}

function routeRequest(topic: string): Command {
  return request(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic, acceptStandardJsonOnly: true })
}

/** Works out the queues of a route. */
export function routeOf(topic: string, data: TopicRouteData, isTemplate: boolean): TopicRoute {
  const brokers = new Map(data.brokerDatas.map((broker) => [broker.brokerName, broker]))
  return {
    topic,
    data,
    brokers,
    publishQueues: publishQueuesOf(topic, data, brokers),
    subscribeQueues: data.queueDatas
      .filter((queue) => (queue.perm & Perm.read) !== 0 && brokers.has(queue.brokerName))
      .flatMap((queue) => queuesOf(topic, queue.brokerName, queue.readQueueNums))
      .sort(compareMessageQueues),
    isTemplate,
  }
}

function publishQueuesOf(
  topic: string,
  data: TopicRouteData,
  brokers: ReadonlyMap<string, BrokerData>,
): MessageQueue[] {
  // An ordered topic has exactly the queues that its configuration names: `broker-a:4;broker-b:4`.
  if (data.orderTopicConf !== null && data.orderTopicConf !== '') {
    return data.orderTopicConf.split(';').flatMap((part) => {
      const [brokerName = '', count] = part.split(':')
      return queuesOf(topic, brokerName, Number(count) || 0)
    })
  }
  return data.queueDatas
    .filter((queue) => (queue.perm & Perm.write) !== 0)
    .filter((queue) => brokers.get(queue.brokerName)?.brokerAddrs.has(MASTER_ID) === true)
    .flatMap((queue) => queuesOf(topic, queue.brokerName, queue.writeQueueNums))
    .sort(compareMessageQueues)
}

function queuesOf(topic: string, brokerName: string, count: number): MessageQueue[] {
  return Array.from({ length: count }, (_, queueId) => ({ topic, brokerName, queueId }))
}

function sameRoute(a: TopicRoute, b: TopicRoute): boolean {
  return keyOfRoute(a) === keyOfRoute(b)
}

function keyOfRoute(route: TopicRoute): string {
  const { brokerDatas, queueDatas } = route.data
  return JSON.stringify([
    route.isTemplate,
    queueDatas.map((queue) => [
      queue.brokerName,
      queue.perm,
      queue.readQueueNums,
      queue.writeQueueNums,
    ]),
    brokerDatas.map((broker) => [broker.brokerName, [...broker.brokerAddrs]]),
    route.data.orderTopicConf,
  ])
}
