/** The one line that a running bench shows on a terminal: figures of the last second, and the seconds before it as bars. */
import type { SeriesRow } from '../bench/result.ts'
import { grouped, milliseconds, percent } from './figures.ts'

export interface LiveState {
  readonly phase: string
  readonly elapsedMs: number
  /** Null when the phase ends when it is done. */
  readonly totalMs: number | null
  readonly row: SeriesRow | null
  /** The last seconds, the newest last; absent for none. */
  readonly recent?: readonly SeriesRow[]
  readonly totalAcked: number
  readonly totalReceived: number
}

const BAR_WIDTH = 16
const LEVELS = '▁▂▃▄▅▆▇█'

/**
 * Values as bars, one a second; a space where there is none.
 *
 * @param most the value of a full bar; the largest of them, unless said otherwise
 */
function sparkline(values: readonly (number | null)[], most?: number): string {
  const full = most ?? Math.max(...values.map((value) => value ?? 0))
  return values
    .map((value) => {
      if (value === null) return ' '
      const level = full > 0 ? Math.round((value / full) * (LEVELS.length - 1)) : 0
      return LEVELS[Math.max(0, Math.min(LEVELS.length - 1, level))] ?? ' '
    })
    .join('')
}

/** At most `width` characters. */
export function liveLine(state: LiveState, width: number): string {
  const { phase, elapsedMs, totalMs, row, recent = [] } = state
  const bars = (of: (one: SeriesRow) => number | null, most?: number) =>
    recent.length < 2 ? '' : ` ${sparkline(recent.map(of), most)}`
  const parts = [phase.padEnd(8)]
  if (totalMs !== null && totalMs > 0) {
    const share = Math.min(1, elapsedMs / totalMs)
    const filled = Math.round(share * BAR_WIDTH)
    parts.push(`[${'='.repeat(filled)}${' '.repeat(BAR_WIDTH - filled)}]`)
    parts.push(`${(elapsedMs / 1000).toFixed(0)}/${(totalMs / 1000).toFixed(0)} s`)
  } else {
    parts.push(`${(elapsedMs / 1000).toFixed(0)} s`)
  }
  if (row !== null && row.sent > 0) {
    // Of one-way messages none is acknowledged.
    const out = (one: SeriesRow) => (one.acked > 0 ? one.acked : one.sent)
    parts.push(`${grouped(out(row))} msg/s out${bars(out)}`, `${grouped(row.received)} in`)
    parts.push(`p99 ${milliseconds(row.p99Ms)} ms${bars(({ p99Ms }) => p99Ms)}`)
    if (row.failed > 0) parts.push(`${grouped(row.failed)} failed`)
    // The sample of a second may come after its messages: the last one that is there is shown.
    const host = row.host ?? recent.findLast((one) => one.host !== null)?.host ?? null
    if (host !== null && host.cpuBusy !== null) {
      parts.push(`cpu ${percent(host.cpuBusy)}${bars((one) => one.host?.cpuBusy ?? null, 1)}`)
    }
    if (host !== null && host.diskUtilisation !== null) {
      const disk = bars((one) => one.host?.diskUtilisation ?? null, 1)
      parts.push(`disk ${percent(host.diskUtilisation)}${disk}`)
    }
  } else if (state.totalAcked > 0) {
    parts.push(`${grouped(state.totalAcked)} sent, ${grouped(state.totalReceived)} received`)
  }
  return parts.join('  ').slice(0, Math.max(0, width))
}
