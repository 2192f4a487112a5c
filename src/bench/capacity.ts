/**
 * How many messages a second a machine can carry, and what breaks first: arithmetic alone, nothing
 * is run. Every message comes in once and goes out again to each follower and to each group that
 * reads from this broker; that is why 70,000 messages of 500 bytes fill a gigabit link.
 */
import type { FrameSizes } from '../drivers/frame-sizes.ts'
import { type Framing, type Traffic, countedBytes, linkBytes, trafficOf } from './framing.ts'

/** How messages flow through one broker. */
export interface Flow {
  readonly sizes: FrameSizes
  readonly bodyBytes: number
  /** Followers that copy every record from this broker. */
  readonly followers: number
  /** Groups that read every message from this broker. */
  readonly groups: number
  readonly framing: Framing
  /** Messages in one request; 1 where each has its own. */
  readonly perRequest: number
  /** Messages that a producer's connection carries in one write, and answers in one write back. */
  readonly perWrite: number
  /** Messages in one answer to a pull. */
  readonly perPull: number
}

/** What one message costs one broker. */
export interface MessageCost {
  readonly framing: Framing
  /** Request and answer. */
  readonly send: Traffic
  /** For each group that gets it. */
  readonly delivery: Traffic
  /** For each follower. */
  readonly replica: Traffic
  readonly diskBytes: number
}

/** A replication frame carries up to 32 KiB of the log behind 12 bytes. Source: Apache's DefaultHAConnection. */
const REPLICA_BATCH_BYTES = 32 * 1024
const REPLICA_HEAD_BYTES = 12
const REPLICA_ACK_BYTES = 8

export function costOf(flow: Flow): MessageCost {
  const { sizes, bodyBytes, framing, perWrite, perPull } = flow
  const recordBytes = bodyBytes + sizes.recordExtraBytes
  const perBatch = Math.max(1, REPLICA_BATCH_BYTES / recordBytes)
  return {
    framing,
    send: trafficOf(
      framing,
      { bytes: requestBytes(flow), perWrite },
      { bytes: answerBytes(flow), perWrite },
    ),
    delivery: trafficOf(
      framing,
      { bytes: sizes.pullRequestBytes / perPull, perWrite: perPull },
      { bytes: recordBytes + sizes.pullAnswerHeadBytes / perPull, perWrite: perPull },
    ),
    replica: trafficOf(
      framing,
      { bytes: REPLICA_ACK_BYTES / perBatch, perWrite: perBatch },
      { bytes: recordBytes + REPLICA_HEAD_BYTES / perBatch, perWrite: perBatch },
    ),
    diskBytes: recordBytes + sizes.unitBytes,
  }
}

/** A message's part of its send request. */
export function requestBytes({ sizes, bodyBytes, perRequest }: Flow): number {
  return sizes.sendHeadBytes / perRequest + sizes.itemExtraBytes + bodyBytes
}

/** A message's part of the answer to its send; 0 where nobody answers. */
function answerBytes({ sizes, perRequest }: Flow): number {
  return (sizes.sendAnswerBytes + (perRequest - 1) * sizes.answerItemBytes) / perRequest
}

/** How often each part of the cost falls due: a second, or a message. */
export interface Carried {
  readonly acked: number
  /** All groups together. */
  readonly delivered: number
  /** All followers together. */
  readonly copied: number
}

/** One message, delivered to every group and copied by every follower. */
export function oneMessage({ groups, followers }: Pick<Flow, 'groups' | 'followers'>): Carried {
  return { acked: 1, delivered: groups, copied: followers }
}

/** Bytes through the interface of the broker, as its counters show them or as time on the link. */
export function wireBytes(
  cost: MessageCost,
  { acked, delivered, copied }: Carried,
  direction: 'in' | 'out',
  as: 'counted' | 'link',
): number {
  const bytesOf = as === 'counted' ? countedBytes : linkBytes
  const of = (traffic: Traffic) => bytesOf(traffic[direction], cost.framing)
  return acked * of(cost.send) + delivered * of(cost.delivery) + copied * of(cost.replica)
}

/** The machine of one broker. Null: not known, so it is not judged. */
export interface Hardware {
  /** Each way. */
  readonly linkBitsPerSecond: number | null
  readonly diskBytesPerSecond: number | null
  /** One flush to the disk; null when answers do not wait for it. */
  readonly flushMs: number | null
  /** Messages that may wait for one flush together. */
  readonly senders: number
  readonly cores: number | null
  /** Cores that one broker can use: its event loop is one. */
  readonly coresOfBroker: number
  readonly cpu: CpuCost
}

/** CPU of a broker, microseconds. */
export interface CpuCost {
  readonly sendUs: number
  readonly deliveryUs: number
  readonly replicaUs: number
}

/** Of mqctl's broker on the machine of docs/performance.md; others cost more (Apache's 23 µs a send there). */
export const ourCpuCost: CpuCost = { sendUs: 5, deliveryUs: 1.5, replicaUs: 1.5 }

export type CapacityResource =
  'nic-tx' | 'nic-rx' | 'disk-bandwidth' | 'disk-flush' | 'cpu-broker' | FollowerResource

/** Of each follower's machine, which is like that of its leader. */
export type FollowerResource = 'follower-nic-tx' | 'follower-nic-rx' | 'follower-cpu'

/** The rate at which one resource is full, all brokers together. */
export interface CapacityLimit {
  readonly resource: CapacityResource
  /** What one message takes of it. */
  readonly perMessage: number
  /** What there is of it on one broker's machine, a second. */
  readonly capacity: number
  readonly unit: 'B' | 'core-us' | 'flush'
  readonly perSecond: number
}

/** Limits of so many brokers, each with a machine of its own, over which messages spread evenly; the lowest first. */
export function limitsOf(
  cost: MessageCost,
  flow: Pick<Flow, 'groups' | 'followers'>,
  hardware: Hardware,
  brokers: number,
): CapacityLimit[] {
  const limits: CapacityLimit[] = []
  const add = (
    resource: CapacityResource,
    perMessage: number,
    capacity: number,
    unit: CapacityLimit['unit'],
  ) => {
    const perSecond = (capacity / perMessage) * brokers
    if (perMessage > 0) limits.push({ resource, perMessage, capacity, unit, perSecond })
  }
  const { linkBitsPerSecond, diskBytesPerSecond, flushMs, senders, cores, cpu } = hardware
  const whole = oneMessage(flow)
  if (linkBitsPerSecond !== null) {
    add('nic-tx', wireBytes(cost, whole, 'out', 'link'), linkBitsPerSecond / 8, 'B')
    add('nic-rx', wireBytes(cost, whole, 'in', 'link'), linkBitsPerSecond / 8, 'B')
  }
  if (diskBytesPerSecond !== null) add('disk-bandwidth', cost.diskBytes, diskBytesPerSecond, 'B')
  if (flushMs !== null) add('disk-flush', brokers / senders, 1000 / flushMs, 'flush')
  if (cores !== null) {
    const usable = Math.min(cores, hardware.coresOfBroker)
    const us = cpu.sendUs + flow.groups * cpu.deliveryUs + flow.followers * cpu.replicaUs
    add('cpu-broker', us, usable * 1e6, 'core-us')
  }
  return limits.sort((a, b) => a.perSecond - b.perSecond)
}

/**
 * Limits of the followers when groups read from them: each copies every record of its leader and
 * gives every group an equal part. Its disk takes what the leader's takes.
 *
 * @param groups that read from the followers
 * @param followers of each leader, at least one
 */
export function followerLimitsOf(
  cost: MessageCost,
  { groups, followers }: Pick<Flow, 'groups' | 'followers'>,
  { linkBitsPerSecond, cores, coresOfBroker, cpu }: Hardware,
  brokers: number,
): CapacityLimit[] {
  const delivered = groups / followers
  const { framing, replica, delivery } = cost
  // What leaves the leader comes in here, and the other way round.
  const inBytes = linkBytes(replica.out, framing) + delivered * linkBytes(delivery.in, framing)
  const outBytes = linkBytes(replica.in, framing) + delivered * linkBytes(delivery.out, framing)
  const limit = (
    resource: FollowerResource,
    perMessage: number,
    capacity: number,
    unit: CapacityLimit['unit'],
  ) => ({ resource, perMessage, capacity, unit, perSecond: (capacity / perMessage) * brokers })
  const limits: CapacityLimit[] = []
  if (linkBitsPerSecond !== null) {
    limits.push(limit('follower-nic-tx', outBytes, linkBitsPerSecond / 8, 'B'))
    limits.push(limit('follower-nic-rx', inBytes, linkBitsPerSecond / 8, 'B'))
  }
  if (cores !== null) {
    const us = cpu.replicaUs + delivered * cpu.deliveryUs
    limits.push(limit('follower-cpu', us, Math.min(cores, coresOfBroker) * 1e6, 'core-us'))
  }
  return limits
}
