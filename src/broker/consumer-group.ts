/** The members of one consumer group that are connected, and what the group has subscribed to. */
import type {
  ConsumerData,
  ConsumeType,
  ConsumeFromWhere,
  MessageModel,
} from '../protocol/bodies/consumer-data.ts'
import { encodeConsumerList } from '../protocol/bodies/name-lists.ts'
import { type SubscriptionData, tagSubscription } from '../protocol/bodies/subscription-data.ts'
import { ResponseCode } from '../protocol/codes.ts'
import type { Connection } from '../remoting/connection.ts'
import { filterOfSubscription, isTagType, type MessageFilter } from './message-filter.ts'
import { Refusal } from './refusal.ts'

/** One client in one group. */
export interface Member {
  readonly connection: Connection
  readonly clientId: string
  readonly language: string
  readonly version: number
  /** Of the last heart-beat, on the monotonic clock and on the wall. */
  lastSeenMs: number
  lastSeenWallMs: number
}

/** What a group wants of one topic. */
export class Subscription {
  readonly data: SubscriptionData
  /** Made when the first pull comes; a text says why there is none. */
  #filter: MessageFilter | string | null = null

  constructor(data: SubscriptionData) {
    this.data = isTagType(data.expressionType) ? withCodes(data) : data
  }

  /** Throws a Refusal when there is none: never unfiltered. */
  filter(): MessageFilter {
    if (this.data.classFilterMode) {
      throw new Refusal(
        ResponseCode.SYSTEM_ERROR,
        'The broker does not support consumer to filter message by class',
      )
    }
    this.#filter ??= filterOfSubscription(this.data)
    if (typeof this.#filter !== 'string') return this.#filter
    throw new Refusal(
      ResponseCode.FILTER_DATA_NOT_EXIST,
      `The broker's consumer filter data is not exist!Your expression may be wrong! ${this.#filter}`,
    )
  }
}

/** Some clients leave the hash codes to the broker. */
function withCodes(data: SubscriptionData): SubscriptionData {
  if (data.codeSet.length > 0) return data
  return {
    ...tagSubscription(data.topic, data.subString, data.subVersion),
    classFilterMode: data.classFilterMode,
  }
}

/** Subscriptions that one group may have. */
const SUBSCRIPTIONS_MAX = 10_000

export class ConsumerGroup {
  readonly name: string
  readonly #members = new Map<Connection, Member>()
  readonly subscriptions = new Map<string, Subscription>()
  consumeType: ConsumeType
  messageModel: MessageModel
  consumeFromWhere: ConsumeFromWhere
  /** Of thousands of members everybody asks after each join: made once until the next join or leave. */
  #clientIds: readonly string[] | null = null
  #idList: Buffer | null = null

  constructor(data: ConsumerData) {
    this.name = data.groupName
    this.consumeType = data.consumeType
    this.messageModel = data.messageModel
    this.consumeFromWhere = data.consumeFromWhere
  }

  get members(): ReadonlyMap<Connection, Member> {
    return this.#members
  }

  /** Notes a member's heart-beat; the last one says how the group consumes. True when it is a new member. */
  join(connection: Connection, member: Member, data: ConsumerData): boolean {
    this.consumeType = data.consumeType
    this.messageModel = data.messageModel
    this.consumeFromWhere = data.consumeFromWhere
    const known = this.#members.get(connection)
    this.#members.set(connection, member)
    if (known?.clientId === member.clientId) return false
    this.#idsChanged()
    return true
  }

  /** False when it was no member. */
  leave(connection: Connection): boolean {
    if (!this.#members.delete(connection)) return false
    this.#idsChanged()
    return true
  }

  /**
   * Takes over the subscriptions of a heart-beat; of two for one topic the newer stays. True when
   * the set of topics changed.
   */
  subscribe(subscriptions: readonly SubscriptionData[]): boolean {
    if (subscriptions.length > SUBSCRIPTIONS_MAX) {
      throw new Refusal(
        ResponseCode.SYSTEM_ERROR,
        `a group may subscribe to ${SUBSCRIPTIONS_MAX} topics at most`,
      )
    }
    let changed = false
    const wanted = new Set<string>()
    for (const data of subscriptions) {
      wanted.add(data.topic)
      const known = this.subscriptions.get(data.topic)
      if (known === undefined) changed = true
      else if (known.data.subVersion >= data.subVersion) continue
      this.subscriptions.set(data.topic, new Subscription(data))
    }
    for (const topic of this.subscriptions.keys()) {
      if (wanted.has(topic)) continue
      this.subscriptions.delete(topic)
      changed = true
    }
    return changed
  }

  /** Client ids without repetition, in their order. */
  get clientIds(): readonly string[] {
    this.#clientIds ??= [...new Set([...this.#members.values()].map((one) => one.clientId))].sort()
    return this.#clientIds
  }

  /** The same as the body of GET_CONSUMER_LIST_BY_GROUP's answer; not to be changed. */
  get idList(): Buffer {
    this.#idList ??= encodeConsumerList(this.clientIds)
    return this.#idList
  }

  #idsChanged(): void {
    this.#clientIds = null
    this.#idList = null
  }

  /** The connection of a member; null when it is not connected. */
  memberById(clientId: string): Member | null {
    for (const member of this.#members.values()) if (member.clientId === clientId) return member
    return null
  }
}
