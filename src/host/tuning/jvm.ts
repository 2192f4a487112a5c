/** Flags for a broker's JVM by memory and version, each with its reason. Pure. */
import { MqError } from '../../base/errors.ts'
import { formatBytes } from '../../base/units.ts'

const MIB = 1_048_576
const GIB = 1_073_741_824
/** Above this object pointers are no longer compressed: the step to more heap is to 48 GiB. */
const HEAP_BYTES_MAX = 31 * GIB
const HEAP_BYTES_MIN = 256 * MIB

export interface JvmQuestion {
  /** Memory that the broker may have: of the machine, or the container's limit. */
  readonly memoryBytes: number
  /** Feature version of the JDK: 8 to 30. */
  readonly jdk: number
  readonly gc: 'g1' | 'zgc'
  readonly container: boolean
  /** The store pool (transientStorePoolEnable) is used: its buffers are direct memory. */
  readonly storePool: boolean
  readonly logDirectory: string
}

export interface JvmAdvice {
  readonly memoryBytes: number
  readonly heapBytes: number
  /** For the page cache and everything else. */
  readonly restBytes: number
  readonly jdk: number
  readonly flags: readonly { readonly flag: string; readonly why: string }[]
  /** All flags on one line, as JAVA_OPT_EXT takes them. */
  readonly line: string
  readonly notes: readonly string[]
}

/** Throws VALUE_INVALID for what cannot work: too little memory, a collector that the version lacks. */
export function adviseJvm(question: JvmQuestion): JvmAdvice {
  const { memoryBytes, jdk, gc, container, storePool, logDirectory } = question
  const pool = storePool ? 5 * GIB : 0
  const heapBytes = heapFor(memoryBytes - pool)
  if (heapBytes < HEAP_BYTES_MIN) {
    throw invalid(
      `${formatBytes(memoryBytes)} are too little for a broker on a JVM${storePool ? ' with a store pool of 5 GiB' : ''}`,
      'a small one wants 1 GiB; mqctl start needs no JVM',
    )
  }
  if (gc === 'zgc' && jdk < 15) {
    throw invalid(
      `ZGC is ready for work from JDK 15 on, not in ${jdk}`,
      'use --gc g1, or a newer JDK',
    )
  }
  const flags: { flag: string; why: string }[] = []
  const add = (flag: string, why: string) => flags.push({ flag, why })
  const heap = sizeText(heapBytes)
  add(`-Xms${heap}`, 'the same as -Xmx: growing stops the application')
  add(
    `-Xmx${heap}`,
    `leaves ${formatBytes(memoryBytes - pool - heapBytes)} for page cache, threads and metaspace`,
  )
  if (gc === 'g1') {
    add(
      '-XX:+UseG1GC',
      'said, because a JVM on one core or under 2 GB would take the serial collector',
    )
    add('-XX:MaxGCPauseMillis=100', 'the goal; no -Xmn, which would switch it off')
    if (heapBytes >= 4 * GIB) {
      add('-XX:G1HeapRegionSize=16m', 'bodies up to 4 MiB stay ordinary objects')
      add('-XX:InitiatingHeapOccupancyPercent=30', 'where the adaptive threshold begins')
    }
  } else {
    add('-XX:+UseZGC', 'pauses below a millisecond, for more CPU and memory')
    if (jdk >= 21 && jdk < 23)
      add('-XX:+ZGenerational', 'the better of its two modes, default from 23 on')
  }
  if (!container)
    add('-XX:+AlwaysPreTouch', 'pages are there before the first message; costs seconds at start')
  add(
    `-XX:MaxDirectMemorySize=${sizeText(storePool ? 6 * GIB : Math.max(256 * MIB, Math.min(GIB, heapBytes / 2)))}`,
    storePool
      ? 'the store pool and what Netty needs'
      : 'what Netty needs; a cap and not a reservation',
  )
  add('-XX:+ExitOnOutOfMemoryError', 'a broker that half works is worse than one that restarts')
  add('-XX:-OmitStackTraceInFastThrow', 'full stack traces, also of what happens often')
  if (jdk >= 9) {
    add(
      `-Xlog:gc*,safepoint:file=${logDirectory}/gc.log:time,tags:filecount=5,filesize=30M`,
      'rotated, on a disk with room for 150 MB',
    )
  } else {
    const log = `-Xloggc:${logDirectory}/gc.log`
    add(log, 'the old form, for JDK 8')
    for (const flag of [
      '-XX:+PrintGCDetails',
      '-XX:+PrintGCDateStamps',
      '-XX:+UseGCLogFileRotation',
      '-XX:NumberOfGCLogFiles=5',
      '-XX:GCLogFileSize=30m',
    ]) {
      add(flag, 'stops a JVM of version 9 and later: remove it when you upgrade')
    }
  }
  const notes = [
    ...(heapBytes >= HEAP_BYTES_MAX
      ? ['more heap would lose compressed pointers: the rest serves better as page cache']
      : []),
    ...(container
      ? [
          'set the container’s memory limit to the memory that was named here: page cache counts against it',
        ]
      : []),
    'not among them, on purpose: -Xmn (defeats G1), -XX:-UseBiasedLocking (fatal from 19), -XX:-UseLargePages (default), SoftRefLRUPolicyMSPerMB=0 (default 1000 is better)',
  ]
  return {
    memoryBytes,
    heapBytes,
    restBytes: memoryBytes - heapBytes - pool,
    jdk,
    flags,
    line: flags.map(({ flag }) => flag).join(' '),
    notes,
  }
}

/** About a third of the memory, at most half of a small machine, whole 256 MiB. */
function heapFor(bytes: number): number {
  const share = bytes <= 4 * GIB ? 0.45 : bytes <= 16 * GIB ? 0.4 : 0.35
  const heap = Math.min(HEAP_BYTES_MAX, bytes * share)
  const step = heap >= 4 * GIB ? GIB : 128 * MIB
  return Math.floor(heap / step) * step
}

function sizeText(bytes: number): string {
  return bytes % GIB === 0 ? `${bytes / GIB}g` : `${Math.floor(bytes / MIB)}m`
}

function invalid(what: string, hint: string): MqError {
  return new MqError('VALUE_INVALID', { what, hint })
}
