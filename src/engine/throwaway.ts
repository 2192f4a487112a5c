/**
 * An embedded engine for one job: free ports, a directory of its own, gone afterwards. It stands
 * beside whatever else runs. What a killed job left behind is cleared by the next one: the lock of
 * a directory says whether its owner lives.
 */
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import type { World } from '../world/world.ts'
import { dataHome } from './directories.ts'
import { Instance } from './engine.ts'
import type { RoleEnd } from './supervisor.ts'
import type { InstanceStatus } from './instance.ts'

export interface ThrowawayOptions {
  readonly brokers: number
  readonly flush: 'sync' | 'async'
  /** Further broker options, `key=value`. */
  readonly settings?: readonly string[]
  /** Where to make the directory; by default below the user's data directory, which is on a disk. */
  readonly parent?: string
  /** The brokers' side of a laboratory; without it they are on the loopback. */
  readonly site?: { readonly brokerHost: string; readonly brokerLauncher: readonly string[] }
  readonly onRoleEnd?: (end: RoleEnd) => void
}

export interface ThrowawayEngine {
  readonly status: InstanceStatus
  /** Messages of the brokers. */
  readonly dataDir: string
  /** Kills the first broker with -9 and starts it again; resolves when it serves. */
  crash(): Promise<void>
  /** Stops it; `keep` leaves the directory for a look. */
  end(keep: boolean): Promise<void>
}

/** A process of the engine, as a bench wants to know it. */
export interface EngineProcess {
  readonly name: string
  readonly role: 'broker' | 'nameserver'
  readonly pid: number
  /** HOST:PORT that it serves. */
  readonly address: string
}

const PREFIX = 'run-'

/** Starts it and waits until it serves. Throws what `Instance.start` throws; nothing is left then. */
export async function startThrowaway(
  world: World,
  options: ThrowawayOptions,
): Promise<ThrowawayEngine> {
  const parent = path.resolve(options.parent ?? path.join(dataHome(process.env), 'bench'))
  await clearLeftovers(world, parent)
  const id = randomBytes(4).toString('hex')
  const root = path.join(parent, `${PREFIX}${id}`)
  const dataDir = path.join(root, 'data')
  const { site } = options
  const host = site?.brokerHost ?? '127.0.0.1'
  const plan = {
    name: `bench-${id}`,
    dataDir,
    nameServers: 1,
    brokers: options.brokers,
    flush: options.flush,
    bind: host,
    advertise: host,
    anyPort: true,
    port: 0,
    nameServerPort: 0,
    topics: [],
    settings: options.settings ?? [],
  }
  const remove = () => world.disk.removeTree(root)
  try {
    const instance = await Instance.start(world, plan, {
      stateDir: stateDirOf(root),
      ...(site === undefined ? {} : { launcher: site.brokerLauncher }),
      ...(options.onRoleEnd === undefined ? {} : { onRoleEnd: options.onRoleEnd }),
    })
    return {
      status: instance.status,
      dataDir,
      crash: () => instance.crashBroker(0),
      async end(keep) {
        await instance.stop()
        if (!keep) await remove()
      },
    }
  } catch (error) {
    await remove()
    throw error
  }
}

/** Brokers and name servers that run. */
export function processesOf({ brokers, nameServers }: InstanceStatus): EngineProcess[] {
  return [
    ...brokers.map((role) => ({ ...role, role: 'broker' as const })),
    ...nameServers.map((role) => ({ ...role, role: 'nameserver' as const })),
  ].flatMap(({ name, role, address, pid }) => (pid === null ? [] : [{ name, role, address, pid }]))
}

function stateDirOf(root: string): string {
  return path.join(root, 'state')
}

/** Directories whose owner is gone. One that was kept on purpose carries a `last.json` and stays. */
async function clearLeftovers(world: World, parent: string): Promise<void> {
  for (const entry of await world.disk.list(parent)) {
    if (!entry.isDirectory || !entry.name.startsWith(PREFIX)) continue
    const root = path.join(parent, entry.name)
    const stateDir = stateDirOf(root)
    if ((await world.disk.facts(path.join(stateDir, 'last.json'))) !== null) continue
    if ((await world.disk.facts(path.join(stateDir, 'lock'))) === null) continue
    const lock = await world.disk.lock(path.join(stateDir, 'lock'))
    if (lock === null) continue
    await world.disk.removeTree(root)
    await lock.release()
  }
}
