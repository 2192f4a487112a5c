/** Fixture hosts to reports, with a clock that stands still. */
import { ManualClock } from '../../world/manual-clock.ts'
import type { Profile } from '../../../src/host/tuning/check.ts'
import { collectFacts, type CollectOptions } from '../../../src/host/tuning/collect.ts'
import type { HostFacts } from '../../../src/host/tuning/facts.ts'
import { judge, type CheckResult, type Report } from '../../../src/host/tuning/report.ts'
import type { MemoryHost } from './memory-files.ts'

export const nowMs = Date.UTC(2026, 5, 1, 12)

/** Facts of a captured host; the target is what the options name. */
export function factsOf(
  host: MemoryHost,
  options: Partial<CollectOptions> = {},
): Promise<HostFacts> {
  return collectFacts(host, new ManualClock(nowMs), { ...options, tool: 'mqctl 0.0.0' })
}

export async function reportOf(
  host: MemoryHost,
  profile: Profile = 'jvm-broker',
  options: Partial<CollectOptions> = {},
): Promise<Report> {
  return judge(await factsOf(host, options), { profile, version: '0.0.0', nowMs })
}

export function resultIn(report: Report, id: string): CheckResult {
  const result = report.results.find((one) => one.id === id)
  if (result === undefined) throw new Error(`${id} is not in the report`)
  return result
}
