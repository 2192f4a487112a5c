/** Memory that a process may have here: the machine's, or the control group's limit below it. */
import { MqError } from '../../base/errors.ts'
import { readGroup } from './group-facts.ts'
import type { HostFiles } from './host-files.ts'
import { readMemory } from './platform-facts.ts'

/** Throws VALUE_INVALID where it cannot be told. */
export function usableMemoryHere(files: HostFiles): number {
  const { totalBytes } = readMemory(files)
  const limit = readGroup(files, 'self').memoryMaxBytes
  const usable = Math.min(totalBytes ?? Number.POSITIVE_INFINITY, limit ?? Number.POSITIVE_INFINITY)
  if (Number.isFinite(usable)) return usable
  throw new MqError('VALUE_INVALID', {
    what: 'the memory of this host cannot be read',
    hint: 'say it: --memory 16GiB',
  })
}
