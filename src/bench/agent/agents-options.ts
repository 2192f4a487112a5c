/** Which agents a run has, from the flags of a command and its scenario. */
import { MqError } from '../../base/errors.ts'
import { isLoopback } from '../../base/loopback.ts'
import type { SecureNet } from '../../world/secure-net.ts'
import type { World } from '../../world/world.ts'
import type { Scenario } from '../scenario-schema.ts'
import type { AgentsOptions, WatchedHost } from './agents.ts'
import { readPem } from './pem.ts'
import { readToken } from './token.ts'

export interface AgentFlags {
  readonly agent?: readonly string[] | undefined
  readonly 'watch-agent'?: readonly string[] | undefined
  readonly 'token-file'?: string | undefined
  readonly 'agent-ca'?: string | undefined
}

/**
 * Null when there are none. Token and certificate are read, and what cannot be is refused, before
 * anything begins: MqError USAGE, TOKEN_FILE_UNFIT, CONFIG_INVALID. Flags win over the scenario.
 */
export async function agentsOptions(
  world: World,
  secureNet: () => Promise<SecureNet>,
  { target, metrics }: Scenario,
  flags: AgentFlags,
): Promise<AgentsOptions | null> {
  const { agent: load = [] } = flags
  const watch = watchedOf(flags['watch-agent'] ?? [], metrics.hosts ?? [])
  if (load.length + watch.length === 0) return null
  const isHere = load.every((address) => isLoopback(address.slice(0, address.lastIndexOf(':'))))
  const { driver } = target
  if (load.length > 0 && (driver === 'null' || (driver === 'embedded' && !isHere))) {
    const what =
      driver === 'null'
        ? 'the null target keeps nothing and is on this host'
        : 'the broker of the run is on the loopback of this host'
    throw new MqError('USAGE', { what: `${what}: for --agent name a broker with --namesrv` })
  }
  const tokenFile = flags['token-file'] ?? metrics.tokenFile
  if (tokenFile === undefined) {
    const how = 'name its file with --token-file, or as metrics.tokenFile in the scenario'
    throw new MqError('USAGE', { what: `agents want a token: ${how}` })
  }
  const authority = flags['agent-ca'] ?? metrics.agentCa
  return {
    load,
    watch,
    token: readToken(tokenFile),
    authority: authority === undefined ? null : await readPem(world.disk, authority, 'CERTIFICATE'),
    secureNet: await secureNet(),
  }
}

/** Of a host that is in both, the scenario says more. */
function watchedOf(
  flagged: readonly string[],
  hosts: NonNullable<Scenario['metrics']['hosts']>,
): WatchedHost[] {
  const named = hosts.map(({ name = null, role, address }): WatchedHost => {
    return { address, name, isBroker: role === 'broker' }
  })
  const others = flagged.filter((address) => named.every((one) => one.address !== address))
  return [...named, ...others.map((address) => ({ address, name: null, isBroker: false }))]
}
