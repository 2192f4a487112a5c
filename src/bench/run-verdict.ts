/** What a run comes to: its verdict, its exit code, and why. */
import { ExitCode, exitCodePrecedence } from '../base/exit-codes.ts'
import type { Integrity } from './integrity.ts'
import type { BenchResult, ValidityCheck } from './result.ts'
import type { RunRecord } from './run-record.ts'
import { judgeThresholds, type Threshold, thresholdText } from './threshold.ts'

export function verdictOf(
  run: RunRecord,
  integrity: Integrity,
  validity: readonly ValidityCheck[],
) {
  const reasons: string[] = []
  const codes: ExitCode[] = []
  if (integrity.violations.length > 0) {
    codes.push(ExitCode.integrity)
    reasons.push(...integrity.violations)
  }
  if (run.lost.length > 0) {
    codes.push(ExitCode.unreachable)
    reasons.push(...run.lost)
  }
  if (run.interrupted) reasons.push('interrupted: the window is shorter than asked for')
  if (!run.interrupted && run.lost.length === 0 && !isValid(validity)) {
    codes.push(ExitCode.invalid)
    for (const { ok, severity, text } of validity)
      if (!ok && severity === 'error') reasons.push(text)
  }
  const exitCode = exitCodePrecedence.find((code) => codes.includes(code)) ?? ExitCode.ok
  const verdict =
    exitCode === ExitCode.integrity
      ? ('integrity' as const)
      : run.interrupted
        ? ('interrupted' as const)
        : exitCode === ExitCode.invalid
          ? ('invalid' as const)
          : exitCode === ExitCode.unreachable
            ? ('unreachable' as const)
            : ('ok' as const)
  return { verdict, exitCode: verdict === 'interrupted' ? ExitCode.interrupted : exitCode, reasons }
}

/** A result that is otherwise good is judged by its thresholds; one that is not keeps its verdict. */
export function withThresholds(result: BenchResult, thresholds: readonly Threshold[]): BenchResult {
  const judged = judgeThresholds(result, thresholds)
  const reasons = judged.filter(({ pass }) => !pass).map(thresholdText)
  // A search whose promise no rate kept has failed, as a threshold would have.
  if (result.search !== null && result.search.sustainablePerSecond === null) {
    reasons.push(result.search.text)
  }
  if (result.balance !== null && result.balance.balancedPerSecond === null) {
    reasons.push(result.balance.text)
  }
  if (reasons.length === 0 || result.verdict !== 'ok') return { ...result, thresholds: judged }
  return {
    ...result,
    thresholds: judged,
    verdict: 'threshold',
    exitCode: ExitCode.threshold,
    reasons,
  }
}

export function isValid(validity: readonly ValidityCheck[]): boolean {
  return validity.every(({ ok, severity }) => ok || severity !== 'error')
}
