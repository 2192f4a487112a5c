/**
 * Limits of a control group, version 1 and 2: the smallest on the way up counts. Inside a container
 * the mounted hierarchy begins at the container's own group, whatever /proc/PID/cgroup says; the
 * mount's root tells.
 *
 * Source: Linux Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst.
 */
import { parseMounts, type Mount } from '../proc-text.ts'
import type { GroupFacts } from './facts.ts'
import type { HostFiles } from './host-files.ts'
import { numberIn, textOf } from './reading.ts'

/** Version 1 says "no limit" with a number near 2^63. */
const V1_UNLIMITED = 2 ** 60

export function readGroup(files: HostFiles, pid: number | 'self'): GroupFacts {
  const groups = new Groups(files, pid)
  const memory = groups.smallest('memory', (directory, version) =>
    limitIn(files, directory, version === 2 ? 'memory.max' : 'memory.limit_in_bytes'),
  )
  const cpu = groups.smallest('cpu', (directory, version) =>
    version === 2 ? quotaV2(files, directory) : quotaV1(files, directory),
  )
  const pids = groups.smallest('pids', (directory) => limitIn(files, directory, 'pids.max'))
  return {
    version: groups.version,
    memoryMaxBytes: memory?.value ?? null,
    memorySource: memory?.source ?? null,
    cpuCores: cpu?.value ?? null,
    cpuSource: cpu?.source ?? null,
    pidsMax: pids?.value ?? null,
    pidsCurrent: pids === null ? null : numberIn(files, `${pids.directory}/pids.current`),
    pidsSource: pids?.source ?? null,
  }
}

/** Throttling of the CPU controller since the group was made; null where there is none. */
export function readThrottling(
  files: HostFiles,
  pid: number | 'self',
): { periods: number; throttled: number } | null {
  for (const { directory } of new Groups(files, pid).directories('cpu')) {
    const stat = textOf(files, `${directory}/cpu.stat`)
    const periods = /^nr_periods (\d+)$/m.exec(stat ?? '')?.[1]
    const throttled = /^nr_throttled (\d+)$/m.exec(stat ?? '')?.[1]
    if (periods !== undefined && throttled !== undefined) {
      return { periods: Number(periods), throttled: Number(throttled) }
    }
  }
  return null
}

/** Directories of a controller's group, innermost first. */
export function groupDirectories(
  files: HostFiles,
  pid: number | 'self',
  controller: string,
): readonly string[] {
  return new Groups(files, pid).directories(controller).map(({ directory }) => directory)
}

interface Found {
  readonly value: number
  readonly directory: string
  readonly source: string
}

class Groups {
  readonly #mounts: readonly Mount[]
  readonly #paths: ReadonlyMap<string, string>

  constructor(files: HostFiles, pid: number | 'self') {
    this.#mounts = parseMounts(textOf(files, '/proc/self/mountinfo') ?? '')
    const paths = new Map<string, string>()
    for (const line of (textOf(files, `/proc/${pid}/cgroup`) ?? '').split('\n')) {
      const match = /^\d+:([^:]*):(.*)$/.exec(line)
      if (match === null) continue
      for (const controller of (match[1] ?? '').split(',')) paths.set(controller, match[2] ?? '/')
    }
    this.#paths = paths
  }

  get version(): 1 | 2 | null {
    const types = new Set(this.#mounts.map((mount) => mount.type))
    if (types.has('cgroup')) return 1
    return types.has('cgroup2') ? 2 : null
  }

  smallest(
    controller: string,
    limit: (directory: string, version: 1 | 2) => { value: number; source: string } | null,
  ): Found | null {
    let best: Found | null = null
    for (const { directory, version } of this.directories(controller)) {
      const found = limit(directory, version)
      if (found !== null && (best === null || found.value < best.value)) {
        best = { ...found, directory }
      }
    }
    return best
  }

  directories(controller: string): { directory: string; version: 1 | 2 }[] {
    const old = this.#mounts.find(
      (mount) => mount.type === 'cgroup' && mount.superOptions.split(',').includes(controller),
    )
    const path = this.#paths.get(controller)
    if (old !== undefined && path !== undefined) return upwards(old, path, 1)
    const unified = this.#mounts.find((mount) => mount.type === 'cgroup2')
    const unifiedPath = this.#paths.get('')
    return unified === undefined || unifiedPath === undefined
      ? []
      : upwards(unified, unifiedPath, 2)
  }
}

function upwards(mount: Mount, path: string, version: 1 | 2) {
  // `/docker/abc` under a mount whose root is `/docker/abc` is the mount point itself; with a group
  // namespace both are `/`. A path outside of the namespace starts with `/..`.
  let inside = path
  if (mount.root !== '/' && (path === mount.root || path.startsWith(`${mount.root}/`))) {
    inside = path.slice(mount.root.length)
  } else if (mount.root !== '/' || path.startsWith('/..')) {
    inside = ''
  }
  const directories: { directory: string; version: 1 | 2 }[] = []
  let rest = inside === '/' ? '' : inside
  for (;;) {
    directories.push({ directory: mount.mountPoint + rest, version })
    if (rest === '') return directories
    rest = rest.slice(0, rest.lastIndexOf('/'))
  }
}

function limitIn(files: HostFiles, directory: string, name: string) {
  const source = `${directory}/${name}`
  const value = numberIn(files, source)
  return value === null || value < 0 || value >= V1_UNLIMITED ? null : { value, source }
}

function quotaV2(files: HostFiles, directory: string) {
  const source = `${directory}/cpu.max`
  const match = /^(\d+) (\d+)/.exec(textOf(files, source) ?? '')
  return match === null ? null : { value: Number(match[1]) / Number(match[2]), source }
}

function quotaV1(files: HostFiles, directory: string) {
  const source = `${directory}/cpu.cfs_quota_us`
  const quota = numberIn(files, source)
  const period = numberIn(files, `${directory}/cpu.cfs_period_us`)
  if (quota === null || period === null || quota <= 0 || period <= 0) return null
  return { value: quota / period, source }
}
