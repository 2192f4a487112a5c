/** What is known of a run before anything is sent: what it needs, what a success means, where its ceiling should be. */
import type { BrokerFacts, Driver, Durability } from '../drivers/driver.ts'
import { frameSizesOf } from '../drivers/frame-sizes.ts'
import type { CheckNeeds } from '../host/checks.ts'
import type { HostFacts } from '../host/facts.ts'
import type { Plan } from './plan.ts'
import { frameInputOf, predict, type Prediction } from './prediction.ts'
import { meanSizeBytes, type Scenario } from './scenario-schema.ts'
import { plannedMs, plannedPeakHz } from './stages.ts'
import type { TargetWatch } from './target-watch.ts'

/** A stored message is its body and about this much, for the estimate of the disk that is needed. */
const RECORD_EXTRA_BYTES = 250
const RATE_ESTIMATE_PER_SECOND = 250_000
const BYTES_ESTIMATE_PER_SECOND = 500e6

/** Where the brokers keep their data on this host; null when it is elsewhere or unknown. */
export function diskPathOf(facts: readonly BrokerFacts[], watch: TargetWatch): string | null {
  const local = watch.brokers.find((broker) => broker.isLocal)
  const settings = facts.find(({ address }) => address === local?.address)?.settings
  return settings?.['storePathCommitLog'] ?? settings?.['storePathRootDir'] ?? null
}

/** What the driver says of it, but for a disk that is none. */
export function durabilityOf(
  driver: Driver,
  facts: readonly BrokerFacts[],
  { disk }: HostFacts,
  watch: TargetWatch,
): Durability {
  const said = driver.durability(facts)
  if (!watch.allLocal || disk?.fileSystem.isMemory !== true) return said
  return {
    profile: 'memory',
    acknowledged: `the message is in memory only: ${disk.path} is on ${disk.fileSystem.type ?? 'a memory file system'}, where an fsync protects nothing`,
    verifiedBy: 'broker',
  }
}

/** @param loadHere whether the load processes run on this host */
export function needsOf(scenario: Scenario, watch: TargetWatch, loadHere: boolean): CheckNeeds {
  const seconds = (scenario.warmup.min + plannedMs(scenario)) / 1000
  const bytes = meanSizeBytes(scenario) + RECORD_EXTRA_BYTES
  const peakHz = plannedPeakHz(scenario) ?? RATE_ESTIMATE_PER_SECOND
  const perSecond = Math.min(peakHz, RATE_ESTIMATE_PER_SECOND, BYTES_ESTIMATE_PER_SECOND / bytes)
  const local = watch.allLocal
  return {
    busyProcessCount:
      (loadHere ? scenario.producers.instances + scenario.consumers.instances : 0) +
      (local ? watch.brokers.length : 0),
    diskBytes: local ? seconds * perSecond * bytes : 0,
  }
}

/** Null for a target that keeps nothing. */
export function predictionOf(
  scenario: Scenario,
  plan: Plan,
  laneCount: number,
  watch: TargetWatch,
  { profile }: Durability,
): Prediction | null {
  const [broker] = watch.brokers
  if (scenario.target.driver === 'null' || broker === undefined) return null
  const [[topic = ''], [group = '']] = [plan.topics, plan.groups]
  return predict({
    scenario,
    sizes: frameSizesOf(frameInputOf(scenario, { topic, group, broker: broker.name })),
    lanes: laneCount,
    brokers: watch.brokers.length,
    machines: watch.machineCount,
    link: watch.link(scenario.metrics.linkSpeed),
    syncFlush: profile === 'fsync',
  })
}
