/** What a role process and its supervisor say to each other over Node's IPC channel. */
import {
  MqError,
  errorTable,
  messageOf,
  type ErrorCode,
  type ErrorDetails,
} from '../base/errors.ts'
import type { RoleConfig } from './topology.ts'

/** Supervisor → role, once. A role stops on SIGTERM or when the channel closes. */
export interface StartRole {
  readonly kind: 'start'
  readonly config: RoleConfig
}

/** Role → supervisor: exactly one of the two. */
export type RoleAnswer =
  | { readonly kind: 'ready'; readonly port: number }
  | { readonly kind: 'failed'; readonly error: WireError }

/** An MqError that crossed a process boundary. */
export interface WireError {
  readonly code: string
  readonly details: ErrorDetails
  readonly message: string
}

export function toWire(error: unknown): WireError {
  if (error instanceof MqError) {
    return { code: error.code, details: error.details, message: error.message }
  }
  return { code: 'UNKNOWN', details: {}, message: messageOf(error) }
}

export function fromWire(error: WireError, what: string, logFile: string): MqError {
  if (Object.hasOwn(errorTable, error.code)) {
    return new MqError(error.code as ErrorCode, error.details)
  }
  const hint = /^ENOSPC\b/.test(error.message)
    ? 'free some space, or let it keep its data elsewhere: --data-dir, or XDG_DATA_HOME'
    : `its log: ${logFile}`
  return new MqError('START_FAILED', { what, why: error.message, hint })
}
