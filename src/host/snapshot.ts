/**
 * What one look at a host sees: counters that only grow since boot (or since a process started) and
 * a few levels. Nothing here is a rate; `usage.ts` makes rates from two snapshots. A value that this
 * platform cannot give is null, and `unavailable` says why under the same name.
 */

import type { QuotaCounters } from './control-group.ts'

/** Milliseconds of CPU time since boot, summed over all CPUs. */
export interface CpuCounters {
  readonly userMs: number
  readonly systemMs: number
  readonly idleMs: number
  readonly iowaitMs: number
  /** Hardware and software interrupts. */
  readonly irqMs: number
  /** Time that the hypervisor gave to others while this machine wanted to run. */
  readonly stealMs: number
}

export interface MemoryLevels {
  readonly totalBytes: number
  /** What can be had without swapping: free memory and most of the page cache. */
  readonly availableBytes: number
  readonly cachedBytes: number
  /** Written by processes, not yet by the disk. Null where the platform does not say. */
  readonly dirtyBytes: number | null
  readonly swapTotalBytes: number
  readonly swapUsedBytes: number
  /** Pages moved in and out of swap since boot. */
  readonly swapInPages: number | null
  readonly swapOutPages: number | null
}

/** One block device since boot. Source: Linux Documentation/admin-guide/iostats.rst. */
export interface DiskCounters {
  readonly device: string
  readonly reads: number
  readonly readBytes: number
  readonly readMs: number
  readonly writes: number
  readonly writtenBytes: number
  readonly writeMs: number
  /** Time during which at least one request was under way. */
  readonly busyMs: number
  /** Cache flushes that reached the device (an fsync asks for one); null before Linux 5.5. */
  readonly flushes: number | null
  readonly flushMs: number | null
  /** Transactions that the journal of the file system has committed (ext4's jbd2); null or absent where none is told. */
  readonly journalCommits?: number | null
}

export interface NicCounters {
  readonly name: string
  readonly isLoopback: boolean
  /** Bits a second that the link claims; null for loopback and for virtual links that claim nothing. */
  readonly linkBitsPerSecond: number | null
  readonly rxBytes: number
  readonly rxPackets: number
  readonly rxDrops: number
  readonly txBytes: number
  readonly txPackets: number
  readonly txDrops: number
}

export interface ThreadCounters {
  readonly threadId: number
  readonly name: string
  readonly cpuMs: number
}

export interface ProcessCounters {
  readonly pid: number
  /** Null where the platform shows no counter of another process; a role then reports its own. */
  readonly userMs: number | null
  readonly systemMs: number | null
  readonly threadCount: number | null
  readonly rssBytes: number
  readonly rssPeakBytes: number | null
  readonly majorFaults: number | null
  /** Bytes that this process caused to be read from and written to block devices; null when not allowed to look. */
  readonly diskReadBytes: number | null
  readonly diskWrittenBytes: number | null
  /** Of the CPU quota of its control group, only in a deep snapshot; null without one. */
  readonly quota?: QuotaCounters | null
  /** Only in a deep snapshot: threads cost a file each. */
  readonly threads: readonly ThreadCounters[] | null
}

/**
 * Milliseconds since boot in which some task (`some`), or every task that had anything to do
 * (`full`), waited for a resource. Source: Linux Documentation/accounting/psi.rst.
 */
export interface PressureCounters {
  readonly cpuSomeMs: number
  readonly ioSomeMs: number
  readonly ioFullMs: number
  readonly memorySomeMs: number
  readonly memoryFullMs: number
}

export interface HostSnapshot {
  /** Milliseconds on the host's monotonic clock. */
  readonly atMs: number
  readonly cpuCount: number
  readonly cpu: CpuCounters | null
  readonly load1: number | null
  /** Null where the kernel keeps no such counters. */
  readonly pressure?: PressureCounters | null
  readonly memory: MemoryLevels | null
  readonly disk: DiskCounters | null
  readonly nics: readonly NicCounters[]
  /** By pid; a process that is gone is missing. */
  readonly processes: ReadonlyMap<number, ProcessCounters>
  /** Why a part is null or empty: `disk` → "n/a on darwin: …". */
  readonly unavailable: Readonly<Record<string, string>>
}

export interface ProbeTarget {
  /** The block device under this path is watched; null for none. */
  readonly diskPath: string | null
  /** The interfaces that this process sees are watched, not ours: it has a network of its own. */
  readonly networkOf?: number | null
  /** Bits a second of every link but the loopback; null or absent: what the links claim. */
  readonly linkBitsPerSecond?: number | null
}

/** Looks at this machine. One instance serves one run. */
export interface HostProbe {
  snapshot(pids: Iterable<number>, deep: boolean): Promise<HostSnapshot>
}
