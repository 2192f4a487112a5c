/** The code with which this process will end: whoever has bad news adds it, and the worst counts. */
import { ExitCode, strongerExitCode } from '../base/exit-codes.ts'

/** Adds a code; one that says more stays. */
export function addExitCode(code: number): void {
  const present = presentCode()
  process.exitCode = present === null ? code : strongerExitCode(present, code)
}

/** Whether a signal has ended the command: what fails after that is no news. */
export function endedBySignal(): boolean {
  const present = presentCode()
  return present === ExitCode.interrupted || present === ExitCode.terminated
}

function presentCode(): number | null {
  const { exitCode } = process
  return exitCode === undefined ? null : Number(exitCode)
}
