/**
 * Everything the rules know about a host: plain data, as `tune-os collect` writes it and
 * `tune-os check --facts` reads it. No secret is in it: of command lines, environments and
 * configuration files only what a rule needs is kept.
 */
import type { Missing, Space } from './host-files.ts'

export const FACTS_SCHEMA = 'mqctl.tune-os.facts'
/** Raised when an older mqctl could misread what a newer one wrote. */
export const FACTS_VERSION = 1

/** One thing that was read: its text, or why there is none. */
export interface Reading {
  readonly source: string
  readonly text: string | null
  readonly missing: Missing | null
}

export interface HostFacts {
  readonly schema: typeof FACTS_SCHEMA
  readonly version: number
  readonly tool: string
  /** ISO 8601. */
  readonly collectedAt: string
  readonly platform: PlatformFacts
  readonly container: ContainerFacts
  readonly memory: MemoryFacts
  readonly cpu: CpuFacts
  /** By key, as in `vm.swappiness`. */
  readonly sysctl: Readonly<Record<string, Reading>>
  readonly thp: { readonly enabled: Reading; readonly defrag: Reading }
  /** Number of NUMA nodes; null when sysfs does not say. */
  readonly numaNodes: number | null
  readonly clock: ClockFacts
  readonly counters: Counters
  readonly network: { readonly links: readonly LinkFacts[] }
  readonly target: TargetFacts
  readonly unit: UnitFacts | null
  readonly group: GroupFacts
  readonly disk: DiskFacts
  readonly persisted: PersistedFacts
  readonly broker: BrokerConf | null
  readonly probes: ProbeFacts
  readonly plans: PlannedLoad
}

export interface PlatformFacts {
  readonly linux: boolean
  readonly kernel: Reading
  readonly arch: string
  readonly uid: number
  /** Root of the machine; root of a user namespace alone may not set what belongs to the host. */
  readonly privileged: boolean
  /** Whether /proc can be read at all. */
  readonly procReadable: boolean
  /** Whether systemd manages this host (its run-time directory is there). */
  readonly systemd: boolean
}

export interface ContainerFacts {
  readonly kind: 'none' | 'docker' | 'podman' | 'k8s' | 'lxc' | 'container'
  /** What told so. */
  readonly evidence: string | null
}

export interface MemoryFacts {
  readonly totalBytes: number | null
  readonly availableBytes: number | null
  /** 0 without swap; null when unknown. */
  readonly swapTotalBytes: number | null
  readonly source: string
}

export interface CpuFacts {
  readonly count: number
  /** One entry a frequency policy; empty where the machine has none. */
  readonly governors: readonly string[]
  readonly governorSource: string
}

export interface ClockFacts {
  readonly source: Reading
  readonly available: Reading
  /** systemd-timesyncd says that the clock is synchronised. */
  readonly timesyncd: boolean
  /** Daemons that run and keep time: `chronyd` … */
  readonly daemons: readonly string[]
  /** The youngest file in which such a daemon notes the drift of this clock; null when none is seen. */
  readonly drift: { readonly source: string; readonly ageSeconds: number } | null
}

/** Counters since boot, or over a window. */
export interface Counters {
  /** Length of the window in ms; null for counters since boot. */
  readonly windowMs: number | null
  readonly uptimeSeconds: number | null
  /** Shares of CPU time, 0 to 1; null when /proc/stat cannot be read. */
  readonly steal: number | null
  readonly iowait: number | null
  /** By name, as in `TcpExt.ListenOverflows`, `softnet.dropped`, `eth0.rx_dropped`. */
  readonly drops: Readonly<Record<string, number>>
  readonly packets: number | null
  readonly throttledPeriods: number | null
  readonly periods: number | null
}

export interface LinkFacts {
  readonly name: string
  readonly physical: boolean
  readonly up: boolean
  /** Megabits a second; null when the link does not say. */
  readonly speedMbps: number | null
  readonly duplex: string | null
  readonly driver: string | null
  readonly receiveQueues: number
  /** CPUs that its interrupts may run on; null when unknown. */
  readonly irqCpus: number | null
}

/** The process that is judged: a broker, or for limits the shell that a broker would be started from. */
export interface TargetFacts {
  readonly how: 'pid' | 'unit' | 'port' | 'none'
  readonly asked: string | null
  readonly pid: number | null
  readonly why: string | null
  readonly kind: 'java' | 'node' | 'other' | null
  readonly uid: number | null
  readonly limits: Reading
  /** Whose limits those are. */
  readonly limitsOf: 'target' | 'parent'
  readonly openFiles: number | null
  readonly maps: number | null
  readonly threads: number | null
  readonly swappedBytes: number | null
  /** Null when status cannot be read. */
  readonly residentBytes: number | null
  readonly denied: readonly string[]
  readonly jvm: JvmFacts | null
  readonly node: NodeFacts | null
}

export interface JvmFacts {
  /** Where the flags come from: a process or `--flags`. */
  readonly source: string
  /** -X…, -XX:… and -verbose… only, in order. */
  readonly flags: readonly string[]
  readonly mainClass: string | null
  /** From the `release` file of the JDK, as in `17.0.15`; null when unknown. */
  readonly version: string | null
  readonly versionSource: string | null
  /** Bytes free where the GC log goes; null when unknown. */
  readonly gcLogFreeBytes: number | null
  /** Where the GC log goes is memory (tmpfs). */
  readonly gcLogInMemory: boolean
}

export interface NodeFacts {
  /** As in `20.20.2`; null when it cannot be told without running it. */
  readonly version: string | null
  readonly versionSource: string | null
  /** UV_THREADPOOL_SIZE; null when not set or not readable. */
  readonly threadPool: number | null
  readonly threadPoolKnown: boolean
  readonly maxOldSpaceMb: number | null
}

export interface UnitFacts {
  readonly name: string
  readonly found: boolean
  /** Settings that count in the end, by name. */
  readonly settings: Readonly<Record<string, UnitSetting>>
  readonly files: readonly string[]
}

export interface UnitSetting {
  readonly value: string
  readonly file: string
  readonly line: number
}

/** Limits of the control group of the target (or of this process). */
export interface GroupFacts {
  readonly version: 1 | 2 | null
  readonly memoryMaxBytes: number | null
  readonly memorySource: string | null
  readonly cpuCores: number | null
  readonly cpuSource: string | null
  readonly pidsMax: number | null
  readonly pidsCurrent: number | null
  readonly pidsSource: string | null
}

export interface DiskFacts {
  /** Null when no data directory was named and none could be told. */
  readonly path: string | null
  readonly pathFrom: string | null
  /** Whether a missing directory is a fault, or will be made by mqctl itself. */
  readonly mustExist: boolean
  readonly exists: boolean
  /** The nearest directory above that exists. */
  readonly nearest: string | null
  /** Whether the broker's user can write there; null when unknown. */
  readonly writable: boolean | null
  readonly owner: string | null
  readonly space: Space | null
  readonly fileSystem: string | null
  readonly mountPoint: string | null
  readonly mountOptions: readonly string[]
  readonly onRootDevice: boolean | null
  /** Every disk below: several for LVM and RAID. */
  readonly legs: readonly DiskLeg[]
}

export interface DiskLeg {
  readonly name: string
  readonly scheduler: string | null
  readonly schedulers: readonly string[]
  readonly readAheadKib: number | null
  readonly rotational: boolean | null
}

/** One line that sets a sysctl at boot. */
export interface Definition {
  readonly key: string
  readonly value: string
  readonly file: string
  readonly line: number
  /** Why it does not count: another file of the same name, or not read at boot. */
  readonly ignored: string | null
}

export interface PersistedFacts {
  /** In the order they are applied: of several for one key the last counts. */
  readonly definitions: readonly Definition[]
  /** Files that could not be read. */
  readonly unreadable: readonly string[]
  /** `transparent_hugepage=` and tmpfiles.d lines, in order. */
  readonly thp: readonly Definition[]
  readonly managers: readonly Manager[]
  /** `nofile` lines of limits.conf. */
  readonly limits: readonly Definition[]
}

export interface Manager {
  readonly name: string
  readonly profile: string | null
  /** Keys that it sets. */
  readonly keys: readonly string[]
  readonly source: string
}

/** The keys of a broker.conf that the rules look at; everything else stays where it is. */
export interface BrokerConf {
  readonly source: string
  /** By a running broker, which tells every key that it knows, set or not. */
  readonly told: boolean
  readonly values: Readonly<
    Record<string, { readonly value: string; readonly line: number | null }>
  >
  readonly keys: readonly string[]
}

export interface ProbeFacts {
  readonly asked: boolean
  readonly fsync: FsyncProbe | null
  readonly fsyncWhy: string | null
  /** Share of CPU time that reading the clock spends in the kernel, 0 to 1. */
  readonly clockKernelShare: number | null
}

export interface FsyncProbe {
  readonly samples: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

/** What the operator plans, as far as it was said. */
export interface PlannedLoad {
  readonly connections: number
  readonly expectGbps: number
  readonly rttMs: number | null
  readonly fileBytes: number | null
}
