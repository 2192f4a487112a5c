/**
 * Scenario files: YAML in, a checked scenario out, or an error that names file, line and column,
 * and what was probably meant.
 */
import { Document, LineCounter, parse } from 'yaml'
import { MqError, messageOf } from '../base/errors.ts'
import { loadHash } from './load-identity.ts'
import { HEADER_BYTES } from './message.ts'
import { cellsOf } from './matrix.ts'
import { type BaseOf, type Mapping, noBase, withBases } from './scenario-bases.ts'
import { type Path, Places, invalid } from './scenario-places.ts'
import { type Scenario, kindsOf, scenarioSchema, sizesOf, slotsOf } from './scenario-schema.ts'
import { readYaml } from './scenario-yaml.ts'
import { faultOfStage, isTried } from './stages.ts'
import {
  type Threshold,
  isOfPhase,
  needsConsumers,
  parseThreshold,
  samplesNeeded,
} from './threshold.ts'

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
  const written = readWritten(text, file, overrides, baseOf, [file])
  if (written.whole.has('matrix')) {
    const what = 'a matrix is many runs, and one is wanted here'
    throw written.place.error(['matrix'], what, 'mqctl bench FILE runs all of them')
  }
  return loadedOf(written, file, overrides)
}

/** One run of a file with a `matrix`. */
export interface LoadedCell {
  readonly label: string
  readonly values: Readonly<Record<string, unknown>>
  readonly loaded: LoadedScenario
}

/** Every combination of a file with a `matrix`, checked before any runs; null for a file without. */
export function readMatrix(
  text: string,
  file: string,
  overrides: readonly Override[] = [],
  baseOf: BaseOf = noBase,
): LoadedCell[] | null {
  const { whole, place } = readWritten(text, file, overrides, baseOf, [file])
  if (!whole.has('matrix')) return null
  const cells = cellsOf((whole.toJS() as Mapping)['matrix'], overrides)
  if ('what' in cells) throw place.error(cells.path, cells.what, cells.hint)
  return cells.map(({ label, values, overrides: ofCell }) => {
    const all = [...overrides, ...ofCell]
    const written = readWritten(text, file, all, baseOf, [file])
    written.whole.delete('matrix')
    return { label, values, loaded: loadedOf(written, file, all) }
  })
}

/** A file with its bases and overrides, not yet checked as a whole. */
interface Written {
  readonly whole: Document
  readonly place: Places
}

function readWritten(
  text: string,
  file: string,
  overrides: readonly Override[],
  baseOf: BaseOf,
  seen: readonly string[],
): Written {
  const lines = new LineCounter()
  const { document, own } = readYaml(text, file, lines)
  const place = new Places(file, document, lines, overrides)
  const whole = new Document(
    withBases(own, { file, place, baseOf, seen }, (base, chain) => {
      const below = readWritten(base.text, base.file, [], baseOf, chain)
      below.whole.delete('matrix')
      loadedOf(below, base.file, [])
    }),
  )
  // What the command line says changes the whole, not only what this file adds to its base.
  for (const override of overrides) applyOverride(whole, override)
  return { whole, place }
}

function loadedOf(
  { whole, place }: Written,
  file: string,
  overrides: readonly Override[],
): LoadedScenario {
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
    hash: loadHash(scenario),
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
    const before: unknown =
      override.appends === true ? (document.toJS() as Mapping)[override.path] : null
    const whole = Array.isArray(before) ? before.concat(value) : value
    // As nodes, so that a later override may change a part of it.
    document.setIn(path, document.createNode(whole))
  } catch {
    const what = `${override.path} is not a path in this scenario`
    throw invalid(override.source, what, 'a path is keys joined by dots, as in producers.threads')
  }
}

/** What each key allows by itself, and the whole does not. */
function checkTogether(scenario: Scenario, place: Places): void {
  const { verify, target, consumers, producers, topics } = scenario
  const lanes = topics.count * topics.queues * target.topology.masters
  const cells = producers.instances * slotsOf(scenario) * lanes
  checkTopics(scenario, lanes, place)
  checkMode(scenario, place)
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

/** The lane of a message has 16 bits. */
const LANES_MAX = 65_535
/** Templates of frames that a producer may keep: one for each lane and kind of message. */
const FRAMES_MAX = 65_536

function checkTopics(scenario: Scenario, lanes: number, place: Places): void {
  const { topics, message } = scenario
  const { weights, queueWeights, keys, count, queues } = topics
  const fault = (path: Path, what: string, hint: string) => place.error(path, what, hint)
  if (lanes > LANES_MAX) {
    const what = `${count} topics of ${queues} queues are ${lanes} queues, above ${LANES_MAX}`
    throw fault(['topics', 'count'], what, 'use fewer topics or queues')
  }
  if (Array.isArray(weights) && weights.length !== count) {
    const what = `${weights.length} weights for ${count} topics`
    throw fault(['topics', 'weights'], what, 'write one for each topic, or zipf')
  }
  if (queueWeights !== null && queueWeights.length !== queues) {
    const what = `${queueWeights.length} weights for ${queues} queues`
    throw fault(['topics', 'queueWeights'], what, 'write one for each queue of a topic')
  }
  for (const [key, list] of [
    ['weights', weights],
    ['queueWeights', queueWeights],
  ] as const) {
    if (Array.isArray(list) && list.every((weight) => weight === 0)) {
      throw fault(['topics', key], 'all weights are 0', 'one of them must be above 0')
    }
  }
  if (keys.chooseQueue && keys.distribution === 'none') {
    const what = 'keys choose the queue, and there are no keys'
    throw fault(['topics', 'keys', 'chooseQueue'], what, 'set topics.keys.distribution')
  }
  if (keys.chooseQueue && (weights !== 'even' || queueWeights !== null)) {
    const what = 'either keys choose the queue, or weights do'
    throw fault(['topics', 'keys', 'chooseQueue'], what, 'leave out weights and queueWeights')
  }
  if (keys.distribution === 'hot' && keys.hotKeys >= keys.cardinality) {
    const what = `${keys.hotKeys} hot keys of ${keys.cardinality} leave none that is not`
    throw fault(['topics', 'keys', 'hotKeys'], what, 'make cardinality larger')
  }
  const kinds = kindsOf(scenario).length
  if (kinds > 256 || kinds * lanes > FRAMES_MAX) {
    const what = `${kinds} kinds of message (tags × properties) for ${lanes} queues are too many`
    const key = message.tags === null ? 'properties' : 'tags'
    throw fault(['message', key], what, `at most 256, and ${FRAMES_MAX} with all queues`)
  }
  if (message.tag !== null && message.tags !== null) {
    const what = 'there is a tag, and a mix of tags as well'
    throw fault(['message', 'tag'], what, 'leave one of them out')
  }
}

/** What a request may hold, with what a message has around its body. */
const REQUEST_BYTES_MAX = 4 * 1024 * 1024
const BATCH_ITEM_EXTRA_BYTES = 200
/** Messages that one producer may have under way. */
const UNDER_WAY_MAX = 1_048_576

function checkMode(scenario: Scenario, place: Places): void {
  const { producers, topics, load } = scenario
  if (producers.mode === 'one-way') {
    const search = load.findIndex(isTried)
    if (search >= 0) {
      const shape = load[search]?.shape ?? ''
      const what = `a ${shape} needs acknowledgements, and one-way messages have none`
      throw place.error(['load', search, 'shape'], what, 'set producers.mode to sync')
    }
  }
  if (producers.mode !== 'batch') return
  const { size } = producers.batch
  const largest = Math.max(...sizesOf(scenario).map(({ sizeBytes }) => sizeBytes))
  if (size * (largest + BATCH_ITEM_EXTRA_BYTES) > REQUEST_BYTES_MAX) {
    const what = `${size} messages of ${largest} bytes do not fit into a request of 4 MiB`
    throw place.error(['producers', 'batch', 'size'], what, 'make batches or messages smaller')
  }
  if (size * producers.threads > UNDER_WAY_MAX) {
    const what = `${producers.threads} senders of ${size} messages are above ${UNDER_WAY_MAX}`
    throw place.error(['producers', 'batch', 'size'], what, 'use fewer senders or smaller batches')
  }
  if (topics.keys.chooseQueue) {
    const what = 'messages of a batch go to one queue, so their keys cannot choose it'
    const hint = 'leave out topics.keys.chooseQueue, or set producers.mode to sync'
    throw place.error(['topics', 'keys', 'chooseQueue'], what, hint)
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
      if (consumers.instances === 0 && needsConsumers(sla)) {
        const what = `${expr} needs consumers, and there are none`
        const hint = 'set consumers.instances to 1 or more, or leave it out'
        throw place.error(['load', index, 'sla'], what, hint)
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
  const searches = load.flatMap(({ shape }, index) => (isTried({ shape }) ? [index] : []))
  const [first, second] = searches
  if (second !== undefined) {
    const what = 'a scenario has one search, curve or balance'
    throw place.error(['load', second, 'shape'], what, 'write a scenario for each')
  }
  if (first !== undefined && repeat > 1) {
    const hint = 'leave out repeat: what a search finds is confirmed by itself'
    throw place.error(['repeat'], `a ${load[first]?.shape ?? ''} is not repeated`, hint)
  }
}

function checkThresholds({ thresholds, load }: Scenario, place: Places): void {
  const lasting = load.filter((stage) => !isTried(stage)).map((stage) => stage.as)
  for (const [index, one] of thresholds.entries()) {
    const { expr, phase } = typeof one === 'string' ? { expr: one, phase: undefined } : one
    const threshold = readThreshold(expr, ['thresholds', index], place)
    if (phase === undefined || lasting.includes(phase)) continue
    const tried = load.find((stage) => stage.as === phase)
    if (tried === undefined) {
      const what = `there is no phase ${phase}`
      const hint = lasting.length === 0 ? 'leave out phase' : `there are: ${lasting.join(', ')}`
      throw place.error(['thresholds', index], what, hint)
    }
    // Its phases are the rates that it will have tried, and nobody knows their names before.
    const what = `${phase} is a ${tried.shape}, and none of the rates that it tries is a phase of this name`
    const hint =
      tried.shape === 'curve' || !isOfPhase(threshold)
        ? 'leave out phase: the threshold is then about all its rates together'
        : `write sla: "${expr}" into the stage, which must hold of a rate`
    throw place.error(['thresholds', index], what, hint)
  }
}
