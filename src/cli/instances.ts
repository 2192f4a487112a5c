/** What commands say about instances: their names, their status as text. */
import { existsSync } from 'node:fs'
import { MqError } from '../base/errors.ts'
import { formatBytes, formatDurationMs } from '../base/units.ts'
import { checkInstanceName, defaultInstanceName, directoriesOf } from '../engine/directories.ts'
import {
  instanceNames,
  readLastRun,
  statusOf,
  type InstanceStatus,
  type RoleStatus,
  type RunFile,
} from '../engine/instance.ts'
import type { Damage, InspectedStatus } from './damage.ts'
import { argument } from './flags.ts'
import { renderFacts, renderTable } from './table.ts'
import type { Terminal } from './terminal.ts'

/** `[NAME]` of start, stop, status, logs … */
export const instanceArgument = () =>
  argument({
    description: 'Name of the instance.',
    default: defaultInstanceName,
    parse: async (input) => {
      checkInstanceName(input)
      return input
    },
  })

export interface KnownInstance {
  readonly stateDir: string
  readonly run: RunFile
  readonly status: InstanceStatus
}

/** The instance, running or stopped; throws INSTANCE_NOT_FOUND when none of that name ever ran here. */
export function findInstance(name: string): KnownInstance {
  const found = lookUpInstance(name)
  if (found === null) throw noSuchInstance(name)
  return found
}

/** Where its logs are, also when it never got beyond a start that failed; throws INSTANCE_NOT_FOUND. */
export function stateDirectory(name: string): string {
  const { stateDir } = directoriesOf(process.env, name)
  if (!existsSync(stateDir)) throw noSuchInstance(name)
  return stateDir
}

/** Says which ones there are. */
export function noSuchInstance(name: string): MqError {
  const names = instanceNames(process.env)
  const start = `mqctl start ${name}`
  const hint =
    names.length === 0
      ? `nothing has run here yet; ${start} begins`
      : `there is ${names.join(', ')} (mqctl status --all); ${start} makes a new one`
  return new MqError('INSTANCE_NOT_FOUND', { name, hint })
}

/** The same; null when none of that name ever ran here. */
export function lookUpInstance(name: string): KnownInstance | null {
  const { stateDir } = directoriesOf(process.env, name)
  const run = readLastRun(stateDir)
  return run === null ? null : { stateDir, run, status: statusOf(run, stateDir) }
}

/** The one that is meant without a name is stopped when it never ran; others are not there. */
export function instanceStatus(name: string): {
  readonly run: RunFile | null
  readonly status: InstanceStatus
} {
  if (name !== defaultInstanceName) return findInstance(name)
  const found = lookUpInstance(name)
  if (found !== null) return found
  const { dataDir, stateDir } = directoriesOf(process.env, name)
  const status: InstanceStatus = {
    name,
    state: 'stopped',
    engine: 'embedded',
    dataDir,
    stateDir,
    startedAt: null,
    supervisorPid: null,
    namesrv: [],
    nameServers: [],
    brokers: [],
  }
  return { run: null, status }
}

/** `status` from `withDamage` has a column more when a broker has damaged records. */
export function statusText(
  status: InstanceStatus | InspectedStatus,
  terminal: Terminal,
  nowMs: number,
): string {
  const { bold, green, yellow, dim } = terminal.out
  const color = status.state === 'running' ? green : status.state === 'stopped' ? dim : yellow
  const uptimeMs = status.startedAt === null ? null : nowMs - Date.parse(status.startedAt)
  const facts = renderFacts(terminal, [
    ['data', status.dataDir],
    ['logs', status.stateDir],
    ['up', uptimeMs === null ? null : formatDurationMs(Math.max(0, uptimeMs))],
  ])
  const bad = (role: RoleStatus | (RoleStatus & Damage)) =>
    'badRecords' in role ? role.badRecords : null
  const damaged = status.brokers.some((broker) => (bad(broker) ?? 0) > 0)
  const rows = [...status.nameServers, ...status.brokers].map((role) => [
    role.name,
    role.role,
    role.address,
    role.pid,
    role.rssBytes === null ? null : formatBytes(role.rssBytes),
    ...(damaged ? [bad(role)] : []),
  ])
  const table = renderTable(
    terminal,
    [
      { head: 'NAME' },
      { head: 'ROLE' },
      { head: 'ADDRESS' },
      { head: 'PID', align: 'right' },
      { head: 'MEMORY', align: 'right' },
      ...(damaged ? [{ head: 'DAMAGED', align: 'right' as const }] : []),
    ],
    rows,
  )
  const name = status.name === 'local' ? '' : ` ${status.name}`
  const next = status.state === 'partial' ? `, mqctl restart${name} brings the rest back` : ''
  const head = `${bold(status.name)} ${color(status.state)}${next}\n${facts}`
  return rows.length === 0 ? head : `${head}\n\n${table}`
}
