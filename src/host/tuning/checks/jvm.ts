/** The JVM of a broker: version against flags, heap, young generation, GC log, out of memory. */
import { formatBytes } from '../../../base/units.ts'
import {
  fail,
  measured,
  pass,
  skip,
  verdict,
  type Check,
  type Evidence,
  type Finding,
} from '../check.ts'
import type { HostFacts, JvmFacts } from '../facts.ts'
import {
  chosenCollectors,
  collectorOf,
  featureVersion,
  flagSwitch,
  flagValue,
  heapLimitBytes,
  heapStartBytes,
  jvmSize,
  troublesOf,
  youngBytes,
} from '../jvm-flags.ts'
import { gcLogPath } from '../target-facts.ts'

/** What RocketMQ's releases are built and tested with: 4.x on 8, 5.x on 8, 11, 17 and 21. */
const supported = [8, 11, 17, 21]

/** The JVM to judge, or the skip that says why there is none. */
export function jvmOf(facts: HostFacts): JvmFacts | Finding {
  const { target } = facts
  if (target.jvm !== null) return target.jvm
  if (target.how === 'port' && target.pid === null) {
    return skip('needs-root', target.why ?? 'the target is not visible')
  }
  return skip(
    'not-applicable',
    target.pid === null
      ? 'no JVM to judge: --pid, --unit or --port names one'
      : `process ${target.pid} is not a JVM`,
  )
}

export function flagEvidence(jvm: JvmFacts, found: readonly string[]): readonly Evidence[] {
  return [{ source: jvm.source, value: found.length === 0 ? 'not set' : found.join(' ') }]
}

function featureOf(facts: HostFacts, jvm: JvmFacts): number | Finding {
  if (jvm.version === null) {
    return facts.target.denied.includes('exe')
      ? skip('needs-root', `/proc/${facts.target.pid ?? 'PID'}/exe may not be read by this user`)
      : skip('unknown', 'its version is not known: no release file beside it (give it with --jdk)')
  }
  return featureVersion(jvm.version) ?? skip('unknown', `${jvm.version} is not a version`)
}

const version: Check = {
  id: 'jvm.version',
  category: 'jvm',
  title: 'Version of the JVM',
  weight: 'C/-/-',
  scope: 'jvm',
  judge(facts) {
    const jvm = jvmOf(facts)
    if ('status' in jvm) return jvm
    const feature = featureOf(facts, jvm)
    if (typeof feature !== 'number') return feature
    const ok = supported.includes(feature)
    return verdict(ok, {
      actual: measured(jvm.version),
      expected: supported.join(', '),
      evidence: [{ source: jvm.versionSource ?? jvm.source, value: jvm.version ?? '' }],
      severity: feature < 8 ? 'critical' : 'warning',
      text: ok
        ? ''
        : feature < 8
          ? 'RocketMQ does not start with it'
          : 'RocketMQ may run with it, and is not built and tested with it',
      remedy: { summary: 'run the broker with JDK 17 or 21 (RocketMQ 4.x: 8)', restart: true },
    })
  },
}

const flags: Check = {
  id: 'jvm.flags',
  category: 'jvm',
  title: 'Flags are known to this version',
  weight: 'C/-/-',
  scope: 'jvm',
  cannotStart: true,
  judge(facts) {
    const jvm = jvmOf(facts)
    if ('status' in jvm) return jvm
    const feature = featureOf(facts, jvm)
    if (typeof feature !== 'number') return feature
    const troubles = troublesOf(jvm.flags, feature)
    const fatal = troubles.some((trouble) => trouble.fatal)
    return verdict(troubles.length === 0, {
      actual: measured(troubles.length, 'flags', `${troubles.length} of ${jvm.flags.length} flags`),
      expected: `none that JDK ${feature} refuses or ignores`,
      evidence: troubles.map(({ flag, why }) => ({ source: flag, value: why })),
      severity: fatal ? 'critical' : 'warning',
      text: fatal ? 'the JVM does not start with them' : '',
      remedy: {
        summary: troubles.map(({ flag, instead }) => `${flag} → ${instead}`).join('; '),
        restart: true,
      },
    })
  },
}

const heapEqual: Check = {
  id: 'jvm.heap-equal',
  category: 'jvm',
  title: 'Heap does not grow while it works',
  weight: 'W/-/-',
  scope: 'jvm',
  judge(facts) {
    const jvm = jvmOf(facts)
    if ('status' in jvm) return jvm
    const start = heapStartBytes(jvm.flags)
    const limit = heapLimitBytes(jvm.flags)
    if (limit === null && flagValue(jvm.flags, 'MaxRAMPercentage') !== null) {
      const same =
        flagValue(jvm.flags, 'InitialRAMPercentage') === flagValue(jvm.flags, 'MaxRAMPercentage')
      return judged(same, 'percentages of memory')
    }
    return judged(
      start !== null && start === limit,
      `-Xms ${start === null ? 'not set' : formatBytes(start)}, -Xmx ${limit === null ? 'not set' : formatBytes(limit)}`,
    )

    function judged(ok: boolean, said: string): Finding {
      return verdict(ok, {
        actual: measured(said),
        expected: '-Xms = -Xmx',
        evidence: flagEvidence(jvm as JvmFacts, heapFlags((jvm as JvmFacts).flags)),
        text: 'growing stops the application, and memory that is promised may not be there later',
        remedy: { summary: 'set -Xms and -Xmx to the same size', restart: true },
      })
    }
  },
}

function heapFlags(all: readonly string[]): string[] {
  return all.filter((flag) =>
    /^(-Xm[sxn]|-XX:(Initial|Max|Min)?(HeapSize|RAMPercentage|NewSize))/.test(flag),
  )
}

const youngFixed: Check = {
  id: 'jvm.young-fixed',
  category: 'jvm',
  title: 'G1 chooses the size of the young generation',
  weight: 'W/-/-',
  scope: 'jvm',
  judge(facts) {
    const jvm = jvmOf(facts)
    if ('status' in jvm) return jvm
    const feature = jvm.version === null ? null : featureVersion(jvm.version)
    const collector = collectorOf(jvm.flags, feature)
    if (collector !== 'G1') return skip('not-applicable', `the collector is ${collector}, not G1`)
    const fixed = jvm.flags.filter((flag) =>
      /^(-Xmn|-XX:(NewSize|MaxNewSize|NewRatio)=)/.test(flag),
    )
    const young = youngBytes(jvm.flags)
    return verdict(fixed.length === 0, {
      actual: measured(
        fixed.length === 0 ? 'free' : (young ?? fixed.join(' ')),
        null,
        fixed.join(' ') || 'free',
      ),
      expected: 'no -Xmn, NewSize or NewRatio',
      evidence: flagEvidence(jvm, fixed),
      text: 'a fixed size switches off the control of pause times',
      remedy: { summary: 'remove it; -XX:MaxGCPauseMillis says what you want', restart: true },
    })
  },
}

const collector: Check = {
  id: 'jvm.gc',
  category: 'jvm',
  title: 'Garbage collector',
  weight: 'W/-/-',
  scope: 'jvm',
  judge(facts) {
    const jvm = jvmOf(facts)
    if ('status' in jvm) return jvm
    const feature = jvm.version === null ? null : featureVersion(jvm.version)
    const name = collectorOf(jvm.flags, feature)
    const cores = facts.group.cpuCores ?? facts.cpu.count
    // A JVM that is left alone on one core or under 2 GB takes the serial collector.
    const silent =
      chosenCollectors(jvm.flags).length === 0 &&
      feature !== null &&
      feature >= 9 &&
      cores > 0 &&
      cores < 2
    const good = ['G1', 'Z', 'Shenandoah', 'ConcMarkSweep'].includes(name) && !silent
    return verdict(good, {
      actual: measured(
        silent ? 'Serial' : name,
        null,
        silent ? 'Serial (chosen by the JVM on one core)' : name,
      ),
      expected: 'G1, or ZGC/Shenandoah on a large heap',
      evidence: flagEvidence(
        jvm,
        jvm.flags.filter((flag) => /^-XX:[+-]Use\w+GC$/.test(flag)),
      ),
      text: 'serial and parallel collection stop the broker for the length of the whole heap',
      remedy: { summary: 'add -XX:+UseG1GC', restart: true },
    })
  },
}

const gcLog: Check = {
  id: 'jvm.gc-log',
  category: 'jvm',
  title: 'GC log is written and rotated',
  weight: 'I/-/-',
  scope: 'jvm',
  judge(facts) {
    const jvm = jvmOf(facts)
    if ('status' in jvm) return jvm
    const path = gcLogPath(jvm.flags)
    const log = jvm.flags.findLast((flag) => /^-Xlog(gc)?:/.test(flag)) ?? ''
    const files = Number(
      /filecount=(\d+)/.exec(log)?.[1] ?? flagValue(jvm.flags, 'NumberOfGCLogFiles') ?? 5,
    )
    const size = /filesize=(\d+[kmg]?)/i.exec(log)?.[1] ?? flagValue(jvm.flags, 'GCLogFileSize')
    const bytes = files * (jvmSize(size ?? '20m') ?? 20_971_520)
    const old = log.startsWith('-Xloggc:')
    const rotated = !old || flagSwitch(jvm.flags, 'UseGCLogFileRotation') === true
    const freeBytes = jvm.gcLogFreeBytes ?? Number.POSITIVE_INFINITY
    const fault =
      path === null
        ? 'no GC log: a pause cannot be explained afterwards'
        : !rotated
          ? 'it is not rotated'
          : freeBytes <= bytes
            ? `up to ${formatBytes(bytes)} do not fit: ${formatBytes(freeBytes)} free`
            : jvm.gcLogInMemory
              ? 'it lies in memory: charged to a container, and gone after a reboot'
              : null
    return verdict(fault === null, {
      actual: measured(path ?? 'none'),
      expected: 'a rotated file on a disk with room for it',
      evidence: flagEvidence(jvm, log === '' ? [] : [log]),
      text: fault ?? '',
      remedy: {
        summary: 'add -Xlog:gc*:file=/var/log/rocketmq/gc.log:time,tags:filecount=5,filesize=30M',
        restart: true,
      },
    })
  },
}

const oomExit: Check = {
  id: 'jvm.oom-exit',
  category: 'jvm',
  title: 'Out of memory ends the process',
  weight: 'W/-/-',
  scope: 'jvm',
  judge(facts) {
    const jvm = jvmOf(facts)
    if ('status' in jvm) return jvm
    const handled =
      flagSwitch(jvm.flags, 'ExitOnOutOfMemoryError') === true ||
      flagSwitch(jvm.flags, 'CrashOnOutOfMemoryError') === true ||
      flagValue(jvm.flags, 'OnOutOfMemoryError') !== null
    const basis = {
      actual: measured(handled ? 'set' : 'not set'),
      expected: '-XX:+ExitOnOutOfMemoryError or a handler',
      evidence: flagEvidence(
        jvm,
        jvm.flags.filter((flag) => flag.includes('OutOfMemoryError')),
      ),
    }
    if (handled) return pass(basis)
    return fail({
      ...basis,
      text: 'after it some threads are gone and the rest answers: a broker that half works',
      remedy: {
        summary: 'add -XX:+ExitOnOutOfMemoryError and let systemd restart it',
        restart: true,
      },
    })
  },
}

export const jvmChecks: readonly Check[] = [
  version,
  flags,
  heapEqual,
  youngFixed,
  collector,
  gcLog,
  oomExit,
]
