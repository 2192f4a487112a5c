/**
 * Any other platform (macOS, Windows): what Node and systeminformation can say. Disk, per-process
 * I/O, threads, I/O wait and steal have no portable source; they stay null with the reason.
 */
import { availableParallelism, cpus, loadavg, networkInterfaces } from 'node:os'
import type systemInformation from 'systeminformation'
import type { Clock } from '../world/clock.ts'
import type {
  CpuCounters,
  HostProbe,
  HostSnapshot,
  MemoryLevels,
  NicCounters,
  ProcessCounters,
} from './snapshot.ts'

type SystemInformation = typeof systemInformation

export class PortableProbe implements HostProbe {
  readonly #clock: Clock
  #library: SystemInformation | null = null
  readonly #platform: string

  constructor(clock: Clock, platform: string = process.platform) {
    this.#clock = clock
    this.#platform = platform
  }

  async snapshot(pids: Iterable<number>, _deep: boolean): Promise<HostSnapshot> {
    this.#library ??= (await import('systeminformation')).default
    const library = this.#library
    const where = `n/a on ${this.#platform}`
    const unavailable: Record<string, string> = {
      disk: `${where}: there is no /proc/diskstats`,
      processCpu: `${where}: only a role's own figures are known`,
      processIo: `${where}: there is no /proc/PID/io`,
      threads: `${where}: there is no /proc/PID/task`,
      iowait: `${where}: the kernel does not count it`,
      steal: `${where}: the kernel does not count it`,
    }
    const [memory, nics, processes] = await Promise.all([
      readMemory(library),
      readNics(library),
      readProcesses(library, new Set(pids)),
    ])
    return {
      atMs: this.#clock.monotonicMs(),
      cpuCount: availableParallelism(),
      cpu: readCpu(),
      load1: this.#platform === 'win32' ? null : (loadavg()[0] ?? null),
      memory,
      disk: null,
      nics,
      processes,
      unavailable,
    }
  }
}

function readCpu(): CpuCounters {
  const sum = { userMs: 0, systemMs: 0, idleMs: 0, iowaitMs: 0, irqMs: 0, stealMs: 0 }
  for (const { times } of cpus()) {
    sum.userMs += times.user + times.nice
    sum.systemMs += times.sys
    sum.idleMs += times.idle
    sum.irqMs += times.irq
  }
  return sum
}

async function readMemory(library: SystemInformation): Promise<MemoryLevels> {
  const memory = await library.mem()
  return {
    totalBytes: memory.total,
    availableBytes: memory.available,
    cachedBytes: memory.buffcache,
    dirtyBytes: null,
    swapTotalBytes: memory.swaptotal,
    swapUsedBytes: memory.swapused,
    swapInPages: null,
    swapOutPages: null,
  }
}

async function readNics(library: SystemInformation): Promise<NicCounters[]> {
  const loopbacks = new Set<string>()
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (addresses?.some((address) => address.internal) === true) loopbacks.add(name)
  }
  const rows = await library.networkStats('*')
  return rows.map((row) => ({
    name: row.iface,
    isLoopback: loopbacks.has(row.iface),
    linkBitsPerSecond: null,
    rxBytes: row.rx_bytes,
    rxPackets: 0,
    rxDrops: row.rx_dropped,
    txBytes: row.tx_bytes,
    txPackets: 0,
    txDrops: row.tx_dropped,
  }))
}

async function readProcesses(
  library: SystemInformation,
  pids: ReadonlySet<number>,
): Promise<Map<number, ProcessCounters>> {
  const found = new Map<number, ProcessCounters>()
  if (pids.size === 0) return found
  const { list } = await library.processes()
  for (const row of list) {
    if (!pids.has(row.pid)) continue
    found.set(row.pid, {
      pid: row.pid,
      // The library knows a share of the moment, not a counter; the roles report their own.
      userMs: null,
      systemMs: null,
      threadCount: null,
      rssBytes: row.memRss * 1024,
      rssPeakBytes: null,
      majorFaults: null,
      diskReadBytes: null,
      diskWrittenBytes: null,
      threads: null,
    })
  }
  return found
}
