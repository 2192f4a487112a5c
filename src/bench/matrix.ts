/**
 * `matrix` of a scenario file: paths with lists of values, of which every combination is a run.
 *
 *   matrix:
 *     producers.threads: [40, 80, 160]
 *     message.size: [100B, 1KiB]
 */
import type { Path } from './scenario-places.ts'
import type { Override } from './scenario.ts'

/** Runs of one file. */
const CELLS_MAX = 200

export interface MatrixCell {
  /** `producers.threads=40 message.size=100B`. */
  readonly label: string
  readonly values: Readonly<Record<string, unknown>>
  readonly overrides: readonly Override[]
}

export interface MatrixFault {
  readonly path: Path
  readonly what: string
  readonly hint: string
}

/** All combinations, the last path changing first; or what is wrong with the matrix. */
export function cellsOf(
  written: unknown,
  taken: readonly Override[],
): readonly MatrixCell[] | MatrixFault {
  if (typeof written !== 'object' || written === null || Array.isArray(written)) {
    const hint = 'write producers.threads: [40, 80, 160]'
    return { path: ['matrix'], what: 'a matrix is paths with lists of values', hint }
  }
  let cells: MatrixCell[] = [{ label: '', values: {}, overrides: [] }]
  for (const [path, values] of Object.entries(written)) {
    const at = ['matrix', path]
    if (!Array.isArray(values) || values.length === 0) {
      const hint = 'write them as [1, 2, 3]'
      return { path: at, what: `${path} needs a list of values`, hint }
    }
    const same = taken.find((one) => overlaps(one.path, path))
    if (same !== undefined) {
      const what = `${same.source} and the matrix both set ${path}`
      return { path: at, what, hint: 'leave one of them out' }
    }
    if (cells.length * values.length > CELLS_MAX) {
      const what = `more than ${CELLS_MAX} combinations`
      return { path: at, what, hint: 'make a list shorter, or two files of it' }
    }
    cells = cells.flatMap((cell) => values.map((value: unknown) => withValue(cell, path, value)))
  }
  const [first] = cells
  if (first === undefined || first.overrides.length === 0) {
    const hint = 'write producers.threads: [40, 80, 160], or leave it out'
    return { path: ['matrix'], what: 'a matrix without values', hint }
  }
  return cells
}

function withValue(cell: MatrixCell, path: string, value: unknown): MatrixCell {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  const one = `${path}=${text}`
  return {
    label: cell.label === '' ? one : `${cell.label} ${one}`,
    values: { ...cell.values, [path]: value },
    overrides: [...cell.overrides, { path, value: JSON.stringify(value), source: `matrix ${one}` }],
  }
}

/** One of them lies on the way to the other. */
function overlaps(one: string, other: string): boolean {
  return one === other || one.startsWith(`${other}.`) || other.startsWith(`${one}.`)
}
