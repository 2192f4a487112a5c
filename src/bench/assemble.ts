/** From what a run has gathered to its result: sums, judgements, and one document. */
import { exitCodePrecedence, ExitCode } from '../base/exit-codes.ts'
import { checkDuring } from '../host/checks.ts'
import { usageBetween } from '../host/usage.ts'
import { findBottleneck } from './bottleneck.ts'
import type { LatencyHistogram } from './histogram.ts'
import { type Integrity, judgeIntegrity } from './integrity.ts'
import { brokerResult, loadProcessResult, otherResult } from './process-results.ts'
import {
  type BenchResult,
  type HostResult,
  type Latency,
  type ProcessResult,
  RESULT_SCHEMA_VERSION,
  type Rate,
  type ValidityCheck,
} from './result.ts'
import type { RunRecord } from './run.ts'
import { checkValidity } from './validity.ts'

/** A timer may fire this much before its time; the second before it is whole all the same. */
const EARLY_SECONDS = 0.01

const SERVICE_LABEL =
  'service time only: closed load, a sender waits for its answer before it sends again, so time in which the broker stalls is under-represented'
const END_TO_END_LABEL =
  'from the sending to the consumer’s hands; closed load, so time in which the broker stalls is under-represented'

export function assembleResult(run: RunRecord): BenchResult {
  const { options, series, windowMs } = run
  const { scenario } = options.loaded
  const usage = usageBetween(run.firstSnapshot, run.lastSnapshot)
  const seen = { usage, windowMs: usage.spanMs }
  const processes = processResults(run, seen)
  const host = hostResult(run, usage)
  const integrity = integrityOf(run)
  const seconds = windowMs / 1000
  const rows = series.rows()
  const wholeRows = rows.slice(0, Math.floor(seconds + EARLY_SECONDS))
  const acked = rateOf(
    series.acked,
    seconds,
    wholeRows.map((row) => row.acked),
  )
  const received = rateOf(
    series.received,
    seconds,
    wholeRows.map((row) => row.received),
  )
  const service = latencyOf(series.service, SERVICE_LABEL)
  const endToEnd = latencyOf(series.endToEnd, END_TO_END_LABEL)
  const errors = named(run, series.errors)
  const ceilingShare =
    run.ceiling !== null && run.ceiling.perSecond > 0
      ? acked.meanPerSecond / run.ceiling.perSecond
      : null
  const validity = checkValidity({
    scenario,
    acked: series.acked,
    ackedPerSecond: acked.meanPerSecond,
    host,
    processes,
    ceilingPerSecond: run.ceiling?.perSecond ?? null,
    negativeEndToEnd: series.endToEnd.negative,
    endToEndCount: series.endToEnd.count,
  })
  const senders = scenario.producers.instances * scenario.producers.threads
  const bottleneck = findBottleneck({
    host,
    processes,
    windowMs,
    sent: series.sent,
    acked: series.acked,
    ackedPerSecond: acked.meanPerSecond,
    receivedPerSecond: received.meanPerSecond,
    errors,
    senders,
    meanServiceMs: service?.meanMs ?? null,
    brokersAreLocal: run.watch.allLocal,
    syncFlush: run.durability.profile === 'fsync',
    ceilingShare,
  })
  const wireBytesSent = run.producerReports.reduce(
    (sum, report) => sum + (report?.wireBytesSent ?? 0),
    0,
  )
  const windowPending = run.producerReports.reduce(
    (sum, report) => sum + (report?.windowPending ?? 0),
    0,
  )
  const reports = run.producerReports.filter((report) => report !== null)
  return {
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
      hosts: [{ ...run.hostFacts }],
      brokers: run.watch.brokers.map((broker) => {
        const facts = run.facts.find(({ address }) => address === broker.address)
        return {
          ...broker,
          cluster: facts?.cluster ?? '',
          version: facts?.version ?? null,
          settings: { ...facts?.settings },
        }
      }),
      target: {
        driver: scenario.target.driver,
        endpoints: [...options.endpoints],
        topic: run.plan.topic,
        lanes: run.lanes.length,
      },
    },
    durability: { ...run.durability },
    phases: run.phases.map(({ name, startedMs, durationMs, excluded }) => ({
      name,
      startedAt: new Date(startedMs).toISOString(),
      durationMs,
      excluded,
    })),
    totals: {
      sent: series.sent,
      acked: series.acked,
      failed: series.failed,
      pending: windowPending,
      received: series.received,
      sentBytes: series.sent * scenario.message.size,
      receivedBytes: series.receivedBytes,
      wireBytesSent,
      rates: { acked, received },
      errors,
      consumerTroubles: named(run, troublesOf(run)),
    },
    wholeRun: {
      sent: integrity.conservation.sent,
      acked: integrity.conservation.acked,
      failed: integrity.conservation.failed,
      pending: integrity.conservation.pending,
      received: series.totalReceived,
    },
    latency: {
      response: null,
      service,
      endToEnd,
      unavailable: {
        response: 'a closed model has no intended send times',
        ...(service === null ? { service: 'nothing was acknowledged in the window' } : {}),
        ...(endToEnd === null ? { endToEnd: endToEndWhy(run) } : {}),
      },
    },
    clock: {
      layout: 'single',
      offsetMs: 0,
      uncertaintyMs: 0,
      method: 'all load processes run on one host and read its one monotonic clock',
    },
    pacing: {
      model: 'closed',
      text: 'no schedule: each sender sends when its last answer has come',
    },
    integrity: {
      ...integrity,
      lostRanges: [...integrity.lostRanges],
      violations: [...integrity.violations],
    },
    lag: {
      groups:
        scenario.consumers.instances === 0
          ? []
          : [
              {
                name: run.plan.group,
                atEnd: run.lagAtEnd,
                max: series.lagMax,
                drainMs: run.drainMs,
              },
            ],
    },
    series: rows,
    hosts: [host],
    processes,
    client: {
      loopLagP99Ms: worstLoopLag(processes),
      producerCpuUsPerMessage: cpuPerMessage(
        processes,
        'producer',
        usage.spanMs,
        acked.meanPerSecond,
      ),
      consumerCpuUsPerMessage: cpuPerMessage(
        processes,
        'consumer',
        usage.spanMs,
        received.meanPerSecond,
      ),
      ceiling:
        run.ceiling === null
          ? null
          : {
              perSecond: run.ceiling.perSecond,
              producerCpuUsPerMessage: run.ceiling.cpuUsPerMessage,
              share: ceilingShare ?? 0,
              text: 'the same producers against a target that only acknowledges, which takes CPU of this machine as well',
            },
      payloadCompressRatio: reports[0]?.compressRatio ?? 1,
      strayAnswers: reports.reduce((sum, report) => sum + report.strayAnswers, 0),
      senders: `${scenario.producers.instances} producer processes × ${scenario.producers.threads} concurrent synchronous senders, each process over one connection to each broker`,
    },
    bottleneck,
    efficiency: {
      brokerCpuUsPerMessage: cpuPerMessage(processes, 'broker', usage.spanMs, acked.meanPerSecond),
      wireBytesPerMessage: series.sent > 0 ? wireBytesSent / series.sent : null,
      brokerDiskBytesPerMessage: brokerDiskBytes(processes, series.acked),
    },
    validity,
    valid: isValid(validity),
    warnings: [...run.warnings, ...checkDuring(usage)].map((warning) => ({ ...warning })),
    artifacts: [],
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
  const sum = (field: 'acked' | 'failed' | 'pending') =>
    run.producerReports.reduce((total, report) => total + (report?.[field] ?? 0), 0)
  const empty = { sent: 0, unacknowledged: new Uint32Array(), truncated: false }
  return judgeIntegrity({
    ledgers: run.producerReports.map((report) => report?.ledger ?? empty),
    acked: sum('acked'),
    failed: sum('failed'),
    pending: sum('pending'),
    receipts: run.consumerReports.flatMap((report) => (report === null ? [] : [report.receipts])),
    sequenced: scenario.verify.sequence,
    stored: run.stored,
    // Of a producer that died nobody knows what it sent last.
    exclusive: run.exclusive && !run.producerReports.includes(null),
    drained: run.drained && !run.consumerReports.includes(null),
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
    ...run.watch.brokers.map((broker) =>
      brokerResult(
        broker,
        run.firstMarks.get(broker.address),
        run.lastMarks.get(broker.address),
        seen,
      ),
    ),
    ...run.options.known
      .filter(({ role }) => role === 'nameserver')
      .map(({ name, pid }) => otherResult(name, 'nameserver', pid, seen)),
    ...run.processes.map((process, index) => loadProcessResult(process, figuresOf(index), seen)),
    otherResult('mqctl', 'orchestrator', process.pid, seen),
  ]
}

function hostResult(run: RunRecord, usage: ReturnType<typeof usageBetween>): HostResult {
  return {
    name: run.hostFacts.name,
    roles: run.watch.allLocal ? ['load', 'broker'] : ['load'],
    cpuCount: usage.cpuCount,
    cpu: usage.cpu,
    load1: usage.load1,
    memory: usage.memory,
    disk: usage.disk,
    nics: [...usage.nics],
    samplerCores: run.samplerCores,
    unavailable: { ...usage.unavailable },
  }
}

function rateOf(total: number, seconds: number, perSecond: readonly number[]): Rate {
  const sorted = [...perSecond].sort((a, b) => a - b)
  const middle = sorted.length / 2
  const median =
    sorted.length === 0
      ? null
      : ((sorted[Math.ceil(middle) - 1] ?? 0) + (sorted[Math.floor(middle)] ?? 0)) / 2
  return {
    meanPerSecond: seconds > 0 ? total / seconds : 0,
    medianPerSecond: median,
    minPerSecond: sorted[0] ?? null,
    maxPerSecond: sorted.at(-1) ?? null,
  }
}

function latencyOf(histogram: LatencyHistogram, label: string): Latency | null {
  const summary = histogram.summary()
  if (summary === null) return null
  const at = (percentile: string) => summary.percentilesMs[percentile] ?? null
  const { count, minMs, meanMs, maxMs, negative, clamped, precisionDigits } = summary
  return {
    label,
    count,
    minMs,
    meanMs,
    p50Ms: at('50'),
    p90Ms: at('90'),
    p95Ms: at('95'),
    p99Ms: at('99'),
    p999Ms: at('99.9'),
    p9999Ms: at('99.99'),
    maxMs,
    negative,
    clamped,
    precisionDigits,
    histogram: summary.histogram,
  }
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
