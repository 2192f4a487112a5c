/** All checks in the order of every report. An id is never renamed; a retired one stays as a skip. */
import { MqError } from '../../base/errors.ts'
import { nearest } from '../../base/nearest.ts'
import type { Check } from './check.ts'
import { brokerChecks } from './checks/broker.ts'
import { cpuTimeChecks } from './checks/cpu-time.ts'
import { diskChecks } from './checks/disk.ts'
import { jvmChecks } from './checks/jvm.ts'
import { jvmTuningChecks } from './checks/jvm-tuning.ts'
import { limitChecks } from './checks/limits.ts'
import { memoryChecks } from './checks/memory.ts'
import { networkChecks } from './checks/network.ts'
import { nodeChecks } from './checks/node.ts'
import { persistChecks } from './checks/persist.ts'
import { platformChecks } from './checks/platform.ts'

const judging: readonly Check[] = [
  ...platformChecks,
  ...memoryChecks,
  ...limitChecks,
  ...diskChecks,
  ...networkChecks,
  ...cpuTimeChecks,
  ...jvmChecks,
  ...jvmTuningChecks,
  ...nodeChecks,
  ...brokerChecks,
]

export const registry: readonly Check[] = [...judging, ...persistChecks(judging)]

const byId = new Map(registry.map((check) => [check.id, check]))

function findCheck(id: string): Check | null {
  return byId.get(id) ?? null
}

/** Throws VALUE_INVALID with a suggestion for an id that is not there. */
export function knownCheck(id: string, where: string): Check {
  const check = findCheck(id)
  if (check !== null) return check
  throw new MqError('VALUE_INVALID', {
    what: `${where}: there is no check ${JSON.stringify(id)}`,
    hint: `${suggestion(id)}mqctl tune-os list shows all`,
  })
}

function suggestion(id: string): string {
  const tail = id.replaceAll('_', '-')
  const names = new Map([...byId.keys()].map((known) => [known.split('.')[1] ?? known, known]))
  const part = nearest(tail.split('.').at(-1) ?? tail, names.keys())
  const close =
    nearest(tail, byId.keys()) ??
    [...byId.keys()].find((known) => known.endsWith(`.${tail}`)) ??
    (part === null ? undefined : names.get(part)) ??
    [...byId.keys()].find((known) => known.replace(/[.-]/g, '') === tail.replace(/[.-]/g, ''))
  return close === undefined ? '' : `did you mean ${close}? `
}

/** Ids, or whole categories as `vm.*` or `disk`: the checks they mean. Throws as `knownCheck`. */
export function selected(patterns: readonly string[], where: string): Set<string> {
  const ids = new Set<string>()
  for (const pattern of patterns) {
    const prefix = pattern.endsWith('.*') ? pattern.slice(0, -1) : `${pattern}.`
    const family = registry.filter(({ id }) => id.startsWith(prefix))
    if (family.length > 0) for (const { id } of family) ids.add(id)
    else ids.add(knownCheck(pattern, where).id)
  }
  return ids
}
