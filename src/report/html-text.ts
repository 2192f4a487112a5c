/** Pieces of HTML from text that may hold anything: the only place that makes markup out of strings. */
import type { Table } from './tables.ts'

/** Markup that was made here, and is not text any more. */
export interface Html {
  readonly markup: string
}

/** Text for content and for attributes in double quotes; control characters that HTML forbids are dropped. */
function escapeHtml(text: string): string {
  const names: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  }
  return [...text]
    .filter((letter) => letter >= ' ' || letter === '\n' || letter === '\t')
    .map((letter) => names[letter] ?? letter)
    .join('')
}

type Part = string | number | Html | readonly Html[]

/** A template whose values are escaped, save those that are markup already. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  let markup = strings[0] ?? ''
  for (const [index, part] of parts.entries()) {
    markup += markupOf(part) + (strings[index + 1] ?? '')
  }
  return { markup }
}

function markupOf(part: Part): string {
  if (typeof part === 'string' || typeof part === 'number') return escapeHtml(String(part))
  return 'markup' in part ? part.markup : part.map(({ markup }) => markup).join('\n')
}

export const nothing: Html = { markup: '' }

/** A cell with more letters is a sentence: its column is set like text and breaks into lines. */
const SENTENCE_LETTERS = 32

/** A table as a section gives it; columns without any value are left out. */
export function htmlTable({ heads, rightFrom, rows }: Table): Html {
  if (rows.length === 0) return nothing
  const used = heads.map(
    (_, index) => index === 0 || rows.some((row) => (row[index] ?? '-') !== '-'),
  )
  const isText = heads.map((_, index) =>
    rows.some((row) => (row[index] ?? '').length > SENTENCE_LETTERS),
  )
  const cells = (row: readonly string[], head: boolean) =>
    row.flatMap((cell, index) => {
      if (used[index] !== true) return []
      const kind = isText[index] === true ? 'w' : index >= rightFrom ? 'n' : 't'
      return [
        head
          ? html`<th scope="col" class="${kind}">${cell}</th>`
          : html`<td class="${kind}">${cell}</td>`,
      ]
    })
  const body = rows.map(
    (row) =>
      html`<tr>
        ${cells(row, false)}
      </tr>`,
  )
  return html`<div class="wide">
    <table>
      <thead>
        <tr>
          ${cells(heads, true)}
        </tr>
      </thead>
      <tbody>
        ${body}
      </tbody>
    </table>
  </div>`
}

/** Labels with their texts. */
export function htmlList(lines: readonly (readonly [label: string, text: string])[]): Html {
  if (lines.length === 0) return nothing
  const rows = lines.map(
    ([label, text]) =>
      html`<dt>${label}</dt>
        <dd>${text}</dd>`,
  )
  return html`<dl>${rows}</dl>`
}
