/**
 * Thresholds: `METRIC OPERATOR VALUE [over WINDOW]`, one grammar in scenarios, flags and reports.
 *
 *   response.p99 < 20ms          errors.rate == 0        rate.acked >= 5000/s over 10s
 *   endToEnd.p999 <= 1s          lag.slope <= 0          integrity.lost == 0
 *   host.cpu < 70%               host[load].cpu < 90%    host[10.0.0.5:9890].cpu < 70%
 *
 * They are judged on a finished result, after its validity. What was not measured never passes.
 */
import { MqError, messageOf } from '../base/errors.ts'
import { nearest } from '../base/nearest.ts'
import { parseDurationMs, parseRateHz } from '../base/units.ts'
import { SAMPLES_ABOVE_MIN } from './histogram.ts'
import { rowsBetween } from './phase-figures.ts'
import { type BenchResult, type SeriesRow, type ThresholdResult, windowStartMs } from './result.ts'
import type { Latencies, PhaseFigures, Totals } from './result-figures.ts'
import type { Scenario } from './scenario-schema.ts'
import { hostValues } from './threshold-host.ts'

export interface Threshold {
  readonly expression: string
  readonly metric: string
  readonly operator: Operator
  /** In the unit of the metric: milliseconds, messages a second, a share, a count. */
  readonly limit: number
  /** Every window of this many seconds must hold; null for the phase as a whole. */
  readonly overSeconds: number | null
  /** Only of this phase; null for all that count together. */
  readonly phase: string | null
  /** Which hosts a metric of hosts is about, as in `host[WHICH].cpu`; null for those of the brokers. */
  readonly host: string | null
}

type Operator = '<=' | '>=' | '==' | '<' | '>'

type Unit = 'ms' | '/s' | 'share' | 'count' | 'us'

const UNMEASURED = 'it was not measured, or with too few samples'

/** What a metric is read from: the figures of a phase or of everything, and the whole result. */
interface Seen {
  /** Null while the run goes on: metrics of the whole run have no value then. */
  readonly result: BenchResult | null
  readonly totals: Totals
  readonly latency: Latencies
  /** Null without consumers. */
  readonly lag: PhaseFigures['lag']
}

interface Metric {
  readonly unit: Unit
  readonly read: (seen: Seen) => number | null
}

const latencyKinds = ['response', 'service', 'sendDelay', 'endToEnd'] as const
const latencyStats = {
  min: 'minMs',
  mean: 'meanMs',
  p50: 'p50Ms',
  p90: 'p90Ms',
  p95: 'p95Ms',
  p99: 'p99Ms',
  p999: 'p999Ms',
  p9999: 'p9999Ms',
  max: 'maxMs',
} as const

const HOST_CPU = 'host.cpu'

const metrics: ReadonlyMap<string, Metric> = new Map<string, Metric>([
  ...latencyKinds.flatMap((kind) =>
    Object.entries(latencyStats).map(([name, field]): [string, Metric] => [
      `${kind}.${name}`,
      { unit: 'ms', read: ({ latency }) => latency[kind]?.[field] ?? null },
    ]),
  ),
  ['rate.acked', { unit: '/s', read: ({ totals }) => totals.rates.acked.meanPerSecond }],
  [
    'rate.received',
    {
      unit: '/s',
      read: ({ totals, lag }) => (lag === null ? null : totals.rates.received.meanPerSecond),
    },
  ],
  ['rate.offered', { unit: '/s', read: ({ totals }) => totals.rates.offeredPerSecond }],
  ['errors.count', { unit: 'count', read: ({ totals }) => totals.failed }],
  ['errors.rate', { unit: 'share', read: ({ totals }) => shareOf(totals.failed, totals.sent) }],
  ['unsent.count', { unit: 'count', read: ({ totals }) => totals.unsent }],
  [
    'unsent.rate',
    { unit: 'share', read: ({ totals }) => shareOf(totals.unsent, totals.scheduled) },
  ],
  ['lag.max', { unit: 'count', read: ({ lag }) => lag?.max ?? null }],
  ['lag.seconds', { unit: 'ms', read: ({ lag }) => (lag === null ? null : lag.maxSeconds * 1000) }],
  ['lag.slope', { unit: '/s', read: ({ lag }) => lag?.slopePerSecond ?? null }],
  ...(['lost', 'duplicated', 'reordered', 'corrupted', 'foreign'] as const).map(
    (kind): [string, Metric] => [
      `integrity.${kind}`,
      { unit: 'count', read: ({ result }) => result?.integrity[kind] ?? null },
    ],
  ),
  ['pacing.p99', { unit: 'ms', read: ({ result }) => result?.pacing.error?.p99Ms ?? null }],
  // Of which hosts, `threshold-host.ts` says.
  [HOST_CPU, { unit: 'share', read: () => null }],
  [
    'broker.cpuPerMessage',
    { unit: 'us', read: ({ result }) => result?.efficiency.brokerCpuUsPerMessage ?? null },
  ],
])

function shareOf(part: number, whole: number): number | null {
  return whole > 0 ? part / whole : null
}

/** Reads one threshold. Throws MqError VALUE_INVALID. */
export function parseThreshold(expression: string, phase: string | null = null): Threshold {
  const match =
    /^\s*([A-Za-z]+)(?:\[(.+?)\](?=\.))?((?:\.[A-Za-z]+)*[0-9]*)\s*(<=|>=|==|<|>)\s*(\S+)(?:\s+over\s+(\S+))?\s*$/.exec(
      expression,
    )
  if (match === null) {
    throw invalid(
      `"${expression}" is no threshold`,
      'write METRIC OPERATOR VALUE, as in response.p99 < 20ms or rate.acked >= 5000/s over 10s',
    )
  }
  const [, first = '', host, rest = '', operator = '', value = '', over] = match
  const name = first + rest
  const metric = metrics.get(name)
  if (metric === undefined) {
    const meant = nearest(name, [...metrics.keys()])
    throw invalid(
      `"${expression}": there is no metric ${name}`,
      meant === null
        ? `there are response, service, endToEnd and sendDelay with .p50 .p99 .max …, and ${[...metrics.keys()].filter((key) => !/^(response|service|endToEnd|sendDelay)\./.test(key)).join(', ')}`
        : `did you mean ${meant}?`,
    )
  }
  if (host !== undefined && name !== HOST_CPU) {
    throw invalid(`"${expression}": only host.cpu is about a host of choice`, `write ${name}`)
  }
  if (over !== undefined && name !== 'rate.acked' && name !== 'rate.received') {
    throw invalid(
      `"${expression}": only rates are judged over windows`,
      'percentiles are never averaged; leave out "over", or make the phase shorter',
    )
  }
  return {
    expression: expression.trim(),
    metric: name,
    operator: operator as Operator,
    limit: limitOf(value, metric.unit, expression),
    overSeconds: over === undefined ? null : windowOf(over, expression),
    phase,
    host: host ?? null,
  }
}

/** Rows are whole seconds, so windows are too. */
function windowOf(over: string, expression: string): number {
  let seconds: number
  try {
    seconds = parseDurationMs(over) / 1000
  } catch (error) {
    const hint = error instanceof MqError ? error.hint : ''
    throw invalid(`"${expression}": ${messageOf(error)}`, hint)
  }
  if (Number.isInteger(seconds) && seconds >= 1) return seconds
  throw invalid(`"${expression}": a window is whole seconds`, 'write over 1s, over 10s, over 1m')
}

function limitOf(value: string, unit: Unit, expression: string): number {
  try {
    if (unit === 'ms') return value === '0' ? 0 : parseDurationMs(value)
    if (unit === 'us') return parseDurationMs(value) * 1000
    if (unit === '/s') {
      const negative = value.startsWith('-')
      const size = negative ? value.slice(1) : value
      const rate = /^0(\/s)?$/.test(size) ? 0 : parseRateHz(size)
      return negative ? -rate : rate
    }
  } catch (error) {
    const hint = error instanceof MqError ? error.hint : ''
    throw invalid(`"${expression}": ${messageOf(error)}`, hint)
  }
  const match = /^(\d+(?:\.\d+)?)(%?)$/.exec(value)
  if (match === null || (unit === 'count' && match[2] === '%')) {
    throw invalid(
      `"${expression}": ${value} is no ${unit === 'count' ? 'number' : 'share'}`,
      unit === 'count' ? 'write digits, as in 0' : 'write 1% or 0.01',
    )
  }
  return Number(match[1]) / (match[2] === '%' ? 100 : 1)
}

function invalid(what: string, hint: string): MqError {
  return new MqError('VALUE_INVALID', { what, hint })
}

/** The thresholds of a scenario that was found right. */
export function thresholdsOf({ thresholds }: Scenario): Threshold[] {
  return thresholds.map((one) =>
    typeof one === 'string' ? parseThreshold(one) : parseThreshold(one.expr, one.phase ?? null),
  )
}

/** One failed threshold in words. */
export function thresholdText(judged: ThresholdResult): string {
  const { expression, phase, actual, unit, why } = judged
  const where =
    phase === null ? '' : ` in ${phase}${judged.repetition > 1 ? ` #${judged.repetition}` : ''}`
  const was = actual === null ? 'no value' : valueText(actual, unit)
  return `${expression}${where}: was ${was}${why === null ? '' : ` (${why})`}`
}

function valueText(value: number, unit: string): string {
  switch (unit) {
    case 'ms':
      return `${Number(value.toPrecision(4))} ms`
    case 'us':
      return `${Number(value.toPrecision(4))} µs`
    case '/s':
      return `${Number(value.toPrecision(6))}/s`
    case 'share':
      return `${Number((value * 100).toPrecision(4))} %`
    default:
      return String(value)
  }
}

/** Judges each threshold, in each repetition of its phase; a phase that never ran keeps none. */
export function judgeThresholds(
  result: BenchResult,
  thresholds: readonly Threshold[],
): ThresholdResult[] {
  return thresholds.flatMap((threshold) => {
    if (threshold.phase === null) return [judge(result, threshold, null)]
    const phases = result.phases.filter(
      ({ name, figures }) => name === threshold.phase && figures !== null,
    )
    if (phases.length === 0) return [neverRan(threshold, threshold.phase)]
    return phases.map((phase) => judge(result, threshold, phase))
  })
}

function neverRan(threshold: Threshold, phase: string): ThresholdResult {
  const { expression, limit, metric } = threshold
  const unit = metrics.get(metric)?.unit ?? 'count'
  const why = 'the phase never ran'
  return { expression, phase, repetition: 1, actual: null, limit, unit, pass: false, why }
}

function judge(
  result: BenchResult,
  threshold: Threshold,
  phase: BenchResult['phases'][number] | null,
): ThresholdResult {
  const seen: Seen = {
    result,
    totals: phase?.figures?.totals ?? result.totals,
    latency: phase?.figures?.latency ?? result.latency,
    lag: phase === null ? worstLag(result) : (phase.figures?.lag ?? null),
  }
  const metric = metrics.get(threshold.metric)
  const { expression, limit, operator, overSeconds } = threshold
  const base = {
    expression,
    phase: phase === null ? null : phase.name,
    repetition: phase?.repetition ?? 1,
    limit,
    unit: metric?.unit ?? 'count',
  }
  if (threshold.metric === HOST_CPU) return { ...base, ...judgeHosts(result, threshold, phase) }
  const actual = metric?.read(seen) ?? null
  if (actual === null) return { ...base, actual, pass: false, why: UNMEASURED }
  if (overSeconds !== null) {
    const field = threshold.metric === 'rate.acked' ? 'acked' : 'received'
    const worst = worstWindow(wholeSeconds(result, phase), field, overSeconds, operator)
    if (worst === null) {
      const why = `there are no ${overSeconds} whole seconds in a row`
      return { ...base, actual: null, pass: false, why }
    }
    const pass = holds(worst.mean, operator, limit)
    const why = pass ? null : `the worst are the seconds ${worst.fromT} to ${worst.toT} of the run`
    return { ...base, actual: worst.mean, pass, why }
  }
  return { ...base, actual, pass: holds(actual, operator, limit), why: null }
}

/** Each of the hosts must hold; told is the one that does so the least. */
function judgeHosts(
  result: BenchResult,
  { host, limit, operator }: Threshold,
  phase: BenchResult['phases'][number] | null,
): Pick<ThresholdResult, 'actual' | 'pass' | 'why'> {
  const found = hostValues(result, host, phase)
  if (typeof found === 'string') return { actual: null, pass: false, why: found }
  const known = found.flatMap(({ host: name, value }) => (value === null ? [] : [{ name, value }]))
  if (known.length < found.length) return { actual: null, pass: false, why: UNMEASURED }
  known.sort((a, b) => (operator.startsWith('>') ? a.value - b.value : b.value - a.value))
  const worst = known.find(({ value }) => !holds(value, operator, limit)) ?? known[0]
  if (worst === undefined) return { actual: null, pass: false, why: UNMEASURED }
  const pass = holds(worst.value, operator, limit)
  return { actual: worst.value, pass, why: pass ? null : `at ${worst.name}` }
}

/** What of a phase that has just ended does not hold, in words. */
export function broken(
  thresholds: readonly Threshold[],
  figures: Pick<PhaseFigures, 'totals' | 'latency' | 'lag'>,
): string[] {
  return thresholds.flatMap((threshold) => {
    const { expression, limit, operator } = threshold
    const metric = metrics.get(threshold.metric)
    const actual = metric?.read({ result: null, ...figures }) ?? null
    if (actual === null) {
      const why = figures.latency.unavailable[threshold.metric.split('.')[0] ?? '']
      const needed = `not measured, ${samplesNeeded(threshold)} messages are needed`
      return [`${expression}: ${why === undefined || why === '' ? needed : why}`]
    }
    return holds(actual, operator, limit)
      ? []
      : [`${expression}: was ${valueText(actual, metric?.unit ?? 'count')}`]
  })
}

/** Which percentile the metric is, as in 99.9; null when it is none. */
export function percentileOf({ metric }: Threshold): number | null {
  const digits = /\.p(\d{2})(\d*)$/.exec(metric)
  return digits === null ? null : Number(`${digits[1] ?? ''}.${digits[2] ?? ''}`)
}

/** Messages without which the metric has no value: ten must lie above a percentile. */
export function samplesNeeded(threshold: Threshold): number {
  const percentile = percentileOf(threshold)
  return percentile === null ? 1 : Math.round(SAMPLES_ABOVE_MIN / (1 - percentile / 100))
}

/** Until when a message may still keep the promise, milliseconds after it was due; 0 when it is not about latency. */
export function latencyLimitMs({ metric, limit, operator }: Threshold): number {
  const isLatency = latencyKinds.some((kind) => metric.startsWith(`${kind}.`))
  return isLatency && !operator.startsWith('>') ? limit : 0
}

/** Metrics that nobody knows without consumers. */
export function needsConsumers({ metric }: Threshold): boolean {
  return /^(lag|endToEnd)\.|^rate\.received$/.test(metric)
}

/** Metrics that are known as soon as a phase is over. */
export function isOfPhase({ metric, overSeconds }: Threshold): boolean {
  return overSeconds === null && !/^(integrity|pacing|host|broker)\./.test(metric)
}

/** Of several phases together: the worst of each, since a slope over all of them would hide it. */
function worstLag({ phases }: BenchResult): PhaseFigures['lag'] {
  const lags = phases.flatMap(({ figures }) => figures?.lag ?? [])
  if (lags.length === 0) return null
  const slopes = lags.flatMap(({ slopePerSecond }) =>
    slopePerSecond === null ? [] : [slopePerSecond],
  )
  return {
    max: Math.max(...lags.map(({ max }) => max)),
    maxSeconds: Math.max(...lags.map(({ maxSeconds }) => maxSeconds)),
    slopePerSecond: slopes.length === 0 ? null : Math.max(...slopes),
  }
}

/** Rows of the series that lie in the phase, or in any that counts, from edge to edge. */
function wholeSeconds(
  { phases, series }: BenchResult,
  phase: BenchResult['phases'][number] | null,
): SeriesRow[] {
  const counted = phases.filter(({ figures }) => figures !== null)
  const beginMs = windowStartMs(phases)
  return (phase === null ? counted : [phase]).flatMap(({ startedAt, durationMs, figures }) => {
    const from = (Date.parse(startedAt) - beginMs) / 1000
    const rows = rowsBetween(series, from, from + durationMs / 1000)
    return rows.filter((row) => row.phase === figures?.index)
  })
}

/** The window that is furthest on the wrong side; null when there is no whole window. */
function worstWindow(
  rows: readonly SeriesRow[],
  field: 'acked' | 'received',
  length: number,
  operator: Operator,
): { fromT: number; toT: number; mean: number } | null {
  let worst: { fromT: number; toT: number; mean: number } | null = null
  for (let from = 0; from + length <= rows.length; from += 1) {
    const window = rows.slice(from, from + length)
    const [fromT, toT] = [window[0]?.t ?? 0, window.at(-1)?.t ?? 0]
    // Between two phases there may be a gap, and no window reaches over it.
    if (toT - fromT !== length - 1) continue
    const mean = window.reduce((sum, row) => sum + row[field], 0) / length
    const isWorse =
      worst === null || (operator.startsWith('>') ? mean < worst.mean : mean > worst.mean)
    if (isWorse) worst = { fromT, toT, mean }
  }
  return worst
}

function holds(actual: number, operator: Operator, limit: number): boolean {
  switch (operator) {
    case '<':
      return actual < limit
    case '<=':
      return actual <= limit
    case '>':
      return actual > limit
    case '>=':
      return actual >= limit
    case '==':
      return actual === limit
  }
}
