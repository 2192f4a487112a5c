/**
 * The seconds of a run as CSV (RFC 4180), units in the names of the columns: a row for each, and
 * behind it one for the host of every agent, with what that host did and nothing of the load.
 */
import type { BenchResult } from '../bench/result.ts'

type Row = BenchResult['series'][number]
type Host = NonNullable<Row['host']>
type Cell = string | number | null

const loadColumns: readonly (readonly [name: string, read: (row: Row) => Cell])[] = [
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
]

const hostColumns: readonly (readonly [name: string, read: (host: Host) => Cell])[] = [
  ['cpu_busy', ({ cpuBusy }) => cpuBusy],
  ['cpu_iowait', ({ iowait }) => iowait],
  ['cpu_steal', ({ steal }) => steal],
  ['memory_available_bytes', ({ availableBytes }) => availableBytes],
  ['disk_written_bytes_per_second', ({ diskWrittenBytesPerSecond: bytes }) => bytes],
  ['disk_utilisation', ({ diskUtilisation }) => diskUtilisation],
  ['nic_tx_bytes_per_second', ({ nicTxBytesPerSecond }) => nicTxBytesPerSecond],
  ['nic_rx_bytes_per_second', ({ nicRxBytesPerSecond }) => nicRxBytesPerSecond],
  ['loopback_bytes_per_second', ({ loopbackBytesPerSecond: bytes }) => bytes],
]

/** CSV with CRLF line ends, as the standard has them. */
export function csvReport(result: BenchResult): string {
  const own = result.hosts.find(({ agent }) => agent === undefined)?.name ?? null
  const lines = [
    ['second', 'phase', ...[...loadColumns, ...hostColumns].map(([name]) => name), 'host'],
    ...result.series.flatMap((row) => {
      const when = [row.t, phaseName(result, row.phase)]
      const noLoad = loadColumns.map(() => null)
      return [
        [...when, ...loadColumns.map(([, read]) => read(row)), ...hostCells(row.host), own],
        ...Object.entries(row.agents ?? {}).map(([address, host]) => [
          ...[...when, ...noLoad, ...hostCells(host), address],
        ]),
      ]
    }),
  ]
  return lines.map((cells) => `${cells.map(cellText).join(',')}\r\n`).join('')
}

function hostCells(host: Host | null): Cell[] {
  return hostColumns.map(([, read]) => (host === null ? null : read(host)))
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
