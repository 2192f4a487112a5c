/**
 * Anything that was thrown, as people and scripts get it: the same code, text, hint and exit code,
 * once as three lines on stderr, once as `{"error": …}` on stdout.
 *
 * oclif by itself loses exit codes with `--json` and prints its whole configuration with a usage
 * error; that is why its `catch` is overridden and its errors are translated here.
 */
import { Errors } from '@oclif/core'
import { BugError } from '../base/assert.ts'
import { MqError } from '../base/errors.ts'
import { ExitCode } from '../base/exit-codes.ts'
import { nearest } from '../base/nearest.ts'
import { flagsOf, type Terminal } from './terminal.ts'

export interface Failure {
  readonly code: string
  readonly message: string
  readonly hint: string
  readonly exitCode: number
}

/** What the command was, for texts and suggestions. */
export interface FailureContext {
  /** `mqctl topic create`, or `mqctl` when no command was found. */
  readonly command: string
  /** Long names of its flags. */
  readonly flags: readonly string[]
}

export function failureOf(error: unknown, context: FailureContext): Failure {
  if (error instanceof MqError) {
    return {
      code: error.code,
      message: unwrapFlag(error.message),
      hint: error.hint,
      exitCode: error.exitCode,
    }
  }
  if (error instanceof Errors.CLIError) return usageFailure(error, context)
  if (error instanceof BugError) return bug(error.message)
  if (isSystemError(error)) {
    return {
      code: error.code ?? 'SYSTEM',
      message: error.message,
      hint: systemHint(error.code),
      exitCode: ExitCode.failed,
    }
  }
  return bug(error instanceof Error ? `${error.name}: ${error.message}` : String(error))
}

function bug(message: string): Failure {
  return {
    code: 'BUG',
    message,
    hint: 'this is a bug in mqctl: please report it, with the output of DEBUG=mqctl:* mqctl …',
    exitCode: ExitCode.bug,
  }
}

/** Three lines: what failed, why, what to try. The stack only with DEBUG=mqctl:*. */
export function failureText(
  failure: Failure,
  context: FailureContext,
  terminal: Terminal,
  stack?: string,
): string {
  const { red, bold, dim } = terminal.err
  const lines = [
    `${red('error')} ${bold(`${context.command} failed`)} ${dim(`(${failure.code}, exit ${failure.exitCode})`)}`,
    `  why  ${failure.message}`,
    `  try  ${failure.hint}`,
  ]
  if (stack !== undefined && (process.env['DEBUG'] ?? '').includes('mqctl')) lines.push(dim(stack))
  return lines.join('\n')
}

/** Whether one JSON document on stdout was asked for; works on arguments that do not parse. */
export function wantsJson(argv: readonly string[]): boolean {
  const flags = flagsOf(argv)
  return flags.some((flag, index) => {
    if (['--json', '-ojson', '-o=json', '--output=json'].includes(flag)) return true
    return (flag === '-o' || flag === '--output') && flags[index + 1] === 'json'
  })
}

function usageFailure(error: Errors.CLIError, context: FailureContext): Failure {
  const detail = parseDetail(error)
  const unknown = detail.flags?.[0]
  let message = oneLine(unwrapFlag(error.message))
  let hint = `${context.command} --help shows what it takes`
  if (unknown !== undefined) {
    message = `unknown flag ${unknown}`
    const close = nearest(unknown.replace(/^-+/, ''), context.flags)
    if (close !== null) hint = `did you mean --${close}? ${hint}`
  } else if (detail.args !== undefined) {
    message = message.startsWith('Missing')
      ? `missing argument: ${detail.args.join(', ')}`
      : `unexpected argument: ${detail.args.join(', ')}`
  }
  const exitCode = error.oclif.exit ?? ExitCode.usage
  return { code: 'USAGE', message, hint, exitCode }
}

/** oclif's parse errors carry the flags or arguments in question. */
function parseDetail(error: Errors.CLIError): { flags?: string[]; args?: string[] } {
  const { flags, args } = error as { flags?: unknown; args?: unknown }
  if (Array.isArray(flags)) return { flags: flags.map(String) }
  if (!Array.isArray(args)) return {}
  return {
    args: args.map((arg: unknown) =>
      typeof arg === 'object' && arg !== null && 'name' in arg
        ? String(arg.name).toUpperCase()
        : String(arg),
    ),
  }
}

/** oclif wraps what a flag's own parser said in three lines. */
function unwrapFlag(message: string): string {
  return message
    .replace(/^Parsing (--\S+) \n\t/, '$1: ')
    .replace(/^The following errors? occurred:\n\s*/, '')
    .replace(/\nSee more help with --help$/, '')
}

function oneLine(message: string): string {
  return message
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join('; ')
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error && typeof error.syscall === 'string'
}

function systemHint(code: string | undefined): string {
  switch (code) {
    case 'ENOENT':
      return 'check the path'
    case 'EACCES':
    case 'EPERM':
      return 'check who owns it and its permissions'
    case 'ENOSPC':
      return 'free some space, or use another directory'
    case 'EMFILE':
      return 'raise the limit of open files: ulimit -n'
    default:
      return 'check the file or address that is named above'
  }
}
