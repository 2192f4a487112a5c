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
  {
    name: /^-XX:[+-]?(UseConcMarkSweepGC|CMS\w+|UseCMS\w+|ParallelCMSThreads|ExplicitGCInvokesConcurrentAndUnloadsClasses)(=|$)/,
    warnsFrom: 9,
    fatalFrom: 15,
    instead: '-XX:+UseG1GC',
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
  { name: /^-XX:[+-]UseZGC$/, since: 11, instead: '-XX:+UseG1GC' },
  {
    name: /^-XX:[+-]ZGenerational$/,
    since: 21,
    warnsFrom: 23,
    instead: 'nothing: ZGC is generational since 23',
  },
  { name: /^-XX:(MaxRAMPercentage|InitialRAMPercentage)=/, since: 8, instead: '-Xmx' },
  { name: /^-Djava\.(ext|endorsed)\.dirs$/, fatalFrom: 9, instead: 'the class path' },
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
  for (const flag of flags) {
    const history = histories.find(({ name }) => name.test(flag))
    if (history === undefined) continue
    const { since, warnsFrom, fatalFrom, instead } = history
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
  const young = feature >= 11 && feature < 15 && flagSwitch(flags, 'UseZGC') === true
  if (young && flagSwitch(flags, 'UnlockExperimentalVMOptions') !== true) {
    troubles.push({
      flag: '-XX:+UseZGC',
      fatal: true,
      why: `experimental in JDK ${feature}`,
      instead: '-XX:+UnlockExperimentalVMOptions -XX:+UseZGC',
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
