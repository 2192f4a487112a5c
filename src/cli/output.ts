/** Results on stdout in the format that was asked for; the same object feeds all of them. */
import { MqError } from '../base/errors.ts'
import type { Terminal } from './terminal.ts'

export const outputFormats = ['table', 'json', 'ndjson', 'yaml', 'csv', 'name'] as const
export type OutputFormat = (typeof outputFormats)[number]

/** How a result looks to people, and which rows it consists of when it is a list. */
export interface View<Result> {
  /** For people; no final newline. Empty text prints nothing. */
  readonly text: (result: Result, terminal: Terminal) => string
  /** The entries of a list, for ndjson, csv and name. */
  readonly rows?: (result: Result) => readonly object[]
}

/** The text to print, with its final newline, or '' for nothing. */
export async function renderResult<Result>(
  format: OutputFormat,
  result: Result,
  view: View<Result>,
  terminal: Terminal,
): Promise<string> {
  switch (format) {
    case 'table': {
      const text = view.text(result, terminal)
      return text === '' ? '' : `${text}\n`
    }
    case 'json':
      return `${jsonText(result, 2)}\n`
    case 'yaml': {
      const { stringify } = await import('yaml')
      return stringify(JSON.parse(jsonText(result)))
    }
    case 'ndjson':
      return rowsOf(format, result, view)
        .map((row) => `${jsonText(row)}\n`)
        .join('')
    case 'csv':
      return csv(rowsOf(format, result, view))
    case 'name':
      return rowsOf(format, result, view)
        .map((row) => `${scalarText(nameOf(row))}\n`)
        .join('')
  }
}

/** JSON; bigint as a string, bytes never. */
export function jsonText(value: unknown, indent?: number): string {
  const replace = (_: string, inner: unknown) =>
    typeof inner === 'bigint' ? inner.toString() : inner
  return JSON.stringify(value, replace, indent)
}

function rowsOf<Result>(
  format: OutputFormat,
  result: Result,
  view: View<Result>,
): readonly object[] {
  if (view.rows !== undefined) return view.rows(result)
  throw new MqError('VALUE_INVALID', {
    what: `--output ${format} is for lists; this command has one result`,
    hint: 'use --output json or yaml',
  })
}

function nameOf(row: object): unknown {
  const named = row as Readonly<Record<string, unknown>>
  return named['name'] ?? named['id'] ?? named['messageId'] ?? Object.values(row)[0]
}

function scalarText(value: unknown): string {
  if (value === null || value === undefined) return ''
  return typeof value === 'string' ? value : jsonText(value)
}

function csv(rows: readonly object[]): string {
  const heads = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  if (heads.length === 0) return ''
  const lines = rows.map((row) =>
    heads.map((head) => csvCell((row as Record<string, unknown>)[head])).join(','),
  )
  return [heads.map(csvCell).join(','), ...lines].map((line) => `${line}\r\n`).join('')
}

function csvCell(value: unknown): string {
  const text = scalarText(value)
  // A spreadsheet runs what starts like a formula.
  const safe = typeof value === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
