/** The phases of a run: which seconds are theirs, and their figures in the result. */
import type { Load } from './load-program.ts'
import {
  type FiguresInput,
  lagAt,
  lagOf,
  latenciesOf,
  pacingOf,
  rowsBetween,
  totalsOf,
} from './phase-figures.ts'
import type { PhaseSums } from './phase-sums.ts'
import { peakHz } from './rate-shape.ts'
import type { SeriesRow } from './result.ts'
import type { PhaseFigures } from './result-figures.ts'
import type { PhaseOfRun, RunRecord } from './run-record.ts'
import type { PacingSeen } from './validity.ts'

/** The figures of one phase. */
export function figuresOf(
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
    lag: isConsumed(run)
      ? lagOf(rows, lagAt(all, startSeconds(run, phase), run.series.lagAtStart))
      : null,
    drain:
      phase.drain === null ? null : { ...phase.drain, backlog: backlogOf(run, phase.drain, sums) },
  }
}

function isConsumed({ options }: RunRecord): boolean {
  return options.loaded.scenario.consumers.instances > 0
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

export function secondsOf(phases: readonly PhaseOfRun[]): number {
  return phases.reduce((sum, { durationMs }) => sum + durationMs, 0) / 1000
}

/** Start of a phase, in seconds from the start of the window. */
function startSeconds({ series }: RunRecord, phase: PhaseOfRun): number {
  return series.secondsOf(phase.startNs)
}

/** The whole seconds of a phase. */
export function rowsOf(run: RunRecord, rows: readonly SeriesRow[], phase: PhaseOfRun): SeriesRow[] {
  const from = startSeconds(run, phase)
  return rowsBetween(rows, from, from + phase.durationMs / 1000)
}

/** Messages without an outcome, of one phase or of all that count. */
export function pendingOf(run: RunRecord, phase: number | null): number {
  let sum = 0
  for (const report of run.producerReports) {
    for (const [of, count] of report?.pendingByPhase ?? []) {
      if (phase === null || of === phase) sum += count
    }
  }
  return sum
}

/** The phase whose pacing error is the largest, against the interval between its messages. */
export function worstPacing(run: RunRecord): PacingSeen | null {
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
