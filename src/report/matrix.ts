/** The table of a matrix: a row a run, a column for each path that changes. */
import type { MatrixResult } from '../bench/matrix-result.ts'
import { grouped, milliseconds, percent } from './figures.ts'

export function matrixHeadline({ scenario, planned, runs, exitCode }: MatrixResult): string {
  const good = runs.filter((run) => run.exitCode === 0).length
  const missing = runs.length < planned ? ` of ${planned}` : ''
  return `${scenario}: ${runs.length}${missing} runs, ${good} good · exit ${exitCode}`
}

export function matrixTable({ runs }: MatrixResult): { heads: string[]; rows: string[][] } {
  const paths = [...new Set(runs.flatMap(({ values }) => Object.keys(values)))]
  const figures = ['VERDICT', 'ACKED/S', 'RECEIVED/S', 'P50 MS', 'P99 MS', 'CPU', 'LIMIT', 'RUN']
  return {
    heads: [...paths.map((path) => path.toUpperCase()), ...figures],
    rows: runs.map((run) => [
      ...paths.map((path) => valueText(run.values[path])),
      run.verdict,
      grouped(run.ackedPerSecond),
      grouped(run.receivedPerSecond),
      milliseconds(run.p50Ms),
      milliseconds(run.p99Ms),
      run.hostCpu === null ? '-' : percent(run.hostCpu),
      run.bottleneck,
      run.runId,
    ]),
  }
}

function valueText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
