/**
 * What an instance wrote about itself (run.json in its state directory) and what of it is still
 * true. `run.json` exists while the instance runs; at a clean stop it becomes `last.json`, from
 * which `restart` takes the options.
 */
import { existsSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { MqError, messageOf, systemCodeOf } from '../base/errors.ts'
import { stateHome } from './directories.ts'
import { isAlive, residentBytes, type ProcessIdentity } from './process-identity.ts'
import type { InstancePlan } from './topology.ts'
import { makeDirectorySync } from '../world/make-directory.ts'

export interface RoleFacts {
  readonly name: string
  readonly role: 'nameserver' | 'broker'
  /** `host:port` as clients reach it. */
  readonly address: string
  readonly port: number
  readonly process: ProcessIdentity
}

/** run.json */
export interface RunFile {
  readonly version: 1
  readonly name: string
  readonly supervisor: ProcessIdentity
  /** ISO 8601. */
  readonly startedAt: string
  readonly ready: boolean
  readonly dataDir: string
  readonly roles: readonly RoleFacts[]
  /** What it was started with. */
  readonly plan: InstancePlan
}

export type InstanceState = 'running' | 'starting' | 'partial' | 'stopped'

/** The answer of `mqctl status`; field names are fixed. */
export interface InstanceStatus {
  readonly name: string
  readonly state: InstanceState
  readonly engine: 'embedded'
  readonly dataDir: string
  readonly stateDir: string
  readonly startedAt: string | null
  readonly supervisorPid: number | null
  readonly namesrv: readonly string[]
  readonly nameServers: readonly RoleStatus[]
  readonly brokers: readonly RoleStatus[]
}

export interface RoleStatus {
  readonly name: string
  readonly role: string
  readonly address: string
  /** Null when it is not running. */
  readonly pid: number | null
  readonly rssBytes: number | null
}

type Environment = Readonly<Record<string, string | undefined>>

const runPath = (stateDir: string) => path.join(stateDir, 'run.json')
const lastPath = (stateDir: string) => path.join(stateDir, 'last.json')

/** The run.json of a state directory; null when there is none or it cannot be read. */
export function readRunFile(stateDir: string): RunFile | null {
  return readJson(runPath(stateDir))
}

/** What ran last in a state directory, running or not. */
export function readLastRun(stateDir: string): RunFile | null {
  return readRunFile(stateDir) ?? readJson(lastPath(stateDir))
}

/** Written whole or not at all. Throws MqError START_FAILED with the directory when its disk is full. */
export function writeRunFile(stateDir: string, run: RunFile): void {
  makeDirectorySync(stateDir)
  const temporary = path.join(stateDir, `.run.json.${process.pid}`)
  try {
    writeFileSync(temporary, `${JSON.stringify(run, null, 2)}\n`)
  } catch (error) {
    // A write that fails names no file, other than an open.
    if (systemCodeOf(error) !== 'ENOSPC') throw error
    rmSync(temporary, { force: true })
    const what = `the instance in ${stateDir}`
    const hint = 'free some space there'
    throw new MqError('START_FAILED', { what, why: messageOf(error), hint })
  }
  renameSync(temporary, runPath(stateDir))
}

/** Turns run.json into last.json. */
export function retireRunFile(stateDir: string): void {
  try {
    renameSync(runPath(stateDir), lastPath(stateDir))
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT') throw error
  }
}

/** Takes back the run.json of a start that failed; what had run `before` stays known. */
export function abandonRunFile(stateDir: string, before: RunFile | null): void {
  if (before === null) rmSync(runPath(stateDir), { force: true })
  else {
    writeRunFile(stateDir, before)
    retireRunFile(stateDir)
  }
}

/** What a start makes in a state directory before any role runs. */
const beforeRoles = ['lock', 'supervisor.log']

/** Removes the state directory of a start that came to nothing, unless something else is in it. */
export function forgetEmptyInstance(stateDir: string): void {
  const isBare = readdirSync(stateDir).every((name) => beforeRoles.includes(name))
  if (isBare) forgetInstance(stateDir)
}

export function forgetInstance(stateDir: string): void {
  rmSync(stateDir, { recursive: true, force: true })
}

/** Names of all instances that ever ran for this user, sorted; a start that failed is none. */
export function instanceNames(env: Environment): string[] {
  const clusters = path.join(stateHome(env), 'clusters')
  const hasRun = (name: string) =>
    [runPath, lastPath].some((file) => existsSync(file(path.join(clusters, name))))
  return directoriesIn(clusters).filter(hasRun)
}

/** Names of the directories in a directory, sorted; none when it is not there. */
export function directoriesIn(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .sort()
  } catch {
    return []
  }
}

/** What is true now of what the run file says. A file whose processes are gone means stopped. */
export function statusOf(run: RunFile, stateDir: string): InstanceStatus {
  const supervisorLives = isAlive(run.supervisor)
  const roles = run.roles.map((role) => ({ role, lives: isAlive(role.process) }))
  const living = roles.filter(({ lives }) => lives).length
  const rows = (kind: RoleFacts['role']) =>
    roles.filter(({ role }) => role.role === kind).map(({ role, lives }) => roleStatus(role, lives))
  return {
    name: run.name,
    state: stateFrom(run, supervisorLives, living),
    engine: 'embedded',
    dataDir: run.dataDir,
    stateDir,
    startedAt: living > 0 || supervisorLives ? run.startedAt : null,
    supervisorPid: supervisorLives ? run.supervisor.pid : null,
    namesrv: rows('nameserver').map(({ address }) => address),
    nameServers: rows('nameserver'),
    brokers: rows('broker'),
  }
}

function stateFrom(run: RunFile, supervisorLives: boolean, living: number): InstanceState {
  if (!supervisorLives && living === 0) return 'stopped'
  if (supervisorLives && !run.ready) return 'starting'
  return supervisorLives && living === run.roles.length ? 'running' : 'partial'
}

function roleStatus(role: RoleFacts, lives: boolean): RoleStatus {
  return {
    name: role.name,
    role: role.role === 'broker' ? 'master' : 'nameserver',
    address: role.address,
    pid: lives ? role.process.pid : null,
    rssBytes: lives ? residentBytes(role.process.pid) : null,
  }
}

/** Name servers of what runs on this machine: the instance `local` first, then by name. */
export function runningNameServers(
  env: Environment,
  first: string,
): { name: string; namesrv: readonly string[] } | null {
  const names = instanceNames(env)
  const ordered = [first, ...names.filter((name) => name !== first)]
  for (const name of ordered) {
    const stateDir = path.join(stateHome(env), 'clusters', name)
    const run = readRunFile(stateDir)
    if (run === null) continue
    const status = statusOf(run, stateDir)
    if (status.state !== 'stopped' && status.namesrv.length > 0) {
      return { name, namesrv: status.namesrv }
    }
  }
  return null
}

function readJson(file: string): RunFile | null {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'))
    return isRunFile(value) ? value : null
  } catch {
    return null
  }
}

function isRunFile(value: unknown): value is RunFile {
  if (typeof value !== 'object' || value === null) return false
  const run = value as Partial<RunFile>
  return run.version === 1 && Array.isArray(run.roles) && typeof run.supervisor?.pid === 'number'
}
