/**
 * What a host and its processes used between two snapshots. Shares of CPU are of all CPUs together
 * for the host (0 … 1) and in cores for a process (1 = one core fully busy). Pure.
 */
import type { QuotaCounters } from './control-group.ts'
import type {
  DiskCounters,
  HostSnapshot,
  NicCounters,
  PressureCounters,
  ProcessCounters,
} from './snapshot.ts'

export interface CpuUsage {
  /** Shares of all CPU time, 0 … 1; they add up to 1. */
  readonly user: number
  readonly system: number
  readonly irq: number
  readonly iowait: number
  readonly steal: number
  readonly idle: number
  /** user + system + irq + steal. */
  readonly busy: number
}

export interface DiskUsage {
  readonly device: string
  readonly readBytesPerSecond: number
  readonly writtenBytesPerSecond: number
  readonly readsPerSecond: number
  readonly writesPerSecond: number
  /** Share of the time during which the device had work, 0 … 1. */
  readonly utilisation: number
  /** Mean time of a write at the device, milliseconds; null when there was none. */
  readonly writeAwaitMs: number | null
  readonly flushes: number | null
  readonly flushAwaitMs: number | null
  /** Transactions of the file system's journal; null where none is told. */
  readonly journalCommits: number | null
  readonly writtenBytes: number
  readonly readBytes: number
}

export interface NicUsage {
  readonly name: string
  readonly isLoopback: boolean
  readonly rxBytesPerSecond: number
  readonly txBytesPerSecond: number
  readonly rxPacketsPerSecond: number
  readonly txPacketsPerSecond: number
  readonly rxDrops: number
  readonly txDrops: number
  readonly linkBitsPerSecond: number | null
  /** Share of what the link claims, 0 … 1; null for loopback and for links without a known speed. */
  readonly rxShare: number | null
  readonly txShare: number | null
}

export interface ThreadUsage {
  readonly name: string
  readonly cores: number
}

export interface QuotaUsage {
  /** Cores that its control group may use. */
  readonly cores: number
  /** Share of the periods in which it was stopped for having used them, 0 … 1. */
  readonly throttledShare: number
}

/** Shares of the time in which tasks waited for a resource, 0 … 1. */
export interface PressureUsage {
  readonly cpuSome: number
  readonly ioSome: number
  readonly ioFull: number
  readonly memorySome: number
  readonly memoryFull: number
}

export interface ProcessUsage {
  readonly pid: number
  readonly userCores: number | null
  readonly systemCores: number | null
  readonly cores: number | null
  readonly cpuMs: number | null
  readonly threadCount: number | null
  readonly rssBytes: number
  readonly rssPeakBytes: number | null
  readonly majorFaults: number | null
  readonly diskReadBytes: number | null
  readonly diskWrittenBytes: number | null
  /** The CPU quota of its control group; null without one. */
  readonly quota: QuotaUsage | null
  /** The busiest thread: of a program with one event loop, the loop. */
  readonly busiestThread: ThreadUsage | null
}

export interface HostUsage {
  readonly spanMs: number
  readonly cpuCount: number
  readonly cpu: CpuUsage | null
  readonly load1: number | null
  readonly pressure: PressureUsage | null
  readonly memory: {
    readonly totalBytes: number
    readonly availableBytes: number
    readonly cachedBytes: number
    readonly dirtyBytes: number | null
    readonly swapUsedBytes: number
    readonly swapInPages: number | null
    readonly swapOutPages: number | null
  } | null
  readonly disk: DiskUsage | null
  readonly nics: readonly NicUsage[]
  readonly processes: readonly ProcessUsage[]
  readonly unavailable: Readonly<Record<string, string>>
}

/** What happened from `first` to `last`. A span of zero gives rates of zero. */
export function usageBetween(first: HostSnapshot, last: HostSnapshot): HostUsage {
  const spanMs = last.atMs - first.atMs
  const processes: ProcessUsage[] = []
  for (const [pid, after] of last.processes) {
    const before = first.processes.get(pid)
    if (before !== undefined) processes.push(processUsage(before, after, spanMs))
  }
  const nics: NicUsage[] = []
  for (const after of last.nics) {
    const before = first.nics.find((nic) => nic.name === after.name)
    if (before !== undefined) nics.push(nicUsage(before, after, spanMs))
  }
  return {
    spanMs,
    cpuCount: last.cpuCount,
    cpu: cpuUsage(first, last),
    load1: last.load1,
    pressure: pressureUsage(first.pressure ?? null, last.pressure ?? null, spanMs),
    memory: memoryUsage(first, last),
    disk:
      first.disk !== null && last.disk !== null ? diskUsage(first.disk, last.disk, spanMs) : null,
    nics,
    processes,
    unavailable: last.unavailable,
  }
}

function cpuUsage(first: HostSnapshot, last: HostSnapshot): CpuUsage | null {
  if (first.cpu === null || last.cpu === null) return null
  const [before, after] = [first.cpu, last.cpu]
  const user = after.userMs - before.userMs
  const system = after.systemMs - before.systemMs
  const irq = after.irqMs - before.irqMs
  const steal = after.stealMs - before.stealMs
  // Linux may take back a little of these two; a negative share would only puzzle.
  const iowait = Math.max(0, after.iowaitMs - before.iowaitMs)
  const idle = Math.max(0, after.idleMs - before.idleMs)
  const total = user + system + irq + steal + iowait + idle
  if (total <= 0) return null
  return {
    user: user / total,
    system: system / total,
    irq: irq / total,
    iowait: iowait / total,
    steal: steal / total,
    idle: idle / total,
    busy: (user + system + irq + steal) / total,
  }
}

function memoryUsage(first: HostSnapshot, last: HostSnapshot): HostUsage['memory'] {
  const { memory } = last
  if (memory === null) return null
  const grown = (before: number | null | undefined, after: number | null) =>
    before === null || before === undefined || after === null ? null : after - before
  return {
    totalBytes: memory.totalBytes,
    availableBytes: memory.availableBytes,
    cachedBytes: memory.cachedBytes,
    dirtyBytes: memory.dirtyBytes,
    swapUsedBytes: memory.swapUsedBytes,
    swapInPages: grown(first.memory?.swapInPages, memory.swapInPages),
    swapOutPages: grown(first.memory?.swapOutPages, memory.swapOutPages),
  }
}

function perSecond(amount: number, spanMs: number): number {
  return spanMs > 0 ? (amount * 1000) / spanMs : 0
}

function diskUsage(before: DiskCounters, after: DiskCounters, spanMs: number): DiskUsage {
  const writes = after.writes - before.writes
  const flushes =
    before.flushes === null || after.flushes === null ? null : after.flushes - before.flushes
  const flushMs =
    before.flushMs === null || after.flushMs === null ? null : after.flushMs - before.flushMs
  const [commitsBefore, commitsAfter] = [
    before.journalCommits ?? null,
    after.journalCommits ?? null,
  ]
  const readBytes = after.readBytes - before.readBytes
  const writtenBytes = after.writtenBytes - before.writtenBytes
  return {
    device: after.device,
    readBytes,
    writtenBytes,
    readBytesPerSecond: perSecond(readBytes, spanMs),
    writtenBytesPerSecond: perSecond(writtenBytes, spanMs),
    readsPerSecond: perSecond(after.reads - before.reads, spanMs),
    writesPerSecond: perSecond(writes, spanMs),
    utilisation: spanMs > 0 ? Math.min(1, (after.busyMs - before.busyMs) / spanMs) : 0,
    writeAwaitMs: writes > 0 ? (after.writeMs - before.writeMs) / writes : null,
    flushes,
    journalCommits:
      commitsBefore === null || commitsAfter === null ? null : commitsAfter - commitsBefore,
    flushAwaitMs: flushes !== null && flushMs !== null && flushes > 0 ? flushMs / flushes : null,
  }
}

function nicUsage(before: NicCounters, after: NicCounters, spanMs: number): NicUsage {
  const rxBytesPerSecond = perSecond(after.rxBytes - before.rxBytes, spanMs)
  const txBytesPerSecond = perSecond(after.txBytes - before.txBytes, spanMs)
  const link = after.linkBitsPerSecond
  return {
    name: after.name,
    isLoopback: after.isLoopback,
    rxBytesPerSecond,
    txBytesPerSecond,
    rxPacketsPerSecond: perSecond(after.rxPackets - before.rxPackets, spanMs),
    txPacketsPerSecond: perSecond(after.txPackets - before.txPackets, spanMs),
    rxDrops: after.rxDrops - before.rxDrops,
    txDrops: after.txDrops - before.txDrops,
    linkBitsPerSecond: link,
    rxShare: link === null ? null : (rxBytesPerSecond * 8) / link,
    txShare: link === null ? null : (txBytesPerSecond * 8) / link,
  }
}

function processUsage(
  before: ProcessCounters,
  after: ProcessCounters,
  spanMs: number,
): ProcessUsage {
  const grown = (from: number | null, to: number | null) =>
    from === null || to === null ? null : to - from
  const share = (ms: number | null) => (ms === null || spanMs <= 0 ? null : ms / spanMs)
  const userMs = grown(before.userMs, after.userMs)
  const systemMs = grown(before.systemMs, after.systemMs)
  const cpuMs = userMs === null || systemMs === null ? null : userMs + systemMs
  return {
    pid: after.pid,
    userCores: share(userMs),
    systemCores: share(systemMs),
    cores: share(cpuMs),
    cpuMs,
    threadCount: after.threadCount,
    rssBytes: after.rssBytes,
    rssPeakBytes: after.rssPeakBytes,
    majorFaults: grown(before.majorFaults, after.majorFaults),
    diskReadBytes: grown(before.diskReadBytes, after.diskReadBytes),
    diskWrittenBytes: grown(before.diskWrittenBytes, after.diskWrittenBytes),
    quota: quotaUsage(before.quota ?? null, after.quota ?? null),
    busiestThread: busiestThread(before, after, spanMs),
  }
}

function quotaUsage(before: QuotaCounters | null, after: QuotaCounters | null): QuotaUsage | null {
  if (before === null || after === null) return null
  const periods = after.periods - before.periods
  const throttled = after.throttledPeriods - before.throttledPeriods
  return { cores: after.cores, throttledShare: periods > 0 ? throttled / periods : 0 }
}

function pressureUsage(
  before: PressureCounters | null,
  after: PressureCounters | null,
  spanMs: number,
): PressureUsage | null {
  if (before === null || after === null || spanMs <= 0) return null
  const share = (of: keyof PressureCounters) => Math.min(1, (after[of] - before[of]) / spanMs)
  return {
    cpuSome: share('cpuSomeMs'),
    ioSome: share('ioSomeMs'),
    ioFull: share('ioFullMs'),
    memorySome: share('memorySomeMs'),
    memoryFull: share('memoryFullMs'),
  }
}

function busiestThread(
  before: ProcessCounters,
  after: ProcessCounters,
  spanMs: number,
): ThreadUsage | null {
  if (before.threads === null || after.threads === null || spanMs <= 0) return null
  const earlier = new Map(before.threads.map((thread) => [thread.threadId, thread.cpuMs]))
  let best: ThreadUsage | null = null
  for (const thread of after.threads) {
    const cores = (thread.cpuMs - (earlier.get(thread.threadId) ?? 0)) / spanMs
    if (best === null || cores > best.cores) best = { name: thread.name, cores }
  }
  return best
}
