/**
 * Two sets of saved results against each other. Each repetition of a phase is one sample. A change
 * counts when three things agree: the interval of the ratio lies beyond "no change", the change is
 * larger than the smallest that matters, and an exact permutation test, corrected for the number of
 * primary metrics, finds it unlikely to be chance. What the samples cannot tell is inconclusive and
 * never a pass.
 */
import { exitCodePrecedence, ExitCode } from '../base/exit-codes.ts'
import { MqError } from '../base/errors.ts'
import { loadDifferences } from './load-identity.ts'
import type { BenchResult } from './result.ts'
import { holm, mean, permutationP, variance, welchInterval } from './statistics.ts'

/** With three values a side a permutation test cannot go below 0.1. */
const SAMPLES_MIN = 4
const ALPHA = 0.05

export interface SavedResult {
  readonly file: string
  readonly result: BenchResult
}

export type ChangeVerdict = 'ok' | 'regressed' | 'improved' | 'inconclusive'

export interface MetricChange {
  readonly phase: string
  readonly metric: string
  /** Decides about the exit code; others inform. */
  readonly primary: boolean
  readonly higherIsBetter: boolean
  readonly base: { readonly n: number; readonly mean: number; readonly spread: number | null }
  readonly head: { readonly n: number; readonly mean: number; readonly spread: number | null }
  /** Head over base minus one, from the means of the logarithms; the interval holds 95 %. */
  readonly change: number
  readonly low: number | null
  readonly high: number | null
  readonly p: number | null
  /** Corrected for the number of primary metrics. */
  readonly pCorrected: number | null
  readonly verdict: ChangeVerdict
  readonly why: string
}

export interface Comparison {
  readonly base: readonly string[]
  readonly head: readonly string[]
  readonly minEffect: number
  readonly changes: readonly MetricChange[]
  readonly warnings: readonly string[]
  readonly verdict: ChangeVerdict
  readonly exitCode: number
}

interface Metric {
  readonly name: string
  readonly primary: boolean
  readonly higherIsBetter: boolean
  readonly read: (phase: BenchResult['phases'][number], result: BenchResult) => number | null
}

const latencyOf = (phase: BenchResult['phases'][number]) =>
  phase.figures?.latency.response ?? phase.figures?.latency.service ?? null

const metrics: readonly Metric[] = [
  {
    name: 'rate.acked',
    primary: true,
    higherIsBetter: true,
    read: ({ figures }) => figures?.totals.rates.acked.meanPerSecond ?? null,
  },
  {
    name: 'latency.p99',
    primary: true,
    higherIsBetter: false,
    read: (phase) => latencyOf(phase)?.p99Ms ?? null,
  },
  {
    name: 'broker.cpuPerMessage',
    primary: false,
    higherIsBetter: false,
    read: (_, { efficiency }) => efficiency.brokerCpuUsPerMessage,
  },
  {
    name: 'latency.p50',
    primary: false,
    higherIsBetter: false,
    read: (phase) => latencyOf(phase)?.p50Ms ?? null,
  },
  {
    name: 'endToEnd.p99',
    primary: false,
    higherIsBetter: false,
    read: ({ figures }) => figures?.latency.endToEnd?.p99Ms ?? null,
  },
]

/** Throws MqError CONFIG_INVALID when the two cannot be compared, with the difference named. */
export function compareResults(
  base: readonly SavedResult[],
  head: readonly SavedResult[],
  minEffect: number,
): Comparison {
  const [first] = base
  if (first === undefined || head.length === 0) {
    throw refused('BASE and HEAD', 'one of them has no result', 'give result.json files')
  }
  for (const other of [...base, ...head]) checkComparable(first, other)
  const raw = rawChanges(base, head)
  const primary = raw.filter((one) => one.metric.primary)
  const corrected = holm(primary.map(({ p }) => p ?? 1))
  const changes = raw.map((one): MetricChange => {
    const index = primary.indexOf(one)
    return judge(one, one.p === null || index < 0 ? null : (corrected[index] ?? null), minEffect)
  })
  const verdict = overall(changes)
  return {
    base: base.map(({ file }) => file),
    head: head.map(({ file }) => file),
    minEffect,
    changes,
    warnings: orderWarnings(base, head),
    verdict,
    exitCode: exitCodeOf(verdict),
  }
}

interface Raw {
  readonly phase: string
  readonly metric: Metric
  readonly base: readonly number[]
  readonly head: readonly number[]
  readonly p: number | null
}

function rawChanges(base: readonly SavedResult[], head: readonly SavedResult[]): Raw[] {
  const names = new Set(
    [...base, ...head].flatMap(({ result }) =>
      result.phases.flatMap(({ name, figures }) => (figures === null ? [] : [name])),
    ),
  )
  return [...names].flatMap((phase) =>
    metrics.flatMap((metric): Raw[] => {
      const [a, b] = [samplesOf(base, phase, metric), samplesOf(head, phase, metric)]
      if (a.length === 0 || b.length === 0) return []
      const enough = a.length >= SAMPLES_MIN && b.length >= SAMPLES_MIN
      const p = enough ? permutationP(a.map(Math.log), b.map(Math.log)) : null
      return [{ phase, metric, base: a, head: b, p }]
    }),
  )
}

/** One value for each repetition of the phase; of the whole result where a metric has only that. */
function samplesOf(saved: readonly SavedResult[], phase: string, metric: Metric): number[] {
  const values: number[] = []
  for (const { result } of saved) {
    for (const one of result.phases) {
      if (one.name !== phase || one.figures === null) continue
      // A figure of the whole run is one sample of it, however often the phase was repeated.
      if (metric.name === 'broker.cpuPerMessage' && one.repetition > 1) continue
      const value = metric.read(one, result)
      if (value !== null && value > 0) values.push(value)
    }
  }
  return values
}

function judge(raw: Raw, pCorrected: number | null, minEffect: number): MetricChange {
  const { phase, metric, base, head, p } = raw
  const [logA, logB] = [base.map(Math.log), head.map(Math.log)]
  const change = Math.exp(mean(logB) - mean(logA)) - 1
  const hasInterval = base.length >= 2 && head.length >= 2
  const interval = hasInterval ? welchInterval(logA, logB) : null
  const low = interval === null ? null : Math.exp(interval.low) - 1
  const high = interval === null ? null : Math.exp(interval.high) - 1
  const [verdict, why] = verdictOf(raw, change, low, high, pCorrected, minEffect)
  return {
    phase,
    metric: metric.name,
    primary: metric.primary,
    higherIsBetter: metric.higherIsBetter,
    base: { n: base.length, mean: mean(base), spread: spreadOf(base) },
    head: { n: head.length, mean: mean(head), spread: spreadOf(head) },
    change,
    low,
    high,
    p,
    pCorrected,
    verdict,
    why,
  }
}

function verdictOf(
  { metric, base, head, p }: Raw,
  change: number,
  low: number | null,
  high: number | null,
  pCorrected: number | null,
  minEffect: number,
): [ChangeVerdict, string] {
  if (low === null || high === null || p === null) {
    const fewest = Math.min(base.length, head.length)
    return [
      'inconclusive',
      `${fewest} sample${fewest === 1 ? '' : 's'} a side; a verdict needs ${SAMPLES_MIN} (use --repeat, or more results)`,
    ]
  }
  const unlikely = (pCorrected ?? p) <= ALPHA
  const beyond = low > 0 || high < 0
  if (unlikely && beyond && Math.abs(change) > minEffect) {
    const better = change > 0 === metric.higherIsBetter
    return [better ? 'improved' : 'regressed', 'interval, test and size of the change agree']
  }
  const limit = Math.log(1 + minEffect)
  if (Math.log(1 + low) > -limit && Math.log(1 + high) < limit) {
    return ['ok', 'the whole interval lies within the smallest change that matters']
  }
  return ['inconclusive', 'the interval is too wide to rule a change in or out: more samples']
}

function spreadOf(values: readonly number[]): number | null {
  return values.length < 2 ? null : Math.sqrt(variance(values)) / mean(values)
}

function overall(changes: readonly MetricChange[]): ChangeVerdict {
  const verdicts = changes.filter(({ primary }) => primary).map(({ verdict }) => verdict)
  if (verdicts.includes('regressed')) return 'regressed'
  if (verdicts.length === 0 || verdicts.includes('inconclusive')) return 'inconclusive'
  return verdicts.includes('improved') ? 'improved' : 'ok'
}

function exitCodeOf(verdict: ChangeVerdict): number {
  const codes: ExitCode[] =
    verdict === 'regressed'
      ? [ExitCode.regression]
      : verdict === 'inconclusive'
        ? [ExitCode.inconclusive]
        : []
  return exitCodePrecedence.find((code) => codes.includes(code)) ?? ExitCode.ok
}

/** All of one side before the other: a machine that drifts meanwhile looks like a change. */
function orderWarnings(base: readonly SavedResult[], head: readonly SavedResult[]): string[] {
  const times = (saved: readonly SavedResult[]) =>
    saved.map(({ result }) => Date.parse(result.startedAt))
  const [a, b] = [times(base), times(head)]
  const apart = Math.max(...a) < Math.min(...b) || Math.max(...b) < Math.min(...a)
  return apart
    ? [
        'all runs of one side came before the other: a machine that drifts meanwhile looks like a change; interleave them',
      ]
    : []
}

function checkComparable(first: SavedResult, other: SavedResult): void {
  const pairs: [what: string, of: (result: BenchResult) => string][] = [
    ['the scenario', ({ scenario }) => scenario.name],
    ['the machine', (result) => machineOf(result)],
    ['the laboratory', ({ environment }) => environment.lab ?? 'none'],
    ['what an acknowledgement means', ({ durability }) => durability.profile],
  ]
  for (const [what, of] of pairs) {
    const [a, b] = [of(first.result), of(other.result)]
    if (a === b) continue
    throw refused(
      other.file,
      `${what} differs from ${first.file}: ${b}, there ${a}`,
      'compare runs of one scenario on one machine',
    )
  }
  // Not by the hashes that stand in them: an older version may have counted other keys.
  const [difference] = loadDifferences(
    other.result.scenario.resolved,
    first.result.scenario.resolved,
  )
  if (difference !== undefined) {
    const what = `the load differs from ${first.file}: ${difference}`
    throw refused(other.file, what, 'compare runs of one load on one machine')
  }
  const { verdict, reasons } = other.result
  if (verdict !== 'ok' && verdict !== 'threshold') {
    throw refused(
      other.file,
      `its verdict is ${verdict}: ${reasons[0] ?? ''}`,
      'leave it out, or run it again',
    )
  }
}

function machineOf(result: BenchResult): string {
  const [host] = result.hosts
  // Rounded: what the kernel keeps for itself differs from one start to the next.
  const bytes = host?.memory?.totalBytes ?? 0
  const memory = bytes === 0 ? '?' : Math.round(bytes / 2 ** 30)
  // Machines of one kind and name, as a CI service gives them out, may still have different processors.
  const { cpuModel, cpuLimitCores } = result.environment.hosts[0] ?? {}
  const model = typeof cpuModel === 'string' ? `${cpuModel}, ` : ''
  const limit = typeof cpuLimitCores === 'number' ? ` of which ${cpuLimitCores} may be used` : ''
  return `${host?.name ?? '?'}, ${model}${host?.cpuCount ?? '?'} cores${limit}, ${memory} GiB, ${result.tool.platform}`
}

function refused(where: string, what: string, hint: string): MqError {
  return new MqError('CONFIG_INVALID', { where, what, hint })
}
