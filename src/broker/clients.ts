/**
 * Who is connected as a member of which group, and what consumer groups have subscribed to; known
 * from heart-beats alone, and gone with the connection. One connection serves all groups of a client.
 *
 * When the members or the topics of a consumer group change, all its members are told
 * (NOTIFY_CONSUMER_IDS_CHANGED), once a turn however many changes there were: they divide the queues
 * anew at once instead of after 20 s.
 * Source of the rules: apache/rocketmq broker/…/client/{ConsumerManager,ConsumerGroupInfo,ProducerManager}.java.
 */
import type { Logger } from '../base/logger.ts'
import type { ConsumerData } from '../protocol/bodies/consumer-data.ts'
import { RequestCode, ResponseCode } from '../protocol/codes.ts'
import { request } from '../protocol/command.ts'
import type { Connection } from '../remoting/connection.ts'
import type { Clock, Stop } from '../world/clock.ts'
import { ConsumerGroup, type Member, type Subscription } from './consumer-group.ts'
import { checkEnabled, isTagType, type MessageFilter } from './message-filter.ts'
import { Refusal } from './refusal.ts'

/** Who sends a heart-beat. */
export interface ClientFacts {
  readonly clientId: string
  readonly language: string
  readonly version: number
}

export interface ClientRegistryParts {
  readonly clock: Clock
  readonly logger: Logger
  /** Silence after which a client is forgotten, and how often silent ones are looked for. */
  readonly expiryMs: number
  readonly scanMs: number
}

/** Groups of which one connection may be a member. */
const GROUPS_PER_CONNECTION_MAX = 10_000

interface ConnectionGroups {
  readonly producers: Set<string>
  readonly consumers: Set<string>
}

export class ClientRegistry {
  /** Whether the members of a group want to hear of changes; from the group's configuration. */
  notifyEnabled: (group: string) => boolean = () => true
  /** Told when the last member of a consumer group is gone. */
  onGroupLeft: (group: string) => void = () => undefined
  readonly #parts: ClientRegistryParts
  readonly #consumers = new Map<string, ConsumerGroup>()
  readonly #producers = new Map<string, Map<Connection, Member>>()
  readonly #byConnection = new Map<Connection, ConnectionGroups>()
  /** The connection on which a producer sends its heart-beats, by client id; the newest counts. */
  readonly #producersById = new Map<string, Connection>()
  /** Groups whose members are told of a change at the end of the turn. */
  readonly #changed = new Set<ConsumerGroup>()
  #stop: Stop = () => undefined

  constructor(parts: ClientRegistryParts) {
    this.#parts = parts
  }

  /** Begins to look for silent clients. */
  start(): void {
    this.#stop = this.#parts.clock.every(this.#parts.scanMs, () => {
      this.expire()
    })
  }

  stop(): void {
    this.#stop()
  }

  get connectionCount(): number {
    return this.#byConnection.size
  }

  /** Notes a producer. Throws a Refusal when one connection claims to be everybody. */
  registerProducer(connection: Connection, client: ClientFacts, group: string): void {
    if (connection.isClosed) return
    let members = this.#producers.get(group)
    const known = members?.get(connection)
    if (known !== undefined && known.clientId === client.clientId) {
      known.lastSeenMs = this.#parts.clock.monotonicMs()
      known.lastSeenWallMs = this.#parts.clock.wallMs()
      return
    }
    this.#groupsOf(connection).producers.add(group)
    if (members === undefined) {
      members = new Map()
      this.#producers.set(group, members)
    }
    members.set(connection, this.#memberOf(connection, client))
    this.#producersById.set(client.clientId, connection)
  }

  /**
   * Notes a consumer and its subscriptions. `keepsSubscriptions`: the heart-beat left them out.
   * Throws a Refusal when one connection claims to be everybody.
   */
  registerConsumer(
    connection: Connection,
    client: ClientFacts,
    data: ConsumerData,
    keepsSubscriptions = false,
  ): void {
    if (connection.isClosed) return
    const groups = this.#groupsOf(connection).consumers
    let group = this.#consumers.get(data.groupName)
    if (group === undefined) {
      group = new ConsumerGroup(data)
      this.#consumers.set(data.groupName, group)
    }
    groups.add(data.groupName)
    const isNew = group.join(connection, this.#memberOf(connection, client), data)
    const topicsChanged = !keepsSubscriptions && group.subscribe(data.subscriptions)
    if (isNew) {
      this.#parts.logger.info('consumer joined', {
        group: group.name,
        client: client.clientId.slice(0, 200),
        peer: connection.remoteAddress,
        members: group.members.size,
      })
    }
    if (isNew || topicsChanged) this.#notifyLater(group)
  }

  unregisterProducer(connection: Connection, group: string): void {
    this.#byConnection.get(connection)?.producers.delete(group)
    this.#removeProducer(connection, group)
    this.#dropIfIdle(connection)
  }

  unregisterConsumer(connection: Connection, group: string): void {
    this.#byConnection.get(connection)?.consumers.delete(group)
    this.#removeConsumer(connection, group)
    this.#dropIfIdle(connection)
  }

  /** The connection is gone: so are its memberships. */
  onClose(connection: Connection): void {
    const groups = this.#byConnection.get(connection)
    if (groups === undefined) return
    this.#byConnection.delete(connection)
    for (const group of groups.producers) this.#removeProducer(connection, group)
    for (const group of groups.consumers) this.#removeConsumer(connection, group)
  }

  /** Closes connections whose client sent no heart-beat for too long. */
  expire(): void {
    const oldestMs = this.#parts.clock.monotonicMs() - this.#parts.expiryMs
    for (const [connection, groups] of this.#byConnection) {
      if (this.#lastSeenMs(connection, groups) >= oldestMs) {
        this.#dropStaleMemberships(connection, groups, oldestMs)
        continue
      }
      this.#parts.logger.warn('client sent no heart-beat', {
        peer: connection.remoteAddress,
        forMs: this.#parts.expiryMs,
      })
      this.onClose(connection)
      connection.close(`no heart-beat for ${this.#parts.expiryMs} ms`)
    }
  }

  consumerGroup(group: string): ConsumerGroup | null {
    return this.#consumers.get(group) ?? null
  }

  consumerGroups(): IterableIterator<ConsumerGroup> {
    return this.#consumers.values()
  }

  /** Members of a consumer group by client id, in their order and without repetition. */
  consumerIds(group: string): readonly string[] {
    return this.#consumers.get(group)?.clientIds ?? []
  }

  producers(group: string): Member[] {
    return [...(this.#producers.get(group)?.values() ?? [])]
  }

  /** Where a client that sends is connected; null when it is not. */
  producerConnection(clientId: string): Connection | null {
    return this.#producersById.get(clientId) ?? null
  }

  producerGroups(): IterableIterator<string> {
    return this.#producers.keys()
  }

  subscriptionOf(group: string, topic: string): Subscription | null {
    return this.#consumers.get(group)?.subscriptions.get(topic) ?? null
  }

  /** Connected groups that have subscribed to a topic. */
  groupsSubscribedTo(topic: string): string[] {
    const groups: string[] = []
    for (const group of this.#consumers.values()) {
      if (group.subscriptions.has(topic)) groups.push(group.name)
    }
    return groups
  }

  /**
   * What a pull without a subscription of its own may see: the filter of the group's last
   * heart-beat. Throws a Refusal as Apache's PullMessageProcessor answers.
   */
  filterOf(group: string, topic: string, subVersion: number, sqlEnabled: boolean): MessageFilter {
    const members = this.#consumers.get(group)
    if (members === undefined) {
      throw new Refusal(
        ResponseCode.SUBSCRIPTION_NOT_EXIST,
        `the consumer's group info not exist: ${group} is not connected`,
      )
    }
    const subscription = members.subscriptions.get(topic)
    if (subscription === undefined) {
      throw new Refusal(
        ResponseCode.SUBSCRIPTION_NOT_EXIST,
        `the consumer's subscription not exist: ${group} has not subscribed to ${topic}`,
      )
    }
    if (subscription.data.subVersion < subVersion) {
      throw new Refusal(
        ResponseCode.SUBSCRIPTION_NOT_LATEST,
        `the consumer's subscription not latest: ${group} ${topic}`,
      )
    }
    const filter = subscription.filter()
    const { expressionType } = subscription.data
    if (!isTagType(expressionType)) checkEnabled(expressionType, sqlEnabled)
    return filter
  }

  #memberOf(connection: Connection, client: ClientFacts): Member {
    return {
      connection,
      clientId: client.clientId,
      language: client.language,
      version: client.version,
      lastSeenMs: this.#parts.clock.monotonicMs(),
      lastSeenWallMs: this.#parts.clock.wallMs(),
    }
  }

  #groupsOf(connection: Connection): ConnectionGroups {
    let groups = this.#byConnection.get(connection)
    if (groups === undefined) {
      groups = { producers: new Set(), consumers: new Set() }
      this.#byConnection.set(connection, groups)
    }
    if (groups.producers.size + groups.consumers.size >= GROUPS_PER_CONNECTION_MAX) {
      throw new Refusal(
        ResponseCode.SYSTEM_ERROR,
        `one connection may be in ${GROUPS_PER_CONNECTION_MAX} groups at most`,
      )
    }
    return groups
  }

  #removeProducer(connection: Connection, group: string): void {
    const members = this.#producers.get(group)
    const member = members?.get(connection)
    if (members === undefined || member === undefined) return
    members.delete(connection)
    if (members.size === 0) this.#producers.delete(group)
    // The client may be in other groups over the same connection.
    if (this.#producersById.get(member.clientId) !== connection) return
    if ((this.#byConnection.get(connection)?.producers.size ?? 0) === 0) {
      this.#producersById.delete(member.clientId)
    }
  }

  #removeConsumer(connection: Connection, name: string): void {
    const group = this.#consumers.get(name)
    if (group?.leave(connection) !== true) return
    this.#parts.logger.info('consumer left', {
      group: name,
      peer: connection.remoteAddress,
      members: group.members.size,
    })
    if (group.members.size > 0) {
      this.#notifyLater(group)
      return
    }
    this.#consumers.delete(name)
    this.onGroupLeft(name)
  }

  #dropIfIdle(connection: Connection): void {
    const groups = this.#byConnection.get(connection)
    if (groups?.producers.size === 0 && groups.consumers.size === 0) {
      this.#byConnection.delete(connection)
    }
  }

  #lastSeenMs(connection: Connection, groups: ConnectionGroups): number {
    let lastMs = -Infinity
    for (const member of this.#membershipsOf(connection, groups)) {
      if (member.lastSeenMs > lastMs) lastMs = member.lastSeenMs
    }
    return lastMs
  }

  *#membershipsOf(connection: Connection, groups: ConnectionGroups): Iterable<Member> {
    for (const name of groups.producers) {
      const member = this.#producers.get(name)?.get(connection)
      if (member !== undefined) yield member
    }
    for (const name of groups.consumers) {
      const member = this.#consumers.get(name)?.members.get(connection)
      if (member !== undefined) yield member
    }
  }

  /** Groups that the client no longer names in its heart-beats, without having said goodbye. */
  #dropStaleMemberships(connection: Connection, groups: ConnectionGroups, oldestMs: number): void {
    for (const name of groups.producers) {
      const member = this.#producers.get(name)?.get(connection)
      if (member !== undefined && member.lastSeenMs < oldestMs) {
        this.unregisterProducer(connection, name)
      }
    }
    for (const name of groups.consumers) {
      const member = this.#consumers.get(name)?.members.get(connection)
      if (member !== undefined && member.lastSeenMs < oldestMs) {
        this.unregisterConsumer(connection, name)
      }
    }
  }

  #notifyLater(group: ConsumerGroup): void {
    if (group.messageModel === 'BROADCASTING' || !this.notifyEnabled(group.name)) return
    const armed = this.#changed.size > 0
    this.#changed.add(group)
    if (armed) return
    this.#parts.clock.atEndOfTurn(() => {
      this.#notifyChanged()
    })
  }

  #notifyChanged(): void {
    for (const group of this.#changed) {
      for (const connection of group.members.keys()) {
        connection.oneway(
          request(RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, { consumerGroup: group.name }),
        )
      }
    }
    this.#changed.clear()
  }
}
