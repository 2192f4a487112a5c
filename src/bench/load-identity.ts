/**
 * What of a scenario is the load: the same keys, the same load. Results of two runs may be compared
 * when theirs agree, whatever else their scenarios say and whichever version wrote them. Pure.
 */
import { createHash } from 'node:crypto'
import { scenarioSchema } from './scenario-schema.ts'

type Tree = Readonly<Record<string, unknown>>

/**
 * Keys that change neither what is sent nor where it goes: what is told of the run, what is judged of
 * it, and who looks on. The speed of a laboratory's link is in `environment.lab` of a result.
 */
const free: ReadonlySet<string> = new Set([
  'description',
  'tags',
  'thresholds',
  'output',
  'validity',
  'metrics',
])

/** A key that a version did not know yet had its default then, so what is at its default is left out. */
const defaults: Tree = scenarioSchema.parse({ version: 1, name: 'defaults' })
const stageDefaults: unknown = (defaults['load'] as readonly unknown[])[0]
const NAMED: ReadonlySet<string> = new Set(['version', 'name'])

/**
 * By path, each value that bears on the load and is not the default, as JSON.
 *
 * @param resolved a scenario with its defaults, as the schema gives it or a result keeps it
 */
function loadKeys(resolved: Tree): ReadonlyMap<string, string> {
  const keys = new Map<string, string>()
  for (const [key, value] of Object.entries(resolved)) {
    if (free.has(key)) continue
    if (key === 'load' && Array.isArray(value)) {
      keys.set('load.length', String(value.length))
      for (const [index, stage] of value.entries()) {
        gather(`load.${index}`, stage, stageDefaults, keys)
      }
    } else gather(key, value, NAMED.has(key) ? undefined : defaults[key], keys)
  }
  return new Map([...keys].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** The same for the same load, 16 hexadecimal digits. */
export function loadHash(resolved: Tree): string {
  const text = JSON.stringify([...loadKeys(resolved)])
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

/** What differs between two loads, `KEY is A, there B`; empty when nothing does. */
export function loadDifferences(one: Tree, other: Tree): string[] {
  const [a, b] = [loadKeys(one), loadKeys(other)]
  const paths = new Set([...a.keys(), ...b.keys()])
  return [...paths].flatMap((path) =>
    a.get(path) === b.get(path)
      ? []
      : [`${path} is ${a.get(path) ?? 'the default'}, there ${b.get(path) ?? 'the default'}`],
  )
}

function gather(path: string, value: unknown, usual: unknown, keys: Map<string, string>): void {
  if (isTree(value)) {
    const below = isTree(usual) ? usual : {}
    for (const [key, one] of Object.entries(value)) {
      gather(`${path}.${key}`, one, below[key], keys)
    }
    return
  }
  if (value === undefined) return
  const text = JSON.stringify(value)
  if (text !== JSON.stringify(usual)) keys.set(path, text)
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
