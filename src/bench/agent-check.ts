/** What speaks against a run with agents, asked before anything is made on the brokers. */
import { MqError } from '../base/errors.ts'
import type { Agents } from './agent/agents.ts'
import { unseenBrokers } from './agent-hosts.ts'
import type { Plan } from './plan.ts'
import type { Scenario } from './scenario-schema.ts'
import type { TargetWatch } from './target-watch.ts'
import { thresholdsOf } from './threshold.ts'
import { type NamedHost, checkThresholdHost } from './threshold-host.ts'

/**
 * Rejects with MqError TARGET_NOT_ALLOWED, LOAD_NOT_TAKEN, USAGE (a balance whose resources nobody
 * would see), or AGENT_UNREACHABLE.
 */
export async function checkAgents(
  agents: Agents,
  { topics, consumers, load }: Scenario,
  plan: Plan,
  watch: TargetWatch,
): Promise<void> {
  const lanes = topics.count * topics.queues * Math.max(1, watch.brokers.length)
  // One lane for each consumer: they differ in no more than which they read.
  const read = Array.from({ length: Math.min(lanes, consumers.instances) }, (_, lane) => ({
    lane,
    minOffset: 0,
    endOffset: 0,
  }))
  await agents.check(plan.members({ length: lanes }, read, []), watch.elsewhere)
  const isSeen = agents.seeBrokers || watch.brokers.some(({ isLocal }) => isLocal)
  if (agents.carryLoad && !isSeen && load.some(({ shape }) => shape === 'balance')) {
    const what = 'a balance needs the resources of the brokers’ host, and no agent runs there'
    throw new MqError('USAGE', { what: `${what}: name one with --watch-agent` })
  }
}

/**
 * Throws MqError CONFIG_INVALID for a threshold about a host that nobody looks at.
 *
 * @param name of this host
 */
export function checkThresholdHosts(
  agents: Agents | null,
  scenario: Scenario,
  watch: TargetWatch,
  name: string,
): void {
  const records = agents?.records ?? []
  const here = [
    ...(agents?.carryLoad === true ? [] : ['load']),
    ...(watch.pidsHere === null ? [] : ['broker']),
  ]
  const hosts: NamedHost[] = [
    { name, roles: here },
    ...records.map(({ address, facts, label, isBroker, carriesLoad }) => ({
      name: facts.name,
      agent: address,
      label: label ?? undefined,
      roles: [...(carriesLoad ? ['load'] : []), ...(isBroker ? ['broker'] : [])],
    })),
  ]
  const unseen = unseenBrokers(records, watch.elsewhere)
  for (const threshold of thresholdsOf(scenario)) {
    if (threshold.metric !== 'host.cpu') continue
    checkThresholdHost(threshold, hosts, { all: watch.brokers.length, unseen })
  }
}
