/**
 * Flags that the origin notes tune and that are right or wrong by degrees: info only, with what
 * holds today.
 */
import { formatBytes } from '../../../base/units.ts'
import { confSwitch } from '../broker-conf.ts'
import { measured, skip, verdict, type Check, type Finding } from '../check.ts'
import type { HostFacts, JvmFacts } from '../facts.ts'
import {
  collectorOf,
  featureVersion,
  flagSwitch,
  flagValue,
  heapLimitBytes,
  heapMaxBytes,
  jvmSize,
} from '../jvm-flags.ts'
import { flagEvidence, jvmOf } from './jvm.ts'
import { usableMemory } from './memory.ts'

const MIB = 1_048_576
const GIB = 1_073_741_824

/** The JVM when G1 runs it; else why not. */
function g1Of(facts: HostFacts): JvmFacts | Finding {
  const jvm = jvmOf(facts)
  if ('status' in jvm) return jvm
  const feature = jvm.version === null ? null : featureVersion(jvm.version)
  const name = collectorOf(jvm.flags, feature)
  return name === 'G1' ? jvm : skip('not-applicable', `the collector is ${name}, not G1`)
}

interface PercentRule {
  readonly id: string
  readonly title: string
  readonly flag: string
  readonly fallback: number
  readonly min: number
  readonly max: number
  readonly text: string
}

function percentCheck(rule: PercentRule): Check {
  const { id, title, flag, fallback, min, max, text } = rule
  return {
    id,
    category: 'jvm',
    title,
    weight: 'I/-/-',
    scope: 'jvm',
    judge(facts) {
      const jvm = g1Of(facts)
      if ('status' in jvm) return jvm
      const said = flagValue(jvm.flags, flag)
      const value = Number(said ?? fallback)
      if (!Number.isFinite(value)) return skip('unknown', `${flag}=${said} is not a number`)
      return verdict(value >= min && value <= max, {
        actual: measured(value, '%', said === null ? `${value} % (default)` : `${value} %`),
        expected: `${min}..${max} %`,
        evidence: flagEvidence(jvm, said === null ? [] : [`-XX:${flag}=${said}`]),
        text,
        remedy: {
          summary: `remove -XX:${flag}, or bring it between ${min} and ${max}`,
          restart: true,
        },
      })
    },
  }
}

const ihop = percentCheck({
  id: 'jvm.g1-ihop',
  title: 'When G1 starts a concurrent cycle',
  flag: 'InitiatingHeapOccupancyPercent',
  fallback: 45,
  min: 20,
  max: 60,
  text: 'since JDK 9 G1 adapts it at run time: the flag is only where it begins (origin: 30)',
})

const reserve = percentCheck({
  id: 'jvm.g1-reserve',
  title: 'Heap that G1 keeps back',
  flag: 'G1ReservePercent',
  fallback: 10,
  min: 5,
  max: 25,
  text: 'insurance against evacuation failure, paid with heap (origin: 25, on 8 GiB that is 2 GiB)',
})

const region: Check = {
  id: 'jvm.g1-region',
  category: 'jvm',
  title: 'Region size of G1',
  weight: 'I/-/-',
  scope: 'jvm',
  judge(facts) {
    const jvm = g1Of(facts)
    if ('status' in jvm) return jvm
    const said = flagValue(jvm.flags, 'G1HeapRegionSize')
    const usable = usableMemory(facts)
    const heap =
      heapLimitBytes(jvm.flags) ?? (usable === null ? null : heapMaxBytes(jvm.flags, usable))
    if (heap === null) return skip('unknown', 'neither the heap nor the memory is known')
    const chosen = Math.min(32 * MIB, Math.max(MIB, 2 ** Math.floor(Math.log2(heap / 2_048))))
    const bytes = said === null ? chosen : (jvmSize(said) ?? chosen)
    // Objects above half a region are humongous: a body of 4 MiB needs regions above 8 MiB.
    const regions = heap / bytes
    return verdict(regions >= 256 && (bytes >= 4 * MIB || heap < 4 * GIB), {
      actual: measured(
        bytes,
        'B',
        `${formatBytes(bytes)}${said === null ? ' (chosen by the JVM)' : ''}`,
      ),
      expected: 'at least 256 regions; ≥ 4 MiB on a heap of 4 GiB and more',
      evidence: flagEvidence(jvm, said === null ? [] : [`-XX:G1HeapRegionSize=${said}`]),
      text: 'bodies above half a region are humongous objects (origin: 16m, fine from 8 GiB on)',
      remedy: {
        summary: heap >= 4 * GIB ? 'set -XX:G1HeapRegionSize=16m' : 'remove -XX:G1HeapRegionSize',
        restart: true,
      },
    })
  },
}

const softRef: Check = {
  id: 'jvm.soft-ref',
  category: 'jvm',
  title: 'Soft references',
  weight: 'I/-/-',
  scope: 'jvm',
  judge(facts) {
    const jvm = jvmOf(facts)
    if ('status' in jvm) return jvm
    const said = flagValue(jvm.flags, 'SoftRefLRUPolicyMSPerMB')
    const value = Number(said ?? 1_000)
    return verdict(value > 0, {
      actual: measured(
        value,
        'ms/MB',
        said === null ? `${value} ms/MB (default)` : `${value} ms/MB`,
      ),
      expected: '> 0; 1000 is the default',
      evidence: flagEvidence(jvm, said === null ? [] : [`-XX:SoftRefLRUPolicyMSPerMB=${said}`]),
      text: '0 throws away cached reflection data at every collection, to be made again (origin: better 1000 than the shipped 0)',
      remedy: { summary: 'remove -XX:SoftRefLRUPolicyMSPerMB=0', restart: true },
    })
  },
}

const preTouch: Check = {
  id: 'jvm.pre-touch',
  category: 'jvm',
  title: 'Heap is touched at start',
  weight: 'I/-/-',
  scope: 'jvm',
  judge(facts) {
    const jvm = jvmOf(facts)
    if ('status' in jvm) return jvm
    const on = flagSwitch(jvm.flags, 'AlwaysPreTouch') === true
    const usable = usableMemory(facts)
    const limited = facts.group.memoryMaxBytes !== null
    const heap = usable === null ? null : heapMaxBytes(jvm.flags, usable)
    const tooMuch = on && heap !== null && usable !== null && heap > usable * 0.75
    return verdict(limited ? !tooMuch : on, {
      actual: measured(on ? 'on' : 'off'),
      expected: limited ? 'off, or a heap well below the limit' : 'on, on a machine of its own',
      evidence: flagEvidence(
        jvm,
        jvm.flags.filter((flag) => flag.endsWith('AlwaysPreTouch')),
      ),
      text: limited
        ? 'in a container the whole heap counts at once: above the limit that is an instant kill'
        : 'without it the first use of each page stops a thread; with it the start takes seconds longer',
      remedy: {
        summary: limited
          ? 'lower the heap or remove -XX:+AlwaysPreTouch'
          : 'add -XX:+AlwaysPreTouch',
        restart: true,
      },
    })
  },
}

const directMemory: Check = {
  id: 'jvm.direct-memory',
  category: 'jvm',
  title: 'Cap on direct buffers',
  weight: 'I/-/-',
  scope: 'jvm',
  judge(facts) {
    const jvm = jvmOf(facts)
    if ('status' in jvm) return jvm
    const said = flagValue(jvm.flags, 'MaxDirectMemorySize')
    const usable = usableMemory(facts)
    if (usable === null) return skip('absent', 'memory is not known')
    const heap = heapMaxBytes(jvm.flags, usable)
    const cap = said === null ? heap : (jvmSize(said) ?? heap)
    const pool = confSwitch(facts.broker, 'transientStorePoolEnable') === true
    return verdict(pool ? cap >= 5 * GIB : heap + cap <= usable, {
      actual: measured(
        cap,
        'B',
        `${formatBytes(cap)}${said === null ? ' (default: the heap size)' : ''}`,
      ),
      expected: pool ? '≥ the store pool' : 'heap + cap ≤ memory',
      evidence: flagEvidence(jvm, said === null ? [] : [`-XX:MaxDirectMemorySize=${said}`]),
      text: 'a cap, not a reservation; it does not limit memory maps or page cache (origin: 15g)',
      remedy: {
        summary: 'set -XX:MaxDirectMemorySize to what is used: 1g without a store pool',
        restart: true,
      },
    })
  },
}

export const jvmTuningChecks: readonly Check[] = [
  ihop,
  reserve,
  region,
  softRef,
  preTouch,
  directMemory,
]
