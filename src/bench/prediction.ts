/**
 * What a run should cost and where its ceiling should be, said before it begins; and how far that
 * was off, said after it. Pure.
 *
 * How many messages share an answer to a pull, or a write, depends on how many are under way. The
 * two rules below were found by measuring on a loopback and on a shaped link; a message more or less
 * moves the prediction by a percent.
 */
import type { FrameInput, FrameSizes } from '../drivers/frame-sizes.ts'
import {
  type Carried,
  type CapacityLimit,
  type Flow,
  type MessageCost,
  costOf,
  limitsOf,
  oneMessage,
  ourCpuCost,
  requestBytes,
  wireBytes,
} from './capacity.ts'
import { diskBytesAt, type Writing, type WrittenSpan } from './disk-cost.ts'
import { ethernet, loopback } from './framing.ts'
import type { BenchResult } from './result.ts'
import type { HostResult, ProcessResult } from './result-hosts.ts'
import { type Scenario, meanSizeBytes, slotsOf, weightedKinds } from './scenario-schema.ts'
import { plannedPeakHz } from './stages.ts'

/** The way between load and brokers. */
export interface Link {
  /** Both on one host, without a link between them. */
  readonly isLoopback: boolean
  /** Whose interface is watched: when it is the load's, its "in" is the brokers' "out". */
  readonly watchedAt: 'broker' | 'load'
  readonly bitsPerSecond: number | null
}

export interface Prediction {
  readonly flow: Flow
  readonly cost: MessageCost
  readonly writing: Writing
  /** The rate of an open load, messages a second; null where it takes what it gets. */
  readonly peakHz: number | null
  readonly limits: readonly CapacityLimit[]
  readonly link: Link
  /** Hosts of brokers: each has a link and a disk of its own. */
  readonly machines: number
}

export interface PredictionInput {
  readonly scenario: Scenario
  readonly sizes: FrameSizes
  readonly lanes: number
  readonly brokers: number
  /** Hosts of brokers: each has a link and a disk of its own. */
  readonly machines: number
  readonly link: Link
  /** Answers wait for a flush. */
  readonly syncFlush?: boolean
}

/** How long an answer to a pull is under way when nothing is full, for the batches of an open load. */
const PULL_MS = 0.5

/** Messages in one answer to a pull, when `underWay` messages at all brokers wait for their answers. */
function messagesPerPull(underWay: number, lanes: number, prefetch: number): number {
  return Math.min(prefetch, 2 + (0.3 * underWay) / Math.max(1, lanes))
}

/** Messages in one write of a connection that has `underWay` messages waiting. */
function messagesPerWrite(underWay: number): number {
  return Math.max(1, underWay / 4)
}

/** How long what is due waits for a generator that sends at its next wake-up. */
const WAKE_MS = 0.4

/**
 * Messages in one request: batches of a closed load are full, those of an open one hold what
 * becomes due while they wait.
 */
function messagesPerRequest({ producers }: Scenario, peakHz: number | null): number {
  if (producers.mode !== 'batch') return 1
  const { size, linger } = producers.batch
  if (peakHz === null) return size
  const dueEachMs = peakHz / producers.instances / 1000
  return Math.min(size, Math.max(1, 1 + dueEachMs * linger, dueEachMs * WAKE_MS))
}

/** The frames of a scenario. */
export function frameInputOf(
  scenario: Scenario,
  names: Pick<FrameInput, 'topic' | 'group' | 'broker'>,
): FrameInput {
  const { mode } = scenario.producers
  return {
    ...names,
    kinds: weightedKinds(scenario),
    keyed: scenario.topics.keys.distribution !== 'none',
    mode: mode === 'batch' || mode === 'one-way' ? mode : 'single',
  }
}

/** The flow of a scenario through one of its brokers. */
export function flowOf(
  scenario: Scenario,
  sizes: FrameSizes,
  lanes: number,
  brokers: number,
  isLoopback: boolean,
): Flow {
  const { producers, consumers, target } = scenario
  const senders = producers.instances * slotsOf(scenario)
  const peakHz = plannedPeakHz(scenario)
  const perRequest = messagesPerRequest(scenario, peakHz)
  const underWay = peakHz === null ? senders : Math.min(senders, (peakHz * PULL_MS) / 1000)
  const eachUnderWay = underWay / producers.instances / brokers
  // Nothing holds one-way messages back but the network: all that are free leave in one write.
  const requestsPerWrite =
    producers.mode === 'one-way' ? Math.max(1, eachUnderWay) : messagesPerWrite(eachUnderWay)
  const perPull = messagesPerPull(underWay * perRequest, lanes, consumers.prefetch)
  return {
    sizes,
    bodyBytes: meanSizeBytes(scenario),
    followers: target.topology.slaves,
    groups: consumers.instances === 0 ? 0 : consumers.groups,
    framing: isLoopback ? loopback : ethernet,
    perRequest,
    perWrite: perRequest * requestsPerWrite,
    // A batch lies in its queue as a whole at once.
    perPull: Math.min(consumers.prefetch, Math.max(perRequest, perPull)),
  }
}

export function predict(input: PredictionInput): Prediction {
  const { scenario, sizes, lanes, brokers, machines, link } = input
  const flow = flowOf(scenario, sizes, lanes, brokers, link.isLoopback)
  const cost = costOf(flow)
  const limits = limitsOf(
    cost,
    flow,
    {
      linkBitsPerSecond: link.isLoopback ? null : link.bitsPerSecond,
      diskBytesPerSecond: scenario.metrics.diskSpeed,
      flushMs: null,
      senders: scenario.producers.instances * slotsOf(scenario) * flow.perRequest,
      cores: null,
      coresOfBroker: 1,
      cpu: ourCpuCost,
    },
    machines,
  )
  const writing = {
    recordBytes: flow.bodyBytes + sizes.recordExtraBytes,
    unitBytes: sizes.unitBytes,
    keysPerMessage: scenario.topics.keys.distribution === 'none' ? 1 : 2,
    lanes,
    brokers,
    perFlush: input.syncFlush === true ? messagesPerFlush(scenario, flow, brokers) : null,
  }
  return { flow, cost, writing, peakHz: plannedPeakHz(scenario), limits, link, machines }
}

/** Half of what is under way waits for one flush while the next gathers. */
function messagesPerFlush(scenario: Scenario, { perRequest }: Flow, brokers: number): number {
  const senders = scenario.producers.instances * slotsOf(scenario)
  const peakHz = plannedPeakHz(scenario)
  const underWay = peakHz === null ? senders : Math.min(senders, (peakHz * PULL_MS) / 1000)
  return perRequest * Math.max(1, underWay / brokers / 2)
}

/** On disk at the rate that was planned; of a load that takes what it gets, at a high one. */
function plannedDiskBytes({ cost, writing, peakHz }: Prediction): number {
  return peakHz === null || peakHz === 0 ? cost.diskBytes : diskBytesAt(writing, peakHz)
}

type PredictionResult = NonNullable<BenchResult['prediction']>

/** One sentence, for before the run. */
export function predictionText(prediction: Prediction): string {
  const { flow, cost, limits, link } = prediction
  const whole = oneMessage(flow)
  const bytes = (direction: 'in' | 'out') =>
    `${Math.round(wireBytes(cost, whole, direction, 'counted'))} B ${direction}`
  // A flush also makes the file system commit, which nobody can tell beforehand.
  const disk =
    prediction.writing.perFlush === null ? 'on disk' : 'on disk without the file system’s journal'
  const each = `a message costs a broker ${bytes('in')}, ${bytes('out')} and ${Math.round(plannedDiskBytes(prediction))} B ${disk}`
  const [first] = limits
  if (first !== undefined) {
    return `${first.resource} is full at ${Math.round(first.perSecond)} msg/s: ${each}`
  }
  return link.isLoopback
    ? `${each}; on the loopback no link can be full`
    : `${each}; the speed of the link is not known (metrics.linkSpeed says it)`
}

/** What the run measured, as far as it bears on the prediction. */
export interface PredictionMeasured {
  /** Whose interfaces carried the load's traffic. */
  readonly host: HostResult
  readonly hosts: readonly HostResult[]
  readonly processes: readonly ProcessResult[]
  readonly acked: number
  readonly ackedPerSecond: number
  readonly receivedPerSecond: number
  readonly sent: number
  readonly wireBytesSent: number
  readonly windowMs: number
  /** Age of the brokers at the start of the window; null when they were not started for the run. */
  readonly brokerAgeMs: number | null
}

export function judgePrediction(
  prediction: Prediction,
  measured: PredictionMeasured,
): PredictionResult {
  const { flow, cost, limits, link, machines } = prediction
  const [first] = limits
  const whole = oneMessage(flow)
  const checks = [
    ...networkChecks(prediction, measured),
    ...requestCheck(prediction, measured),
    ...diskCheck(prediction, measured),
  ]
  const carriedPerSecond =
    first === undefined || measured.acked === 0 ? null : carriedOf(prediction, measured, first)
  return {
    text: predictionText(prediction),
    assumptions: {
      bodyBytes: flow.bodyBytes,
      machines,
      followers: flow.followers,
      groups: flow.groups,
      messagesPerRequest: flow.perRequest,
      messagesPerPull: flow.perPull,
      messagesPerWrite: flow.perWrite,
      segmentBytes: flow.framing.segmentBytes,
      linkBitsPerSecond: link.bitsPerSecond,
    },
    perMessage: {
      inBytes: wireBytes(cost, whole, 'in', 'counted'),
      outBytes: wireBytes(cost, whole, 'out', 'counted'),
      diskBytes: plannedDiskBytes(prediction),
    },
    limits: limits.map(({ resource, perSecond }) => ({ resource, perSecond })),
    first: first?.resource ?? null,
    ceilingPerSecond: first?.perSecond ?? null,
    carriedPerSecond,
    checks,
    beside: besideBrokers(prediction, measured),
  }
}

/**
 * The rate at which every message would have reached every group with what the resource carried.
 * When consumers fall behind, the acknowledged rate alone would say too much and the received rate
 * too little; each counts by what it costs.
 */
function carriedOf(
  { flow, cost }: Prediction,
  measured: PredictionMeasured,
  { resource }: CapacityLimit,
): number {
  if (resource !== 'nic-tx' && resource !== 'nic-rx') return measured.ackedPerSecond
  const direction = resource === 'nic-tx' ? 'out' : 'in'
  const of = (carried: Carried) => wireBytes(cost, carried, direction, 'link')
  return of(carriedBy(flow, measured)) / of(oneMessage(flow))
}

/** What was carried a second. */
function carriedBy({ followers }: Flow, measured: PredictionMeasured): Carried {
  return {
    acked: measured.ackedPerSecond,
    delivered: measured.receivedPerSecond,
    copied: measured.ackedPerSecond * followers,
  }
}

type Check = PredictionResult['checks'][number]

function checkOf(what: string, predicted: number, measured: number): Check[] {
  if (!(measured > 0)) return []
  return [
    { what, predictedBytes: predicted, measuredBytes: measured, error: predicted / measured - 1 },
  ]
}

/** Bytes of an interface for each acknowledged message, at the rates that there were. */
function networkChecks({ flow, cost, link }: Prediction, measured: PredictionMeasured): Check[] {
  const { ackedPerSecond, host } = measured
  if (!(ackedPerSecond > 0)) return []
  const nics = host.nics.filter(({ isLoopback }) => isLoopback === link.isLoopback)
  nics.sort((a, b) => b.txBytesPerSecond - a.txBytesPerSecond)
  const [nic] = nics
  if (nic === undefined) return []
  const carried = carriedBy(flow, measured)
  const each = (direction: 'in' | 'out') =>
    wireBytes(cost, carried, direction, 'counted') / ackedPerSecond
  if (link.isLoopback) {
    const both = each('in') + each('out')
    return checkOf(`${nic.name}, both ways`, both, nic.txBytesPerSecond / ackedPerSecond)
  }
  const [outBytes, inBytes] =
    link.watchedAt === 'broker'
      ? [nic.txBytesPerSecond, nic.rxBytesPerSecond]
      : [nic.rxBytesPerSecond, nic.txBytesPerSecond]
  return [
    ...checkOf(`${nic.name}, out of the brokers`, each('out'), outBytes / ackedPerSecond),
    ...checkOf(`${nic.name}, into the brokers`, each('in'), inBytes / ackedPerSecond),
  ]
}

function requestCheck({ flow }: Prediction, { sent, wireBytesSent }: PredictionMeasured): Check[] {
  if (sent === 0) return []
  const what = flow.perRequest === 1 ? 'a send request' : 'a message of a send request'
  return checkOf(what, requestBytes(flow), wireBytesSent / sent)
}

function diskCheck({ writing }: Prediction, measured: PredictionMeasured): Check[] {
  const { processes, acked, ackedPerSecond, windowMs, brokerAgeMs } = measured
  const written = processes
    .filter(({ role }) => role === 'broker')
    .map(({ diskWrittenBytes }) => diskWrittenBytes)
  if (!(ackedPerSecond > 0) || written.length === 0 || written.includes(null)) return []
  const bytes = written.reduce<number>((sum, one) => sum + (one ?? 0), 0)
  const span: WrittenSpan = { fromSeconds: (brokerAgeMs ?? 0) / 1000, seconds: windowMs / 1000 }
  const flushed = { ...writing, perFlush: perFlushOf(writing, measured) }
  return checkOf('written to disk', diskBytesAt(flushed, ackedPerSecond, span), bytes / acked)
}

/**
 * What the device wrote and no broker did. Where answers wait for a flush all that they write is on the
 * device soon; elsewhere it comes later than it is counted, and the difference says nothing.
 */
function besideBrokers(
  { writing }: Prediction,
  { processes, hosts, acked }: PredictionMeasured,
): PredictionResult['beside'] {
  const [host, ...others] = hosts.filter(({ roles }) => roles.includes('broker'))
  const disk = host?.disk ?? null
  const brokers = processes.filter(({ role }) => role === 'broker')
  const isWhole = brokers.every(
    (broker) => broker.host === host?.agent && broker.diskWrittenBytes !== null,
  )
  if (writing.perFlush === null || disk === null || others.length > 0 || !isWhole || acked === 0) {
    return null
  }
  const own = brokers.reduce((sum, { diskWrittenBytes }) => sum + (diskWrittenBytes ?? 0), 0)
  const bytesPerMessage = Math.max(0, disk.writtenBytes - own) / acked
  const { device, journalCommits } = disk
  const journal =
    journalCommits === null
      ? ''
      : `, which committed ${journalCommits.toLocaleString('en-US')} times`
  return {
    bytesPerMessage,
    journalCommits,
    text: `beside the brokers’ own bytes ${device} wrote ${Math.round(bytesPerMessage).toLocaleString('en-US')} B a message, which nobody predicts: the journal of the file system${journal}, and other programs`,
  }
}

/** How many messages shared a flush depends on how long the disk takes for one: as many as there were. */
function perFlushOf(
  { perFlush }: Writing,
  { processes, acked }: PredictionMeasured,
): number | null {
  const counts = processes.flatMap(({ role, fsync }) =>
    role === 'broker' ? [fsync?.count ?? null] : [],
  )
  const flushes = counts.reduce<number>((sum, count) => sum + (count ?? 0), 0)
  return perFlush === null || counts.includes(null) || flushes === 0 ? perFlush : acked / flushes
}
