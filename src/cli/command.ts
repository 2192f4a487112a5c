/**
 * The base of every command: builds the world, prints the result in the format that was asked for,
 * and turns whatever goes wrong into the same exit code with and without `--json`.
 *
 * A command is flags, one call and one rendering: its `run` returns the result of `show`.
 */
import { Command, type Interfaces } from '@oclif/core'
import type { LogFields, Logger } from '../base/logger.ts'
import { nodeWorld } from '../world/node-world.ts'
import type { SecureNet } from '../world/secure-net.ts'
import type { World } from '../world/world.ts'
import { addExitCode, endedBySignal } from './exit-code.ts'
import { failureOf, failureText, wantsJson, type FailureContext } from './failure.ts'
import { globalFlags } from './flags.ts'
import { interrupts } from './interrupts.ts'
import { jsonText, renderResult, type OutputFormat, type View } from './output.ts'
import { watchReader } from './reader-watch.ts'
import { processTerminal, type Terminal } from './terminal.ts'

export abstract class MqctlCommand<Result = unknown> extends Command {
  static override baseFlags: Interfaces.FlagInput = globalFlags

  protected readonly world: World = nodeWorld
  protected readonly terminal: Terminal
  readonly #warnings: string[] = []
  #output: OutputFormat = 'table'
  #quiet = false
  #verbose = false

  constructor(argv: string[], config: ConstructorParameters<typeof Command>[1]) {
    super(argv, config)
    this.terminal = processTerminal(argv)
    if (wantsJson(argv)) this.#output = 'json'
  }

  /** Connections under TLS, loaded by the few commands that make some. */
  protected async secureNet(): Promise<SecureNet> {
    const { nodeSecureNet } = await import('../world/node-secure-net.ts')
    return nodeSecureNet
  }

  abstract override run(): Promise<Result>

  protected override async parse<
    F extends Interfaces.OutputFlags<Interfaces.FlagInput>,
    B extends Interfaces.OutputFlags<Interfaces.FlagInput>,
    A extends Interfaces.OutputArgs<Interfaces.ArgInput>,
  >(
    options?: Interfaces.Input<F, B, A>,
    argv?: string[],
  ): Promise<Interfaces.ParserOutput<F, B, A>> {
    const parsed = await super.parse(options, argv)
    const flags: Record<string, unknown> = parsed.flags
    fillSwitches(flags, this.ctor)
    this.#output =
      flags['json'] === true ? 'json' : ((flags['output'] as OutputFormat | undefined) ?? 'table')
    this.#quiet = flags['quiet'] === true
    this.#verbose = flags['verbose'] === true
    return parsed
  }

  /** The format of the result. */
  protected get output(): OutputFormat {
    return this.#output
  }

  /** Whether stdout is for a program: no prose there. */
  protected get forPrograms(): boolean {
    return this.#output !== 'table'
  }

  protected get quiet(): boolean {
    return this.#quiet
  }

  protected get verbose(): boolean {
    return this.#verbose
  }

  /** Prints the result and gives it back. With `--json`, warnings go along as `warnings`. */
  protected async show(result: Result, view: View<Result>): Promise<Result> {
    const text = await renderResult(this.#output, result, view, this.terminal)
    process.stdout.write(this.#output === 'json' ? this.#withWarnings(result, text) : text)
    return result
  }

  /** A line of prose for people: stderr, silent with `--quiet`. */
  protected remark(text: string): void {
    if (!this.#quiet) process.stderr.write(`${text}\n`)
  }

  /** A line for the curious: only with `--verbose`. */
  protected detail(text: string): void {
    if (this.#verbose) process.stderr.write(`${this.terminal.err.dim(text)}\n`)
  }

  /** Where the rooms below report; shown with `--verbose`. */
  protected get logger(): Logger {
    return loggerTo((text) => {
      this.detail(text)
    })
  }

  /** Something the user should know although it went well. */
  override warn(input: string | Error): string | Error {
    const text = typeof input === 'string' ? input : input.message
    this.#warnings.push(text)
    if (this.#output !== 'json') {
      process.stderr.write(`${this.terminal.err.yellow('warning')} ${text}\n`)
    }
    return input
  }

  /** From now on the command ends by itself when this is aborted; the exit code is 130 or 143. */
  protected claimInterrupts(): AbortSignal {
    return interrupts.claim()
  }

  /** For commands that wait for more to print: they end when nobody reads stdout any more. */
  protected endWithReader(): void {
    watchReader(this.world.clock, () => {
      interrupts.readerLeft()
    })
  }

  /** The exit code of a command that did its work and has bad news; see `help exit-codes`. */
  protected exitWith(exitCode: number): void {
    addExitCode(exitCode)
  }

  protected override async catch(error: Error): Promise<void> {
    reportFailure(error, this.#context(), this.terminal, this.#output === 'json')
  }

  #context(): FailureContext {
    const id = (this.id ?? '').replaceAll(':', ' ')
    const { flags = {}, baseFlags = {} }: Partial<typeof Command> = this.ctor
    return {
      command: `${this.config.bin} ${id}`.trim(),
      flags: [...Object.keys(flags), ...Object.keys(baseFlags)],
    }
  }

  #withWarnings(result: Result, text: string): string {
    if (this.#warnings.length === 0 || typeof result !== 'object' || result === null) return text
    const own = 'warnings' in result ? result.warnings : null
    return `${jsonText({ ...result, warnings: addWarnings(own, this.#warnings) }, 2)}\n`
  }
}

/** A result that has warnings of its own keeps them, and gets the command's in the same form. */
function addWarnings(own: unknown, said: readonly string[]): unknown[] {
  if (!Array.isArray(own)) return [...said]
  const kept: unknown[] = own
  if (kept.some((one) => typeof one === 'string')) return [...new Set([...kept, ...said])]
  return [...kept, ...said.map((text) => ({ check: 'command', text, hint: '' }))]
}

/** oclif types a switch as boolean and leaves it undefined: then it would be missing in JSON. */
function fillSwitches(flags: Record<string, unknown>, command: typeof Command): void {
  const all = { ...command.baseFlags, ...command.flags }
  for (const [name, flag] of Object.entries(all)) {
    if (flag.type === 'boolean' && !flag.allowNo) flags[name] ??= false
  }
}

function loggerTo(write: (text: string) => void, room = 'client'): Logger {
  const line = (text: string, fields?: LogFields) => {
    const pairs = Object.entries(fields ?? {}).map(([key, value]) => `${key}=${String(value)}`)
    write([`${room}:`, text, ...pairs].join(' '))
  }
  return { info: line, warn: line, error: line, scope: (inner) => loggerTo(write, inner) }
}

/** Prints a failure once and sets the exit code; a signal's code that is already set stays. */
export function reportFailure(
  error: unknown,
  context: FailureContext,
  terminal: Terminal,
  json: boolean,
): void {
  const failure = failureOf(error, context)
  if (json) process.stdout.write(`${jsonText({ error: failure })}\n`)
  else {
    const stack = error instanceof Error ? error.stack : undefined
    process.stderr.write(`${failureText(failure, context, terminal, stack)}\n`)
  }
  if (!endedBySignal()) addExitCode(failure.exitCode)
}
