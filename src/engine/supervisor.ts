/**
 * Runs role processes: starts them, waits until they are ready, stops them in order, notices when
 * one ends by itself. There is no restart: a broker that died has a reason that somebody should see.
 *
 * Nothing outlives the supervisor: each role holds an IPC channel to it and stops cleanly when the
 * channel closes, also when the supervisor was killed with -9.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { closeSync, openSync, renameSync, statSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { MqError, systemCodeOf } from '../base/errors.ts'
import type { World } from '../world/world.ts'
import { identityOf, type ProcessIdentity } from './process-identity.ts'
import { fromWire, type RoleAnswer, type StartRole } from './role-channel.ts'
import type { RoleConfig } from './topology.ts'
import { makeDirectorySync } from '../world/make-directory.ts'

/** Four threads, libuv's default, carry all file work: cold reads would starve fdatasync. */
const THREADS = '16'
/** glibc keeps what is freed with the arena of its thread, up to eight arenas a core: megabytes for nothing. */
const ARENAS = '2'
/**
 * V8 doubles its space for young objects up to 32 MiB after a burst, and does not give it back. What
 * outlives a collection here is small: half of it collects as well.
 */
const V8_FLAGS = ['--max-semi-space-size=8']

const LOG_BYTES_MAX = 10 * 1_048_576

export interface RoleProcess {
  readonly name: string
  readonly identity: ProcessIdentity
  readonly logFile: string
  /** Gives the role its configuration; resolves with its port, rejects with why it did not start. */
  start(config: RoleConfig): Promise<number>
  /** SIGTERM, after `timeoutMs` SIGKILL; resolves when it is gone. */
  stop(timeoutMs: number): Promise<void>
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
}

export interface RoleEnd {
  readonly name: string
  readonly pid: number
  /** `exit 1`, `SIGKILL` … */
  readonly how: string
  /** Whether this supervisor had asked for it. */
  readonly expected: boolean
}

export interface SupervisorOptions {
  /** Logs go to `NAME.log` in this directory. */
  readonly logDir: string
  /** How long a role may take to be ready; milliseconds. */
  readonly readyTimeoutMs: number
  /** Command that runs the command behind it somewhere else, such as in another network; none by default. */
  readonly launcher?: readonly string[]
  readonly onEnd: (end: RoleEnd) => void
}

export class Supervisor {
  readonly #world: World
  readonly #options: SupervisorOptions
  readonly #running = new Set<ManagedRole>()

  constructor(world: World, options: SupervisorOptions) {
    this.#world = world
    this.#options = options
    makeDirectorySync(options.logDir)
  }

  /** Starts a process that loads while others are being configured; call `start` on it next. */
  spawn(name: string, script: URL): RoleProcess {
    const role = new ManagedRole(this.#world, this.#options, name, script, (end) => {
      this.#running.delete(role)
      this.#options.onEnd(end)
    })
    this.#running.add(role)
    return role
  }

  /** Number of roles that live. */
  get living(): number {
    return this.#running.size
  }

  /** Ends whatever is left, all at once. */
  async stopAll(timeoutMs: number): Promise<void> {
    await Promise.all([...this.#running].map((role) => role.stop(timeoutMs)))
  }
}

class ManagedRole implements RoleProcess {
  readonly name: string
  readonly identity: ProcessIdentity
  readonly logFile: string
  readonly #world: World
  readonly #options: SupervisorOptions
  readonly #child: ChildProcess
  readonly #ended: Promise<string>
  #end: string | null = null
  #stopping = false

  constructor(
    world: World,
    options: SupervisorOptions,
    name: string,
    script: URL,
    onEnd: (end: RoleEnd) => void,
  ) {
    this.#world = world
    this.#options = options
    this.name = name
    this.logFile = path.join(options.logDir, `${name}.log`)
    const log = openLog(this.logFile)
    const [command = process.execPath, ...words] = [...(options.launcher ?? []), process.execPath]
    this.#child = fork(fileURLToPath(script), [name], {
      // A session of its own: Ctrl-C in the terminal is for the supervisor, who stops in order.
      detached: true,
      execPath: command,
      execArgv: [...words, ...V8_FLAGS],
      env: { MALLOC_ARENA_MAX: ARENAS, ...process.env, UV_THREADPOOL_SIZE: THREADS },
      stdio: ['ignore', log, log, 'ipc'],
    })
    closeSync(log)
    // No pid means that the process could not be made; 'exit' or 'error' says why.
    this.identity = identityOf(this.#child.pid ?? 0)
    this.#ended = new Promise((resolve) => {
      const settle = (how: string) => {
        if (this.#end !== null) return
        this.#end = how
        resolve(how)
        onEnd({ name, pid: this.identity.pid, how, expected: this.#stopping })
      }
      this.#child.once('exit', (code, signal) => {
        settle(signal ?? `exit ${code ?? '?'}`)
      })
      this.#child.once('error', (error) => {
        settle(error.message)
      })
    })
  }

  async start(config: RoleConfig): Promise<number> {
    const { readyTimeoutMs } = this.#options
    const answer = new Promise<RoleAnswer>((resolve) => {
      this.#child.once('message', (message) => {
        resolve(message as RoleAnswer)
      })
    })
    const gone = this.#ended.then((how) => {
      throw this.#startFailed(`its process ended (${how})`)
    })
    const late = this.#after(readyTimeoutMs).then(() => {
      throw this.#startFailed(`it was not ready within ${readyTimeoutMs} ms`)
    })
    const command: StartRole = { kind: 'start', config }
    // A process that is gone already shows in `gone`, with its reason.
    this.#child.send(command, () => undefined)
    const first = await Promise.race([answer, gone, late])
    late.catch(() => undefined)
    gone.catch(() => undefined)
    if (first.kind === 'ready') return first.port
    throw fromWire(first.error, this.name, this.logFile)
  }

  async stop(timeoutMs: number): Promise<void> {
    if (this.#end !== null) return
    this.#stopping = true
    this.#child.kill('SIGTERM')
    const cancel = this.#world.clock.after(timeoutMs, () => this.#child.kill('SIGKILL'))
    await this.#ended
    cancel()
  }

  async kill(): Promise<void> {
    this.#stopping = true
    if (this.#end === null) this.#child.kill('SIGKILL')
    await this.#ended
  }

  #after(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#world.clock.after(delayMs, resolve)
      void this.#ended.then(cancel)
      this.#child.once('message', cancel)
    })
  }

  #startFailed(why: string): MqError {
    const hint = `its log: ${this.logFile}`
    return new MqError('START_FAILED', { what: this.name, why, hint })
  }
}

/** Appends; a log above 10 MiB starts anew and the old one stays beside it as `.1`. */
function openLog(file: string): number {
  try {
    if (statSync(file).size > LOG_BYTES_MAX) renameSync(file, `${file}.1`)
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT') throw error
  }
  return openSync(file, 'a', 0o644)
}
