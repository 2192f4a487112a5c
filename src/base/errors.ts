/**
 * What the world may do to us, as one table. Each row: exit code, whether trying again can help,
 * text, and what to try. Bugs are `BugError`; answers such as "no message yet" are return values.
 */
import { ExitCode } from './exit-codes.ts'

interface ErrorRow {
  readonly exitCode: ExitCode
  readonly retry: boolean
  readonly text: string
  readonly hint: string
}

function row(exitCode: ExitCode, retry: boolean, text: string, hint: string): ErrorRow {
  return { exitCode, retry, text, hint }
}

/** `{name}` in text and hint is filled from the details. */
export const errorTable = {
  USAGE: row(ExitCode.usage, false, '{what}', 'see --help'),
  COMMAND_UNKNOWN: row(ExitCode.usage, false, '{what}', 'mqctl --help lists all commands'),
  CONFIG_INVALID: row(ExitCode.usage, false, '{where}: {what}', '{hint}'),
  VALUE_INVALID: row(ExitCode.usage, false, '{what}', '{hint}'),
  NOT_BUILT: row(ExitCode.usage, false, '{what} is not available yet', '{hint}'),
  NAME_ILLEGAL: row(
    ExitCode.usage,
    false,
    'illegal {kind} name {name}: {why}',
    'letters, digits, % | - and _ only; topics up to 127 characters, groups up to 120',
  ),
  INPUT_BROKEN: row(ExitCode.failed, false, '{what}', '{hint}'),
  PROPERTY_ILLEGAL: row(
    ExitCode.usage,
    false,
    'illegal property {name}: {why}',
    'names and values are text of at least one character without 0x01 and 0x02',
  ),
  MESSAGE_ILLEGAL: row(ExitCode.usage, false, 'this message cannot be sent: {why}', '{hint}'),
  CLIENT_CLOSED: row(ExitCode.failed, false, 'this {what} is closed', 'open another one'),
  NAMESRV_UNREACHABLE: row(
    ExitCode.unreachable,
    true,
    'no answer from name server {address}: {why}',
    'is it running? try mqctl status, or name another with --namesrv HOST:PORT',
  ),
  BROKER_UNREACHABLE: row(
    ExitCode.unreachable,
    true,
    'no answer from broker {address}: {why}',
    'is it running? try mqctl status or mqctl cluster info',
  ),
  BROKER_NOT_FOUND: row(
    ExitCode.failed,
    false,
    'the name server knows no {what}',
    'mqctl broker list shows those that have registered',
  ),
  REQUEST_TIMEOUT: row(
    ExitCode.unreachable,
    true,
    'no answer from {address} to {request} within {timeoutMs} ms',
    'try again, or allow more time with --timeout',
  ),
  CONNECTION_LOST: row(
    ExitCode.unreachable,
    true,
    'the connection to {address} closed: {why}',
    'try again; mqctl status shows whether the process lives',
  ),
  NOT_AT_END: row(
    ExitCode.unreachable,
    true,
    'whether {group} is at the end cannot be told: {why}',
    'mqctl group get {group} shows its members and what is left',
  ),
  TOPIC_NOT_FOUND: row(
    ExitCode.failed,
    false,
    'topic {topic} does not exist',
    'mqctl topic list shows what there is; mqctl topic create {topic} makes it',
  ),
  TOPIC_EXISTS: row(
    ExitCode.failed,
    false,
    'topic {topic} exists already',
    'mqctl topic alter {topic} changes it; --if-not-exists makes this no error',
  ),
  TOPIC_NOT_PERMITTED: row(
    ExitCode.failed,
    false,
    'topic {topic} has no queue that can be {done}',
    "mqctl topic get '{topic}' shows its permission and its brokers; mqctl topic alter '{topic}' --perm rw allows it",
  ),
  GROUP_IN_USE: row(
    ExitCode.failed,
    false,
    '{members} members of {group} are connected, and broker {broker} cannot move them: {why}',
    'stop the members first, and run it again',
  ),
  GROUP_NOT_FOUND: row(
    ExitCode.failed,
    false,
    'consumer group {group} does not exist',
    'mqctl group list shows what there is',
  ),
  MESSAGE_NOT_FOUND: row(ExitCode.failed, false, 'no message for {what}', '{hint}'),
  REFUSED: row(ExitCode.failed, false, '{address} refused {request}: {code} {remark}', '{hint}'),
  FRAME_MALFORMED: row(
    ExitCode.failed,
    false,
    'malformed frame from {address}: {what}',
    'is this really a RocketMQ port?',
  ),
  PORT_TAKEN: row(
    ExitCode.failed,
    false,
    'port {port} on {host} is taken',
    'stop what uses it, choose another with {flag}, or let mqctl choose with --any-port',
  ),
  EXPOSED_WITHOUT_CONSENT: row(
    ExitCode.usage,
    false,
    'binding {host} would open the broker to other machines without any access control',
    'add --insecure-expose if that is what you want',
  ),
  STORE_IN_USE: row(
    ExitCode.failed,
    false,
    'store directory {path} is in use by another broker',
    'stop that broker, or choose another directory with --data-dir',
  ),
  OUTBOX_IN_USE: row(
    ExitCode.failed,
    false,
    'outbox {path} is in use by another process',
    'wait for it to end, or name another directory',
  ),
  OUTBOX_FULL: row(
    ExitCode.failed,
    true,
    'the outbox is full, and nothing in it can be sent: {why}',
    'it takes more when brokers have taken some of what it keeps: see why they do not',
  ),
  TIMERS_MISSING: row(
    ExitCode.failed,
    false,
    'broker {broker} ({version}) has delay levels only: it would deliver at once what is to wait on {topic}',
    'brokers of line 5 keep any time; what is in an outbox stays there until then',
  ),
  PROGRESS_IN_USE: row(
    ExitCode.failed,
    false,
    'progress file {path} is in use by another process',
    'each member of a broadcast group on one machine needs one of its own: --offsets-file PATH',
  ),
  STORE_UNWRITABLE: row(
    ExitCode.failed,
    false,
    'store directory {path} cannot be used: {why}',
    'check that it exists, is a directory, and is writable by this user',
  ),
  STORE_DAMAGED: row(ExitCode.failed, false, 'store directory {path} is damaged: {what}', '{hint}'),
  STORE_FORMAT_UNKNOWN: row(
    ExitCode.failed,
    false,
    'store directory {path} has a format that this version does not know: {what}',
    'use the version that wrote it, or a newer mqctl',
  ),
  ALREADY_RUNNING: row(
    ExitCode.failed,
    false,
    '{name} is already running (pid {pid})',
    'mqctl status {name} shows it; mqctl stop {name} ends it',
  ),
  NOT_RUNNING: row(
    ExitCode.failed,
    false,
    '{name} is not running',
    'start it with mqctl start {name}',
  ),
  INSTANCE_NOT_FOUND: row(ExitCode.failed, false, 'there is no instance {name} here', '{hint}'),
  START_FAILED: row(ExitCode.failed, false, '{what} did not start: {why}', '{hint}'),
  AGENT_UNREACHABLE: row(
    ExitCode.unreachable,
    true,
    'no answer from agent {address}: {why}',
    '{hint}',
  ),
  AGENT_REFUSED: row(ExitCode.failed, false, 'agent {address} refused: {why}', '{hint}'),
  AGENT_NEEDS_TLS: row(
    ExitCode.usage,
    false,
    'listening on {host} would take orders from other machines in plain text',
    'add --tls-cert and --tls-key, or listen on 127.0.0.1',
  ),
  TOKEN_FILE_UNFIT: row(
    ExitCode.usage,
    false,
    'token file {path}: {why}',
    'make one: (umask 077; openssl rand -hex 32 > {path})',
  ),
  LOAD_NOT_TAKEN: row(
    ExitCode.usage,
    false,
    'agent {address} does not take this load: {why}',
    'change the scenario; when a field of it is not known there, use the same mqctl on both sides',
  ),
  TARGET_NOT_ALLOWED: row(
    ExitCode.usage,
    false,
    '{address} is not among the targets that {agent} may reach',
    'start the agent with --allow {address} if it may',
  ),
  LAB_IMPOSSIBLE: row(ExitCode.failed, false, 'no laboratory can be built here: {why}', '{hint}'),
  OUTPUT_UNWRITABLE: row(
    ExitCode.failed,
    false,
    'cannot write to {path}: {why}',
    'choose another directory, or make room',
  ),
  BUILD_FAILED: row(ExitCode.failed, false, '{bin} {command} failed: {why}', '{hint}'),
  SCENARIO_INVALID: row(ExitCode.usage, false, '{where}: {what}', '{hint}'),
  TARGET_GONE: row(
    ExitCode.unreachable,
    false,
    '{what} is not there',
    'name a process that runs with --pid, --unit or --port; without one the host alone is judged',
  ),
  NOT_LINUX: row(
    ExitCode.unreachable,
    false,
    'this host cannot be judged: {why}',
    'run mqctl tune-os collect on a Linux host and judge its file here with --facts',
  ),
  TUNING_REFUSED: row(ExitCode.failed, false, '{what}', '{hint}'),
  TUNING_NOT_PERMITTED: row(ExitCode.unreachable, false, '{what}', '{hint}'),
  INTERRUPTED: row(ExitCode.interrupted, false, 'interrupted', 'what was done until then is kept'),
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof errorTable

export type ErrorDetails = Readonly<Record<string, string | number | boolean>>

function fill(template: string, details: ErrorDetails): string {
  return template.replace(/\{(\w+)\}/g, (hole, name: string) => {
    const value = details[name]
    return value === undefined ? hole : String(value)
  })
}

/** An error that a person should read: what failed and why in `message`, what to try in `hint`. */
export class MqError extends Error {
  override readonly name = 'MqError'
  readonly code: ErrorCode
  readonly details: ErrorDetails
  readonly hint: string

  constructor(code: ErrorCode, details: ErrorDetails = {}, options?: { cause?: unknown }) {
    super(fill(errorTable[code].text, details), options)
    this.code = code
    this.details = details
    this.hint = fill(errorTable[code].hint, details)
  }

  get exitCode(): ExitCode {
    return errorTable[this.code].exitCode
  }

  /** Whether trying the same again may succeed. */
  get retry(): boolean {
    return errorTable[this.code].retry
  }
}

/** The system's word for an error (ENOENT, EADDRINUSE …); undefined for what has none. */
export function systemCodeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
