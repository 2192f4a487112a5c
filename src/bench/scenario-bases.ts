/** Scenarios that take another one and change keys of it. */
import { parse } from 'yaml'
import { MqError, messageOf } from '../base/errors.ts'
import { type Places, invalid } from './scenario-places.ts'

export type Mapping = Record<string, unknown>

export interface ScenarioText {
  readonly file: string
  readonly text: string
}

/** Finds the scenario that `extends` names, as seen from the file that names it. */
export type BaseOf = (name: string, from: string) => ScenarioText

export function noBase(name: string): never {
  throw invalid('extends', `${name} cannot be found from here`, 'write the whole scenario')
}

export interface Extending {
  readonly file: string
  readonly place: Places
  readonly baseOf: BaseOf
  /** Files that led here, this one last. */
  readonly seen: readonly string[]
}

/**
 * A scenario laid over the one that it extends: mappings key by key, everything else as a whole.
 * Throws MqError SCENARIO_INVALID.
 *
 * @param check reads a base by itself, so that what is wrong in it is told of its own file
 */
export function withBases(
  written: Mapping,
  { file, place, baseOf, seen }: Extending,
  check: (base: ScenarioText, chain: readonly string[]) => void,
): Mapping {
  const { extends: name, ...own } = written
  if (name === undefined) return written
  if (typeof name !== 'string') {
    const hint = 'write a name from mqctl bench list, or a file'
    throw place.error(['extends'], 'extends: expected the name of one scenario', hint)
  }
  let base: ScenarioText
  try {
    base = baseOf(name, file)
  } catch (error) {
    const hint = error instanceof MqError ? error.hint : ''
    throw place.error(['extends'], `extends ${name}: ${messageOf(error)}`, hint)
  }
  if (seen.includes(base.file)) {
    const what = `extends goes in a circle: ${[...seen, base.file].join(', ')}`
    throw place.error(['extends'], what, 'one of them must stand alone')
  }
  const chain = [...seen, base.file]
  check(base, chain)
  const from = { file: base.file, place, baseOf, seen: chain }
  const below = withBases(parse(base.text) as Mapping, from, () => undefined)
  return laidOver(below, own)
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function laidOver(below: Mapping, above: Mapping): Mapping {
  const merged: Mapping = { ...below }
  for (const [key, value] of Object.entries(above)) {
    const old = merged[key]
    merged[key] = isMapping(old) && isMapping(value) ? laidOver(old, value) : value
  }
  return merged
}
