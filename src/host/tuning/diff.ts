/** A unified diff of small texts, for people and for `patch`. */

const CONTEXT = 3

interface Line {
  readonly sign: ' ' | '-' | '+'
  readonly text: string
}

/** Empty when nothing differs. `before` is null for a file that does not exist. */
export function unifiedDiff(path: string, before: string | null, after: string | null): string {
  if (before === after) return ''
  const lines = compare(linesOf(before), linesOf(after))
  const head = [
    `--- ${before === null ? '/dev/null' : path}`,
    `+++ ${after === null ? '/dev/null' : path}`,
  ]
  return [...head, ...hunks(lines)].join('\n')
}

function linesOf(text: string | null): string[] {
  if (text === null || text === '') return []
  return text.replace(/\n$/, '').split('\n')
}

/** Longest common subsequence; texts here have tens of lines. */
function compare(before: readonly string[], after: readonly string[]): Line[] {
  const lengths = Array.from({ length: before.length + 1 }, () =>
    new Array<number>(after.length + 1).fill(0),
  )
  const at = (row: number, column: number) => lengths[row]?.[column] ?? 0
  for (let row = before.length - 1; row >= 0; row -= 1) {
    for (let column = after.length - 1; column >= 0; column -= 1) {
      const value =
        before[row] === after[column]
          ? at(row + 1, column + 1) + 1
          : Math.max(at(row + 1, column), at(row, column + 1))
      const line = lengths[row]
      if (line !== undefined) line[column] = value
    }
  }
  const found: Line[] = []
  let row = 0
  let column = 0
  while (row < before.length || column < after.length) {
    const old = before[row]
    const fresh = after[column]
    if (old !== undefined && old === fresh) {
      found.push({ sign: ' ', text: old })
      row += 1
      column += 1
    } else if (
      old !== undefined &&
      (fresh === undefined || at(row + 1, column) >= at(row, column + 1))
    ) {
      found.push({ sign: '-', text: old })
      row += 1
    } else {
      found.push({ sign: '+', text: fresh ?? '' })
      column += 1
    }
  }
  return found
}

function hunks(lines: readonly Line[]): string[] {
  const wanted = lines.map((_, index) =>
    lines.slice(Math.max(0, index - CONTEXT), index + CONTEXT + 1).some(({ sign }) => sign !== ' '),
  )
  const text: string[] = []
  let oldLine = 1
  let newLine = 1
  for (let start = 0; start < lines.length;) {
    if (wanted[start] !== true) {
      oldLine += 1
      newLine += 1
      start += 1
      continue
    }
    let end = start
    while (end < lines.length && wanted[end] === true) end += 1
    const part = lines.slice(start, end)
    const oldCount = part.filter(({ sign }) => sign !== '+').length
    const newCount = part.filter(({ sign }) => sign !== '-').length
    text.push(
      `@@ -${oldCount === 0 ? oldLine - 1 : oldLine},${oldCount} +${newCount === 0 ? newLine - 1 : newLine},${newCount} @@`,
      ...part.map(({ sign, text: line }) => `${sign}${line}`),
    )
    oldLine += oldCount
    newLine += newCount
    start = end
  }
  return text
}
