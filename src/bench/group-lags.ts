/** How far each group of a run was behind: from what was seen of its queues to the result. */
import type { LaneLag } from './lag-book.ts'
import { lagOf, lagSlope } from './phase-figures.ts'
import type { BenchResult, SeriesRow } from './result.ts'
import type { RunRecord } from './run-record.ts'

/** The last tick of a window may come a little before its end. */
const ROW_EARLY_MS = 10

/** Rows of queues in a result; with thousands of topics they would be most of it. */
const QUEUE_ROWS_MAX = 1_024

/** How far each group was behind. */
export function groupLags(
  run: RunRecord,
  rows: readonly SeriesRow[],
): BenchResult['lag']['groups'] {
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
