/**
 * Whether a process of this host has a network of its own (a container, a laboratory): then its
 * interfaces are not ours, and what it sends goes over a link that we do not see from here.
 */
import { readlinkSync } from 'node:fs'

/** `net:[4026531840]`; null when it cannot be told: no such process, not allowed to look, not Linux. */
function networkNamespaceOf(pid: number | 'self'): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`)
  } catch {
    return null
  }
}

/** True when it is known to live in another network namespace than this process. */
export function hasOwnNetwork(pid: number): boolean {
  const theirs = networkNamespaceOf(pid)
  return theirs !== null && theirs !== networkNamespaceOf('self')
}
