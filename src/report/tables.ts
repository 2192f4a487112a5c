/** The tables of a report, each with the notes that it needs to be read. Pure functions of a saved result. */
import type { BenchResult } from '../bench/result.ts'
import type { Latency } from '../bench/result-figures.ts'
import type { ProcessResult } from '../bench/result-hosts.ts'
import { cores, decimalBytes, grouped, milliseconds, percent } from './figures.ts'

export interface Table {
  readonly heads: readonly string[]
  /** Columns from this one on are aligned right. */
  readonly rightFrom: number
  readonly rows: readonly (readonly string[])[]
}

export function latencyTable({ latency }: BenchResult): Table {
  const rows: [string, Latency | null][] = [
    ['response', latency.response],
    ['service', latency.service],
    ['send delay', latency.sendDelay],
    ['end to end', latency.endToEnd],
  ]
  return {
    heads: ['latency, ms', 'p50', 'p90', 'p95', 'p99', 'p99.9', 'p99.99', 'max', 'samples'],
    rightFrom: 1,
    rows: rows.flatMap(([name, one]) =>
      one === null
        ? []
        : [
            [
              name,
              ...[
                one.p50Ms,
                one.p90Ms,
                one.p95Ms,
                one.p99Ms,
                one.p999Ms,
                one.p9999Ms,
                one.maxMs,
              ].map(milliseconds),
              grouped(one.count),
            ],
          ],
    ),
  }
}

/** A row for each phase that counts; no rows when there is only one, which the summary tells. */
export function phaseTable({ phases }: BenchResult): Table {
  const counted = phases.flatMap(({ name, repetition, figures }) =>
    figures === null ? [] : [{ name, repetition, figures }],
  )
  const repeats = counted.some(({ repetition }) => repetition > 1)
  return {
    heads: [
      'phase',
      'load',
      'offered/s',
      'acked/s',
      'received/s',
      'failed',
      'unsent',
      'latency',
      'p50 ms',
      'p99 ms',
      'p99.9 ms',
      'max ms',
      'lag max',
      'lag slope/s',
    ],
    rightFrom: 2,
    rows:
      counted.length < 2
        ? []
        : counted.map(({ name, repetition, figures }) => {
            const { totals, latency, lag } = figures
            const { offeredPerSecond, acked, received } = totals.rates
            const shown = latency.response ?? latency.service
            return [
              repeats ? `${name} #${repetition}` : name,
              figures.load,
              offeredPerSecond === null ? '-' : grouped(offeredPerSecond),
              grouped(acked.meanPerSecond),
              grouped(received.meanPerSecond),
              grouped(totals.failed),
              grouped(totals.unsent),
              shown === null ? '-' : latency.response === null ? 'service' : 'response',
              milliseconds(shown?.p50Ms ?? null),
              milliseconds(shown?.p99Ms ?? null),
              milliseconds(shown?.p999Ms ?? null),
              milliseconds(shown?.maxMs ?? null),
              lag === null ? '-' : grouped(lag.max),
              lag === null || lag.slopePerSecond === null ? '-' : signed(lag.slopePerSecond),
            ]
          }),
  }
}

/** What was asked of the run, and what it did. */
export function thresholdTable({ thresholds }: BenchResult): Table {
  return {
    heads: ['threshold', 'phase', 'was', 'verdict', 'why'],
    rightFrom: 5,
    rows: thresholds.map(({ expression, phase, repetition, actual, unit, pass, why }) => [
      expression,
      phase === null ? '-' : `${phase}${repetition > 1 ? ` #${repetition}` : ''}`,
      actual === null ? 'not measured' : thresholdValue(actual, unit),
      pass ? 'holds' : 'FAILS',
      why ?? '-',
    ]),
  }
}

function thresholdValue(value: number, unit: string): string {
  const number = Number(value.toPrecision(4))
  switch (unit) {
    case 'ms':
      return `${milliseconds(value)} ms`
    case 'us':
      return `${number} µs`
    case '/s':
      return `${signed(value)}/s`
    case 'share':
      return `${Number((value * 100).toPrecision(4))} %`
    default:
      return String(number)
  }
}

/** The rates that a search, a curve or a balance tried, with what each took of the machine. */
export function searchTable({ search, curve, balance }: BenchResult): Table {
  const trials = search?.trials ?? curve?.steps ?? balance?.steps ?? []
  const share = (value: number | null) => (value === null ? '-' : percent(value))
  const kneeHz = curve?.knee?.ratePerSecond
  return {
    heads: [
      'trial',
      'acked/s',
      'mean ms',
      'p50 ms',
      'p99 ms',
      'lag slope/s',
      'cpu',
      'broker',
      'disk',
      'nic',
      'memory',
      'verdict',
      'why',
    ],
    rightFrom: 1,
    rows: trials.map((trial) => [
      trial.phase,
      grouped(trial.ackedPerSecond),
      milliseconds(trial.meanMs),
      milliseconds(trial.p50Ms),
      milliseconds(trial.p99Ms),
      trial.lagSlopePerSecond === null ? '-' : signed(trial.lagSlopePerSecond),
      share(trial.resources.cpu),
      share(trial.resources.broker),
      share(trial.resources.disk),
      share(trial.resources.nic),
      share(trial.resources.memory),
      trial.ratePerSecond === kneeHz ? 'knee' : trial.pass ? 'holds' : 'fails',
      trial.reasons.length === 0 ? '-' : trial.reasons.join('; '),
    ]),
  }
}

/** Every queue in the eyes of the group. */
export function queueTable({ lag }: BenchResult): Table {
  return {
    heads: ['queue', 'stored', 'lag at end', 'lag max', 'lag max s', 'lag slope/s'],
    rightFrom: 1,
    rows: lag.groups.flatMap(({ queues }) =>
      queues.map((queue) => [
        `${queue.topic === '' ? '' : `${queue.topic} `}${queue.broker}/${queue.queueId}`,
        queue.stored === null ? '-' : grouped(queue.stored),
        grouped(queue.atEnd),
        grouped(queue.max),
        queue.maxSeconds.toFixed(2),
        queue.slopePerSecond === null ? '-' : signed(queue.slopePerSecond),
      ]),
    ),
  }
}

function signed(value: number): string {
  return value < 0 ? `-${grouped(-value)}` : grouped(value)
}

/** What must be known to read the latencies. */
export function latencyNotes({ latency, clock }: BenchResult): string[] {
  const notes: string[] = []
  if (latency.response !== null) notes.push(`response: ${latency.response.label}`)
  if (latency.service !== null) {
    notes.push(
      latency.response === null ? latency.service.label : `service: ${latency.service.label}`,
    )
  }
  if (clock.layout === 'multi') {
    const why = latency.unavailable['endToEnd']
    notes.push(
      latency.endToEnd === null
        ? `end to end: left out, ${why ?? 'not measured'}`
        : `end to end: ${latency.endToEnd.label}`,
    )
  }
  const hasGap = [latency.response, latency.service, latency.endToEnd].some(
    (one) => one !== null && (one.p9999Ms === null || one.p999Ms === null),
  )
  if (hasGap) notes.push('- : fewer than ten samples lie above that percentile')
  return notes
}

export function processTable(result: BenchResult): Table {
  const isApart = result.processes.some(({ host }) => host !== undefined)
  return {
    heads: [
      'process',
      ...(isApart ? ['agent'] : []),
      'pid',
      'cores',
      'user',
      'sys',
      'busiest thread',
      'rss',
      'GCs',
      'GC ms',
      'GC share',
      'loop p99 ms',
      'written',
      'fsyncs',
    ],
    rightFrom: isApart ? 2 : 1,
    rows: result.processes.map((process) => processRow(process, isApart)),
  }
}

function processRow(process: ProcessResult, isApart: boolean): string[] {
  const { gc, loop, fsync, busiestThread } = process
  return [
    process.name,
    ...(isApart ? [process.host ?? '-'] : []),
    process.pid === null ? '-' : String(process.pid),
    cores(process.cores),
    cores(process.userCores),
    cores(process.systemCores),
    busiestThread === null ? '-' : busiestThread.cores.toFixed(2),
    process.rssBytes === null ? '-' : decimalBytes(process.rssBytes),
    gc === null ? '-' : grouped(gc.count),
    gc === null ? '-' : milliseconds(gc.pauseMs),
    gc === null ? '-' : percent(gc.share),
    milliseconds(loop?.p99Ms ?? null),
    process.diskWrittenBytes === null ? '-' : decimalBytes(process.diskWrittenBytes),
    fsync === null
      ? '-'
      : `${grouped(fsync.count)}${fsync.meanMs === null ? '' : ` × ${milliseconds(fsync.meanMs)} ms`}`,
  ]
}

/** Why a column has no value for some process. */
export function processNotes({ processes }: BenchResult): string[] {
  const notes = new Set<string>()
  for (const { name, role, unavailable } of processes) {
    if (role !== 'broker') continue
    for (const [what, why] of Object.entries(unavailable)) notes.add(`${name}, ${what}: ${why}`)
  }
  return [...notes]
}
