/**
 * Scenario files: YAML in, a checked scenario out, or an error that names file, line and column,
 * and what was probably meant.
 */
import { createHash } from 'node:crypto'
import {
  type Document,
  LineCounter,
  type Node,
  isMap,
  isNode,
  isScalar,
  parse,
  parseDocument,
} from 'yaml'
import { z } from 'zod'
import { MqError, messageOf } from '../base/errors.ts'
import { nearest } from '../base/nearest.ts'
import { HEADER_BYTES } from './message.ts'
import { type Scenario, laterKeys, scenarioSchema, sizesOf, slotsOf } from './scenario-schema.ts'
import { faultOfStage } from './stages.ts'

/** One value that replaces what the file says: `producers.threads=160`. */
export interface Override {
  readonly path: string
  readonly value: string
  /** What the user wrote, for messages: `--threads 160`. */
  readonly source: string
}

export interface LoadedScenario {
  readonly scenario: Scenario
  /** The file as given. */
  readonly source: string
  readonly overrides: readonly string[]
  /** Of the scenario with its defaults and overrides: the same hash, the same load. */
  readonly hash: string
}

/** A consumer keeps eight bytes for each sender and queue: 64 MiB at most. */
const ORDER_CELLS_MAX = 8 * 1024 * 1024

type Path = readonly (string | number)[]

/** Reads the text of a scenario file. Throws MqError SCENARIO_INVALID with file, line and column. */
export function readScenario(
  text: string,
  file: string,
  overrides: readonly Override[] = [],
): LoadedScenario {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, strict: true, uniqueKeys: true })
  const place = new Places(file, document, lines, overrides)
  const [fault] = document.errors
  if (fault !== undefined) {
    const { line, col } = lines.linePos(fault.pos[0])
    const what = fault.message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? ''
    throw invalid(`${file}:${line}:${col}`, what, 'a scenario is YAML: mind indentation and colons')
  }
  if (!isMap(document.contents)) {
    throw invalid(`${file}:1:1`, 'a scenario is a mapping of keys', 'see mqctl bench show smoke')
  }
  for (const override of overrides) applyOverride(document, override)
  const checked = scenarioSchema.safeParse(document.toJS())
  if (!checked.success) {
    const [issue] = checked.error.issues
    if (issue !== undefined) throw place.errorOf(issue)
  }
  const scenario = checked.data as Scenario
  checkTogether(scenario, place)
  return {
    scenario,
    source: file,
    overrides: overrides.map(({ path, value }) => `${path}=${value}`),
    hash: createHash('sha256').update(JSON.stringify(scenario)).digest('hex').slice(0, 16),
  }
}

/** `a.b.0.c` as a path. */
function pathOf(dotted: string): Path {
  return dotted.split('.').map((part) => (/^\d+$/.test(part) ? Number(part) : part))
}

function applyOverride(document: Document, override: Override): void {
  const path = pathOf(override.path)
  let value: unknown
  try {
    value = parse(override.value)
  } catch (error) {
    throw invalid(override.source, messageOf(error).split('\n')[0] ?? '', 'write PATH=VALUE')
  }
  try {
    document.setIn(path, value)
  } catch {
    const what = `${override.path} is not a path in this scenario`
    throw invalid(override.source, what, 'a path is keys joined by dots, as in producers.threads')
  }
}

/** What each key allows by itself, and the whole does not. */
function checkTogether(scenario: Scenario, place: Places): void {
  const { verify, target, consumers, producers, topics } = scenario
  const cells = producers.instances * slotsOf(scenario) * topics.queues * target.topology.masters
  for (const [index, stage] of scenario.load.entries()) {
    const fault = faultOfStage(stage)
    if (fault !== null) throw place.error(['load', index, fault.key], fault.what, fault.hint)
  }
  if (verify.sequence && consumers.instances > 0 && cells > ORDER_CELLS_MAX) {
    throw place.error(
      ['producers', 'threads'],
      `senders × queues is ${cells}, above the ${ORDER_CELLS_MAX} whose order a consumer can follow`,
      'use fewer senders or queues, or set verify.sequence and verify.checksum to false',
    )
  }
  if (verify.sequence && sizesOf(scenario).some(({ sizeBytes }) => sizeBytes < HEADER_BYTES)) {
    throw place.error(
      ['message', scenario.message.sizes === null ? 'size' : 'sizes'],
      `a checked message needs at least ${HEADER_BYTES} bytes for its identity`,
      'make it larger, or set verify.sequence to false',
    )
  }
  if (verify.checksum && !verify.sequence) {
    throw place.error(
      ['verify', 'checksum'],
      'a checksum needs verify.sequence',
      'set verify.checksum to false as well',
    )
  }
  if (target.driver === 'rocketmq' && target.endpoints.length === 0) {
    throw place.error(
      ['target', 'driver'],
      'driver rocketmq needs target.endpoints, the name servers',
      'add endpoints: [HOST:PORT], or use --namesrv HOST:PORT',
    )
  }
  if (target.driver === 'embedded' && target.endpoints.length > 0) {
    throw place.error(
      ['target', 'endpoints'],
      'the embedded broker is started by mqctl and has no endpoints',
      'set target.driver to rocketmq to use brokers that run',
    )
  }
  if (target.driver === 'null' && consumers.instances > 0) {
    throw place.error(
      ['consumers', 'instances'],
      'nothing can be consumed from the null target',
      'set consumers.instances to 0',
    )
  }
}

function invalid(where: string, what: string, hint: string): MqError {
  return new MqError('SCENARIO_INVALID', { where, what, hint })
}

/** Finds where in the file something stands. */
class Places {
  readonly #file: string
  readonly #document: Document
  readonly #lines: LineCounter
  readonly #overrides: readonly Override[]

  constructor(
    file: string,
    document: Document,
    lines: LineCounter,
    overrides: readonly Override[],
  ) {
    this.#file = file
    this.#document = document
    this.#lines = lines
    this.#overrides = overrides
  }

  error(path: Path, what: string, hint: string): MqError {
    return invalid(this.#where(path), what, hint)
  }

  errorOf(issue: z.core.$ZodIssue): MqError {
    const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)))
    if (issue.code === 'unrecognized_keys') {
      const key = issue.keys[0] ?? ''
      const dotted = [...path.filter((part) => typeof part === 'string'), key].join('.')
      const where = this.#where([...path, key])
      if (laterKeys.has(dotted)) {
        return invalid(
          where,
          `${dotted} is not available yet`,
          'it comes with a later version; remove it',
        )
      }
      const known = keysAt(scenarioSchema, path)
      const meant = nearest(key, known)
      const hint = meant === null ? `known here: ${known.join(', ')}` : `did you mean ${meant}?`
      return invalid(where, `unknown key ${dotted}`, hint)
    }
    const dotted = path.join('.')
    const what = dotted === '' ? issue.message : `${dotted}: ${issue.message}`
    return invalid(this.#where(path), what, this.#hintFor(issue, path))
  }

  #hintFor(issue: z.core.$ZodIssue, path: Path): string {
    if (issue.code === 'invalid_value') {
      const written: unknown = this.#document.getIn(path)
      const words = issue.values.map(String)
      const meant = typeof written === 'string' ? nearest(written, words) : null
      if (meant !== null) return `did you mean ${meant}?`
    }
    return 'mqctl bench show smoke prints a scenario that is right'
  }

  /** `file:line:column` of the nearest thing on the path that stands in the file, or the flag that set it. */
  #where(path: Path): string {
    const dotted = path.join('.')
    for (const override of this.#overrides) {
      if (dotted === override.path || dotted.startsWith(`${override.path}.`)) return override.source
    }
    const offset = this.#offsetOf(path)
    const { line, col } = this.#lines.linePos(offset)
    return `${this.#file}:${line}:${col}`
  }

  #offsetOf(path: Path): number {
    for (let length = path.length; length > 0; length -= 1) {
      const parent = this.#document.getIn(path.slice(0, length - 1), true)
      const key = path[length - 1]
      if (isMap(parent)) {
        const pair = parent.items.find((item) => isScalar(item.key) && item.key.value === key)
        if (pair !== undefined && isNode(pair.key)) return startOf(pair.key)
      }
      const node = this.#document.getIn(path.slice(0, length), true)
      if (isNode(node)) return startOf(node)
    }
    return 0
  }
}

function startOf(node: Node): number {
  return node.range?.[0] ?? 0
}

/** The keys that a schema knows under a path. */
function keysAt(schema: unknown, path: Path): string[] {
  let at: unknown = unwrapped(schema)
  for (const part of path) {
    if (at instanceof z.ZodObject && typeof part === 'string') at = unwrapped(at.shape[part])
    else if (at instanceof z.ZodArray) at = unwrapped(at.element)
  }
  return at instanceof z.ZodObject ? Object.keys(at.shape) : []
}

function unwrapped(schema: unknown): unknown {
  let at = schema
  while (at instanceof z.ZodDefault || at instanceof z.ZodPrefault || at instanceof z.ZodNullable) {
    at = at.unwrap()
  }
  return at
}
