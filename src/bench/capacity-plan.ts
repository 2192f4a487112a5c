/** `bench capacity`: a scenario, a machine and a rate in; what each resource carries, and what breaks first, out. */
import { MqError } from '../base/errors.ts'
import { frameSizesOf } from '../drivers/frame-sizes.ts'
import {
  type CapacityLimit,
  type CapacityResource,
  type CpuCost,
  type Flow,
  type Hardware,
  costOf,
  followerLimitsOf,
  limitsOf,
  oneMessage,
  wireBytes,
} from './capacity.ts'
import { flowOf, frameInputOf } from './prediction.ts'
import { type Scenario, slotsOf } from './scenario-schema.ts'
import { plannedPeakHz } from './stages.ts'

export interface CapacityInput {
  readonly scenario: Scenario
  /** Copies of every record, each on a machine of its own. */
  readonly followers: number
  readonly groups: number
  /** Whether groups read from followers, which then send what the leader would. */
  readonly readFrom: 'leader' | 'follower'
  /** Leaders, each on a machine of its own; messages spread evenly. */
  readonly brokers: number
  readonly linkBitsPerSecond: number | null
  readonly diskBytesPerSecond: number | null
  readonly diskSizeBytes: number | null
  readonly flushMs: number | null
  readonly cores: number | null
  readonly coresOfBroker: number
  readonly cpu: CpuCost
  /** Messages a second now; null: what the scenario says, or the origin's 70,000. */
  readonly ratePerSecond: number | null
  /** By how much it may grow. */
  readonly times: number
}

export interface CapacityRow {
  readonly resource: CapacityResource
  readonly perMessage: number
  readonly unit: CapacityLimit['unit']
  /** What one broker's machine has, a second. */
  readonly capacity: number
  /** All brokers together. */
  readonly perSecond: number
  /** Share of it that is used now: above 1 it is full. */
  readonly share: number
  readonly shareGrown: number
  /** Brokers, each with a machine like this, that the grown rate needs; null where more brokers do not help. */
  readonly brokersGrown: number | null
  /** Senders that the grown rate needs, where it is their number that limits; null elsewhere. */
  readonly sendersGrown: number | null
}

export interface CapacityResult {
  readonly scenario: string
  readonly bodyBytes: number
  readonly followers: number
  readonly groups: number
  readonly readFrom: 'leader' | 'follower'
  readonly brokers: number
  readonly ratePerSecond: number
  /** Where the rate comes from. */
  readonly rateFrom: string
  readonly times: number
  /** Of one message at the broker that takes it, as counters of interface and disk show it. */
  readonly perMessage: {
    readonly inBytes: number
    readonly outBytes: number
    readonly storedBytes: number
  }
  /** The lowest first. */
  readonly limits: readonly CapacityRow[]
  readonly first: CapacityResource | null
  readonly ceilingPerSecond: number | null
  /** What is full at the rate of now, and at the grown one. */
  readonly full: readonly CapacityResource[]
  readonly fullGrown: readonly CapacityResource[]
  /** Hours until the disk of a broker is full; null without its size. */
  readonly diskFullHours: number | null
  readonly diskFullHoursGrown: number | null
  readonly assumptions: readonly string[]
}

/** What the origin's pressure test reached on a gigabit link. */
const ORIGIN_RATE = 70_000
/** Longest names that this tool makes. */
const NAMES = { topic: 'mqctl_bench_00000000', group: 'mqctl_bench_00000000', broker: 'broker-a' }

/** Throws MqError USAGE when groups are to read from followers that do not exist. */
export function planCapacity(input: CapacityInput): CapacityResult {
  const { scenario, brokers, readFrom, followers, times } = input
  if (readFrom === 'follower' && followers === 0) {
    throw new MqError('USAGE', {
      what: 'groups cannot read from followers when there are none: give --followers',
    })
  }
  const lanes = scenario.topics.queues * brokers
  const sizes = frameSizesOf(frameInputOf(scenario, NAMES))
  const planned = flowOf(scenario, sizes, lanes, brokers, false)
  const groupsHere = readFrom === 'leader' ? input.groups : 0
  const flow = { ...planned, followers, groups: groupsHere }
  const cost = costOf(flow)
  const { rate, from } = rateOf(input)
  const senders = scenario.producers.instances * slotsOf(scenario)
  const hardware: Hardware = {
    linkBitsPerSecond: input.linkBitsPerSecond,
    diskBytesPerSecond: input.diskBytesPerSecond,
    flushMs: input.flushMs,
    senders: senders * flow.perRequest,
    cores: input.cores,
    coresOfBroker: input.coresOfBroker,
    cpu: input.cpu,
  }
  const found = limitsOf(cost, flow, hardware, brokers)
  if (readFrom === 'follower') {
    const read = { groups: input.groups, followers }
    found.push(...followerLimitsOf(cost, read, hardware, brokers))
    found.sort((a, b) => a.perSecond - b.perSecond)
  }
  const limits = found.map((limit): CapacityRow => {
    const { resource, perMessage, unit, capacity, perSecond } = limit
    const share = rate / perSecond
    // Messages that wait for a flush together are as many as there are senders, on however many brokers.
    const isOfSenders = resource === 'disk-flush'
    const needed = (have: number) => Math.max(1, Math.ceil(share * times * have))
    return {
      resource,
      perMessage,
      unit,
      capacity,
      perSecond,
      share,
      shareGrown: share * times,
      brokersGrown: isOfSenders ? null : needed(brokers),
      sendersGrown: isOfSenders ? needed(senders) : null,
    }
  })
  const [first] = limits
  const whole = oneMessage(flow)
  const hours =
    input.diskSizeBytes === null
      ? null
      : input.diskSizeBytes / ((cost.diskBytes * rate) / brokers) / 3_600
  return {
    scenario: scenario.name,
    bodyBytes: flow.bodyBytes,
    followers,
    groups: input.groups,
    readFrom,
    brokers,
    ratePerSecond: rate,
    rateFrom: from,
    times,
    perMessage: {
      inBytes: wireBytes(cost, whole, 'in', 'counted'),
      outBytes: wireBytes(cost, whole, 'out', 'counted'),
      storedBytes: cost.diskBytes,
    },
    limits,
    first: first?.resource ?? null,
    ceilingPerSecond: first?.perSecond ?? null,
    full: limits.filter(({ share }) => share >= 1).map(({ resource }) => resource),
    fullGrown: limits.filter(({ shareGrown }) => shareGrown >= 1).map(({ resource }) => resource),
    diskFullHours: hours,
    diskFullHoursGrown: hours === null ? null : hours / times,
    assumptions: assumptionsOf(input, flow),
  }
}

function rateOf({ ratePerSecond, scenario }: CapacityInput): { rate: number; from: string } {
  if (ratePerSecond !== null) return { rate: ratePerSecond, from: 'as given' }
  const peak = plannedPeakHz(scenario)
  if (peak !== null && peak > 0) return { rate: peak, from: `the peak of ${scenario.name}` }
  return {
    rate: ORIGIN_RATE,
    from: 'the rate at which the pressure test of two producers with 80 threads filled a gigabit link',
  }
}

function assumptionsOf(input: CapacityInput, { perPull, perRequest }: Flow): string[] {
  const { cpu, cores, coresOfBroker, flushMs, readFrom, brokers } = input
  const lines = [
    'TCP over IPv4 and Ethernet with an MTU of 1500: 1,448 bytes of a stream in a segment, 66 bytes of headers, 24 bytes of gap, preamble and checksum',
    `consumers keep up and get about ${perPull.toFixed(0)} messages an answer`,
  ]
  const { mode } = input.scenario.producers
  if (mode === 'batch') {
    lines.push(`about ${perRequest.toFixed(0)} messages share a request and an answer`)
  }
  if (mode === 'one-way') lines.push('one-way messages have no answer')
  if (cores !== null && (mode === 'batch' || mode === 'one-way')) {
    lines.push('the CPU is that of messages sent and answered one by one: these cost less')
  }
  if (readFrom === 'follower')
    lines.push(
      'groups read from followers: what they get leaves from there, in equal parts from each, on machines like that of the leader',
    )
  if (cores !== null) {
    lines.push(
      `CPU of a broker: ${cpu.sendUs} µs a message, ${cpu.deliveryUs} µs for each group, ${cpu.replicaUs} µs for each follower, on ${Math.min(cores, coresOfBroker)} of ${cores} cores`,
    )
  }
  if (flushMs !== null) {
    lines.push('all senders that wait are answered after one flush (group commit)')
  }
  if (brokers > 1) lines.push(`${brokers} brokers, each on a machine of its own, take equal parts`)
  return lines
}
