/** What speaks against a run with agents, asked before anything is made on the brokers. */
import { MqError } from '../base/errors.ts'
import type { Agents } from './agent/agents.ts'
import type { Plan } from './plan.ts'
import type { Scenario } from './scenario-schema.ts'
import type { TargetWatch } from './target-watch.ts'

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
