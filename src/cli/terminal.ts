/**
 * Colour and width: the one place that decides whether output goes to a person. Nothing else in
 * the project looks at NO_COLOR, FORCE_COLOR, TERM or isTTY.
 *
 * Order: `--no-color`, NO_COLOR (any value), FORCE_COLOR (0 = off, else on), TERM=dumb, then
 * whether the stream is a terminal.
 */
import { Chalk, type ChalkInstance } from 'chalk'

export interface Terminal {
  /** Whether a person sees stdout as it is written. */
  readonly stdoutIsTty: boolean
  /** Whether progress may be drawn on stderr. */
  readonly stderrIsTty: boolean
  /** Whether questions can be asked. */
  readonly stdinIsTty: boolean
  /** Columns of stdout; 80 when unknown. */
  readonly widthColumns: number
  /** Colours for stdout. */
  readonly out: ChalkInstance
  /** Colours for stderr. */
  readonly err: ChalkInstance
}

interface Stream {
  readonly isTTY?: boolean
  readonly columns?: number
}

export interface TerminalFacts {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly argv: readonly string[]
  readonly stdin: Stream
  readonly stdout: Stream
  readonly stderr: Stream
}

type ColorLevel = 0 | 1 | 2 | 3

function colorLevel(facts: TerminalFacts, stream: Stream): ColorLevel {
  const { env } = facts
  if (flagsOf(facts.argv).includes('--no-color')) return 0
  if (env['NO_COLOR'] !== undefined && env['NO_COLOR'] !== '') return 0
  const forced = env['FORCE_COLOR']
  if (forced !== undefined) {
    if (forced === '0' || forced === 'false') return 0
    const level = Number(forced)
    return level === 2 || level === 3 ? level : 1
  }
  if (env['TERM'] === 'dumb' || stream.isTTY !== true) return 0
  if (env['COLORTERM'] === 'truecolor') return 3
  return env['TERM']?.includes('256') === true ? 2 : 1
}

/** Arguments before `--`. */
export function flagsOf(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--')
  return end === -1 ? argv : argv.slice(0, end)
}

export function createTerminal(facts: TerminalFacts): Terminal {
  const dumb = facts.env['TERM'] === 'dumb'
  return {
    stdoutIsTty: facts.stdout.isTTY === true,
    stderrIsTty: facts.stderr.isTTY === true && !dumb,
    stdinIsTty: facts.stdin.isTTY === true,
    widthColumns: facts.stdout.columns ?? 80,
    out: new Chalk({ level: colorLevel(facts, facts.stdout) }),
    err: new Chalk({ level: colorLevel(facts, facts.stderr) }),
  }
}

/** The terminal of this process. */
export function processTerminal(argv: readonly string[]): Terminal {
  return createTerminal({
    env: process.env,
    argv,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
  })
}
