/** The runs of a matrix beside each other: what each changed, and what came out. */
import { ExitCode, exitCodePrecedence } from '../base/exit-codes.ts'
import type { BenchResult } from './result.ts'

export interface MatrixRun {
  readonly label: string
  readonly values: Record<string, unknown>
  readonly result: BenchResult
}

export interface MatrixRow {
  readonly label: string
  /** By path. */
  readonly values: Record<string, unknown>
  readonly runId: string
  readonly verdict: BenchResult['verdict']
  readonly exitCode: number
  readonly ackedPerSecond: number
  readonly receivedPerSecond: number
  /** `response`, or `service` where the load was closed; null without acknowledgements. */
  readonly latency: 'response' | 'service' | null
  readonly p50Ms: number | null
  readonly p99Ms: number | null
  readonly hostCpu: number | null
  readonly brokerCpuUsPerMessage: number | null
  readonly bottleneck: string
  /** Of a verdict that is not ok. */
  readonly reasons: readonly string[]
}

export interface MatrixResult {
  readonly schemaVersion: 1
  readonly kind: 'matrix'
  readonly scenario: string
  /** Runs that the matrix has; fewer stand in `runs` after Ctrl-C. */
  readonly planned: number
  /** That of the run whose bad news counts most; 0 when all are good. */
  readonly exitCode: number
  readonly runs: readonly MatrixRow[]
}

export function matrixResult(runs: readonly MatrixRun[], planned: number): MatrixResult {
  const codes = runs.map(({ result }) => result.exitCode)
  const interrupted = codes.find((code) => code === ExitCode.interrupted)
  const worst = exitCodePrecedence.find((code) => codes.includes(code))
  return {
    schemaVersion: 1,
    kind: 'matrix',
    scenario: runs[0]?.result.scenario.name ?? '',
    planned,
    exitCode: worst ?? interrupted ?? (runs.length < planned ? ExitCode.interrupted : ExitCode.ok),
    runs: runs.map(rowOf),
  }
}

function rowOf({ label, values, result }: MatrixRun): MatrixRow {
  const { latency, totals, hosts, efficiency, bottleneck } = result
  const shown = latency.response ?? latency.service
  return {
    label,
    values,
    runId: result.runId,
    verdict: result.verdict,
    exitCode: result.exitCode,
    ackedPerSecond: totals.rates.acked.meanPerSecond,
    receivedPerSecond: totals.rates.received.meanPerSecond,
    latency: shown === null ? null : latency.response === null ? 'service' : 'response',
    p50Ms: shown?.p50Ms ?? null,
    p99Ms: shown?.p99Ms ?? null,
    hostCpu: hosts[0]?.cpu?.busy ?? null,
    brokerCpuUsPerMessage: efficiency.brokerCpuUsPerMessage,
    bottleneck: bottleneck.resource,
    reasons: result.reasons,
  }
}
