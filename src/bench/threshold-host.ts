/**
 * Which hosts a threshold is about: `host.cpu` those of the brokers, `host[WHICH].cpu` those of a role
 * (`broker`, `load`), the one that runs the bench (`here`), or one by its name, by what the scenario
 * calls it, or by the address of its agent. Each of them must hold, and none is ever taken for another.
 */
import { MqError } from '../base/errors.ts'
import { rowsBetween } from './phase-figures.ts'
import { type BenchResult, type SeriesRow, windowStartMs } from './result.ts'
import type { HostResult } from './result-hosts.ts'

export type NamedHost = Pick<HostResult, 'name' | 'roles' | 'agent' | 'label'>

/** What a host did, for a threshold. */
export interface HostValue {
  readonly host: string
  /** Null when it was not measured. */
  readonly value: number | null
}

const OF_BROKERS = 'broker'
const OF_LOAD = 'load'
const HERE = 'here'

/** @param which as in `host[WHICH].cpu`; null for those of the brokers, or of the load when there are no brokers */
function hostsMeant<Host extends NamedHost>(
  which: string | null,
  hosts: readonly Host[],
  hasBrokers: boolean,
): Host[] {
  const word = which ?? (hasBrokers ? OF_BROKERS : OF_LOAD)
  return hosts.filter(
    ({ name, roles, agent, label }) =>
      roles.includes(word) ||
      (word === HERE && agent === undefined) ||
      [name, label, agent].includes(word),
  )
}

function isOfRole(which: string | null): boolean {
  return which === null || which === OF_BROKERS || which === OF_LOAD
}

/** Those of brokers are meant, and one of them is on a host that nobody looks at. */
function lacksBrokers(which: string | null, brokers: number, unseen: number): boolean {
  return brokers > 0 && unseen > 0 && (which === null || which === OF_BROKERS)
}

/**
 * Refuses a threshold about a host that nobody looks at before anything is sent. Throws MqError
 * CONFIG_INVALID.
 *
 * @param brokers how many there are, and how many of them on hosts that nobody looks at
 */
export function checkThresholdHost(
  { expression, host }: { readonly expression: string; readonly host: string | null },
  hosts: readonly NamedHost[],
  brokers: { readonly all: number; readonly unseen: number },
): void {
  const isLacking = lacksBrokers(host, brokers.all, brokers.unseen)
  if (!isLacking && hostsMeant(host, hosts, brokers.all > 0).length > 0) return
  const ofBrokers = host === null || host === OF_BROKERS
  throw new MqError('CONFIG_INVALID', {
    where: expression,
    what: ofBrokers
      ? 'it is about the host of the brokers, and nobody looks at that'
      : `no host of this run is called ${host}`,
    hint: ofBrokers
      ? 'run mqctl bench agent there and name it with --watch-agent; host[here].cpu is this host, host[load].cpu those of the load'
      : `there are ${[HERE, OF_BROKERS, OF_LOAD, ...hosts.map(nameOf)].join(', ')}`,
  })
}

/** What each of the hosts did, or why that cannot be told. */
export function hostValues(
  result: BenchResult,
  which: string | null,
  phase: BenchResult['phases'][number] | null,
): readonly HostValue[] | string {
  const { brokers } = result.environment
  // What a host was to the run goes with its agent: it may have been one of those that are meant.
  if (isOfRole(which) && result.hosts.length < result.environment.hosts.length) {
    return 'the agent of a host was lost, so nobody knows what all of them did'
  }
  if (lacksBrokers(which, brokers.length, unseenBrokers(result))) {
    return 'a host of the brokers was not looked at'
  }
  const hosts = hostsMeant(which, result.hosts, brokers.length > 0)
  if (hosts.length === 0) return `no host that is called ${which ?? OF_BROKERS} was looked at`
  return hosts.map((host) => ({
    host: nameOf(host),
    value: phase === null ? (host.cpu?.busy ?? null) : busyIn(result, phase, host),
  }))
}

/** Brokers on hosts that are not in the result. */
function unseenBrokers({ environment, hosts, processes }: BenchResult): number {
  const agents = hosts.flatMap(({ agent, roles }) =>
    agent !== undefined && roles.includes(OF_BROKERS) ? [agent] : [],
  )
  const places = processes.filter(({ role }) => role === 'broker').map(({ host }) => host)
  // A host that the scenario calls that of brokers is believed to be it, also when no process shows there.
  if (agents.some((agent) => !places.includes(agent))) return 0
  return environment.brokers.filter(({ name, isLocal }) => {
    const place = processes.find((one) => one.role === 'broker' && one.name === name)?.host
    return !isLocal && (place === undefined || !agents.includes(place))
  }).length
}

/** Mean share over the whole seconds of a phase; null when there is none. */
function busyIn(
  { phases, series }: BenchResult,
  { startedAt, durationMs, figures }: BenchResult['phases'][number],
  { agent }: HostResult,
): number | null {
  const from = (Date.parse(startedAt) - windowStartMs(phases)) / 1000
  const rows = rowsBetween(series, from, from + durationMs / 1000)
  const busy = rows
    .filter(({ phase }) => phase === figures?.index)
    .flatMap((row) => rowOf(row, agent)?.cpuBusy ?? [])
  return busy.length === 0 ? null : busy.reduce((sum, one) => sum + one, 0) / busy.length
}

function rowOf(row: SeriesRow, agent: string | undefined): SeriesRow['host'] {
  return agent === undefined ? row.host : (row.agents?.[agent] ?? null)
}

function nameOf({ name, label, agent }: NamedHost): string {
  return label ?? agent ?? name
}
