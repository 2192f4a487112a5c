/** The hosts of a run's agents in its result: what they did, which processes ran there, and their clocks. Pure. */
import type { HostUsage } from '../host/usage.ts'
import type { AgentBroker } from './agent/link.ts'
import type { AgentRecord } from './agent/agents.ts'
import type { CrewProcess } from './crew.ts'
import type { BenchResult } from './result.ts'
import type { HostResult } from './result-hosts.ts'

/** A host's usage as a result has it. */
export function hostResultOf(
  usage: HostUsage,
  host: Pick<HostResult, 'name' | 'roles' | 'samplerCores' | 'agent' | 'label'>,
): HostResult {
  const { cpuCount, cpu, load1, pressure, memory, disk, nics, unavailable } = usage
  return {
    ...host,
    cpuCount,
    cpu,
    load1,
    pressure,
    memory,
    disk,
    nics: [...nics],
    unavailable: { ...unavailable },
  }
}

/** Those that were sampled to the end of the window. */
export function agentHosts(
  agents: readonly AgentRecord[],
  processes: readonly CrewProcess[],
): HostResult[] {
  return agents.flatMap(({ address, facts, label, isBroker, usage, samplerCores }) => {
    if (usage === null) return []
    const isLoaded = processes.some(({ host }) => host === address)
    const roles = [...(isLoaded ? ['load'] : []), ...(isBroker ? ['broker'] : [])]
    const place = { name: facts.name, agent: address, roles, samplerCores }
    return [hostResultOf(usage, label === null ? place : { ...place, label })]
  })
}

/** How many of the brokers that are not on this host are on none of an agent either. */
export function unseenBrokers(
  agents: readonly Pick<AgentRecord, 'isBroker' | 'brokers'>[],
  elsewhere: readonly string[],
): number {
  // A host that the scenario calls that of brokers is believed to be it, also when no process shows there.
  if (agents.some(({ isBroker, brokers }) => isBroker && brokers.length === 0)) return 0
  const seen = new Set(agents.flatMap(({ brokers }) => brokers.map(({ address }) => address)))
  return elsewhere.filter((address) => !seen.has(address)).length
}

/** The agent on whose host a broker runs, and its process there; null when none has seen it. */
export function agentOfBroker(
  agents: readonly AgentRecord[],
  address: string,
): { readonly agent: AgentRecord; readonly broker: AgentBroker } | null {
  for (const agent of agents) {
    const broker = agent.brokers.find((one) => one.address === address)
    if (broker !== undefined) return { agent, broker }
  }
  return null
}

/**
 * The host whose resources are held against the load, of several hosts of brokers the first (the
 * run's own is at the front of all); when nobody samples any, the busiest that carries load.
 */
export function judgedHost(own: HostResult, hosts: readonly HostResult[]): HostResult {
  const ofBroker = hosts.find(({ roles }) => roles.includes('broker'))
  if (ofBroker !== undefined) return ofBroker
  const [busiest] = hosts
    .filter(({ roles }) => roles.includes('load'))
    .sort((a, b) => (b.cpu?.busy ?? 0) - (a.cpu?.busy ?? 0))
  return busiest ?? own
}

/** What the clocks of any two hosts of the load may have moved against each other since the run began, milliseconds. */
export function clockMovedMs(
  agents: readonly AgentRecord[],
  processes: readonly CrewProcess[],
): number {
  const [first = 0, second = 0] = agents
    .filter(({ address }) => processes.some(({ host }) => host === address))
    .map(({ clock }) => clock.movedNs)
    .sort((a, b) => b - a)
  return (first + second) / 1e6
}

/**
 * How far the clocks of any producer and any consumer may have been apart from what was reckoned
 * with, up to now, milliseconds: 0 when all the load ran on one host, null when nobody knows any more.
 */
export function clockErrorMs(
  agents: readonly AgentRecord[],
  processes: readonly CrewProcess[],
): number | null {
  const used = new Set(processes.flatMap(({ host }) => (host === null ? [] : [host])))
  if (used.size < 2) return 0
  const errors = agents
    .filter(({ address }) => used.has(address))
    .map(({ clock }) => clock.errorNs)
    .sort((a, b) => (b ?? 0) - (a ?? 0))
  if (errors.includes(null)) return null
  const [first, second] = errors
  return ((first ?? 0) + (second ?? 0)) / 1e6
}

export function clockOf(
  agents: readonly AgentRecord[],
  processes: readonly CrewProcess[],
): BenchResult['clock'] {
  const used = agents.filter(({ address }) => processes.some(({ host }) => host === address))
  if (agents.length === 0 || used.length === 0) {
    return {
      layout: 'single',
      offsetMs: 0,
      uncertaintyMs: 0,
      method: 'all load processes run on one host and read its one monotonic clock',
      ...(agents.length === 0 ? {} : { agents: agents.map(agentClock) }),
    }
  }
  const errorMs = clockErrorMs(agents, processes)
  const offsets = used.map(({ clock }) => clock.offsetNs)
  const way =
    'round trips from the beginning of the run to its end; what each allows, and clocks can drift meanwhile, bounds the offset'
  return {
    layout: used.length > 1 ? 'multi' : 'single',
    offsetMs: used.length > 1 ? (Math.max(...offsets) - Math.min(...offsets)) / 1e6 : 0,
    // Of no reading at the end nothing better is known than that of the beginning.
    uncertaintyMs: errorMs ?? Math.max(...used.map(({ clock }) => clock.uncertaintyNs)) / 1e6,
    method:
      used.length > 1
        ? `the load runs on ${used.length} hosts, each with a monotonic clock of its own: ${way}`
        : 'all load processes run on one agent’s host and read its one monotonic clock',
    agents: agents.map(agentClock),
  }
}

function agentClock({ address, clock }: AgentRecord) {
  const { offsetNs, uncertaintyNs, errorNs, movedNs } = clock
  return {
    address,
    offsetMs: offsetNs / 1e6,
    uncertaintyMs: uncertaintyNs / 1e6,
    errorMs: errorNs === null ? null : errorNs / 1e6,
    movedMs: movedNs / 1e6,
  }
}
