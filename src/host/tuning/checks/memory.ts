/** Memory: does the heap fit, is the broker swapped out, how does the kernel treat the page cache. */
import { formatBytes } from '../../../base/units.ts'
import { confNumber, confSwitch } from '../broker-conf.ts'
import {
  evidenceOf,
  fail,
  measured,
  numberOf,
  pass,
  skip,
  sysctlCheck,
  sysctlOf,
  unread,
  verdict,
  type Check,
  type Finding,
} from '../check.ts'
import type { HostFacts } from '../facts.ts'
import { heapMaxBytes } from '../jvm-flags.ts'

const MIB = 1_048_576
const GIB = 1_073_741_824
/** Of min(RAM, control group): the rest is page cache, which is what makes a broker fast. */
const HEAP_SHARE_MAX = 0.75
/** Thread stacks, metaspace, code cache, GC structures. */
const JVM_EXTRA_BYTES = GIB

/** Memory that the target can have: the machine's, or the control group's limit below it. */
export function usableMemory(facts: HostFacts): number | null {
  const { totalBytes } = facts.memory
  const limit = facts.group.memoryMaxBytes
  if (totalBytes === null) return limit
  return limit === null ? totalBytes : Math.min(totalBytes, limit)
}

/** Buffers of transientStorePool, which are real memory outside of the heap. */
function storePoolBytes(facts: HostFacts): number {
  if (confSwitch(facts.broker, 'transientStorePoolEnable') !== true) return 0
  const fileBytes =
    confNumber(facts.broker, 'mappedFileSizeCommitLog') ??
    confNumber(facts.broker, 'mapedFileSizeCommitLog') ??
    GIB
  return (confNumber(facts.broker, 'transientStorePoolSize') ?? 5) * fileBytes
}

const heapFit: Check = {
  id: 'mem.heap-fit',
  category: 'memory',
  title: 'Heap and buffers fit into memory',
  weight: 'C/W/I',
  scope: 'jvm',
  cannotStart: true,
  judge(facts) {
    const usable = usableMemory(facts)
    if (usable === null) return skip('absent', 'neither /proc/meminfo nor a limit can be read')
    const limit = facts.group.memoryMaxBytes
    const of = limit === usable ? 'the control group' : 'RAM'
    const evidence = [
      {
        source: facts.memory.source,
        value: `MemTotal ${formatBytes(facts.memory.totalBytes ?? 0)}`,
      },
      ...(limit === null || facts.group.memorySource === null
        ? []
        : [{ source: facts.group.memorySource, value: formatBytes(limit) }]),
    ]
    const { jvm, node } = facts.target
    let needed: number
    let what: string
    if (jvm !== null) {
      const heap = heapMaxBytes(jvm.flags, usable)
      const pool = storePoolBytes(facts)
      needed = heap + pool + JVM_EXTRA_BYTES
      what = `heap ${formatBytes(heap)}${pool > 0 ? ` + store pool ${formatBytes(pool)}` : ''} + 1 GiB`
    } else if (node?.maxOldSpaceMb !== null && node !== null) {
      needed = node.maxOldSpaceMb * MIB + GIB / 2
      what = `--max-old-space-size ${node.maxOldSpaceMb} MiB + 512 MiB`
    } else {
      const { pid, how, why } = facts.target
      if (how === 'port' && pid === null) return skip('needs-root', why ?? 'no target')
      const text =
        pid === null
          ? 'no process with a heap limit to judge: name it with --pid'
          : node !== null
            ? `process ${pid} sets no --max-old-space-size: V8 chooses by the memory that it sees`
            : `process ${pid} is neither a JVM nor Node`
      return skip('not-applicable', text, { evidence })
    }
    return verdict(needed <= usable * HEAP_SHARE_MAX, {
      actual: measured(needed, 'B', formatBytes(needed)),
      expected: `≤ 75 % of ${formatBytes(usable)} (${of})`,
      evidence,
      text: `${what}; what is left serves as page cache`,
      remedy: { summary: 'lower the heap, or raise the memory limit', restart: true },
    })
  },
}

const swapped: Check = {
  id: 'mem.broker-swapped',
  category: 'memory',
  title: 'The broker is not swapped out',
  weight: 'W/W/I',
  scope: 'process',
  judge({ target }) {
    if (target.pid === null) {
      const hidden = target.how === 'port'
      return skip(hidden ? 'needs-root' : 'not-applicable', target.why ?? 'no target process')
    }
    const source = `/proc/${target.pid}/status`
    if (target.swappedBytes === null) {
      return unread({ source, text: null, missing: 'absent' })
    }
    return verdict(target.swappedBytes === 0, {
      actual: measured(target.swappedBytes, 'B', formatBytes(target.swappedBytes)),
      expected: '0 B',
      evidence: [{ source, value: `VmSwap ${target.swappedBytes / 1024} kB` }],
      text: 'pages that were swapped out are read back one by one, with the broker waiting',
      remedy: {
        summary: 'add memory or lower heaps, lower vm.swappiness, then restart the broker',
        restart: true,
      },
    })
  },
}

const swappiness = sysctlCheck({
  id: 'vm.swappiness',
  category: 'memory',
  title: 'Swap only under pressure',
  weight: 'W/W/I',
  scope: 'host',
  key: 'vm.swappiness',
  expected: '1..10',
  applies: ({ memory }) => (memory.swapTotalBytes === 0 ? 'this host has no swap' : null),
  judge: (value) => ({
    ok: value >= 1 && value <= 10,
    want: '1',
    text: value === 0 ? '0 takes away the valve before the OOM killer' : '',
    summary: 'set vm.swappiness = 1',
  }),
})

const overcommit = sysctlCheck({
  id: 'vm.overcommit',
  category: 'memory',
  title: 'Overcommit is not strict',
  weight: 'W/W/-',
  scope: 'host',
  key: 'vm.overcommit_memory',
  expected: '0 or 1',
  judge: (value) => ({
    ok: value !== 2,
    want: '0',
    text:
      value === 2 ? 'strict accounting refuses heaps and mappings that would never be touched' : '',
    summary: 'set vm.overcommit_memory = 0',
  }),
})

const MAPS_FLOOR = 262_144
const MAPS_ADVISED = 655_360

const maxMapCount: Check = {
  id: 'vm.max-map-count',
  category: 'memory',
  title: 'Room for memory maps',
  weight: 'C/-/-',
  scope: 'host',
  keys: ['vm.max_map_count'],
  judge(facts) {
    const reading = sysctlOf(facts, 'vm.max_map_count')
    const limit = numberOf(reading)
    if (typeof limit !== 'number') return limit
    const { maps, pid } = facts.target
    const share = maps === null ? null : maps / limit
    const evidence = [
      evidenceOf(reading),
      ...(maps === null || pid === null
        ? []
        : [{ source: `/proc/${pid}/maps`, value: `${maps} maps` }]),
    ]
    const used = share === null ? '' : `${Math.round(share * 100)} % in use`
    const ok = limit >= MAPS_FLOOR && (share ?? 0) < 0.6
    const basis = {
      actual: measured(limit),
      expected: `≥ ${MAPS_FLOOR}, under 60 % in use`,
      evidence,
    }
    if (ok) {
      const advice = limit < MAPS_ADVISED ? `${MAPS_ADVISED} leaves room for many topics` : ''
      return pass({ ...basis, text: [used, advice].filter((part) => part !== '').join('; ') })
    }
    const want = Math.max(MAPS_ADVISED, limit >= MAPS_FLOOR ? limit * 2 : 0)
    return fail({
      ...basis,
      text: [used, 'a commit log segment, a consume queue file and a thread each take maps']
        .filter((part) => part !== '')
        .join('; '),
      ...(limit >= MAPS_FLOOR && (share ?? 0) <= 0.8 ? { severity: 'warning' as const } : {}),
      remedy: {
        summary: `set vm.max_map_count = ${want}`,
        changes: [{ kind: 'sysctl', key: 'vm.max_map_count', value: String(want) }],
      },
    })
  },
}

interface Dirty {
  readonly backgroundBytes: number
  readonly limitBytes: number
  readonly limitShare: number
  readonly background: string
  readonly limit: string
}

/** Bytes when they are set, else the ratio of memory (of what is available, strictly; RAM is close). */
function dirtyOf(facts: HostFacts): Dirty | Finding {
  const total = facts.memory.totalBytes
  if (total === null) return skip('absent', '/proc/meminfo cannot be read')
  const values: number[] = []
  for (const name of [
    'dirty_background_bytes',
    'dirty_background_ratio',
    'dirty_bytes',
    'dirty_ratio',
  ]) {
    const value = numberOf(sysctlOf(facts, `vm.${name}`))
    if (typeof value !== 'number') return value
    values.push(value)
  }
  const [backgroundBytes = 0, backgroundRatio = 0, limitBytes = 0, limitRatio = 0] = values
  const limit = limitBytes > 0 ? limitBytes : (total * limitRatio) / 100
  return {
    backgroundBytes: backgroundBytes > 0 ? backgroundBytes : (total * backgroundRatio) / 100,
    limitBytes: limit,
    limitShare: limit / total,
    background: backgroundBytes > 0 ? formatBytes(backgroundBytes) : `${backgroundRatio} %`,
    limit: limitBytes > 0 ? formatBytes(limitBytes) : `${limitRatio} %`,
  }
}

const DIRTY_KEYS = ['vm.dirty_background_bytes', 'vm.dirty_background_ratio'] as const
const LIMIT_KEYS = ['vm.dirty_bytes', 'vm.dirty_ratio'] as const
const BACKGROUND_WANTED = 268_435_456
/** About five seconds of a disk that writes 200 MB/s. */
const LIMIT_WANTED = 1_073_741_824

const dirtyBackground: Check = {
  id: 'vm.dirty-background',
  category: 'memory',
  title: 'Writeback starts early',
  weight: 'W/W/-',
  scope: 'host',
  keys: DIRTY_KEYS,
  judge(facts) {
    const dirty = dirtyOf(facts)
    if ('status' in dirty) return dirty
    const most = Math.min((facts.memory.totalBytes ?? 0) * 0.1, GIB)
    const ok = dirty.backgroundBytes <= most && dirty.backgroundBytes < dirty.limitBytes / 2
    return verdict(ok, {
      actual: measured(
        Math.round(dirty.backgroundBytes),
        'B',
        `${dirty.background} = ${formatBytes(dirty.backgroundBytes)}`,
      ),
      expected: `≤ ${formatBytes(most)} and under half of the limit`,
      evidence: DIRTY_KEYS.map((key) => evidenceOf(sysctlOf(facts, key))),
      text: 'a late start lets dirty pages pile up, and the disk then stalls writers in bursts',
      remedy: {
        summary: 'set vm.dirty_background_bytes = 268435456',
        changes: [
          { kind: 'sysctl', key: 'vm.dirty_background_bytes', value: String(BACKGROUND_WANTED) },
        ],
      },
    })
  },
}

const dirtyLimit: Check = {
  id: 'vm.dirty-limit',
  category: 'memory',
  title: 'Writers are not stalled too late or too hard',
  weight: 'W/W/-',
  scope: 'host',
  keys: LIMIT_KEYS,
  judge(facts) {
    const dirty = dirtyOf(facts)
    if ('status' in dirty) return dirty
    const ok = dirty.limitShare <= 0.4 && dirty.limitBytes >= 2 * dirty.backgroundBytes
    return verdict(ok, {
      actual: measured(
        Math.round(dirty.limitBytes),
        'B',
        `${dirty.limit} = ${formatBytes(dirty.limitBytes)}`,
      ),
      expected: '≤ 40 % of RAM and at least twice the background',
      evidence: LIMIT_KEYS.map((key) => evidenceOf(sysctlOf(facts, key))),
      text: 'above this limit every write of the broker waits for the disk',
      remedy: {
        summary: 'set vm.dirty_bytes to about five seconds of what the disk can write',
        changes: [{ kind: 'sysctl', key: 'vm.dirty_bytes', value: String(LIMIT_WANTED) }],
      },
    })
  },
}

const writeback: Check = {
  id: 'vm.writeback-interval',
  category: 'memory',
  title: 'Dirty pages are written within seconds',
  weight: 'W/W/-',
  scope: 'host',
  keys: ['vm.dirty_writeback_centisecs', 'vm.dirty_expire_centisecs'],
  judge(facts) {
    const intervalReading = sysctlOf(facts, 'vm.dirty_writeback_centisecs')
    const expireReading = sysctlOf(facts, 'vm.dirty_expire_centisecs')
    const interval = numberOf(intervalReading)
    if (typeof interval !== 'number') return interval
    const expire = numberOf(expireReading)
    if (typeof expire !== 'number') return expire
    const intervalOk = interval >= 100 && interval <= 1_500
    const expireOk = expire > 0 && expire <= 3_000
    return verdict(intervalOk && expireOk, {
      actual: measured(interval, 'cs', `${interval} cs, expire ${expire} cs`),
      expected: '100..1500 cs, expire ≤ 3000 cs',
      evidence: [evidenceOf(intervalReading), evidenceOf(expireReading)],
      text: interval === 0 ? '0 switches periodic writeback off' : '',
      remedy: {
        summary: 'set vm.dirty_writeback_centisecs = 500 and vm.dirty_expire_centisecs = 3000',
        changes: [
          ...(intervalOk
            ? []
            : [
                {
                  kind: 'sysctl' as const,
                  key: 'vm.dirty_writeback_centisecs',
                  value: '500',
                },
              ]),
          ...(expireOk
            ? []
            : [{ kind: 'sysctl' as const, key: 'vm.dirty_expire_centisecs', value: '3000' }]),
        ],
      },
    })
  },
}

const minFree: Check = {
  id: 'vm.min-free',
  category: 'memory',
  title: 'A small reserve of free memory',
  weight: 'I/I/-',
  scope: 'host',
  judge(facts) {
    const reading = sysctlOf(facts, 'vm.min_free_kbytes')
    const kib = numberOf(reading)
    if (typeof kib !== 'number') return kib
    const bytes = kib * 1_024
    const total = facts.memory.totalBytes
    const most = total === null ? Number.POSITIVE_INFINITY : total * 0.05
    return verdict(bytes >= Math.min(64 * MIB, most) && bytes <= most, {
      actual: measured(kib, 'kB', formatBytes(bytes)),
      expected: total === null ? '≥ 64 MiB' : `64 MiB .. ${formatBytes(most)}`,
      evidence: [evidenceOf(reading)],
      text: 'never changed automatically: too high a value takes the machine down at once',
      remedy: {
        summary: 'consider vm.min_free_kbytes = 65536 to 262144, with the machine idle',
        risk: 'high',
      },
    })
  },
}

const zoneReclaim = sysctlCheck({
  id: 'vm.zone-reclaim',
  category: 'memory',
  title: 'Memory of other NUMA nodes is used before cache is dropped',
  weight: 'W/W/-',
  scope: 'host',
  key: 'vm.zone_reclaim_mode',
  expected: '0',
  applies: ({ numaNodes }) => (numaNodes !== null && numaNodes <= 1 ? 'one NUMA node only' : null),
  judge: (value) => ({ ok: value === 0, want: '0', summary: 'set vm.zone_reclaim_mode = 0' }),
})

const thp: Check = {
  id: 'vm.thp',
  category: 'memory',
  title: 'Transparent huge pages on request only',
  weight: 'W/I/I',
  scope: 'host',
  judge(facts) {
    const { enabled } = facts.thp
    if (enabled.text === null) return unread(enabled)
    const mode = /\[(\w+)\]/.exec(enabled.text)?.[1]
    if (mode === undefined) return skip('unknown', `${enabled.source} says ${enabled.text}`)
    return verdict(mode !== 'always', {
      actual: measured(mode),
      expected: 'madvise or never',
      evidence: [evidenceOf(enabled), evidenceOf(facts.thp.defrag)],
      text: 'with always, thread stacks of a JVM grow to 2 MiB each and compaction stalls writers',
      remedy: {
        summary: 'set it to madvise and restart the broker',
        restart: true,
        changes: [{ kind: 'thp', value: 'madvise' }],
      },
    })
  },
}

export const memoryChecks: readonly Check[] = [
  heapFit,
  swapped,
  swappiness,
  overcommit,
  maxMapCount,
  dirtyBackground,
  dirtyLimit,
  writeback,
  minFree,
  zoneReclaim,
  thp,
]
