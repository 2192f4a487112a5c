/** How many files a broker process may keep open: its limit, less what its connections need. */
import { readFileSync } from 'node:fs'

/** What a store keeps open where nothing is known; also the least that a usual limit leaves it. */
const OPEN_FILES_MIN = 512
const OPEN_FILES_MAX = 16_384

/** Descriptors that are left to connections before files get any. */
const FOR_CONNECTIONS = 2_048

/**
 * Half of what this process may open beside its connections, 512 … 16,384: a file a queue, so that
 * thousands of queues that all get messages are not opened and closed for each write. Of a limit below
 * 1,024 half, so that the rest is there for connections. Node raises the soft limit to the hard one by
 * itself. Source: proc_pid_limits(5).
 */
export function openFilesMax(limits: string = ownLimits()): number {
  const limit = Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? 0)
  const half = Math.floor((limit - FOR_CONNECTIONS) / 2)
  const least = limit > 0 ? Math.min(OPEN_FILES_MIN, Math.floor(limit / 2)) : OPEN_FILES_MIN
  return Math.min(Math.max(half, least), OPEN_FILES_MAX)
}

function ownLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'latin1')
  } catch {
    return ''
  }
}
