/** One row a process: what the host saw of it, and what it said of its own inside. */
import type { RuntimeFigures } from '../host/node-runtime.ts'
import type { HostUsage, ProcessUsage } from '../host/usage.ts'
import type { Gc, ProcessResult } from './result-hosts.ts'
import type { WindowFigures } from './role-messages.ts'
import type { InsideMark, WatchedBroker } from './target-watch.ts'

interface Seen {
  readonly usage: HostUsage
  readonly windowMs: number
}

function usageOf({ usage }: Seen, pid: number | null): ProcessUsage | null {
  return usage.processes.find((process) => process.pid === pid) ?? null
}

function base(
  name: string,
  role: ProcessResult['role'],
  pid: number | null,
  used: ProcessUsage | null,
  why: string,
): ProcessResult {
  return {
    name,
    role,
    pid,
    cores: used?.cores ?? null,
    userCores: used?.userCores ?? null,
    systemCores: used?.systemCores ?? null,
    busiestThread: used?.busiestThread ?? null,
    quota: used?.quota ?? null,
    threads: used?.threadCount ?? null,
    rssBytes: used?.rssBytes ?? null,
    rssPeakBytes: used?.rssPeakBytes ?? null,
    gc: null,
    loop: null,
    diskReadBytes: used?.diskReadBytes ?? null,
    diskWrittenBytes: used?.diskWrittenBytes ?? null,
    fsync: null,
    unavailable: used === null ? { process: why } : {},
  }
}

function gcBetween(start: RuntimeFigures, end: RuntimeFigures, windowMs: number): Gc {
  const pauseMs = end.gc.pauseMs - start.gc.pauseMs
  return {
    count: end.gc.count - start.gc.count,
    pauseMs,
    share: windowMs > 0 ? pauseMs / windowMs : 0,
    pauseMsMax: end.gc.pauseMsMax,
  }
}

/** A load process, which told its figures at both edges of the window; null when it died before. */
export function loadProcessResult(
  process: {
    readonly name: string
    readonly role: 'producer' | 'consumer'
    readonly pid: number | null
  },
  figures: WindowFigures | null,
  seen: Seen,
): ProcessResult {
  const used = usageOf(seen, process.pid)
  const row = base(process.name, process.role, process.pid, used, 'n/a: the process was gone')
  if (figures === null) return row
  const { start, end } = figures
  const { windowMs } = seen
  const share = (ms: number) => (windowMs > 0 ? ms / windowMs : null)
  // Where the host shows no counters of processes, the process's own will do.
  const own = {
    userCores: row.userCores ?? share(end.cpuUserMs - start.cpuUserMs),
    systemCores: row.systemCores ?? share(end.cpuSystemMs - start.cpuSystemMs),
  }
  return {
    ...row,
    ...own,
    cores:
      row.cores ??
      (own.userCores !== null && own.systemCores !== null ? own.userCores + own.systemCores : null),
    rssBytes: row.rssBytes ?? end.rssBytes,
    gc: gcBetween(start, end, windowMs),
    loop: { p99Ms: end.loop.p99Ms, maxMs: end.loop.maxMs, scope: 'the window' },
  }
}

/** A broker: its process when it is on this host, and what it says of itself when it does. */
export function brokerResult(
  broker: WatchedBroker,
  start: InsideMark | undefined,
  end: InsideMark | undefined,
  seen: Seen,
): ProcessResult {
  const used = usageOf(seen, broker.pid)
  const why = broker.isLocal
    ? `n/a: ${broker.why ?? 'its process is gone, or may not be looked at'}`
    : 'n/a: it runs on another host'
  const row = base(broker.name, 'broker', broker.pid, used, why)
  const [from, to] = [start?.facts.inside, end?.facts.inside]
  const unavailable: Record<string, string> = { ...row.unavailable }
  const gc = brokerGc(start, end, seen.windowMs)
  if (gc === null) unavailable['gc'] = 'n/a: neither the broker nor a JVM counter file tells it'
  const fsyncs = grown(from?.fsyncCount, to?.fsyncCount)
  const fsyncMs = grown(from?.fsyncTotalMs, to?.fsyncTotalMs)
  if (fsyncs === null) unavailable['fsync'] = 'n/a: the broker does not tell it'
  const loopP99Ms = to?.eventLoopP99Ms ?? null
  return {
    ...row,
    gc,
    loop:
      loopP99Ms === null
        ? null
        : {
            p99Ms: loopP99Ms,
            maxMs: to?.eventLoopMaxMs ?? null,
            scope: 'since the broker started',
          },
    fsync:
      fsyncs === null
        ? null
        : {
            count: fsyncs,
            meanMs: fsyncMs !== null && fsyncs > 0 ? fsyncMs / fsyncs : null,
            maxMs: to?.fsyncMaxMs ?? null,
          },
    unavailable,
  }
}

function brokerGc(
  start: InsideMark | undefined,
  end: InsideMark | undefined,
  windowMs: number,
): Gc | null {
  const [from, to] = [start?.facts.inside, end?.facts.inside]
  const count = grown(from?.gcCount, to?.gcCount) ?? grown(start?.jvmGc?.count, end?.jvmGc?.count)
  const pauseMs =
    grown(from?.gcPauseMs, to?.gcPauseMs) ?? grown(start?.jvmGc?.pauseMs, end?.jvmGc?.pauseMs)
  if (count === null || pauseMs === null) return null
  return { count, pauseMs, share: windowMs > 0 ? pauseMs / windowMs : 0, pauseMsMax: null }
}

function grown(from: number | null | undefined, to: number | null | undefined): number | null {
  return from === null || from === undefined || to === null || to === undefined ? null : to - from
}

/** A process that is only looked at from outside. */
export function otherResult(
  name: string,
  role: 'nameserver' | 'orchestrator',
  pid: number,
  seen: Seen,
): ProcessResult {
  return base(name, role, pid, usageOf(seen, pid), 'n/a: the process was gone')
}
