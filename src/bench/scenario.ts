/**
 * Scenario files: YAML in, a checked scenario out, or an error that names file, line and column,
 * and what was probably meant.
 */
import { createHash } from 'node:crypto'
import { Document, LineCounter, isMap, parse, parseDocument } from 'yaml'
import { MqError, messageOf } from '../base/errors.ts'
import { HEADER_BYTES } from './message.ts'
import { type BaseOf, type Mapping, noBase, withBases } from './scenario-bases.ts'
import { type Path, Places, invalid } from './scenario-places.ts'
import { type Scenario, scenarioSchema, sizesOf, slotsOf } from './scenario-schema.ts'
import { faultOfStage } from './stages.ts'
import { type Threshold, isOfPhase, parseThreshold, samplesNeeded } from './threshold.ts'

/** One value that replaces what the file says: `producers.threads=160`. */
export interface Override {
  readonly path: string
  readonly value: string
  /** What the user wrote, for messages: `--threads 160`. */
  readonly source: string
  /** The value is a list that comes behind the one that is there. */
  readonly appends?: boolean
}

export interface LoadedScenario {
  readonly scenario: Scenario
  /** The file as given. */
  readonly source: string
  readonly overrides: readonly string[]
  /** Of everything that bears on the load, with defaults and overrides: the same hash, the same load. */
  readonly hash: string
}

/** A consumer keeps eight bytes for each sender and queue: 64 MiB at most. */
const ORDER_CELLS_MAX = 8 * 1024 * 1024

/** Reads the text of a scenario file. Throws MqError SCENARIO_INVALID with file, line and column. */
export function readScenario(
  text: string,
  file: string,
  overrides: readonly Override[] = [],
  /** Finds the text of the scenario that `extends` names, beside `file` or in the catalogue. */
  baseOf: BaseOf = noBase,
): LoadedScenario {
  return readExtending(text, file, overrides, baseOf, [file])
}

function readExtending(
  text: string,
  file: string,
  overrides: readonly Override[],
  baseOf: BaseOf,
  seen: readonly string[],
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
  const own = document.toJS() as Mapping
  const whole = new Document(
    withBases(own, { file, place, baseOf, seen }, (base, chain) => {
      readExtending(base.text, base.file, [], baseOf, chain)
    }),
  )
  // What the command line says changes the whole, not only what this file adds to its base.
  for (const override of overrides) applyOverride(whole, override)
  const checked = scenarioSchema.safeParse(whole.toJS())
  if (!checked.success) {
    const [issue] = checked.error.issues
    if (issue !== undefined) throw place.errorOf(issue, whole)
  }
  const scenario = checked.data as Scenario
  checkTogether(scenario, place)
  return {
    scenario,
    source: file,
    overrides: overrides.map(({ path, value }) => `${path}=${value}`),
    hash: hashOf(scenario),
  }
}

/** What does not change the load does not change the hash. */
function hashOf(scenario: Scenario): string {
  const { description: _1, tags: _2, thresholds: _3, output: _4, ...load } = scenario
  return createHash('sha256').update(JSON.stringify(load)).digest('hex').slice(0, 16)
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
    const before: unknown =
      override.appends === true ? (document.toJS() as Mapping)[override.path] : null
    document.setIn(path, Array.isArray(before) ? before.concat(value) : value)
  } catch {
    const what = `${override.path} is not a path in this scenario`
    throw invalid(override.source, what, 'a path is keys joined by dots, as in producers.threads')
  }
}

/** What each key allows by itself, and the whole does not. */
function checkTogether(scenario: Scenario, place: Places): void {
  const { verify, target, consumers, producers, topics } = scenario
  const cells = producers.instances * slotsOf(scenario) * topics.queues * target.topology.masters
  checkLoad(scenario, place)
  checkThresholds(scenario, place)
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

function readThreshold(expr: string, path: Path, place: Places): Threshold {
  try {
    return parseThreshold(expr)
  } catch (error) {
    const hint = error instanceof MqError ? error.hint : ''
    throw place.error(path, messageOf(error), hint)
  }
}

function checkLoad({ load, repeat, consumers }: Scenario, place: Places): void {
  for (const [index, stage] of load.entries()) {
    const fault = faultOfStage(stage)
    if (fault !== null) throw place.error(['load', index, fault.key], fault.what, fault.hint)
    const key = stage.until === undefined ? 'consumers' : 'until'
    if (consumers.instances === 0 && (stage.until ?? stage.consumers) !== 'running') {
      const what = `${key}: ${stage.until ?? stage.consumers} needs consumers, and there are none`
      throw place.error(['load', index, key], what, 'set consumers.instances to 1 or more')
    }
    for (const expr of stage.sla === undefined ? [] : [stage.sla].flat()) {
      const sla = readThreshold(expr, ['load', index, 'sla'], place)
      if (!isOfPhase(sla)) {
        const hint = 'take response.p99, errors.rate, lag.slope …, without "over"'
        throw place.error(['load', index, 'sla'], `${expr} cannot be told of a single rate`, hint)
      }
      const needed = samplesNeeded(sla)
      const first = ((stage.from ?? 0) * stage.for) / 1000
      if (first < needed) {
        const what = `${expr} needs ${needed} messages, and the first rate sends ${Math.floor(first)}`
        const hint = 'begin at a higher rate, or try each for longer'
        throw place.error(['load', index, 'from'], what, hint)
      }
    }
  }
  const searches = load.flatMap(({ shape }, index) => (shape === 'search' ? [index] : []))
  const [first, second] = searches
  if (second !== undefined) {
    const what = 'a scenario searches for one rate'
    throw place.error(['load', second, 'shape'], what, 'write a scenario for each search')
  }
  if (first !== undefined && repeat > 1) {
    const hint = 'leave out repeat: what a search finds is confirmed by itself'
    throw place.error(['repeat'], 'a search is not repeated', hint)
  }
}

function checkThresholds({ thresholds, load }: Scenario, place: Places): void {
  for (const [index, one] of thresholds.entries()) {
    const { expr, phase } = typeof one === 'string' ? { expr: one, phase: undefined } : one
    readThreshold(expr, ['thresholds', index], place)
    const names = load.map((stage) => stage.as)
    if (phase !== undefined && !names.includes(phase)) {
      const what = `there is no phase ${phase}`
      throw place.error(['thresholds', index], what, `there are: ${names.join(', ')}`)
    }
  }
}
