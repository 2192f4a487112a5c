/** The seconds of a run as CSV (RFC 4180), a row each, units in the names of the columns. */
import type { BenchResult } from '../bench/result.ts'

type Row = BenchResult['series'][number]
type Cell = string | number | null

const columns: readonly (readonly [name: string, read: (row: Row, result: BenchResult) => Cell])[] =
  [
    ['second', ({ t }) => t],
    ['phase', ({ phase }, result) => phaseName(result, phase)],
    ['offered', ({ offered }) => offered],
    ['sent', ({ sent }) => sent],
    ['acked', ({ acked }) => acked],
    ['failed', ({ failed }) => failed],
    ['received', ({ received }) => received],
    ['lag', ({ lag }) => lag],
    ['lag_seconds', ({ lagSeconds }) => lagSeconds],
    ['p50_ms', ({ p50Ms }) => p50Ms],
    ['p99_ms', ({ p99Ms }) => p99Ms],
    ['max_ms', ({ maxMs }) => maxMs],
    ['cpu_busy', ({ host }) => host?.cpuBusy ?? null],
    ['cpu_iowait', ({ host }) => host?.iowait ?? null],
    ['cpu_steal', ({ host }) => host?.steal ?? null],
    ['memory_available_bytes', ({ host }) => host?.availableBytes ?? null],
    ['disk_written_bytes_per_second', ({ host }) => host?.diskWrittenBytesPerSecond ?? null],
    ['disk_utilisation', ({ host }) => host?.diskUtilisation ?? null],
    ['nic_tx_bytes_per_second', ({ host }) => host?.nicTxBytesPerSecond ?? null],
    ['nic_rx_bytes_per_second', ({ host }) => host?.nicRxBytesPerSecond ?? null],
    ['loopback_bytes_per_second', ({ host }) => host?.loopbackBytesPerSecond ?? null],
  ]

/** CSV with CRLF line ends, as the standard has them. */
export function csvReport(result: BenchResult): string {
  const lines = [
    columns.map(([name]) => name),
    ...result.series.map((row) => columns.map(([, read]) => read(row, result))),
  ]
  return lines.map((cells) => `${cells.map(cellText).join(',')}\r\n`).join('')
}

function phaseName({ phases }: BenchResult, index: number | null): Cell {
  return phases.find(({ figures }) => figures !== null && figures.index === index)?.name ?? null
}

/** A text that a spreadsheet would take for a formula gets an apostrophe. */
function cellText(cell: Cell): string {
  if (cell === null) return ''
  if (typeof cell === 'number') return String(cell)
  const harmless = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless
}
