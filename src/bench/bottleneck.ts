/**
 * Which resource was the limit, by name and with the evidence. Rules, in this order; the first that
 * holds wins: what was refused or full for certain comes before what merely looks busy.
 *
 * On a machine where broker and load share few cores the CPU is full before any of them is at its
 * own limit. Then the verdict is `cpu-host`, and the evidence says who took how much.
 */
import type { Bottleneck, BottleneckName } from './result.ts'
import type { HostResult, ProcessResult } from './result-hosts.ts'
import {
  HOST_BUSY_MAX,
  generatorsAreIdle,
  isForLoadAlone,
  isOnFullHost,
  otherCores,
} from './validity.ts'

export interface BottleneckInput {
  /** The one that is looked at first: that of brokers when somebody samples it, otherwise one of the load. */
  readonly host: HostResult
  /** All of the run; absent when there is only that one. */
  readonly hosts?: readonly HostResult[]
  readonly processes: readonly ProcessResult[]
  readonly windowMs: number
  readonly sent: number
  readonly acked: number
  readonly receivedPerSecond: number
  readonly ackedPerSecond: number
  /** By the name of the outcome. */
  readonly errors: Readonly<Record<string, number>>
  /** Senders that wait for their answers, all producers together. */
  readonly senders: number
  readonly meanServiceMs: number | null
  /** Brokers run on the host that is looked at first. */
  readonly brokersAreLocal: boolean
  /** Every broker runs on a host that somebody looks at. */
  readonly brokersAreSeen: boolean
  readonly syncFlush: boolean
  readonly ceilingShare: number | null
}

const FLOW_CONTROL_SHARE = 0.01
const LINK_SHARE = 0.9
const DISK_BUSY = 0.9
const ONE_CORE_FULL = 0.95
const GC_SHARE = 0.1
const FSYNC_SHARE = 0.7
const CEILING_SHARE = 0.9
const OTHERS_SHARE = 0.25
/** Share of a quota's periods in which a process was stopped. */
const THROTTLED_SHARE = 0.5
/** Shares of the time in which some task waited. */
const MEMORY_PRESSURE = 0.2
const IO_PRESSURE = 0.5

/** Answers with which a broker asks its senders to slow down. */
const BUSY_NAMES = ['SYSTEM_BUSY', 'FLOW_CONTROL']

export function findBottleneck(input: BottleneckInput): Bottleneck {
  if (input.sent === 0 && input.receivedPerSecond === 0) {
    return verdict('none', 'low', 'nothing was measured, so nothing can be said of a limit', [])
  }
  return (
    flowControl(input) ??
    network(input) ??
    firstOfBrokers(input, memoryOf) ??
    garbageCollection(input) ??
    diskFlush(input) ??
    firstOfBrokers(input, diskBandwidthOf) ??
    brokerCpu(input) ??
    client(input) ??
    firstOfBrokers(input, (host, where) => hostCpuOf(host, where, input)) ??
    latencyBound(input)
  )
}

function verdict(
  resource: BottleneckName,
  confidence: Bottleneck['confidence'],
  text: string,
  evidence: readonly string[],
): Bottleneck {
  return {
    resource,
    confidence,
    text,
    evidence: [...evidence],
    predictedCeiling: null,
    predictionError: null,
  }
}

const percent = (share: number) => `${(share * 100).toFixed(0)} %`

function flowControl(input: BottleneckInput): Bottleneck | null {
  const refused = BUSY_NAMES.reduce((sum, name) => sum + (input.errors[name] ?? 0), 0)
  const share = input.sent > 0 ? refused / input.sent : 0
  if (share < FLOW_CONTROL_SHARE) return null
  return verdict('flow-control', 'high', 'the broker refused messages to protect itself', [
    `${refused} of ${input.sent} messages were refused as busy (${percent(share)})`,
  ])
}

function network(input: BottleneckInput): Bottleneck | null {
  return firstOf(input, ({ roles }) => roles.length > 0, networkOf)
}

/** The first that a rule finds, of the host that is looked at and of all others of brokers. */
function firstOfBrokers(input: BottleneckInput, rule: HostRule): Bottleneck | null {
  return firstOf(input, ({ roles }) => roles.includes('broker'), rule)
}

/** @param where ` at HOST`; nothing for the host that is looked at, unless others carry brokers too */
type HostRule = (host: HostResult, where: string) => Bottleneck | null

function firstOf(
  input: BottleneckInput,
  isAsked: (host: HostResult) => boolean,
  rule: HostRule,
): Bottleneck | null {
  const others = (input.hosts ?? []).filter((host) => host !== input.host && isAsked(host))
  const isPlain = !others.some(({ roles }) => roles.includes('broker'))
  for (const host of [input.host, ...others]) {
    const where = host === input.host && isPlain ? '' : ` at ${host.agent ?? host.name}`
    const found = rule(host, where)
    if (found !== null) return found
  }
  return null
}

function networkOf(host: HostResult, where: string): Bottleneck | null {
  for (const nic of host.nics) {
    for (const [direction, share, bytes] of [
      ['nic-tx', nic.txShare, nic.txBytesPerSecond],
      ['nic-rx', nic.rxShare, nic.rxBytesPerSecond],
    ] as const) {
      if (share === null || share < LINK_SHARE) continue
      return verdict(direction, 'high', `the link of ${nic.name}${where} is full`, [
        `${nic.name} carried ${(bytes / 1e6).toFixed(1)} MB/s, ${percent(share)} of its ${((nic.linkBitsPerSecond ?? 0) / 1e6).toFixed(0)} Mbit/s`,
      ])
    }
  }
  return null
}

function memoryOf(host: HostResult, where: string): Bottleneck | null {
  const swapped = (host.memory?.swapInPages ?? 0) + (host.memory?.swapOutPages ?? 0)
  const pressure = host.pressure?.memorySome ?? 0
  if (swapped < 1_000) {
    if (pressure < MEMORY_PRESSURE) return null
    return verdict('memory', 'medium', `programs${where} waited for memory`, [
      `some task waited for memory ${percent(pressure)} of the time`,
    ])
  }
  return verdict('memory', 'medium', `the machine${where} was swapping`, [
    `${swapped} pages went through swap during the window`,
  ])
}

function garbageCollection({ processes }: BottleneckInput): Bottleneck | null {
  for (const process of processes) {
    if (process.role !== 'broker' || process.gc === null || process.gc.share < GC_SHARE) continue
    return verdict('gc', 'high', `${process.name} stood still to collect garbage`, [
      `${process.gc.count} collections took ${process.gc.pauseMs.toFixed(0)} ms, ${percent(process.gc.share)} of the time`,
    ])
  }
  return null
}

function diskFlush(input: BottleneckInput): Bottleneck | null {
  if (!input.syncFlush) return null
  for (const { name, role, fsync } of input.processes) {
    if (role !== 'broker' || fsync?.meanMs === null || fsync === null) continue
    const share = (fsync.count * fsync.meanMs) / input.windowMs
    if (share < FSYNC_SHARE) continue
    return verdict('disk-flush', 'high', 'the disk was flushing nearly all the time', [
      `${name}: ${fsync.count} flushes of ${fsync.meanMs.toFixed(2)} ms on average, ${percent(share)} of the time`,
    ])
  }
  return firstOfBrokers(input, (host, where) => deviceFlushOf(host, where, input.windowMs))
}

function deviceFlushOf(host: HostResult, where: string, windowMs: number): Bottleneck | null {
  const { disk, cpu } = host
  const { flushes, flushAwaitMs } = disk ?? { flushes: null, flushAwaitMs: null }
  const deviceShare = ((flushes ?? 0) * (flushAwaitMs ?? 0)) / windowMs
  if (disk !== null && deviceShare >= FSYNC_SHARE) {
    return verdict('disk-flush', 'medium', `the disk${where} was flushing nearly all the time`, [
      `${disk.device}: ${flushes ?? 0} flushes of ${(flushAwaitMs ?? 0).toFixed(2)} ms on average, ${percent(deviceShare)} of the time`,
    ])
  }
  if (disk !== null && disk.utilisation >= DISK_BUSY && (cpu?.busy ?? 1) < HOST_BUSY_MAX) {
    return verdict('disk-flush', 'medium', `the disk${where} was busy with flushes`, [
      `${disk.device} was busy ${percent(disk.utilisation)} of the time${disk.flushes === null ? '' : `, ${disk.flushes} flushes reached it`}`,
    ])
  }
  return null
}

function diskBandwidthOf(host: HostResult, where: string): Bottleneck | null {
  const { disk, cpu, pressure } = host
  if (disk === null || disk.utilisation < DISK_BUSY) return null
  // A disk that writes behind a busy machine is busy too: then somebody must be seen waiting for it.
  if ((cpu?.busy ?? 1) >= HOST_BUSY_MAX && (pressure?.ioSome ?? 0) < IO_PRESSURE) return null
  return verdict(
    'disk-bandwidth',
    'medium',
    `${disk.device}${where} was busy nearly all the time`,
    [
      `${disk.device}: ${percent(disk.utilisation)} busy, ${(disk.writtenBytesPerSecond / 1e6).toFixed(1)} MB/s written`,
    ],
  )
}

function brokerCpu(input: BottleneckInput): Bottleneck | null {
  for (const process of input.processes) {
    if (process.role !== 'broker' || process.cores === null) continue
    if (isThrottled(process)) {
      return verdict('cpu-broker', 'high', `the CPU quota of ${process.name} is used up`, [
        throttledText(process),
        ...cpuShares(input),
      ])
    }
    const thread = process.busiestThread
    if (thread === null || thread.cores < ONE_CORE_FULL) continue
    return verdict(
      'cpu-broker',
      'high',
      `one thread of ${process.name} has a core to itself and needs more`,
      [
        `thread ${thread.name} used ${thread.cores.toFixed(2)} cores of ${input.host.cpuCount}`,
        ...cpuShares(input),
      ],
    )
  }
  return null
}

function isThrottled({ quota }: ProcessResult): boolean {
  return (quota?.throttledShare ?? 0) >= THROTTLED_SHARE
}

function throttledText({ name, quota, cores }: ProcessResult): string {
  return `${name} may use ${(quota?.cores ?? 0).toFixed(2)} cores, used ${(cores ?? 0).toFixed(2)}, and was stopped in ${percent(quota?.throttledShare ?? 0)} of the periods`
}

function client(input: BottleneckInput): Bottleneck | null {
  const stopped = input.processes.find(
    (process) =>
      (process.role === 'producer' || process.role === 'consumer') && isThrottled(process),
  )
  if (stopped !== undefined) {
    return verdict('client', 'high', 'the CPU quota of the load is used up', [
      throttledText(stopped),
    ])
  }
  const atCeiling = input.ceilingShare !== null && input.ceilingShare > CEILING_SHARE
  if (atCeiling && !generatorsAreIdle(input.processes)) {
    return verdict('client', 'high', 'the producers reached what they can do at all', [
      `${percent(input.ceilingShare)} of their rate against the null target`,
    ])
  }
  for (const { name, role, busiestThread, host } of input.processes) {
    if (role !== 'producer' && role !== 'consumer') continue
    if (isOnFullHost(input, host)) continue
    if (busiestThread === null || busiestThread.cores < ONE_CORE_FULL) continue
    return verdict('client', 'high', `${name} needs more than its core`, [
      `its busiest thread used ${busiestThread.cores.toFixed(2)} of a core, while the host had room`,
    ])
  }
  for (const host of input.hosts ?? []) {
    if (!isForLoadAlone(host, input.hosts ?? [])) continue
    if (host.cpu === null || host.cpu.busy < HOST_BUSY_MAX) continue
    const where = host.agent ?? host.name
    return verdict('client', 'high', `all cores of ${where}, which carries load alone, are busy`, [
      `CPU ${percent(host.cpu.busy)} busy; the brokers are on another host`,
    ])
  }
  return null
}

function hostCpuOf(host: HostResult, where: string, input: BottleneckInput): Bottleneck | null {
  const { cpu, cpuCount } = host
  if (cpu === null || cpu.busy < HOST_BUSY_MAX) return null
  const others = otherCores(host, input.processes)
  if (others !== null && others > cpuCount * OTHERS_SHARE) {
    return verdict(
      'cpu-host',
      'medium',
      `all ${cpuCount} cores${where} are busy, and programs that are not part of this run took ${others.toFixed(2)} of them`,
      cpuShares(input),
    )
  }
  return verdict(
    'cpu-host',
    others === null ? 'medium' : 'high',
    !host.roles.includes('load')
      ? `all ${cpuCount} cores of the broker’s host${where} are busy`
      : input.brokersAreLocal
        ? `broker and load share ${cpuCount} cores${where}, and all of them are busy: with more cores, or the load on another machine, the rate would be higher`
        : `all ${cpuCount} cores of this load machine are busy: the broker may be able to do more`,
    [
      `CPU ${percent(cpu.busy)} busy: ${percent(cpu.user)} user, ${percent(cpu.system)} system, ${percent(cpu.irq)} interrupts, ${percent(cpu.steal)} steal`,
      ...cpuShares(input),
    ],
  )
}

/** Who took how much of the CPU, the largest first. */
function cpuShares({ processes }: BottleneckInput): string[] {
  const known = processes.filter((process) => (process.cores ?? 0) >= 0.01)
  if (known.length === 0) return []
  known.sort((a, b) => (b.cores ?? 0) - (a.cores ?? 0))
  return [
    known.map(({ name, cores }) => `${name} ${(cores ?? 0).toFixed(2)}`).join(', ') + ' cores',
  ]
}

/** A closed model with nothing full: the senders wait, and their number sets the rate (Little's law). */
function latencyBound(input: BottleneckInput): Bottleneck {
  const { meanServiceMs, senders, ackedPerSecond } = input
  if (meanServiceMs === null || ackedPerSecond === 0) {
    return verdict('none', 'low', 'nothing that is watched was full', [])
  }
  const waiting = (ackedPerSecond * meanServiceMs) / 1000
  if (waiting < senders * 0.8) {
    return verdict('none', 'low', 'nothing that is watched was full', [
      `on average ${waiting.toFixed(0)} of ${senders} senders were waiting for an answer`,
    ])
  }
  return verdict(
    'latency-bound',
    'medium',
    'nothing that is watched is full: all senders wait for answers; whether more of them would send more was not tried',
    [
      `on average ${Math.min(senders, waiting).toFixed(0)} of ${senders} senders were waiting, ${meanServiceMs.toFixed(2)} ms for each answer`,
      ...(input.brokersAreSeen ? [] : ['brokers on other machines are not watched']),
    ],
  )
}
