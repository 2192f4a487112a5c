/** The one line that a running bench shows on a terminal. */
import type { SeriesRow } from '../bench/result.ts'
import { grouped, milliseconds, percent } from './figures.ts'

export interface LiveState {
  readonly phase: string
  readonly elapsedMs: number
  /** Null when the phase ends when it is done. */
  readonly totalMs: number | null
  readonly row: SeriesRow | null
  readonly totalAcked: number
  readonly totalReceived: number
}

const BAR_WIDTH = 16

/** At most `width` characters. */
export function liveLine(state: LiveState, width: number): string {
  const { phase, elapsedMs, totalMs, row } = state
  const parts = [phase.padEnd(8)]
  if (totalMs !== null && totalMs > 0) {
    const share = Math.min(1, elapsedMs / totalMs)
    const filled = Math.round(share * BAR_WIDTH)
    parts.push(`[${'='.repeat(filled)}${' '.repeat(BAR_WIDTH - filled)}]`)
    parts.push(`${(elapsedMs / 1000).toFixed(0)}/${(totalMs / 1000).toFixed(0)} s`)
  } else {
    parts.push(`${(elapsedMs / 1000).toFixed(0)} s`)
  }
  if (row !== null && row.acked > 0) {
    parts.push(`${grouped(row.acked)} msg/s out`, `${grouped(row.received)} in`)
    parts.push(`p99 ${milliseconds(row.p99Ms)} ms`)
    if (row.failed > 0) parts.push(`${grouped(row.failed)} failed`)
    if (row.host !== null && row.host.cpuBusy !== null)
      parts.push(`cpu ${percent(row.host.cpuBusy)}`)
  } else if (state.totalAcked > 0) {
    parts.push(`${grouped(state.totalAcked)} sent, ${grouped(state.totalReceived)} received`)
  }
  return parts.join('  ').slice(0, Math.max(0, width))
}
