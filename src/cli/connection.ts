/** Which brokers a command talks to, and a hand on it for the time of one call. */
import { Admin } from '../client/admin.ts'
import { defaultInstanceName } from '../engine/directories.ts'
import { runningNameServers } from '../engine/instance.ts'
import type { World } from '../world/world.ts'
import { parseAddresses } from './flags.ts'

export interface NameServerChoice {
  readonly addresses: readonly string[]
  /** For `--verbose`: where that came from. */
  readonly source: string
}

type Environment = Readonly<Record<string, string | undefined>>

/** Flag, MQCTL_NAMESRV, NAMESRV_ADDR, what runs on this machine, 127.0.0.1:9876. */
export function chooseNameServers(
  flag: readonly string[] | undefined,
  env: Environment,
): NameServerChoice {
  if (flag !== undefined) return { addresses: flag, source: '--namesrv' }
  for (const name of ['MQCTL_NAMESRV', 'NAMESRV_ADDR']) {
    const value = env[name]
    if (value !== undefined && value.trim() !== '') {
      return { addresses: parseAddresses(value), source: name }
    }
  }
  const running = runningNameServers(env, defaultInstanceName)
  if (running !== null) {
    return { addresses: running.namesrv, source: `instance ${running.name} on this machine` }
  }
  return { addresses: ['127.0.0.1:9876'], source: 'default' }
}

/** Gives `use` a hand on the cluster and closes it afterwards, whatever happens. */
export async function withAdmin<Result>(
  world: World,
  nameServers: readonly string[],
  requestTimeoutMs: number,
  use: (admin: Admin) => Promise<Result>,
): Promise<Result> {
  const admin = Admin.open(world, { nameServers, requestTimeoutMs })
  try {
    return await use(admin)
  } finally {
    admin.close()
  }
}
