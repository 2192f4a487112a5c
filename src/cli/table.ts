/**
 * Rows for people. On a terminal and up to 500 rows: cli-table3, with its own colours switched off
 * (it paints heads red even into a pipe). Piped, or above that (5,000 rows take it almost two
 * seconds): plain columns, header kept, nothing cut off.
 */
import CliTable from 'cli-table3'
import type { Terminal } from './terminal.ts'

export interface Column {
  readonly head: string
  readonly align?: 'left' | 'right'
}

export type Cell = string | number | boolean | null

const FANCY_ROWS_MAX = 500

const chars = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
} as const

/** Text without a final newline. `null` cells print as `-`. */
export function renderTable(
  terminal: Terminal,
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
): string {
  const texts = rows.map((row) => columns.map((_, index) => cellText(row[index] ?? null)))
  if (!terminal.stdoutIsTty || rows.length > FANCY_ROWS_MAX) return plainColumns(columns, texts)
  const table = new CliTable({
    head: columns.map((column) => terminal.out.bold(column.head)),
    colAligns: columns.map((column) => column.align ?? 'left'),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
    chars,
  })
  table.push(...texts)
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}

function plainColumns(columns: readonly Column[], texts: readonly string[][]): string {
  const widths = columns.map((column) => column.head.length)
  for (const row of texts) {
    row.forEach((text, index) => {
      if (text.length > (widths[index] ?? 0)) widths[index] = text.length
    })
  }
  const line = (cells: readonly string[]) =>
    cells
      .map((text, index) =>
        columns[index]?.align === 'right'
          ? text.padStart(widths[index] ?? 0)
          : text.padEnd(widths[index] ?? 0),
      )
      .join('  ')
      .trimEnd()
  return [line(columns.map((column) => column.head)), ...texts.map(line)].join('\n')
}

/** Two columns, `name  value`, for one thing with its facts. `null` values are left out. */
export function renderFacts(
  terminal: Terminal,
  facts: readonly (readonly [name: string, value: Cell])[],
): string {
  const shown = facts.filter(([, value]) => value !== null)
  const width = Math.max(0, ...shown.map(([name]) => name.length))
  return shown
    .map(([name, value]) => `${terminal.out.bold(name.padEnd(width))}  ${cellText(value)}`)
    .join('\n')
}

// A line break or an escape sequence in a name must not be able to draw on somebody's terminal.
function cellText(value: Cell): string {
  if (value === null) return '-'
  return String(value).replace(/[\u0000-\u001f\u007f-\u009f]/g, (control) =>
    control === '\t' ? ' ' : `\\x${control.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )
}
