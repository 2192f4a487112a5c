/**
 * Where an instance lives: messages and offsets under the XDG data directory, run.json, lock and
 * logs under the XDG state directory. Source: XDG Base Directory Specification 0.8.
 */
import { accessSync, constants, existsSync, mkdirSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'
import { MqError, messageOf, systemCodeOf } from '../base/errors.ts'

export interface InstanceDirectories {
  /** Messages, offsets, topic and group configuration: one folder a role below it. */
  readonly dataDir: string
  /** run.json, lock and logs. */
  readonly stateDir: string
}

type Environment = Readonly<Record<string, string | undefined>>

/** The name that is meant when none is given. */
export const defaultInstanceName = 'local'

function base(env: Environment, variable: string, fallback: string): string {
  const value = env[variable]
  // The specification: a relative path there is invalid and must be ignored.
  return value !== undefined && path.isAbsolute(value)
    ? value
    : path.join(env['HOME'] ?? homedir(), fallback)
}

export function dataHome(env: Environment): string {
  return path.join(base(env, 'XDG_DATA_HOME', '.local/share'), 'mqctl')
}

export function stateHome(env: Environment): string {
  return path.join(base(env, 'XDG_STATE_HOME', '.local/state'), 'mqctl')
}

/** Directories of the instance called `name`; `dataDir` replaces the default for its messages. */
export function directoriesOf(
  env: Environment,
  name: string,
  dataDir?: string,
): InstanceDirectories {
  checkInstanceName(name)
  return {
    dataDir:
      dataDir === undefined ? path.join(dataHome(env), 'clusters', name) : path.resolve(dataDir),
    stateDir: path.join(stateHome(env), 'clusters', name),
  }
}

/** A name becomes a directory: letters, digits, `-`, `_` and inner dots, at most 64. */
export function checkInstanceName(name: string): void {
  if (/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/.test(name) && !name.includes('..')) return
  throw new MqError('VALUE_INVALID', {
    what: `${JSON.stringify(name)} is not a name for an instance`,
    hint: 'use letters, digits, - and _; at most 64, as in mqctl start dev',
  })
}

/**
 * Makes the directory and its parents, and finds out whether files can be made there. Throws
 * STORE_UNWRITABLE. One level at a time: Node's recursive mkdir never returns below /proc.
 */
export function makeDataDirectory(directory: string): void {
  try {
    makeLevel(path.resolve(directory))
    accessSync(directory, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw new MqError(
      'STORE_UNWRITABLE',
      { path: directory, why: messageOf(error) },
      { cause: error },
    )
  }
}

function makeLevel(directory: string): void {
  if (existsSync(directory)) {
    if (!statSync(directory).isDirectory()) throw new Error(`${directory} is a file`)
    return
  }
  if (path.dirname(directory) === directory) return
  makeLevel(path.dirname(directory))
  try {
    mkdirSync(directory)
  } catch (error) {
    // Another start may have made it in the meantime.
    if (systemCodeOf(error) !== 'EEXIST') throw error
  }
}
