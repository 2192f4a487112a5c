/** From the sums of a phase, or of all phases, to its figures in the result. Pure. */
import type { LatencyHistogram } from './histogram.ts'
import type { Load } from './load-program.ts'
import type { PhaseSums } from './phase-sums.ts'
import type { SeriesRow } from './result.ts'
import type { Latencies, Latency, Pacing, PhaseLag, Rate, Totals } from './result-figures.ts'

/** A timer may fire this much before its time; the second before it is whole all the same. */
const EARLY_SECONDS = 0.01

const CLOSED_SERVICE =
  'service time only: closed load, a sender waits for its answer before it sends again, so time in which the broker stalls is under-represented'
const MIXED_SERVICE =
  'service time only: closed and open phases together, and in the closed ones time in which the broker stalls is under-represented; the figures of each phase tell them apart'
const OPEN_SERVICE =
  'from the actual sending to the answer; the wait for a free sender is not in it'
const RESPONSE = 'from the moment a message was due by the schedule to its answer'
const SEND_DELAY = 'from the moment a message was due to its sending'
const ONE_WAY = 'one-way messages have no answer, so nobody knows when they were stored'
const PACING = 'lateness of sends for which a sender was free: the error of the generator itself'
const CLOSED_END_TO_END =
  'from the sending to the consumer’s hands; closed load, so time in which the broker stalls is under-represented'
const MIXED_END_TO_END =
  'from the sending (closed phases) or the moment a message was due (open ones) to the consumer’s hands; in closed ones time in which the broker stalls is under-represented'
const OPEN_END_TO_END = 'from the moment a message was due to the consumer’s hands'

const serviceLabels = { closed: CLOSED_SERVICE, open: OPEN_SERVICE, mixed: MIXED_SERVICE } as const
const endToEndLabels = {
  closed: CLOSED_END_TO_END,
  open: OPEN_END_TO_END,
  mixed: MIXED_END_TO_END,
} as const

export interface FiguresInput {
  readonly sums: PhaseSums
  readonly loads: readonly Load[]
  readonly seconds: number
  /** Of these, those with a schedule. */
  readonly scheduledSeconds: number
  /** Whole seconds that lie in the phase. */
  readonly rows: readonly SeriesRow[]
  readonly pending: number
  readonly wireBytesSent: number
  readonly consumerTroubles: Readonly<Record<string, number>>
  readonly nameOf: (outcome: number) => string
  /** Why there is no end-to-end latency when there is none. */
  readonly endToEndWhy: string
  /** How far the clocks of producers and consumers may be apart, milliseconds; 0 on one host, null when nobody knows. */
  readonly clockErrorMs: number | null
}

type LoadKind = Pacing['model']

function loadKind(loads: readonly Load[]): LoadKind {
  const kinds = new Set(loads.map(({ model }) => model).filter((model) => model !== 'idle'))
  if (kinds.size > 1) return 'mixed'
  return kinds.has('open') ? 'open' : 'closed'
}

export function totalsOf(input: FiguresInput): Totals {
  const { sums, seconds, scheduledSeconds, rows } = input
  const errors: Record<string, number> = {}
  for (const [outcome, count] of sums.errors) errors[input.nameOf(outcome)] = count
  const whole = rows.slice(0, Math.floor(seconds + EARLY_SECONDS))
  const rate = (total: number, of: (row: SeriesRow) => number) =>
    rateOf(total, seconds, whole.map(of))
  return {
    sent: sums.sent,
    acked: sums.acked,
    failed: sums.failed,
    unanswered: sums.unanswered,
    pending: input.pending,
    received: sums.received,
    sentBytes: sums.sentBytes,
    receivedBytes: sums.receivedBytes,
    wireBytesSent: input.wireBytesSent,
    rates: {
      acked: rate(sums.acked, (row) => row.acked),
      received: rate(sums.received, (row) => row.received),
      sent: rate(sums.sent, (row) => row.sent),
      offeredPerSecond:
        sums.scheduled > 0 && scheduledSeconds > 0 ? sums.scheduled / scheduledSeconds : null,
    },
    errors,
    consumerTroubles: { ...input.consumerTroubles },
    scheduled: sums.scheduled,
    unsent: sums.unsent,
    blocked: sums.blocked,
  }
}

export function latenciesOf(input: FiguresInput): Latencies {
  const { sums } = input
  const kind = loadKind(input.loads)
  const response = latencyOf(sums.latency('response'), RESPONSE)
  const service = latencyOf(sums.latency('service'), serviceLabels[kind])
  const arrived = sums.latency('endToEnd')
  const clockWhy = arrived === null ? null : clockFault(input.clockErrorMs, arrived.atMs(50))
  const endToEnd =
    clockWhy === null
      ? latencyOf(arrived, `${endToEndLabels[kind]}${clockNote(input.clockErrorMs)}`)
      : null
  const unavailable: Record<string, string> = {}
  const oneWay = sums.unanswered > 0 && sums.acked === 0
  if (response === null) {
    unavailable['response'] =
      kind === 'closed'
        ? 'a closed model has no intended send times'
        : oneWay
          ? ONE_WAY
          : 'nothing was acknowledged'
  }
  if (service === null) {
    unavailable['service'] = oneWay ? ONE_WAY : 'nothing was acknowledged in the window'
  }
  if (endToEnd === null) unavailable['endToEnd'] = clockWhy ?? input.endToEndWhy
  const sendDelay = latencyOf(sums.latency('sendDelay'), SEND_DELAY)
  return { response, service, sendDelay, endToEnd, unavailable }
}

/** Why two clocks say nothing of an end-to-end latency; null when they do. */
function clockFault(errorMs: number | null, medianMs: number): string | null {
  if (errorMs === 0) return null
  if (errorMs === null) return 'the clocks of producers and consumers could not be compared again'
  if (errorMs <= medianMs) return null
  return `it was about ${medianMs.toFixed(3)} ms, and the clocks of producers and consumers may be ${errorMs.toFixed(3)} ms apart`
}

function clockNote(errorMs: number | null): string {
  if (errorMs === null || errorMs === 0) return ''
  return `; over the clocks of several hosts, ± ${errorMs.toFixed(3)} ms`
}

export function pacingOf(input: FiguresInput): Pacing {
  const model = loadKind(input.loads)
  if (model === 'closed') {
    return {
      model,
      text: 'no schedule: each sender sends when its last answer has come',
      error: null,
    }
  }
  const text =
    'each message has its time by the schedule; one that waits for a free sender keeps it, and the wait is in the response time'
  return { model, text, error: latencyOf(input.sums.latency('pacing'), PACING) }
}

/** Slope of the lag over the seconds of a phase, messages a second; null with fewer than three. */
export function lagSlope(rows: readonly SeriesRow[]): number | null {
  if (rows.length < 3) return null
  const meanT = rows.reduce((sum, { t }) => sum + t, 0) / rows.length
  const meanLag = rows.reduce((sum, { lag }) => sum + lag, 0) / rows.length
  let covariance = 0
  let variance = 0
  for (const { t, lag } of rows) {
    covariance += (t - meanT) * (lag - meanLag)
    variance += (t - meanT) ** 2
  }
  return covariance / variance
}

/** How far consumers were behind in the seconds of a phase, and at its start. */
export function lagOf(rows: readonly SeriesRow[], atStart: number): PhaseLag {
  return {
    max: rows.reduce((most, { lag }) => Math.max(most, lag), atStart),
    maxSeconds: rows.reduce((most, { lagSeconds }) => Math.max(most, lagSeconds), 0),
    slopePerSecond: lagSlope(rows),
  }
}

/** Messages behind at a moment of the window, in seconds from its start. */
export function lagAt(rows: readonly SeriesRow[], atSeconds: number, atStart: number): number {
  const before = rows.findLast(({ t }) => t <= atSeconds + EARLY_SECONDS)
  return before?.lag ?? atStart
}

/** Rows of the whole seconds between two moments, in seconds from the start of the window. */
export function rowsBetween(rows: readonly SeriesRow[], from: number, to: number): SeriesRow[] {
  return rows.filter(({ t }) => t - 1 >= from - EARLY_SECONDS && t <= to + EARLY_SECONDS)
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

function latencyOf(histogram: LatencyHistogram | null, label: string): Latency | null {
  const summary = histogram?.summary() ?? null
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
