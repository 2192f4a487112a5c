/** What kind of machine it is: kernel, container, memory, CPUs, clock. */
import { parseKibLines, parseMounts, mountOf } from '../proc-text.ts'
import type { ClockFacts, ContainerFacts, CpuFacts, MemoryFacts, PlatformFacts } from './facts.ts'
import type { HostFiles } from './host-files.ts'
import { readingOf, textOf } from './reading.ts'

export function readPlatform(files: HostFiles): PlatformFacts {
  const { platform, arch, uid } = files.identity
  const kernel = readingOf(files, '/proc/sys/kernel/osrelease')
  return {
    linux: platform === 'linux',
    kernel,
    arch,
    uid,
    privileged: uid === 0 && !inUserNamespace(files),
    procReadable: kernel.text !== null || textOf(files, '/proc/stat') !== null,
    systemd: files.exists('/run/systemd/system'),
  }
}

/** The first user namespace maps all ids to themselves. Source: user_namespaces(7). */
function inUserNamespace(files: HostFiles): boolean {
  const map = textOf(files, '/proc/self/uid_map')?.trim().split(/\s+/)
  return map !== undefined && (map.length !== 3 || map[0] !== map[1] || Number(map[2]) < 2 ** 31)
}

/** Where this process runs. Order matters: Kubernetes pods show Docker's and containerd's marks too. */
export function readContainer(files: HostFiles): ContainerFacts {
  const groups = textOf(files, '/proc/1/cgroup') ?? textOf(files, '/proc/self/cgroup') ?? ''
  const mountinfo = textOf(files, '/proc/self/mountinfo') ?? ''
  if (files.exists('/var/run/secrets/kubernetes.io')) {
    return { kind: 'k8s', evidence: '/var/run/secrets/kubernetes.io' }
  }
  if (/kubepods/.test(groups)) return { kind: 'k8s', evidence: '/proc/1/cgroup' }
  if (mountinfo.includes('/kubelet/pods/')) {
    return { kind: 'k8s', evidence: '/proc/self/mountinfo' }
  }
  // Docker and Podman mount /etc/hosts and the like from a directory of the container.
  if (mountinfo.includes('/docker/containers/')) {
    return { kind: 'docker', evidence: '/proc/self/mountinfo' }
  }
  const said = textOf(files, '/run/systemd/container')?.trim()
  if (said === 'lxc' || said === 'docker' || said === 'podman') {
    return { kind: said, evidence: '/run/systemd/container' }
  }
  if (files.exists('/run/.containerenv')) return { kind: 'podman', evidence: '/run/.containerenv' }
  if (/\/docker[/-]/.test(groups)) return { kind: 'docker', evidence: '/proc/1/cgroup' }
  if (/\/lxc[/.]/.test(groups)) return { kind: 'lxc', evidence: '/proc/1/cgroup' }
  const rootType = mountOf(parseMounts(mountinfo), '/')?.type
  if (rootType === 'overlay') {
    const docker = files.exists('/.dockerenv')
    return { kind: docker ? 'docker' : 'container', evidence: 'overlay root file system' }
  }
  // A machine that was made from an image keeps /.dockerenv; on a real disk it proves nothing.
  return { kind: 'none', evidence: null }
}

export function readMemory(files: HostFiles): MemoryFacts {
  const lines = parseKibLines(textOf(files, '/proc/meminfo') ?? '')
  return {
    totalBytes: lines.get('MemTotal') ?? null,
    availableBytes: lines.get('MemAvailable') ?? lines.get('MemFree') ?? null,
    swapTotalBytes: lines.get('SwapTotal') ?? null,
    source: '/proc/meminfo',
  }
}

const CPUFREQ = '/sys/devices/system/cpu/cpufreq'

export function readCpu(files: HostFiles): CpuFacts {
  const stat = textOf(files, '/proc/stat') ?? ''
  const policies = (files.list(CPUFREQ) ?? []).filter((name) => /^policy\d+$/.test(name))
  const governors = policies
    .map((policy) => textOf(files, `${CPUFREQ}/${policy}/scaling_governor`)?.trim())
    .filter((governor) => governor !== undefined)
  return {
    count: [...stat.matchAll(/^cpu\d+ /gm)].length,
    governors,
    governorSource: `${CPUFREQ}/policy*/scaling_governor`,
  }
}

const CLOCKSOURCE = '/sys/devices/system/clocksource/clocksource0'
const timeDaemons = new Set([
  'chronyd',
  'ntpd',
  'openntpd',
  'ntpd-rs',
  'systemd-timesyn',
  'systemd-timesyncd',
  'ptp4l',
  'phc2sys',
  'VBoxService',
])

/**
 * Written about once an hour while the clock is synchronised, and at no other time. Source: chrony
 * reference.c (update_drift_file), ntp ntp_util.c (write_stats), openntpd ntp.c.
 */
const driftFiles = [
  '/var/lib/chrony/chrony.drift',
  '/var/lib/chrony/drift',
  '/var/lib/ntp/ntp.drift',
  '/var/lib/ntp/drift',
  '/var/lib/ntpsec/ntp.drift',
  '/var/lib/openntpd/db/ntpd.drift',
]

function driftOf(files: HostFiles, nowMs: number): ClockFacts['drift'] {
  const ages = driftFiles.flatMap((source) => {
    const stat = files.stat(source)
    return stat === null
      ? []
      : [{ source, ageSeconds: Math.round((nowMs - stat.modifiedMs) / 1_000) }]
  })
  return ages.sort((one, other) => one.ageSeconds - other.ageSeconds)[0] ?? null
}

export function readClock(files: HostFiles, nowMs: number): ClockFacts {
  const daemons = new Set<string>()
  for (const name of files.list('/proc') ?? []) {
    if (!/^\d+$/.test(name)) continue
    const command = textOf(files, `/proc/${name}/comm`)?.trim()
    if (command !== undefined && timeDaemons.has(command)) daemons.add(command)
  }
  return {
    source: readingOf(files, `${CLOCKSOURCE}/current_clocksource`),
    available: readingOf(files, `${CLOCKSOURCE}/available_clocksource`),
    timesyncd: files.exists('/run/systemd/timesync/synchronized'),
    daemons: [...daemons].sort(),
    drift: driftOf(files, nowMs),
  }
}

export function readNumaNodes(files: HostFiles): number | null {
  const names = files.list('/sys/devices/system/node')
  return names === null ? null : names.filter((name) => /^node\d+$/.test(name)).length
}
