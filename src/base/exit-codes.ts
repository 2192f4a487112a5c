/** One table of exit codes for the whole tool. CI decides on the code, people on the text. */
export const ExitCode = {
  ok: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  threshold: 10,
  regression: 11,
  integrity: 12,
  invalid: 13,
  inconclusive: 14,
  bug: 70,
  interrupted: 130,
  terminated: 143,
} as const

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

/** Code and meaning, as `mqctl help exit-codes` prints them. */
export const exitCodeTable: readonly { code: ExitCode; name: string; meaning: string }[] = [
  { code: 0, name: 'ok', meaning: 'done, and the result is good' },
  {
    code: 1,
    name: 'failed',
    meaning: 'tried, and refused or failed; or a check (tune-os, doctor) said no',
  },
  {
    code: 2,
    name: 'usage',
    meaning: 'not tried: wrong usage, flag, scenario or configuration file',
  },
  { code: 3, name: 'unreachable', meaning: 'nobody answered, or it could not be judged' },
  { code: 10, name: 'threshold', meaning: 'a benchmark threshold failed' },
  { code: 11, name: 'regression', meaning: 'a benchmark regressed against its baseline' },
  {
    code: 12,
    name: 'integrity',
    meaning: 'messages were lost, corrupted or reordered (bench, verify)',
  },
  {
    code: 13,
    name: 'invalid',
    meaning: 'the run is invalid: generator was the limit, no samples, clock skew',
  },
  { code: 14, name: 'inconclusive', meaning: 'inconclusive or unknown' },
  { code: 70, name: 'bug', meaning: 'a bug in mqctl' },
  { code: 130, name: 'interrupted', meaning: 'interrupted by Ctrl-C (SIGINT)' },
  { code: 143, name: 'terminated', meaning: 'ended by SIGTERM' },
]

/** Where several codes apply, the first of this order wins. */
export const exitCodePrecedence: readonly ExitCode[] = [12, 13, 3, 11, 10, 14]

/**
 * A code that says more about the result first; behind the table's order, what ended the command, and
 * what merely went wrong. A result that nobody can judge because of Ctrl-C is told as Ctrl-C.
 */
const strength: readonly number[] = [
  ...exitCodePrecedence.filter((code) => code !== ExitCode.inconclusive),
  ExitCode.bug,
  ExitCode.interrupted,
  ExitCode.terminated,
  ExitCode.inconclusive,
  ExitCode.usage,
  ExitCode.failed,
]

/**
 * Of two exit codes the one that a command ends with. A code that is not in the table, such as that
 * of another program, counts more than 0 and less than all others.
 */
export function strongerExitCode(one: number, other: number): number {
  const rank = (code: number) => {
    const at = strength.indexOf(code)
    return at >= 0 ? at : code === ExitCode.ok ? strength.length + 1 : strength.length
  }
  return rank(other) < rank(one) ? other : one
}
