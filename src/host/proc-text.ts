/**
 * The text of /proc as values. Pure: every function takes the content of one file and returns what
 * it says, or null where a kernel does not say it.
 *
 * Source: Linux Documentation/filesystems/proc.rst, Documentation/admin-guide/iostats.rst, proc(5).
 */
import type { CpuCounters, DiskCounters, MemoryLevels, PressureCounters } from './snapshot.ts'

/** Clock ticks a second in /proc (USER_HZ): 100 on every Linux that Node runs on. */
const MS_PER_TICK = 10
/** /proc/diskstats counts sectors of 512 bytes, whatever the device's own sector size. */
const SECTOR_BYTES = 512

function numbersOf(text: string): number[] {
  return text
    .trim()
    .split(/\s+/)
    .map((word) => Number(word))
}

/** The first line of /proc/stat: all CPUs together. */
export function parseCpuTimes(procStat: string): CpuCounters | null {
  const line = /^cpu +(.*)$/m.exec(procStat)?.[1]
  if (line === undefined) return null
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softIrq = 0, steal = 0] =
    numbersOf(line)
  return {
    userMs: (user + nice) * MS_PER_TICK,
    systemMs: system * MS_PER_TICK,
    idleMs: idle * MS_PER_TICK,
    iowaitMs: iowait * MS_PER_TICK,
    irqMs: (irq + softIrq) * MS_PER_TICK,
    stealMs: steal * MS_PER_TICK,
  }
}

/** `Name:   123 kB` lines, as in /proc/meminfo and /proc/PID/status, in bytes. */
export function parseKibLines(text: string): Map<string, number> {
  const values = new Map<string, number>()
  for (const match of text.matchAll(/^([^:\n]+):\s+(\d+) kB$/gm)) {
    values.set(match[1] ?? '', Number(match[2]) * 1024)
  }
  return values
}

export function parseMemory(meminfo: string, vmstat: string): MemoryLevels | null {
  const lines = parseKibLines(meminfo)
  const totalBytes = lines.get('MemTotal')
  if (totalBytes === undefined) return null
  const swapTotalBytes = lines.get('SwapTotal') ?? 0
  const counter = (name: string) => {
    const match = new RegExp(`^${name} (\\d+)$`, 'm').exec(vmstat)
    return match === null ? null : Number(match[1])
  }
  return {
    totalBytes,
    availableBytes: lines.get('MemAvailable') ?? lines.get('MemFree') ?? 0,
    cachedBytes: lines.get('Cached') ?? 0,
    dirtyBytes: lines.get('Dirty') ?? null,
    swapTotalBytes,
    swapUsedBytes: swapTotalBytes - (lines.get('SwapFree') ?? 0),
    swapInPages: counter('pswpin'),
    swapOutPages: counter('pswpout'),
  }
}

/** /proc/pressure/cpu, io and memory; null when one of them is not there. */
export function parsePressure(cpu: string, io: string, memory: string): PressureCounters | null {
  const totalMs = (text: string, word: string) => {
    const match = new RegExp(`^${word} .*\\btotal=(\\d+)`, 'm').exec(text)
    return match === null ? Number.NaN : Number(match[1]) / 1000
  }
  const counters = {
    cpuSomeMs: totalMs(cpu, 'some'),
    ioSomeMs: totalMs(io, 'some'),
    ioFullMs: totalMs(io, 'full'),
    memorySomeMs: totalMs(memory, 'some'),
    memoryFullMs: totalMs(memory, 'full'),
  }
  return Object.values(counters).some(Number.isNaN) ? null : counters
}

/** The row of one device in /proc/diskstats; null when it is not there. */
export function parseDisk(diskstats: string, major: number, minor: number): DiskCounters | null {
  for (const line of diskstats.split('\n')) {
    const words = line.trim().split(/\s+/)
    if (Number(words[0]) !== major || Number(words[1]) !== minor) continue
    const at = (index: number) => Number(words[index] ?? 0)
    return {
      device: words[2] ?? '',
      reads: at(3),
      readBytes: at(5) * SECTOR_BYTES,
      readMs: at(6),
      writes: at(7),
      writtenBytes: at(9) * SECTOR_BYTES,
      writeMs: at(10),
      busyMs: at(12),
      flushes: words[18] === undefined ? null : at(18),
      flushMs: words[19] === undefined ? null : at(19),
    }
  }
  return null
}

/**
 * Transactions that a journal has committed, from /proc/fs/jbd2/DEVICE-INODE/info; null when it says nothing.
 * Source: Linux fs/jbd2/journal.c, jbd2_seq_info_show.
 */
export function parseJournalCommits(info: string): number | null {
  const match = /^(\d+) transactions? \(/.exec(info)
  return match === null ? null : Number(match[1])
}

export interface NicRow {
  readonly name: string
  readonly rxBytes: number
  readonly rxPackets: number
  readonly rxDrops: number
  readonly txBytes: number
  readonly txPackets: number
  readonly txDrops: number
}

/** The rows of /proc/net/dev. */
export function parseNics(netDev: string): NicRow[] {
  const rows: NicRow[] = []
  for (const line of netDev.split('\n')) {
    const colon = line.indexOf(':')
    if (colon < 0) continue
    const fields = numbersOf(line.slice(colon + 1))
    rows.push({
      name: line.slice(0, colon).trim(),
      rxBytes: fields[0] ?? 0,
      rxPackets: fields[1] ?? 0,
      rxDrops: fields[3] ?? 0,
      txBytes: fields[8] ?? 0,
      txPackets: fields[9] ?? 0,
      txDrops: fields[11] ?? 0,
    })
  }
  return rows
}

export interface TaskStat {
  readonly name: string
  readonly majorFaults: number
  readonly userMs: number
  readonly systemMs: number
  readonly threadCount: number
}

/** /proc/PID/stat and /proc/PID/task/TID/stat. The name may hold spaces and parentheses. */
export function parseTaskStat(stat: string): TaskStat | null {
  const open = stat.indexOf('(')
  const close = stat.lastIndexOf(')')
  if (open < 0 || close < open) return null
  const fields = stat
    .slice(close + 1)
    .trim()
    .split(/\s+/)
  // proc(5) numbers the fields from 1; field 3 (state) is the first one after the name.
  const field = (number: number) => Number(fields[number - 3] ?? 0)
  return {
    name: stat.slice(open + 1, close),
    majorFaults: field(12),
    userMs: field(14) * MS_PER_TICK,
    systemMs: field(15) * MS_PER_TICK,
    threadCount: field(20),
  }
}

/** /proc/PID/io: bytes that went to and came from block devices. */
export function parseProcessIo(io: string): { readBytes: number; writtenBytes: number } | null {
  const read = /^read_bytes: (\d+)$/m.exec(io)
  const written = /^write_bytes: (\d+)$/m.exec(io)
  const cancelled = /^cancelled_write_bytes: (\d+)$/m.exec(io)
  if (read === null || written === null) return null
  return {
    readBytes: Number(read[1]),
    writtenBytes: Math.max(0, Number(written[1]) - Number(cancelled?.[1] ?? 0)),
  }
}

export interface Mount {
  readonly mountPoint: string
  readonly type: string
  readonly source: string
  readonly options: string
  readonly device: string
  /** The part of the file system that is mounted: not `/` for a bind mount or an own control group. */
  readonly root: string
  /** Options of the file system itself, such as `data=ordered`. */
  readonly superOptions: string
}

/** /proc/self/mountinfo. Spaces and the like in paths are written as octal escapes. */
export function parseMounts(mountinfo: string): Mount[] {
  const mounts: Mount[] = []
  const plain = (text: string) =>
    text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))
  for (const line of mountinfo.split('\n')) {
    const dash = line.indexOf(' - ')
    if (dash < 0) continue
    const front = line.slice(0, dash).split(' ')
    const back = line.slice(dash + 3).split(' ')
    mounts.push({
      device: front[2] ?? '',
      mountPoint: plain(front[4] ?? ''),
      options: front[5] ?? '',
      type: back[0] ?? '',
      source: plain(back[1] ?? ''),
      root: plain(front[3] ?? ''),
      superOptions: back[2] ?? '',
    })
  }
  return mounts
}

/** The mount that holds an absolute path: the longest mount point above it, the last one wins. */
export function mountOf(mounts: readonly Mount[], path: string): Mount | null {
  let best: Mount | null = null
  for (const mount of mounts) {
    const point = mount.mountPoint
    const above = point === '/' || path === point || path.startsWith(`${point}/`)
    if (above && point.length >= (best?.mountPoint.length ?? 0)) best = mount
  }
  return best
}

/** Inode of the socket that listens on a TCP port, from /proc/net/tcp or tcp6; null when none does. */
export function listeningInode(procNetTcp: string, port: number): string | null {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  for (const line of procNetTcp.split('\n')) {
    const words = line.trim().split(/\s+/)
    // 0A is TCP_LISTEN.
    if (words[3] === '0A' && words[1]?.endsWith(wanted) === true) return words[9] ?? null
  }
  return null
}
