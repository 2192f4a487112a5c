/**
 * Flags of a HotSpot JVM: what they set, and which of them a version warns about or refuses.
 * Source: openjdk/jdk src/hotspot/share/runtime/arguments.cpp (special_jvm_flags) of each release,
 * JEP 158 and 271 (unified logging), JEP 363 (CMS removed), JEP 374 (biased locking).
 */
const sizeUnits: Readonly<Record<string, number>> = {
  '': 1,
  k: 1_024,
  m: 1_048_576,
  g: 1_073_741_824,
  t: 1_099_511_627_776,
}

/** `8g`, `512m` → bytes; null for anything else. */
export function jvmSize(text: string): number | null {
  const match = /^(\d+)([kmgt]?)$/i.exec(text)
  if (match === null) return null
  return Number(match[1]) * (sizeUnits[(match[2] ?? '').toLowerCase()] ?? 1)
}

/** The last of several counts, as in the JVM. */
export function flagValue(flags: readonly string[], name: string): string | null {
  const prefix = `-XX:${name}=`
  return flags.findLast((flag) => flag.startsWith(prefix))?.slice(prefix.length) ?? null
}

/** True and false for -XX:+NAME and -XX:-NAME; null when neither is there. */
export function flagSwitch(flags: readonly string[], name: string): boolean | null {
  const last = flags.findLast((flag) => flag === `-XX:+${name}` || flag === `-XX:-${name}`)
  return last === undefined ? null : last.startsWith('-XX:+')
}

function sizeFlag(flags: readonly string[], short: string, long: string): number | null {
  const last = flags.findLast(
    (flag) => new RegExp(`^${short}\\d`).test(flag) || flag.startsWith(`-XX:${long}=`),
  )
  if (last === undefined) return null
  return jvmSize(last.startsWith('-XX:') ? last.slice(long.length + 5) : last.slice(short.length))
}

export function heapStartBytes(flags: readonly string[]): number | null {
  return sizeFlag(flags, '-Xms', 'InitialHeapSize')
}

export function heapLimitBytes(flags: readonly string[]): number | null {
  return sizeFlag(flags, '-Xmx', 'MaxHeapSize')
}

/** Heap limit in bytes: said, or a share of memory (a quarter by default). */
export function heapMaxBytes(flags: readonly string[], usableBytes: number): number {
  const said = heapLimitBytes(flags)
  if (said !== null) return said
  const share = Number(flagValue(flags, 'MaxRAMPercentage') ?? 25)
  return (usableBytes * (Number.isFinite(share) ? share : 25)) / 100
}

export function youngBytes(flags: readonly string[]): number | null {
  return sizeFlag(flags, '-Xmn', 'NewSize') ?? sizeFlag(flags, '-Xmn', 'MaxNewSize')
}

/** `17.0.15` → 17, `1.8.0_412` → 8. */
export function featureVersion(version: string): number | null {
  const match = /^(?:1\.)?(\d+)/.exec(version)
  return match === null ? null : Number(match[1])
}

const collectors = [
  'G1',
  'Z',
  'Shenandoah',
  'Parallel',
  'ParallelOld',
  'Serial',
  'ConcMarkSweep',
  'Epsilon',
]

/** Names of collectors that are switched on. */
export function chosenCollectors(flags: readonly string[]): string[] {
  const chosen = collectors.filter((name) => flagSwitch(flags, `Use${name}GC`) === true)
  // ParallelOld is a part of Parallel, not another collector.
  return chosen.includes('Parallel') ? chosen.filter((name) => name !== 'ParallelOld') : chosen
}

/** The collector that runs. Since 9 the default is G1 on a server (2 CPUs and 2 GB), Parallel before. */
export function collectorOf(flags: readonly string[], feature: number | null): string {
  const chosen = chosenCollectors(flags)
  if (chosen[0] !== undefined) return chosen[0]
  return feature !== null && feature < 9 ? 'Parallel' : 'G1'
}

interface FlagHistory {
  readonly name: RegExp
  /** The first version that knows it. */
  readonly since?: number
  /** From this version a warning, and no effect or one that will go. */
  readonly warnsFrom?: number
  /** From this version the JVM does not start with it. */
  readonly fatalFrom?: number
  /** Refused without -XX:+UnlockExperimentalVMOptions, before the version that it names if any. */
  readonly experimental?: { readonly before?: number }
  readonly instead: string
}

const unifiedLog = '-Xlog:gc*:file=PATH:time,tags:filecount=5,filesize=30M'

const histories: readonly FlagHistory[] = [
  {
    name: /^-XX:[+-](PrintGCDateStamps|PrintGCTimeStamps|PrintGCApplicationStoppedTime|PrintGCApplicationConcurrentTime|PrintAdaptiveSizePolicy|PrintTenuringDistribution|PrintHeapAtGC|PrintReferenceGC|PrintPromotionFailure|UseGCLogFileRotation|PrintStringDeduplicationStatistics)$/,
    fatalFrom: 9,
    instead: unifiedLog,
  },
  {
    name: /^-XX:(NumberOfGCLogFiles|GCLogFileSize)=/,
    fatalFrom: 9,
    instead: unifiedLog,
  },
  { name: /^-XX:[+-](PrintGCDetails|PrintGC)$/, warnsFrom: 9, instead: unifiedLog },
  { name: /^-Xloggc:/, warnsFrom: 9, instead: unifiedLog },
  {
    name: /^-Xlog(:|$)/,
    since: 9,
    instead: '-Xloggc:PATH -XX:+PrintGCDetails -XX:+PrintGCDateStamps',
  },
  {
    name: /^-XX:[+-]UseBiasedLocking$/,
    warnsFrom: 15,
    fatalFrom: 19,
    instead: 'nothing: biased locking is off by default since 15',
  },
  { name: /^-XX:[+-]UseConcMarkSweepGC$/, warnsFrom: 9, fatalFrom: 15, instead: '-XX:+UseG1GC' },
  {
    // Of the incremental mode and the old compaction, which went before the collector did (JEP 214).
    name: /^-XX:[+-]?(CMSIncremental\w+|UseCMSCompactAtFullCollection|CMSFullGCsBeforeCompaction|UseCMSCollectionPassing)(=|$)/,
    fatalFrom: 9,
    instead: '-XX:+UseG1GC',
  },
  {
    name: /^-XX:[+-]?(CMS\w+|UseCMS\w+|ParallelCMSThreads)(=|$)/,
    warnsFrom: 14,
    fatalFrom: 15,
    instead: '-XX:+UseG1GC',
  },
  {
    name: /^-XX:[+-]ExplicitGCInvokesConcurrentAndUnloadsClasses$/,
    warnsFrom: 9,
    fatalFrom: 11,
    instead: '-XX:+ExplicitGCInvokesConcurrent',
  },
  { name: /^-XX:[+-]UseParNewGC$/, warnsFrom: 9, fatalFrom: 11, instead: '-XX:+UseG1GC' },
  { name: /^-Xincgc$/, fatalFrom: 9, instead: '-XX:+UseG1GC' },
  {
    name: /^-XX:[+-]UseParallelOldGC$/,
    warnsFrom: 14,
    fatalFrom: 16,
    instead: '-XX:+UseParallelGC',
  },
  { name: /^-XX:[+-]AggressiveOpts$/, warnsFrom: 11, fatalFrom: 13, instead: 'nothing' },
  { name: /^-XX:[+-]UseFastAccessorMethods$/, warnsFrom: 9, fatalFrom: 10, instead: 'nothing' },
  {
    name: /^-XX:(PermSize|MaxPermSize)=/,
    warnsFrom: 8,
    fatalFrom: 17,
    instead: '-XX:MaxMetaspaceSize=SIZE',
  },
  {
    name: /^-XX:[+-]UseCGroupMemoryLimitForHeap$/,
    warnsFrom: 10,
    fatalFrom: 11,
    instead: '-XX:MaxRAMPercentage=50',
  },
  {
    name: /^-XX:[+-]UseZGC$/,
    since: 11,
    experimental: { before: 15 },
    instead: '-XX:+UnlockExperimentalVMOptions in front of it',
  },
  {
    name: /^-XX:[+-]UseEpsilonGC$/,
    since: 11,
    experimental: {},
    instead: '-XX:+UseG1GC: it never frees anything',
  },
  {
    name: /^-XX:(G1NewSizePercent|G1MaxNewSizePercent|G1MixedGCLiveThresholdPercent|G1OldCSetRegionThresholdPercent)=/,
    experimental: {},
    instead: '-XX:MaxGCPauseMillis, or -XX:+UnlockExperimentalVMOptions in front of it',
  },
  {
    name: /^-XX:[+-]ZGenerational$/,
    since: 21,
    warnsFrom: 23,
    instead: 'nothing: ZGC is generational since 23',
  },
  { name: /^-XX:(MaxRAMPercentage|InitialRAMPercentage)=/, since: 8, instead: '-Xmx' },
  {
    name: /^-XX:DefaultMaxRAMFraction=/,
    warnsFrom: 8,
    fatalFrom: 25,
    instead: '-XX:MaxRAMPercentage=50',
  },
  {
    name: /^-XX:(Max|Min|Initial)RAMFraction=/,
    warnsFrom: 10,
    fatalFrom: 25,
    instead: '-XX:MaxRAMPercentage=50',
  },
  {
    name: /^-XX:[+-](TraceClassLoading|TraceClassUnloading)$/,
    warnsFrom: 9,
    fatalFrom: 17,
    instead: '-Xlog:class+load=info',
  },
  {
    name: /^-XX:([+-]PrintSafepointStatistics$|PrintSafepointStatistics(Count|Timeout)=)/,
    warnsFrom: 11,
    fatalFrom: 13,
    instead: '-Xlog:safepoint',
  },
  { name: /^-XX:[+-]UseAppCDS$/, warnsFrom: 11, fatalFrom: 13, instead: 'nothing' },
  {
    name: /^-XX:[+-](UseMembar|MonitorInUseLists)$/,
    warnsFrom: 10,
    fatalFrom: 17,
    instead: 'nothing',
  },
  { name: /^-XX:[+-]FlightRecorder$/, warnsFrom: 13, instead: '-XX:StartFlightRecording' },
  { name: /^-Xverify:none$/, warnsFrom: 13, instead: 'nothing' },
  { name: /^-d(32|64)$/, warnsFrom: 9, fatalFrom: 10, instead: 'nothing' },
  // In the start scripts of RocketMQ 4.x; the value is not kept.
  { name: /^-Djava\.(ext|endorsed)\.dirs$/, fatalFrom: 9, instead: 'the class path (-cp)' },
]

export interface FlagTrouble {
  readonly flag: string
  readonly fatal: boolean
  readonly why: string
  readonly instead: string
}

/** What a JDK of this feature version says about the flags. */
export function troublesOf(flags: readonly string[], feature: number): FlagTrouble[] {
  const troubles: FlagTrouble[] = []
  const ignores = flagSwitch(flags, 'IgnoreUnrecognizedVMOptions') === true
  const unlocked = flagSwitch(flags, 'UnlockExperimentalVMOptions') === true
  for (const flag of flags) {
    const history = histories.find(({ name }) => name.test(flag))
    if (history === undefined) continue
    const { since, warnsFrom, fatalFrom, experimental, instead } = history
    if (since !== undefined && feature < since) {
      troubles.push({ flag, fatal: true, why: `unknown before JDK ${since}`, instead })
    } else if (fatalFrom !== undefined && feature >= fatalFrom) {
      const hidden = ignores && flag.startsWith('-XX:')
      const why = hidden
        ? `gone since JDK ${fatalFrom}, ignored by IgnoreUnrecognizedVMOptions, which hides typing errors as well`
        : `gone since JDK ${fatalFrom}: the JVM does not start`
      troubles.push({ flag, fatal: !hidden, why, instead })
    } else if (warnsFrom !== undefined && feature >= warnsFrom) {
      troubles.push({ flag, fatal: false, why: `deprecated since JDK ${warnsFrom}`, instead })
    } else if (experimental !== undefined && !unlocked && feature < (experimental.before ?? 99)) {
      const why = `experimental in JDK ${feature}: the JVM does not start without -XX:+UnlockExperimentalVMOptions`
      troubles.push({ flag, fatal: true, why, instead })
    }
  }
  const chosen = chosenCollectors(flags)
  if (chosen.length > 1) {
    troubles.push({
      flag: chosen.map((name) => `-XX:+Use${name}GC`).join(' '),
      fatal: true,
      why: 'several collectors are chosen: the JVM does not start',
      instead: 'one of them',
    })
  }
  const start = heapStartBytes(flags)
  const limit = heapLimitBytes(flags)
  if (start !== null && limit !== null && start > limit) {
    troubles.push({
      flag: '-Xms',
      fatal: true,
      why: 'the initial heap is larger than the maximum: the JVM does not start',
      instead: 'the same size for both',
    })
  }
  return troubles
}
