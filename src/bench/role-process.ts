/** A load process as its parent sees it: orders out, reports in, and an end that is noticed. */
import { type ChildProcess, fork } from 'node:child_process'
import { MqError, errorTable, type ErrorCode } from '../base/errors.ts'
import type { FromRole, RoleFailure, ToRole } from './role-messages.ts'

export type RoleKind = 'producer' | 'consumer' | 'null-target'

const scripts: Readonly<Record<RoleKind, URL>> = {
  producer: new URL('./roles/producer.js', import.meta.url),
  consumer: new URL('./roles/consumer.js', import.meta.url),
  'null-target': new URL('./roles/null-target.js', import.meta.url),
}

const STDERR_KEPT = 2_000

/** A load process, wherever it runs. */
export interface LoadRole {
  readonly name: string
  /** Null until it is known. */
  readonly pid: number | null
  /** Set before the first order: gets every report. */
  onReport: (report: FromRole) => void
  /** Called once, when the process ends by itself or cannot be reached any more. */
  onEnd: (why: string) => void
  order(order: ToRole): void
  /** Ends the process; its end is no news then. */
  end(): void
}

/** Where load processes run. */
export interface LoadPlace {
  /** Address of the agent; null for this host. */
  readonly host: string | null
  /** Why it cannot be reached any more; null while it can. */
  readonly lost: string | null
  openRole(name: string, kind: RoleKind): LoadRole
}

/** This host. */
/**
 * V8 doubles its space for young objects when it likes, minutes into a run, and the memory of a load
 * process would grow by a step. What outlives a collection here is small.
 */
const V8_FLAGS = ['--max-semi-space-size=8']

export const thisHost: LoadPlace = {
  host: null,
  lost: null,
  openRole: (name, kind) => new RoleProcess(name, kind),
}

export class RoleProcess implements LoadRole {
  readonly name: string
  readonly kind: RoleKind
  /** Set before the first order: gets every report. */
  onReport: (report: FromRole) => void = () => undefined
  /** Called once, when the process ends by itself. */
  onEnd: (why: string) => void = () => undefined
  readonly #child: ChildProcess
  #stderr = ''
  #ending = false

  constructor(name: string, kind: RoleKind) {
    this.name = name
    this.kind = kind
    this.#child = fork(scripts[kind], [], {
      execArgv: [...process.execArgv, ...V8_FLAGS],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString()).slice(-STDERR_KEPT)
    })
    this.#child.on('message', (message) => {
      this.onReport(message as FromRole)
    })
    this.#child.on('error', () => undefined)
    this.#child.on('exit', (code, signal) => {
      if (this.#ending) return
      const how = signal === null ? `exit code ${String(code)}` : `signal ${signal}`
      this.onEnd(`${name} ended with ${how}${this.#stderr === '' ? '' : `: ${this.#stderr}`}`)
    })
  }

  get pid(): number | null {
    return this.#child.pid ?? null
  }

  order(order: ToRole): void {
    if (this.#child.connected) this.#child.send(order, () => undefined)
  }

  /** Ends the process; its end is no news then. */
  end(): void {
    this.#ending = true
    if (this.#child.connected) this.#child.disconnect()
    this.#child.kill('SIGKILL')
  }
}

/** The error that a role reported, as it was thrown there. */
export function errorOf(name: string, failure: RoleFailure): Error {
  if (failure.code in errorTable) return new MqError(failure.code as ErrorCode, failure.details)
  return new Error(`${name}: ${failure.message}`)
}
