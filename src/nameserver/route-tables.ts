/**
 * Who serves which topic, who is alive, who belongs to which cluster. A pure table: the time and
 * the owner of a registration (its connection) are handed in.
 *
 * A broker is in the tables from its first registration until it unregisters, its connection
 * closes, or it was silent for too long. With the last broker of a name go its topics.
 * Source: apache/rocketmq namesrv/…/routeinfo/RouteInfoManager.java.
 */
import type { BrokerMemberGroup } from '../protocol/bodies/broker-member-group.ts'
import type { ClusterInfo } from '../protocol/bodies/cluster-info.ts'
import { type DataVersion, sameDataVersion } from '../protocol/bodies/data-version.ts'
import { Perm, type TopicConfig } from '../protocol/bodies/topic-config.ts'
import type { BrokerData, QueueData, TopicRouteData } from '../protocol/bodies/topic-route-data.ts'

export interface BrokerIdentity {
  readonly clusterName: string
  readonly brokerName: string
  /** 0 is the master. */
  readonly brokerId: number
  /** `host:port`, handed to clients as it is. */
  readonly brokerAddr: string
}

export interface Registration extends BrokerIdentity {
  readonly haServerAddr: string
  readonly zoneName: string | null
  /** Null: a broker too old to know of acting masters. */
  readonly enableActingMaster: boolean | null
  /** Silence after which this broker is removed. */
  readonly expiryMs: number
  readonly dataVersion: DataVersion
  readonly topics: readonly TopicConfig[]
  readonly filterServers: readonly string[]
}

export type RegistrationResult =
  | {
      readonly accepted: true
      /** True when the address was not known before. */
      readonly first: boolean
      /** For a slave: its master, when there is one. */
      readonly masterAddr: string | null
      readonly haServerAddr: string | null
    }
  | { readonly accepted: false; readonly why: string }

export interface RouteLimits {
  /** Pairs of topic and broker. */
  readonly topicsMax: number
  /** Broker addresses. */
  readonly brokersMax: number
}

interface BrokerGroup {
  cluster: string
  readonly brokerName: string
  readonly addresses: Map<number, string>
  zoneName: string | null
  enableActingMaster: boolean
}

interface LiveBroker<Owner> {
  readonly identity: BrokerIdentity
  readonly haServerAddr: string
  readonly expiryMs: number
  readonly dataVersion: DataVersion
  readonly owner: Owner
  lastSeenMs: number
}

/** Which topics a list holds: those marked as units, as subscribed to by units, or the latter without the former. */
export type UnitKind = 'unit' | 'unitSub' | 'unitSubNonUnit'

const MASTER_ID = 0
const UNIT = 1
const UNIT_SUB = 2

/** `Owner` is whatever stands for the connection of a registration; it is only compared. */
export class RouteTables<Owner> {
  readonly #limits: RouteLimits
  readonly #clusters = new Map<string, Set<string>>()
  readonly #brokers = new Map<string, BrokerGroup>()
  /** Topic → broker name → its queues. */
  readonly #topics = new Map<string, Map<string, QueueData>>()
  /** Pairs of topic and broker in `#topics`. */
  #topicCount = 0
  readonly #live = new Map<string, LiveBroker<Owner>>()
  readonly #filterServers = new Map<string, readonly string[]>()

  constructor(limits: RouteLimits) {
    this.#limits = limits
  }

  get brokerCount(): number {
    return this.#live.size
  }

  get topicNames(): string[] {
    return [...this.#topics.keys()]
  }

  /**
   * Takes a full registration or one of changed topics only; they look alike. Unlike Apache, a
   * first registration with a single topic is taken too. Apache refuses it to catch a change that
   * overtakes the full registration; here the full one adds what is unknown whatever its version,
   * and a small broker that has just one topic is not locked out.
   */
  register(
    registration: Registration,
    owner: Owner,
    nowMs: number,
    forgetMissingTopics = false,
  ): RegistrationResult {
    const refusal = this.#refusalOf(registration)
    if (refusal !== null) return { accepted: false, why: refusal }
    const { clusterName, brokerName, brokerId, brokerAddr } = registration
    const group = this.#groupFor(registration)
    // An address has one id only: a slave that becomes the master leaves its old one.
    for (const [id, address] of group.addresses) {
      if (address === brokerAddr && id !== brokerId) group.addresses.delete(id)
    }
    const first = !group.addresses.has(brokerId)
    const replaced = group.addresses.get(brokerId)
    if (replaced !== undefined && replaced !== brokerAddr) {
      this.#live.delete(liveKey(clusterName, replaced))
    }
    group.addresses.set(brokerId, brokerAddr)
    if (this.#speaksForGroup(group, registration)) {
      if (forgetMissingTopics) this.#forgetTopicsBeside(brokerName, registration.topics)
      this.#takeTopics(group, registration, first)
    }
    this.#live.set(liveKey(clusterName, brokerAddr), {
      identity: { clusterName, brokerName, brokerId, brokerAddr },
      haServerAddr: registration.haServerAddr,
      expiryMs: registration.expiryMs,
      dataVersion: registration.dataVersion,
      owner,
      lastSeenMs: nowMs,
    })
    if (registration.filterServers.length === 0) this.#filterServers.delete(brokerAddr)
    else this.#filterServers.set(brokerAddr, registration.filterServers)
    return { accepted: true, first, ...this.#masterOf(group, brokerId) }
  }

  /** Registers one topic for brokers that are known (REGISTER_TOPIC_IN_NAMESRV). False when the table is full. */
  registerTopic(topic: string, queueDatas: readonly QueueData[]): boolean {
    const known = queueDatas.filter((data) => this.#brokers.has(data.brokerName))
    if (this.#topicCount + known.length > this.#limits.topicsMax) return false
    for (const data of known) this.#setQueueData(topic, data)
    return true
  }

  /** True when the broker was there. */
  unregister(identity: Pick<BrokerIdentity, 'clusterName' | 'brokerName' | 'brokerAddr'>): boolean {
    const { clusterName, brokerName, brokerAddr } = identity
    const wasLive = this.#live.delete(liveKey(clusterName, brokerAddr))
    this.#filterServers.delete(brokerAddr)
    const group = this.#brokers.get(brokerName)
    if (group === undefined) return wasLive
    let removed = wasLive
    for (const [id, address] of group.addresses) {
      if (address !== brokerAddr) continue
      group.addresses.delete(id)
      removed = true
    }
    if (group.addresses.size === 0) this.#removeGroup(group)
    else if (group.enableActingMaster && !group.addresses.has(MASTER_ID)) this.#makeReadOnly(group)
    return removed
  }

  /** Removes every broker that registered over this connection and not over a newer one since. */
  removeOwner(owner: Owner): BrokerIdentity[] {
    const gone = [...this.#live.values()].filter((live) => live.owner === owner)
    for (const live of gone) this.unregister(live.identity)
    return gone.map((live) => live.identity)
  }

  /** Removes the brokers that were silent for too long. */
  removeExpired(nowMs: number): { identity: BrokerIdentity; owner: Owner; silentMs: number }[] {
    const gone = [...this.#live.values()].filter((live) => nowMs - live.lastSeenMs > live.expiryMs)
    for (const live of gone) this.unregister(live.identity)
    return gone.map((live) => ({
      identity: live.identity,
      owner: live.owner,
      silentMs: nowMs - live.lastSeenMs,
    }))
  }

  /** A sign of life. */
  touch(clusterName: string, brokerAddr: string, nowMs: number): void {
    const live = this.#live.get(liveKey(clusterName, brokerAddr))
    if (live !== undefined) live.lastSeenMs = nowMs
  }

  /** The version of the topics that a broker registered last; null when it is unknown. */
  dataVersionOf(clusterName: string, brokerAddr: string): DataVersion | null {
    return this.#live.get(liveKey(clusterName, brokerAddr))?.dataVersion ?? null
  }

  /** Null when nobody serves the topic. */
  route(topic: string): TopicRouteData | null {
    const byBroker = this.#topics.get(topic)
    if (byBroker === undefined) return null
    const queueDatas = [...byBroker.values()].sort((a, b) => (a.brokerName < b.brokerName ? -1 : 1))
    const brokerDatas: BrokerData[] = []
    const filterServerTable: Record<string, readonly string[]> = {}
    for (const { brokerName } of queueDatas) {
      const group = this.#brokers.get(brokerName)
      if (group === undefined) continue
      brokerDatas.push(brokerDataOf(group))
      for (const address of group.addresses.values()) {
        const servers = this.#filterServers.get(address)
        if (servers !== undefined) filterServerTable[address] = servers
      }
    }
    if (brokerDatas.length === 0) return null
    return { brokerDatas, queueDatas, orderTopicConf: null, filterServerTable }
  }

  clusterInfo(): ClusterInfo {
    return {
      brokers: new Map([...this.#brokers].map(([name, group]) => [name, brokerDataOf(group)])),
      clusters: new Map([...this.#clusters].map(([name, brokers]) => [name, [...brokers]])),
    }
  }

  memberGroup(clusterName: string, brokerName: string): BrokerMemberGroup {
    const group = this.#brokers.get(brokerName)
    return {
      cluster: clusterName,
      brokerName,
      brokerAddrs: new Map(group?.cluster === clusterName ? group.addresses : []),
    }
  }

  topicsOfCluster(clusterName: string): string[] {
    const brokers = this.#clusters.get(clusterName) ?? new Set<string>()
    return [...this.#topics]
      .filter(([, byBroker]) => [...byBroker.keys()].some((name) => brokers.has(name)))
      .map(([topic]) => topic)
  }

  topicsOfUnitKind(kind: UnitKind): string[] {
    return [...this.#topics]
      .filter(([, byBroker]) => {
        const flag = byBroker.values().next().value?.topicSysFlag ?? 0
        if (kind === 'unit') return (flag & UNIT) !== 0
        if (kind === 'unitSub') return (flag & UNIT_SUB) !== 0
        return (flag & UNIT_SUB) !== 0 && (flag & UNIT) === 0
      })
      .map(([topic]) => topic)
  }

  /** Names of clusters and brokers, which are topics on every broker, and some broker's address. */
  systemTopics(): { topics: string[]; brokerAddr: string | null } {
    const someBroker = this.#brokers.values().next().value
    return {
      topics: [...new Set([...this.#clusters.keys(), ...this.#brokers.keys()])],
      brokerAddr: someBroker?.addresses.values().next().value ?? null,
    }
  }

  /** Forgets a topic, on the brokers of one cluster or everywhere. */
  deleteTopic(topic: string, clusterName: string | null): void {
    const byBroker = this.#topics.get(topic)
    if (byBroker === undefined) return
    const brokers = clusterName === null ? null : this.#clusters.get(clusterName)
    for (const brokerName of [...byBroker.keys()]) {
      if (clusterName === null || brokers?.has(brokerName) === true) {
        this.#deleteQueueData(topic, brokerName)
      }
    }
  }

  /**
   * Takes or gives the write permission of every topic of a broker, until the broker registers
   * another data version. Returns the number of topics.
   */
  setWritable(brokerName: string, writable: boolean): number {
    let count = 0
    for (const byBroker of this.#topics.values()) {
      const data = byBroker.get(brokerName)
      if (data === undefined) continue
      const perm = writable ? data.perm | Perm.readWrite : data.perm & ~Perm.write
      byBroker.set(brokerName, { ...data, perm })
      count += 1
    }
    return count
  }

  #refusalOf(registration: Registration): string | null {
    const { clusterName, brokerName, brokerId, brokerAddr } = registration
    const holder = this.#brokers.get(brokerName)?.addresses.get(brokerId)
    if (holder !== undefined && holder !== brokerAddr) {
      const held = this.dataVersionOf(clusterName, holder)
      if (held !== null && held.stateVersion > registration.dataVersion.stateVersion) {
        this.#live.delete(liveKey(clusterName, brokerAddr))
        return `broker id ${brokerId} of ${brokerName} is held by ${holder} with a newer state`
      }
    }
    const isKnown = this.#live.has(liveKey(clusterName, brokerAddr))
    if (!isKnown && this.#live.size >= this.#limits.brokersMax) {
      return `this name server keeps ${this.#limits.brokersMax} brokers at most`
    }
    const added = registration.topics.filter(
      (topic) => this.#topics.get(topic.topicName)?.has(brokerName) !== true,
    ).length
    if (this.#topicCount + added > this.#limits.topicsMax) {
      return `this name server keeps ${this.#limits.topicsMax} topics at most`
    }
    return null
  }

  #groupFor(registration: Registration): BrokerGroup {
    const { clusterName, brokerName, zoneName } = registration
    let group = this.#brokers.get(brokerName)
    if (group === undefined) {
      group = {
        cluster: clusterName,
        brokerName,
        addresses: new Map(),
        zoneName,
        enableActingMaster: false,
      }
      this.#brokers.set(brokerName, group)
    } else if (group.cluster !== clusterName) {
      this.#removeFromCluster(group)
      group.cluster = clusterName
    }
    group.zoneName = zoneName
    group.enableActingMaster = registration.enableActingMaster ?? false
    const members = this.#clusters.get(clusterName) ?? new Set<string>()
    this.#clusters.set(clusterName, members.add(brokerName))
    return group
  }

  /** Topics come from the master; where acting masters are known, else from the lowest id that lives. */
  #speaksForGroup(group: BrokerGroup, registration: Registration): boolean {
    if (registration.brokerId === MASTER_ID) return true
    return (
      registration.enableActingMaster !== null &&
      registration.brokerId === Math.min(...group.addresses.keys())
    )
  }

  #takeTopics(group: BrokerGroup, registration: Registration, first: boolean): void {
    const { brokerName, brokerId, clusterName, brokerAddr, dataVersion } = registration
    const held = this.dataVersionOf(clusterName, brokerAddr)
    const changed = first || held === null || !sameDataVersion(held, dataVersion)
    const readOnly = brokerId !== MASTER_ID && group.enableActingMaster
    for (const topic of registration.topics) {
      const known = this.#topics.get(topic.topicName)?.has(brokerName) === true
      if (!changed && known) continue
      this.#setQueueData(topic.topicName, {
        brokerName,
        readQueueNums: topic.readQueueNums,
        writeQueueNums: topic.writeQueueNums,
        perm: readOnly ? topic.perm & ~Perm.write : topic.perm,
        topicSysFlag: topic.topicSysFlag,
      })
    }
  }

  #masterOf(group: BrokerGroup, brokerId: number) {
    const masterAddr = brokerId === MASTER_ID ? undefined : group.addresses.get(MASTER_ID)
    const master =
      masterAddr === undefined ? undefined : this.#live.get(liveKey(group.cluster, masterAddr))
    return {
      masterAddr: master?.identity.brokerAddr ?? null,
      haServerAddr: master?.haServerAddr ?? null,
    }
  }

  #setQueueData(topic: string, data: QueueData): void {
    let byBroker = this.#topics.get(topic)
    if (byBroker === undefined) {
      byBroker = new Map()
      this.#topics.set(topic, byBroker)
    }
    if (!byBroker.has(data.brokerName)) this.#topicCount += 1
    byBroker.set(data.brokerName, data)
  }

  #deleteQueueData(topic: string, brokerName: string): void {
    const byBroker = this.#topics.get(topic)
    if (byBroker?.delete(brokerName) !== true) return
    this.#topicCount -= 1
    if (byBroker.size === 0) this.#topics.delete(topic)
  }

  #forgetTopicsBeside(brokerName: string, topics: readonly TopicConfig[]): void {
    const kept = new Set(topics.map((topic) => topic.topicName))
    for (const topic of [...this.#topics.keys()]) {
      if (!kept.has(topic)) this.#deleteQueueData(topic, brokerName)
    }
  }

  #removeGroup(group: BrokerGroup): void {
    this.#brokers.delete(group.brokerName)
    this.#removeFromCluster(group)
    for (const topic of [...this.#topics.keys()]) this.#deleteQueueData(topic, group.brokerName)
  }

  #removeFromCluster(group: BrokerGroup): void {
    const members = this.#clusters.get(group.cluster)
    members?.delete(group.brokerName)
    if (members?.size === 0) this.#clusters.delete(group.cluster)
  }

  /** What slaves still serve when their master is gone and one of them acts for it. */
  #makeReadOnly(group: BrokerGroup): void {
    this.setWritable(group.brokerName, false)
  }
}

function liveKey(clusterName: string, brokerAddr: string): string {
  return `${clusterName}\n${brokerAddr}`
}

function brokerDataOf(group: BrokerGroup): BrokerData {
  return {
    cluster: group.cluster,
    brokerName: group.brokerName,
    brokerAddrs: new Map(group.addresses),
    ...(group.zoneName === null ? {} : { zoneName: group.zoneName }),
    enableActingMaster: group.enableActingMaster,
  }
}
