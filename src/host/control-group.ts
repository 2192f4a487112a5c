/**
 * Control groups (v2, and v1 where a controller still lives there): the files of the group that a
 * process is in, and how its CPU quota held it back.
 * Source: Linux Documentation/admin-guide/cgroup-v2.rst, Documentation/scheduler/sched-bwc.rst.
 */
import { fileText } from './filesystem.ts'

/** How a CPU quota acted on a group since it was made. */
export interface QuotaCounters {
  /** Cores that the group may use. */
  readonly cores: number
  /** Periods in which it ran, and those in which it was stopped for having used its share. */
  readonly periods: number
  readonly throttledPeriods: number
}

/** The text of a file of the process's group, v2 first; null where there is none. */
export function groupFile(
  pid: number | 'self',
  controller: string,
  v2: string,
  v1: string,
): string | null {
  const groups = fileText(`/proc/${pid}/cgroup`) ?? ''
  const unified = /^0::(.*)$/m.exec(groups)?.[1]
  const old = new RegExp(`^\\d+:(?:[^:]*,)?${controller}(?:,[^:]*)?:(.*)$`, 'm').exec(groups)?.[1]
  return (
    (unified === undefined ? null : trimmed(`/sys/fs/cgroup${unified}/${v2}`)) ??
    (old === undefined ? null : trimmed(`/sys/fs/cgroup/${controller}${old}/${v1}`))
  )
}

/** Cores that the quota of a process's group allows; null without a quota. */
export function quotaCores(pid: number | 'self'): number | null {
  const v2 = /^(\d+) (\d+)$/.exec(groupFile(pid, 'cpu', 'cpu.max', 'cpu.cfs_quota_us') ?? '')
  if (v2 !== null) return Number(v2[1]) / Number(v2[2])
  const quota = Number(groupFile(pid, 'cpu', 'none', 'cpu.cfs_quota_us') ?? -1)
  const period = Number(groupFile(pid, 'cpu', 'none', 'cpu.cfs_period_us') ?? 0)
  return quota > 0 && period > 0 ? quota / period : null
}

/** Null when the process's group has no CPU quota. */
export function readQuota(pid: number): QuotaCounters | null {
  const cores = quotaCores(pid)
  if (cores === null) return null
  const stat = groupFile(pid, 'cpu', 'cpu.stat', 'cpu.stat') ?? ''
  const counter = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0)
  return { cores, periods: counter('nr_periods'), throttledPeriods: counter('nr_throttled') }
}

function trimmed(file: string): string | null {
  return fileText(file)?.trim() ?? null
}
