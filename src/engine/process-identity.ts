/**
 * Which process a number means. Process ids are reused, so a run.json that outlived its processes
 * could name a stranger: an id counts only together with the start time of its process.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { systemCodeOf } from '../base/errors.ts'

export interface ProcessIdentity {
  readonly pid: number
  /**
   * Linux: ticks since boot (field 22 of /proc/PID/stat); elsewhere the text of `ps -o lstart`.
   * Null where neither can be read.
   */
  readonly startedAt: string | null
}

export function identityOf(pid: number): ProcessIdentity {
  return { pid, startedAt: startTimeOf(pid) }
}

/** Whether exactly this process is alive; a zombie is not. */
export function isAlive(identity: ProcessIdentity): boolean {
  try {
    process.kill(identity.pid, 0)
  } catch (error) {
    if (systemCodeOf(error) !== 'EPERM') return false
  }
  const stat = procStat(identity.pid)
  if (stat?.state === 'Z' || stat?.state === 'X') return false
  const startedAt = stat?.startTime ?? startTimeOf(identity.pid)
  return identity.startedAt === null || startedAt === identity.startedAt
}

/** Sends a signal to exactly this process; false when it is gone. */
export function signal(identity: ProcessIdentity, name: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false
  try {
    process.kill(identity.pid, name)
    return true
  } catch {
    return false
  }
}

/** Resident memory in bytes; null where it cannot be read. */
export function residentBytes(pid: number): number | null {
  try {
    const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]
    if (kib !== undefined) return Number(kib) * 1_024
  } catch {
    // Not Linux, or gone.
  }
  const text = ps(pid, 'rss')
  return text === null ? null : Number(text) * 1_024
}

function startTimeOf(pid: number): string | null {
  return procStat(pid)?.startTime ?? ps(pid, 'lstart')
}

function procStat(pid: number): { state: string; startTime: string } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name in parentheses may itself contain anything; fields count from behind it.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const [state, startTime] = [fields[0], fields[19]]
    return state !== undefined && startTime !== undefined ? { state, startTime } : null
  } catch {
    return null
  }
}

function ps(pid: number, column: string): string | null {
  if (process.platform === 'linux' || process.platform === 'win32') return null
  try {
    const text = execFileSync('ps', ['-o', `${column}=`, '-p', String(pid)], { encoding: 'utf8' })
    return text.trim() === '' ? null : text.trim()
  } catch {
    return null
  }
}
