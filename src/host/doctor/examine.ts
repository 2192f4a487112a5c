/** All rows that this machine alone can answer, and the archive. */
import path from 'node:path'
import type { World } from '../../world/world.ts'
import { collectFacts } from '../tuning/collect.ts'
import { NodeHostFiles } from '../tuning/host-files.ts'
import { judge } from '../tuning/report.ts'
import { writeBundle } from './bundle.ts'
import {
  clockRow,
  dataDirRow,
  leftOverRow,
  nodeRow,
  portRow,
  roleProcesses,
  terminalRow,
  type DoctorRow,
  type TerminalLook,
} from './doctor.ts'

/** What the command knows of instances: the engine's own words, as far as they are needed here. */
export interface InstanceLook {
  readonly name: string
  readonly stateDir: string
  readonly supervisorPid: number | null
  readonly roles: readonly { readonly name: string; readonly pid: number | null }[]
}

export interface Examination {
  readonly terminal: TerminalLook
  readonly dataDir: string
  readonly instances: readonly InstanceLook[]
  readonly ports: readonly { readonly port: number; readonly flag: string }[]
}

export async function examine(world: World, look: Examination): Promise<DoctorRow[]> {
  const pids = look.instances.flatMap(({ supervisorPid, roles }) => [
    supervisorPid,
    ...roles.map(({ pid }) => pid),
  ])
  const known = new Set(pids.filter((pid) => pid !== null))
  const orphaned = look.instances
    .filter(({ supervisorPid }) => supervisorPid === null)
    .flatMap(({ name, roles }) =>
      roles.flatMap((role) =>
        role.pid === null ? [] : [{ name: `${name}/${role.name}`, pid: role.pid }],
      ),
    )
  const ports: DoctorRow[] = []
  for (const { port, flag } of look.ports) ports.push(await portRow(world, port, flag, known))
  return [
    nodeRow(process.versions.node),
    terminalRow(look.terminal),
    dataDirRow(look.dataDir),
    ...ports,
    clockRow(world.clock.wallMs()),
    leftOverRow(roleProcesses(), known, orphaned),
  ]
}

export interface BundleRequest {
  readonly file: string
  readonly version: string
  readonly doctor: object
  readonly argv: readonly string[]
  readonly brokerConf: string | null
  readonly dataDir: string
  readonly instances: readonly (InstanceLook & { readonly status: object })[]
}

export async function bundle(
  world: World,
  request: BundleRequest,
): Promise<{ file: string; bytes: number; files: string[] }> {
  const { version, dataDir } = request
  const nowMs = world.clock.wallMs()
  const files = new NodeHostFiles()
  const facts =
    process.platform === 'linux'
      ? await collectFacts(files, world.clock, {
          tool: `mqctl ${version}`,
          dataDirFallback: dataDir,
          ...(request.brokerConf === null
            ? {}
            : { brokerConf: { path: path.resolve(request.brokerConf) } }),
        })
      : null
  const written = writeBundle(request.file, {
    doctor: request.doctor,
    facts,
    report: facts === null ? null : judge(facts, { profile: 'node-broker', version, nowMs }),
    env: process.env,
    argv: request.argv,
    instances: request.instances.map(({ status }) => status),
    logs: request.instances.flatMap(({ name, stateDir }) =>
      (files.list(stateDir) ?? [])
        .filter((file) => file.endsWith('.log'))
        .map((file) => ({ name: `${name}-${file}`, path: path.join(stateDir, file) })),
    ),
    brokerConf: request.brokerConf,
    nowMs,
  })
  return { file: request.file, ...written }
}
