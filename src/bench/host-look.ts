/** What the hosts of the brokers did between two moments, for a rate that is tried. */
import type { HostSnapshot } from '../host/snapshot.ts'
import { type HostUsage, usageBetween } from '../host/usage.ts'

/** A host that brokers run on, and their processes there as far as they are known. */
export interface SeenHost {
  readonly usage: HostUsage
  readonly brokers: readonly number[]
}

/** All hosts at one moment. */
export interface HostLook {
  readonly own: HostSnapshot
  /** The hosts of brokers that agents look at, since the look before; null when any of them is not seen. */
  readonly there: readonly SeenHost[] | null
}

/** What agents tell of their hosts, since they were asked before. */
export interface AgentsLook {
  /** Of those that brokers run on; null when any of them does not tell. */
  readonly brokers: readonly SeenHost[] | null
  /** Of all that tell, by the address of the agent. */
  readonly all: ReadonlyMap<string, HostUsage>
}

/** Resources that a balance can keep below a share. */
export const resourceNames = ['cpu', 'broker', 'disk', 'nic', 'memory'] as const
export type ResourceName = (typeof resourceNames)[number]

/** Shares 0 … 1; null where it cannot be told. */
export type ResourceShares = Readonly<Record<ResourceName, number | null>>

/**
 * Of the hosts that carry brokers, at this place and at agents: all of them, or none when one is
 * missing. When nobody is to look at any of them, of this one as long as the load runs here, and of
 * none when it runs elsewhere.
 *
 * @param own processes of brokers on this host; null when none runs here
 */
export function seenBetween(
  before: HostLook,
  after: HostLook,
  own: readonly number[] | null,
  loadIsHere: boolean,
): readonly SeenHost[] {
  if (after.there === null) return []
  const here = { usage: usageBetween(before.own, after.own), brokers: own ?? [] }
  const isOwnSeen = own !== null || (after.there.length === 0 && loadIsHere)
  return isOwnSeen ? [here, ...after.there] : after.there
}

/** Of several hosts the fullest, resource by resource. */
export function sharesOf(hosts: readonly SeenHost[]): ResourceShares {
  const all = hosts.map(sharesOfOne)
  const most = (name: ResourceName) => {
    const known = all.flatMap((shares) => (shares[name] === null ? [] : [shares[name]]))
    return known.length === 0 ? null : Math.max(...known)
  }
  return {
    cpu: most('cpu'),
    broker: most('broker'),
    disk: most('disk'),
    nic: most('nic'),
    memory: most('memory'),
  }
}

/** The loopback is no link, and a link whose speed nobody knows has no share. */
function sharesOfOne({ usage, brokers }: SeenHost): ResourceShares {
  const links = usage.nics.flatMap(({ isLoopback, txShare, rxShare }) =>
    isLoopback || (txShare === null && rxShare === null)
      ? []
      : [Math.max(txShare ?? 0, rxShare ?? 0)],
  )
  const loops = usage.processes.flatMap(({ pid, busiestThread }) =>
    brokers.includes(pid) && busiestThread !== null ? [busiestThread.cores] : [],
  )
  const { memory } = usage
  return {
    cpu: usage.cpu?.busy ?? null,
    broker: loops.length === 0 ? null : Math.max(...loops),
    disk: usage.disk?.utilisation ?? null,
    nic: links.length === 0 ? null : Math.max(...links),
    memory: memory === null ? null : 1 - memory.availableBytes / memory.totalBytes,
  }
}
