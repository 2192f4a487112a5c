/** From what a run has gathered to its result: sums, judgements, and one document. */
import { exitCodePrecedence, ExitCode } from '../base/exit-codes.ts'
import { type HostWarning, checkDuring } from '../host/checks.ts'
import { usageBetween } from '../host/usage.ts'
import {
  agentHosts,
  agentOfBroker,
  clockErrorMs,
  clockOf,
  hostResultOf,
  judgedHost,
} from './agent-hosts.ts'
import { findBottleneck } from './bottleneck.ts'
import { type Integrity, judgeGroups } from './integrity.ts'
import { brokerResult, loadProcessResult, otherResult } from './process-results.ts'
import type { Load } from './load-program.ts'
import {
  type FiguresInput,
  lagAt,
  lagOf,
  lagSlope,
  latenciesOf,
  pacingOf,
  rowsBetween,
  totalsOf,
} from './phase-figures.ts'
import {
  type BenchResult,
  type Bottleneck,
  type HostResult,
  type PhaseFigures,
  type ProcessResult,
  RESULT_SCHEMA_VERSION,
  type SeriesRow,
  type ValidityCheck,
} from './result.ts'
import { type PredictionMeasured, judgePrediction } from './prediction.ts'
import { peakHz } from './rate-shape.ts'
import type { PhaseSums } from './phase-sums.ts'
import type { PhaseOfRun, RunRecord } from './run.ts'
import { type Scenario, slotsOf } from './scenario-schema.ts'
import type { LaneLag } from './lag-book.ts'
import { type Threshold, judgeThresholds, thresholdText, thresholdsOf } from './threshold.ts'
import type { AgentRecord } from './agent/agents.ts'
import type { WatchedBroker } from './target-watch.ts'
import { type PacingSeen, checkValidity } from './validity.ts'

/** Less than this between the phases of a window is no gap. */
const GAP_MS = 50
/** The last tick of a window may come a little before its end. */
const ROW_EARLY_MS = 10
/** Rows of queues in a result; with thousands of topics they would be most of it. */
const QUEUE_ROWS_MAX = 1_024

export function assembleResult(run: RunRecord): BenchResult {
  const { options, series, windowMs } = run
  const { scenario } = options.loaded
  const usage = usageBetween(run.firstSnapshot, run.lastSnapshot)
  const seen = { usage, windowMs: usage.spanMs }
  const processes = processResults(run, seen)
  const own = hostResultOf(usage, {
    name: run.hostFacts.name,
    roles: rolesHere(run),
    samplerCores: run.samplerCores,
  })
  const hosts = [own, ...agentHosts(run.agents, run.processes)]
  const host = judgedHost(own, hosts, run.watch.allLocal)
  const errorMs = clockErrorMs(run.agents, run.processes)
  const integrity = integrityOf(run)
  const rows = series.rows()
  const sums = series.sums()
  const counted = run.phases.filter(({ index }) => index !== null)
  // Between two phases, as between the rates of a search, there may be a gap that counts nowhere.
  const wireBytesSent = run.producerReports.reduce(
    (sum, report) => sum + (report?.wireBytesSent ?? 0),
    0,
  )
  const whole: FiguresInput = {
    sums,
    loads: counted.map(({ load }) => load),
    seconds: secondsOf(counted),
    scheduledSeconds: secondsOf(counted.filter(({ load }) => load.model === 'open')),
    rows: counted.flatMap((phase) => rowsOf(run, rows, phase)),
    pending: pendingOf(run, null),
    wireBytesSent,
    consumerTroubles: named(run, troublesOf(run)),
    nameOf: (outcome) => run.driver.outcomeName(outcome),
    endToEndWhy: endToEndWhy(run),
    clockErrorMs: errorMs,
  }
  const totals = totalsOf(whole)
  const latency = latenciesOf(whole)
  const pacing = pacingOf(whole)
  const { service } = latency
  const { errors } = totals
  // One-way messages have done all they ever will when the network has taken them.
  const handed = scenario.producers.mode === 'one-way' ? sums.unanswered : sums.acked
  // The machine worked for everything in the window, also for what counts in no phase.
  const isWhole = whole.seconds * 1000 >= windowMs - GAP_MS
  const carried = isWhole ? handed : run.windowAcked
  const delivered = isWhole ? sums.received : run.windowReceived
  const sent = isWhole ? sums.sent : sums.sent + Math.max(0, carried - handed)
  const inWindow = (count: number) => (windowMs > 0 ? (count * 1000) / windowMs : 0)
  const handedPerSecond = inWindow(carried)
  const receivedPerSecond = inWindow(delivered)
  const ceilingShare =
    run.ceiling !== null && run.ceiling.perSecond > 0
      ? handedPerSecond / run.ceiling.perSecond
      : null
  const validity = checkValidity({
    scenario,
    acked: handed,
    ackedPerSecond: handedPerSecond,
    host: own,
    hosts,
    processes,
    ceilingPerSecond: run.ceiling?.perSecond ?? null,
    negativeEndToEnd: latency.endToEnd?.negative ?? 0,
    endToEndCount: latency.endToEnd?.count ?? 0,
    pacing: worstPacing(run),
    scheduled: sums.scheduled,
    unsent: sums.unsent,
    windowMs,
    seenMs: usage.spanMs,
    ...(errorMs === 0 ? {} : { clockErrorMs: errorMs }),
  })
  const senders = scenario.producers.instances * slotsOf(scenario)
  const prediction = predictionOf(run, {
    host: linkedHost(own, hosts),
    processes,
    acked: carried,
    ackedPerSecond: handedPerSecond,
    receivedPerSecond,
    sent,
    wireBytesSent,
    windowMs,
  })
  const found = findBottleneck({
    host,
    hosts,
    processes,
    windowMs,
    sent: sums.sent,
    acked: handed,
    ackedPerSecond: handedPerSecond,
    receivedPerSecond,
    errors,
    senders,
    meanServiceMs: service?.meanMs ?? null,
    brokersAreLocal: host.roles.includes('broker'),
    syncFlush: run.durability.profile === 'fsync',
    ceilingShare,
  })
  const reports = run.producerReports.filter((report) => report !== null)
  const result: BenchResult = {
    schemaVersion: RESULT_SCHEMA_VERSION,
    kind: 'run',
    runId: run.plan.runId,
    startedAt: new Date(run.startedMs).toISOString(),
    endedAt: new Date(run.endedMs).toISOString(),
    tool: {
      name: 'mqctl',
      version: options.toolVersion,
      node: process.version,
      platform: `${process.platform}-${process.arch}`,
    },
    ...verdictOf(run, integrity, validity),
    scenario: {
      name: scenario.name,
      source: options.loaded.source,
      hash: options.loaded.hash,
      overrides: [...options.loaded.overrides],
      resolved: { ...scenario },
    },
    environment: {
      hosts: [{ ...run.hostFacts }, ...run.agents.map(({ facts }) => ({ ...facts }))],
      brokers: run.watch.brokers.map((broker) => {
        const facts = run.facts.find(({ address }) => address === broker.address)
        const { name, address, isLocal, pid } = broker
        return {
          name,
          address,
          isLocal,
          pid,
          cluster: facts?.cluster ?? '',
          version: facts?.version ?? null,
          settings: { ...facts?.settings },
        }
      }),
      lab: options.lab ?? null,
      target: {
        driver: scenario.target.driver,
        endpoints: [...options.endpoints],
        topic: run.plan.topics[0] ?? '',
        topics: run.plan.topics.length,
        lanes: run.lanes.length,
      },
    },
    durability: durabilityOf(run),
    phases: run.phases.map((phase) => ({
      name: phase.name,
      startedAt: new Date(phase.startedMs).toISOString(),
      durationMs: phase.durationMs,
      excluded:
        phase.name === 'warm-up' && run.steadyText !== null
          ? `${phase.excluded ?? ''}; ${run.steadyText}`
          : phase.excluded,
      repetition: phase.repetition,
      figures: phase.index === null ? null : figuresOf(run, whole, phase, phase.index),
    })),
    totals,
    wholeRun: {
      sent: integrity.conservation.sent,
      acked: integrity.conservation.acked,
      failed: integrity.conservation.failed,
      unanswered: integrity.conservation.unanswered,
      pending: integrity.conservation.pending,
      received: series.totalReceived,
    },
    latency,
    clock: clockOf(run.agents, run.processes),
    pacing,
    integrity: {
      ...integrity,
      lostRanges: [...integrity.lostRanges],
      violations: [...integrity.violations],
      groups: [...integrity.groups],
    },
    lag: { groups: scenario.consumers.instances === 0 ? [] : groupLags(run, rows) },
    series: rows,
    hosts,
    processes,
    client: {
      loopLagP99Ms: worstLoopLag(processes),
      producerCpuUsPerMessage: cpuPerMessage(processes, 'producer', usage.spanMs, handedPerSecond),
      consumerCpuUsPerMessage: cpuPerMessage(
        processes,
        'consumer',
        usage.spanMs,
        receivedPerSecond,
      ),
      ceiling:
        run.ceiling === null
          ? null
          : {
              perSecond: run.ceiling.perSecond,
              producerCpuUsPerMessage: run.ceiling.cpuUsPerMessage,
              share: ceilingShare ?? 0,
              text: 'the same producers against a target that only acknowledges, which takes CPU of their machine as well',
            },
      payloadCompressRatio: reports[0]?.compressRatio ?? 1,
      strayAnswers: reports.reduce((sum, report) => sum + report.strayAnswers, 0),
      senders: sendersText(scenario),
    },
    bottleneck: withPrediction(found, prediction),
    prediction,
    efficiency: {
      brokerCpuUsPerMessage: cpuPerMessage(processes, 'broker', usage.spanMs, handedPerSecond),
      wireBytesPerMessage: sent > 0 ? wireBytesSent / sent : null,
      brokerDiskBytesPerMessage: brokerDiskBytes(processes, carried),
    },
    search:
      run.search === null
        ? null
        : { ...run.search, sla: [...run.search.sla], trials: [...run.search.trials] },
    curve: run.curve === null ? null : { ...run.curve, steps: [...run.curve.steps] },
    balance:
      run.balance === null
        ? null
        : { ...run.balance, limits: { ...run.balance.limits }, steps: [...run.balance.steps] },
    thresholds: [],
    validity,
    valid: isValid(validity),
    warnings: [...run.warnings, ...checkDuring(usage), ...agentWarnings(run)].map((warning) => ({
      ...warning,
    })),
    artifacts: [],
  }
  return withThresholds(result, thresholdsOf(scenario))
}

function predictionOf(
  { prediction }: RunRecord,
  measured: PredictionMeasured,
): BenchResult['prediction'] {
  return prediction === null ? null : judgePrediction(prediction, measured)
}

/** The ceiling that was predicted; its error only where that very resource was the limit. */
function withPrediction(found: Bottleneck, prediction: BenchResult['prediction']): Bottleneck {
  if (prediction === null || prediction.ceilingPerSecond === null) return found
  const { ceilingPerSecond, carriedPerSecond, first } = prediction
  const isTested = found.resource === first && (carriedPerSecond ?? 0) > 0
  return {
    ...found,
    predictedCeiling: ceilingPerSecond,
    predictionError: isTested ? ceilingPerSecond / (carriedPerSecond ?? 1) - 1 : null,
  }
}

/** A result that is otherwise good is judged by its thresholds; one that is not keeps its verdict. */
function withThresholds(result: BenchResult, thresholds: readonly Threshold[]): BenchResult {
  const judged = judgeThresholds(result, thresholds)
  const reasons = judged.filter(({ pass }) => !pass).map(thresholdText)
  // A search whose promise no rate kept has failed, as a threshold would have.
  if (result.search !== null && result.search.sustainablePerSecond === null) {
    reasons.push(result.search.text)
  }
  if (result.balance !== null && result.balance.balancedPerSecond === null) {
    reasons.push(result.balance.text)
  }
  if (reasons.length === 0 || result.verdict !== 'ok') return { ...result, thresholds: judged }
  return {
    ...result,
    thresholds: judged,
    verdict: 'threshold',
    exitCode: ExitCode.threshold,
    reasons,
  }
}

function verdictOf(run: RunRecord, integrity: Integrity, validity: readonly ValidityCheck[]) {
  const reasons: string[] = []
  const codes: ExitCode[] = []
  if (integrity.violations.length > 0) {
    codes.push(ExitCode.integrity)
    reasons.push(...integrity.violations)
  }
  if (run.lost.length > 0) {
    codes.push(ExitCode.unreachable)
    reasons.push(...run.lost)
  }
  if (run.interrupted) reasons.push('interrupted: the window is shorter than asked for')
  if (!run.interrupted && run.lost.length === 0 && !isValid(validity)) {
    codes.push(ExitCode.invalid)
    for (const { ok, severity, text } of validity)
      if (!ok && severity === 'error') reasons.push(text)
  }
  const exitCode = exitCodePrecedence.find((code) => codes.includes(code)) ?? ExitCode.ok
  const verdict =
    exitCode === ExitCode.integrity
      ? ('integrity' as const)
      : run.interrupted
        ? ('interrupted' as const)
        : exitCode === ExitCode.invalid
          ? ('invalid' as const)
          : exitCode === ExitCode.unreachable
            ? ('unreachable' as const)
            : ('ok' as const)
  return { verdict, exitCode: verdict === 'interrupted' ? ExitCode.interrupted : exitCode, reasons }
}

function isValid(validity: readonly ValidityCheck[]): boolean {
  return validity.every(({ ok, severity }) => ok || severity !== 'error')
}

function integrityOf(run: RunRecord): Integrity {
  const { scenario } = run.options.loaded
  const sum = (field: 'acked' | 'failed' | 'unanswered' | 'pending') =>
    run.producerReports.reduce((total, report) => total + (report?.[field] ?? 0), 0)
  const empty = { sent: 0, unacknowledged: new Uint32Array(), truncated: false }
  const perGroup = scenario.consumers.instances === 0 ? [] : run.plan.groups
  const input = {
    ledgers: run.producerReports.map((report) => report?.ledger ?? empty),
    acked: sum('acked'),
    failed: sum('failed'),
    unanswered: sum('unanswered'),
    oneWay: scenario.producers.mode === 'one-way',
    pending: sum('pending'),
    sequenced: scenario.verify.sequence,
    stored: run.growth === null ? null : run.growth.reduce((sum, messages) => sum + messages, 0),
    // Of a producer that died nobody knows what it sent last.
    exclusive: run.exclusive && !run.producerReports.includes(null),
    drained: run.drained && !run.consumerReports.includes(null),
    untold: untoldOf(run),
  }
  return judgeGroups(
    input,
    perGroup.map((name, group) => ({
      name,
      receipts: run.consumerReports.flatMap((report) =>
        report === null || report.groupIndex !== group ? [] : [report.receipts],
      ),
    })),
  )
}

/** Acknowledged as far as producers had told that gave no last report; null when all did. */
function untoldOf({ producerReports, processes, series }: RunRecord): number | null {
  if (!producerReports.includes(null)) return null
  const producers = processes.filter(({ role }) => role === 'producer')
  return producerReports.reduce<number>(
    (sum, report, index) =>
      report === null ? sum + series.ackedBy(producers[index]?.name ?? '') : sum,
    0,
  )
}

/** What an acknowledgement stood for; one-way messages have none. */
function durabilityOf({ durability, options }: RunRecord): BenchResult['durability'] {
  if (options.loaded.scenario.producers.mode !== 'one-way') return { ...durability }
  return {
    ...durability,
    acknowledged: `nothing: one-way messages have no acknowledgement; with one it would be: ${durability.acknowledged}`,
  }
}

/** How far each group was behind. */
function groupLags(run: RunRecord, rows: readonly SeriesRow[]): BenchResult['lag']['groups'] {
  const { groups } = run.plan
  const ofWindow = lagOf(
    rows.filter(({ t }) => t * 1000 <= run.windowMs + ROW_EARLY_MS),
    run.series.lagAtStart,
  )
  // While nothing is sent any more, it shrinks: that is no trend of the load.
  const slope = lagSlope(rows.filter(({ phase }) => phase !== null))
  return groups.map((name, group) => {
    const lanes = run.laneLags[group] ?? []
    const isOnly = groups.length === 1
    const slopes = lanes.map(({ slopePerSecond }) => slopePerSecond)
    return {
      name,
      atEnd: run.lagAtEnd[group] ?? 0,
      // Rows follow the group that is furthest behind; of several, each has the sum of its queues.
      max: isOnly ? ofWindow.max : lanes.reduce((sum, { max }) => sum + max, 0),
      drainMs: run.drainMs,
      maxSeconds: isOnly
        ? ofWindow.maxSeconds
        : Math.max(0, ...lanes.map(({ maxMs }) => maxMs / 1000)),
      slopePerSecond: isOnly
        ? slope
        : slopes.includes(null)
          ? null
          : slopes.reduce<number>((sum, one) => sum + (one ?? 0), 0),
      queues: queueLags(run, lanes),
      queueCount: lanes.length,
      skew: skewOf(run),
    }
  })
}

function processResults(
  run: RunRecord,
  seen: { usage: ReturnType<typeof usageBetween>; windowMs: number },
): ProcessResult[] {
  const figuresOf = (index: number) => {
    const reports = [...run.producerReports, ...run.consumerReports]
    return reports[index]?.figures ?? null
  }
  return [
    ...run.watch.brokers.map((broker) => brokerProcess(run, broker, seen)),
    ...run.options.known
      .filter(({ role }) => role === 'nameserver')
      .map(({ name, pid }) => otherResult(name, 'nameserver', pid, seen)),
    ...run.processes.map((process, index) => {
      const { host } = process
      if (host === null)
        return loadProcessResult(process, figuresOf(index), { ...seen, windowMs: run.windowMs })
      const there = seenThere(run, host, seen)
      return {
        ...loadProcessResult(process, figuresOf(index), { ...there, windowMs: run.windowMs }),
        host,
      }
    }),
    otherResult('mqctl', 'orchestrator', process.pid, seen),
  ]
}

type Seen = Parameters<typeof processResults>[1]

/** What was seen of an agent's host; nothing when it went away before the end of the window. */
function seenThere(run: RunRecord, address: string, seen: Seen): Seen {
  const usage = run.agents.find((agent) => agent.address === address)?.usage ?? null
  if (usage === null) return { ...seen, usage: { ...seen.usage, processes: [] } }
  return { usage, windowMs: usage.spanMs }
}

/** A broker on this host, on an agent's, or on one that nobody looks at. */
function brokerProcess(run: RunRecord, broker: WatchedBroker, seen: Seen): ProcessResult {
  const [first, last] = [run.firstMarks.get(broker.address), run.lastMarks.get(broker.address)]
  const found = broker.isLocal ? null : agentOfBroker(run.agents, broker.address)
  if (found === null) return brokerResult(broker, first, last, seen)
  const { agent } = found
  const there = { ...broker, isLocal: true, pid: found.broker.pid }
  const withJvm = (mark: typeof first, from: AgentRecord['firstMark']) =>
    mark === undefined
      ? undefined
      : { ...mark, jvmGc: from?.jvms.find((jvm) => jvm.address === broker.address)?.gc ?? null }
  const row = brokerResult(
    there,
    withJvm(first, agent.firstMark),
    withJvm(last, agent.lastMark),
    seenThere(run, agent.address, seen),
  )
  return { ...row, host: agent.address }
}

/** What this host did in the run. */
function rolesHere({ watch, agents, processes }: RunRecord): string[] {
  const roles = [
    ...(processes.some(({ host }) => host === null) ? ['load'] : []),
    ...(watch.allLocal ? ['broker'] : []),
  ]
  return roles.length === 0 && agents.length > 0 ? ['controller'] : roles
}

/** The host whose interfaces carried all of the load's traffic; with several of them none did. */
function linkedHost(own: HostResult, hosts: readonly HostResult[]): HostResult {
  const loaded = hosts.filter(({ roles }) => roles.includes('load'))
  const [only = own] = loaded
  return loaded.length < 2 ? only : { ...only, nics: [] }
}

/** An agent that was only watched and went away leaves a gap, and nothing else. */
function agentWarnings({ agents }: RunRecord): HostWarning[] {
  return agents.flatMap(({ address, carriesLoad, lost }) =>
    lost === null || carriesLoad
      ? []
      : [
          {
            check: 'agent-lost',
            text: `agent ${address} went away: ${lost}; its host is not in the result`,
            hint: 'does it still run there, and is the network between whole?',
          },
        ],
  )
}

/** The figures of one phase. */
function figuresOf(
  run: RunRecord,
  whole: FiguresInput,
  phase: PhaseOfRun,
  index: number,
): PhaseFigures {
  const seconds = phase.durationMs / 1000
  const sums = run.series.phase(index)
  const all = run.series.rows()
  const rows = rowsOf(run, all, phase)
  const input: FiguresInput = {
    ...whole,
    sums,
    loads: [phase.load],
    seconds,
    scheduledSeconds: seconds,
    rows,
    pending: pendingOf(run, index),
    wireBytesSent: 0,
    consumerTroubles: {},
  }
  return {
    index,
    load: loadText(phase.load, seconds),
    totals: totalsOf(input),
    latency: latenciesOf(input),
    pacing: pacingOf(input),
    lag: lagOf(rows, lagAt(all, startSeconds(run, phase), run.series.lagAtStart)),
    drain:
      phase.drain === null ? null : { ...phase.drain, backlog: backlogOf(run, phase.drain, sums) },
  }
}

/** What lay there when a drain began, from what was counted of it: looks at queues are some moments old. */
function backlogOf(
  { plan }: RunRecord,
  { remaining }: NonNullable<PhaseOfRun['drain']>,
  { received, acked, unanswered }: PhaseSums,
): number {
  const each = received / Math.max(1, plan.groups.length)
  return Math.max(0, Math.round(each + remaining - acked - unanswered))
}

function secondsOf(phases: readonly PhaseOfRun[]): number {
  return phases.reduce((sum, { durationMs }) => sum + durationMs, 0) / 1000
}

/** Start of a phase, in seconds from the start of the window. */
function startSeconds({ series }: RunRecord, phase: PhaseOfRun): number {
  return series.secondsOf(phase.startNs)
}

/** The whole seconds of a phase. */
function rowsOf(run: RunRecord, rows: readonly SeriesRow[], phase: PhaseOfRun): SeriesRow[] {
  const from = startSeconds(run, phase)
  return rowsBetween(rows, from, from + phase.durationMs / 1000)
}

/** Messages without an outcome, of one phase or of all that count. */
function pendingOf(run: RunRecord, phase: number | null): number {
  let sum = 0
  for (const report of run.producerReports) {
    for (const [of, count] of report?.pendingByPhase ?? []) {
      if (phase === null || of === phase) sum += count
    }
  }
  return sum
}

/** The phase whose pacing error is the largest, against the interval between its messages. */
function worstPacing(run: RunRecord): PacingSeen | null {
  let worst: PacingSeen | null = null
  for (const { index, load, name } of run.phases) {
    if (index === null || load.model !== 'open') continue
    const histogram = run.series.phase(index).latency('pacing')
    if (histogram === null) continue
    const p99Ms = histogram.atMs(99)
    if (worst === null || p99Ms > worst.p99Ms) {
      worst = { phase: name, p99Ms, intervalMs: 1000 / peakHz(load.shape) }
    }
  }
  return worst
}

/** In the order of lanes; of very many, those that were furthest behind. */
function queueLags({ lanes, growth, plan }: RunRecord, laneLags: readonly LaneLag[]) {
  const shown =
    laneLags.length <= QUEUE_ROWS_MAX
      ? laneLags
      : [...laneLags].sort((a, b) => b.max - a.max || a.lane - b.lane).slice(0, QUEUE_ROWS_MAX)
  return [...shown]
    .sort((a, b) => a.lane - b.lane)
    .map(({ lane, atEnd, max, maxMs, slopePerSecond }) => ({
      topic: plan.topics.length === 1 ? '' : (lanes[lane]?.topic ?? ''),
      broker: lanes[lane]?.broker ?? '',
      queueId: lanes[lane]?.queueId ?? lane,
      stored: growth?.[lane] ?? null,
      atEnd,
      max,
      maxSeconds: maxMs / 1000,
      slopePerSecond,
    }))
}

/** By what the broker's queues grew. */
function skewOf({ growth, lanes }: RunRecord): { maxToMean: number; fullest: string } | null {
  if (growth === null || growth.length === 0) return null
  const mean = growth.reduce((sum, messages) => sum + messages, 0) / growth.length
  if (!(mean > 0)) return null
  const most = Math.max(...growth)
  const fullest = lanes[growth.indexOf(most)]
  const topic = lanes[0]?.topic === lanes.at(-1)?.topic ? '' : `${fullest?.topic ?? ''} `
  const queue = `${topic}${fullest?.broker ?? ''}/${fullest?.queueId ?? ''}`
  return { maxToMean: most / mean, fullest: queue }
}

function loadText(load: Load, seconds: number): string {
  const length = `${Number(seconds.toFixed(3))} s`
  if (load.model !== 'open') return `${load.model}, ${length}`
  const { shape } = load
  const rates =
    shape.kind === 'hold'
      ? `${hertz(shape.rateHz)}/s`
      : `${shape.kind} ${hertz(shape.fromHz)}/s to ${hertz(shape.toHz)}/s`
  return `open, ${rates}, ${length}`
}

const hertz = (rate: number) => Number(rate.toPrecision(4))

function sendersText(scenario: Scenario): string {
  const { instances, threads, mode, inFlight, batch } = scenario.producers
  const each = {
    sync: `${threads} concurrent synchronous senders`,
    async: `a window of ${inFlight} messages under way`,
    batch: `${threads} concurrent synchronous senders of batches of ${batch.size}`,
    'one-way': `${threads} senders of one-way messages, held back by the network alone`,
  }[mode]
  return `${instances} producer processes × ${each}, each process over one connection to each broker`
}

function endToEndWhy(run: RunRecord): string {
  const { scenario } = run.options.loaded
  if (scenario.consumers.instances === 0) return 'nobody consumed'
  if (!scenario.verify.sequence)
    return 'messages did not carry their send time (verify.sequence is off)'
  return 'no message of the window was received'
}

function named(run: RunRecord, outcomes: ReadonlyMap<number, number>): Record<string, number> {
  const table: Record<string, number> = {}
  for (const [outcome, count] of outcomes) table[run.driver.outcomeName(outcome)] = count
  return table
}

function troublesOf(run: RunRecord): Map<number, number> {
  const sum = new Map<number, number>()
  for (const report of run.consumerReports) {
    for (const [outcome, count] of report?.troubles ?? []) {
      sum.set(outcome, (sum.get(outcome) ?? 0) + count)
    }
  }
  return sum
}

function worstLoopLag(processes: readonly ProcessResult[]): number | null {
  const lags = processes.flatMap(({ role, loop }) =>
    (role === 'producer' || role === 'consumer') && loop?.p99Ms !== null && loop !== null
      ? [loop.p99Ms]
      : [],
  )
  return lags.length > 0 ? Math.max(...lags) : null
}

/** Microseconds of CPU of all processes of a role for each message at a rate. */
function cpuPerMessage(
  processes: readonly ProcessResult[],
  role: ProcessResult['role'],
  spanMs: number,
  perSecond: number,
): number | null {
  const cores = processes.filter((process) => process.role === role).map((process) => process.cores)
  if (cores.length === 0 || cores.includes(null) || perSecond <= 0 || spanMs <= 0) return null
  return (cores.reduce<number>((sum, one) => sum + (one ?? 0), 0) * 1e6) / perSecond
}

function brokerDiskBytes(processes: readonly ProcessResult[], acked: number): number | null {
  const written = processes
    .filter((process) => process.role === 'broker')
    .map((process) => process.diskWrittenBytes)
  if (written.length === 0 || written.includes(null) || acked === 0) return null
  return written.reduce<number>((sum, one) => sum + (one ?? 0), 0) / acked
}
