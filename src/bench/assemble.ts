/** From what a run has gathered to its result: sums, judgements, and one document. */
import { type HostWarning, checkDuring } from '../host/checks.ts'
import { usageBetween } from '../host/usage.ts'
import {
  agentHosts,
  agentOfBroker,
  clockErrorMs,
  clockMovedMs,
  clockOf,
  hostResultOf,
  judgedHost,
  unseenBrokers,
} from './agent-hosts.ts'
import type { AgentRecord } from './agent/agents.ts'
import { type BottleneckInput, findBottleneck } from './bottleneck.ts'
import { groupLags } from './group-lags.ts'
import { type Integrity, judgeGroups } from './integrity.ts'
import { type FiguresInput, latenciesOf, pacingOf, totalsOf } from './phase-figures.ts'
import { type JudgedPhase, limitOf } from './phase-limit.ts'
import { judgePrediction, type PredictionMeasured } from './prediction.ts'
import { brokerResult, loadProcessResult, otherResult } from './process-results.ts'
import { receiptChecks } from './receipt-validity.ts'
import { type BenchResult, type Bottleneck, RESULT_SCHEMA_VERSION } from './result.ts'
import type { HostResult, ProcessResult } from './result-hosts.ts'
import { figuresOf, pendingOf, rowsOf, secondsOf, worstPacing } from './run-phases.ts'
import { receiptInputOf } from './run-receipts.ts'
import type { PhaseOfRun, RunRecord } from './run-record.ts'
import { isValid, verdictOf, withThresholds } from './run-verdict.ts'
import { type Scenario, slotsOf } from './scenario-schema.ts'
import type { TargetWatch, WatchedBroker } from './target-watch.ts'
import { thresholdsOf } from './threshold.ts'
import { checkValidity } from './validity.ts'

/** Less than this between the phases of a window is no gap. */
const GAP_MS = 50

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
  const host = judgedHost(own, hosts)
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
  const arrived = sums.latency('endToEnd')
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
  const receipts = receiptInputOf(run, sums, totals.consumerTroubles)
  const validity = checkValidity({
    scenario,
    receipts: receipts === null ? [] : receiptChecks(receipts),
    acked: handed,
    ackedPerSecond: handedPerSecond,
    host: own,
    hosts,
    processes,
    ceilingPerSecond: run.ceiling?.perSecond ?? null,
    negativeEndToEnd: arrived?.negative ?? 0,
    earlyEndToEndMs: (arrived?.earlyNs ?? 0) / 1e6,
    endToEndCount: arrived?.count ?? 0,
    pacing: worstPacing(run),
    scheduled: sums.scheduled,
    unsent: sums.unsent,
    windowMs,
    seenMs: usage.spanMs,
    ...(errorMs === 0
      ? {}
      : { clocks: { errorMs, movedMs: clockMovedMs(run.agents, run.processes) } }),
  })
  const senders = scenario.producers.instances * slotsOf(scenario)
  const prediction = predictionOf(run, {
    host: linkedHost(own, hosts, run.watch),
    hosts,
    processes,
    acked: carried,
    ackedPerSecond: handedPerSecond,
    receivedPerSecond,
    sent,
    wireBytesSent,
    windowMs,
    brokerAgeMs: brokerAgeOf(run),
  })
  const judged: BottleneckInput = {
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
    brokersAreSeen: unseenBrokers(run.agents, run.watch.elsewhere) === 0,
    syncFlush: run.durability.profile === 'fsync',
    ceilingShare,
  }
  const overall = findBottleneck(judged)
  const found = limitOf(
    overall,
    counted.flatMap((phase) => judgedPhase(run, judged, phase) ?? []),
  )
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
    bottleneck: withPrediction(found, prediction, found === overall),
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

/** Of brokers that were started for the run, from just before it; null of others. */
function brokerAgeOf({ options, startedMs, phases }: RunRecord): number | null {
  const first = phases.find(({ index }) => index !== null)
  if (options.known.length === 0 || first === undefined) return null
  return Math.max(0, first.startedMs - startedMs)
}

function predictionOf(
  { prediction }: RunRecord,
  measured: PredictionMeasured,
): BenchResult['prediction'] {
  return prediction === null ? null : judgePrediction(prediction, measured)
}

/** The ceiling that was predicted; its error only where that very resource was the limit of the whole window. */
function withPrediction(
  found: Bottleneck,
  prediction: BenchResult['prediction'],
  isOfWhole: boolean,
): Bottleneck {
  if (prediction === null || prediction.ceilingPerSecond === null) return found
  const { ceilingPerSecond, carriedPerSecond, first } = prediction
  const isTested = isOfWhole && found.resource === first && (carriedPerSecond ?? 0) > 0
  return {
    ...found,
    predictedCeiling: ceilingPerSecond,
    predictionError: isTested ? ceilingPerSecond / (carriedPerSecond ?? 1) - 1 : null,
  }
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
    sealed: scenario.verify.checksum,
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
    ...(watch.pidsHere === null ? [] : ['broker']),
  ]
  return roles.length === 0 && agents.length > 0 ? ['controller'] : roles
}

/** The host whose interfaces carried all of the load's traffic; with several of them, or with brokers here and elsewhere, none did. */
function linkedHost(own: HostResult, hosts: readonly HostResult[], watch: TargetWatch): HostResult {
  const loaded = hosts.filter(({ roles }) => roles.includes('load'))
  const [only = own] = loaded
  const isParted = watch.pidsHere !== null && watch.elsewhere.length > 0
  return loaded.length < 2 && !isParted ? only : { ...only, nics: [] }
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

/**
 * One phase by itself; null when a host of brokers was not seen in it. What brokers and runtimes tell
 * of their inside is known of the whole window only, and left out.
 */
function judgedPhase(
  run: RunRecord,
  whole: BottleneckInput,
  { name, index, usage, agents, durationMs }: PhaseOfRun,
): JudgedPhase | null {
  if (index === null || usage === null || durationMs === 0) return null
  if (run.agents.some(({ address, isBroker }) => isBroker && !agents.has(address))) return null
  const inPhase = {
    ...run,
    agents: run.agents.map((one) => ({ ...one, usage: agents.get(one.address) ?? null })),
  }
  const sums = run.series.phase(index)
  const perSecond = (count: number) => (count * 1000) / durationMs
  const acked = sums.acked + sums.unanswered
  const ackedPerSecond = perSecond(acked)
  const place = { name: run.hostFacts.name, roles: rolesHere(run), samplerCores: run.samplerCores }
  const seen = { usage, windowMs: usage.spanMs }
  const tried = [run.search?.trials, run.balance?.steps, run.curve?.steps].flatMap(
    (trials) => trials ?? [],
  )
  const own = hostResultOf(usage, place)
  const hosts = [own, ...agentHosts(inPhase.agents, run.processes)]
  const found = findBottleneck({
    ...whole,
    host: judgedHost(own, hosts),
    hosts,
    processes: processResults(inPhase, seen).map((one) => ({ ...one, gc: null, fsync: null })),
    windowMs: usage.spanMs,
    sent: sums.sent,
    acked,
    ackedPerSecond,
    receivedPerSecond: perSecond(sums.received),
    errors: named(run, sums.errors),
    meanServiceMs: sums.latency('service')?.summary()?.meanMs ?? null,
    ceilingShare: run.ceiling === null ? null : ackedPerSecond / run.ceiling.perSecond,
  })
  const failed = tried.some(({ phase, pass }) => phase === name && !pass)
  return { name, failed, ackedPerSecond, found }
}

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
