/**
 * Linux: everything comes from /proc and /sys, read synchronously. The files are made by the kernel
 * while they are read, so there is no disk to wait for; a snapshot with ten processes costs about a
 * millisecond.
 */
import { readdirSync } from 'node:fs'
import { availableParallelism, loadavg } from 'node:os'
import path from 'node:path'
import type { Clock } from '../world/clock.ts'
import { readQuota } from './control-group.ts'
import { type BlockDevice, existingPath, fileSystemOf, fileText } from './filesystem.ts'
import {
  parseCpuTimes,
  parseDisk,
  parseJournalCommits,
  parseKibLines,
  parseMemory,
  parseNics,
  parsePressure,
  parseProcessIo,
  parseTaskStat,
} from './proc-text.ts'
import type {
  HostProbe,
  HostSnapshot,
  NicCounters,
  ProbeTarget,
  ProcessCounters,
  ThreadCounters,
} from './snapshot.ts'

/** ARPHRD_LOOPBACK in /sys/class/net/NAME/type. */
const LOOPBACK_TYPE = '772'

export class LinuxProbe implements HostProbe {
  readonly #clock: Clock
  readonly #device: BlockDevice | null
  /** Of the journal that the file system under test may have. */
  readonly #journalInfo: string | null
  readonly #diskWhy: string | null
  /** Of the process whose network is watched. */
  readonly #network: string
  readonly #linkBitsPerSecond: number | null
  readonly #links = new Map<string, { isLoopback: boolean; linkBitsPerSecond: number | null }>()

  constructor(clock: Clock, target: ProbeTarget) {
    this.#clock = clock
    this.#network = `/proc/${target.networkOf ?? 'self'}`
    this.#linkBitsPerSecond = target.linkBitsPerSecond ?? null
    const fileSystem = target.diskPath === null ? null : fileSystemOf(target.diskPath)
    this.#device = fileSystem?.device ?? null
    this.#journalInfo = journalInfoOf(fileSystem?.source ?? null)
    this.#diskWhy = fileSystem === null ? 'n/a: no path on this host was given' : fileSystem.why
  }

  snapshot(pids: Iterable<number>, deep: boolean): Promise<HostSnapshot> {
    const unavailable: Record<string, string> = {}
    const processes = new Map<number, ProcessCounters>()
    for (const pid of pids) {
      const counters = readProcess(pid, deep)
      if (counters !== null) processes.set(pid, counters)
    }
    const counters =
      this.#device === null
        ? null
        : parseDisk(fileText('/proc/diskstats') ?? '', this.#device.major, this.#device.minor)
    const journal = this.#journalInfo === null ? null : fileText(this.#journalInfo)
    const disk =
      counters === null ? null : { ...counters, journalCommits: parseJournalCommits(journal ?? '') }
    if (disk === null) {
      unavailable.disk = this.#diskWhy ?? 'n/a: the device is not in /proc/diskstats'
    }
    return Promise.resolve({
      atMs: this.#clock.monotonicMs(),
      cpuCount: availableParallelism(),
      cpu: parseCpuTimes(fileText('/proc/stat') ?? ''),
      load1: loadavg()[0] ?? null,
      pressure: parsePressure(
        fileText('/proc/pressure/cpu') ?? '',
        fileText('/proc/pressure/io') ?? '',
        fileText('/proc/pressure/memory') ?? '',
      ),
      memory: parseMemory(fileText('/proc/meminfo') ?? '', fileText('/proc/vmstat') ?? ''),
      disk,
      nics: this.#readNics(),
      processes,
      unavailable,
    })
  }

  #readNics(): NicCounters[] {
    return parseNics(fileText(`${this.#network}/net/dev`) ?? '').map((row) => {
      let link = this.#links.get(row.name)
      if (link === undefined) {
        link = this.#readLink(row.name)
        this.#links.set(row.name, link)
      }
      return { ...row, ...link }
    })
  }

  #readLink(name: string): { isLoopback: boolean; linkBitsPerSecond: number | null } {
    // A process in another network sees its own /sys, where it has one.
    const text = (file: string) => fileText(`${this.#network}/root/sys/class/net/${name}/${file}`)
    const isLoopback = text('type')?.trim() === LOOPBACK_TYPE || name === 'lo'
    if (isLoopback) return { isLoopback, linkBitsPerSecond: null }
    if (this.#linkBitsPerSecond !== null) {
      return { isLoopback, linkBitsPerSecond: this.#linkBitsPerSecond }
    }
    // Megabits a second; −1 or an error for links without a speed of their own (virtio, veth).
    const megabits = Number(text('speed') ?? -1)
    return { isLoopback, linkBitsPerSecond: megabits > 0 ? megabits * 1e6 : null }
  }
}

/** Where the kernel tells of a journal inside the file system of a device: inode 8 of ext4. */
function journalInfoOf(source: string | null): string | null {
  if (source?.startsWith('/dev/') !== true) return null
  return `/proc/fs/jbd2/${path.basename(existingPath(source))}-8/info`
}

function readProcess(pid: number, deep: boolean): ProcessCounters | null {
  const directory = `/proc/${pid}`
  const stat = parseTaskStat(fileText(`${directory}/stat`) ?? '')
  if (stat === null) return null
  const memory = parseKibLines(fileText(`${directory}/status`) ?? '')
  const io = parseProcessIo(fileText(`${directory}/io`) ?? '')
  return {
    pid,
    userMs: stat.userMs,
    systemMs: stat.systemMs,
    threadCount: stat.threadCount,
    rssBytes: memory.get('VmRSS') ?? 0,
    rssPeakBytes: memory.get('VmHWM') ?? null,
    majorFaults: stat.majorFaults,
    diskReadBytes: io?.readBytes ?? null,
    diskWrittenBytes: io?.writtenBytes ?? null,
    quota: deep ? readQuota(pid) : null,
    threads: deep ? readThreads(pid) : null,
  }
}

function readThreads(pid: number): ThreadCounters[] {
  const threads: ThreadCounters[] = []
  let names: string[]
  try {
    names = readdirSync(`/proc/${pid}/task`)
  } catch {
    return threads
  }
  for (const name of names) {
    const stat = parseTaskStat(fileText(`/proc/${pid}/task/${name}/stat`) ?? '')
    if (stat === null) continue
    threads.push({ threadId: Number(name), name: stat.name, cpuMs: stat.userMs + stat.systemMs })
  }
  return threads
}
