/**
 * Host checks: facts → rules → report. `collect.ts` reads a host into facts (or `facts-file.ts` a
 * file), the rules under `checks/` judge them without touching anything, `report.ts` weighs the
 * findings. `plan.ts` turns them into changes, `apply.ts` makes and undoes those.
 *
 * `hostChecks` is what other commands use: results of a benchmark carry its report, and `start`
 * asks only for what would keep a broker from working.
 */
import { MqError } from '../../base/errors.ts'
import type { Clock } from '../../world/clock.ts'
import { isAtLeast, severities, type Profile, type Severity } from './check.ts'
import { collectFacts, type CollectOptions } from './collect.ts'
import type { HostFacts } from './facts.ts'
import { NodeHostFiles } from './host-files.ts'
import { processName } from '../listener-process.ts'
import { registry } from './registry.ts'
import { judge, type Report } from './report.ts'

export interface HostCheckOptions {
  readonly clock: Clock
  /** Version of mqctl. */
  readonly version: string
  /** `node-broker` for the embedded engine, `jvm-broker` for Apache's, `loadgen` for generators. */
  readonly profile: Profile
  readonly dataDir?: string
  /** The broker, when it runs. */
  readonly pid?: number
  readonly connections?: number
  /** Only what would keep a broker from starting; with the light demands of profile `dev`. */
  readonly onlyBreaking?: boolean
}

/** Null where the host cannot be judged (not Linux). Never throws for what it finds. */
export async function hostChecks(options: HostCheckOptions): Promise<Report | null> {
  if (process.platform !== 'linux') return null
  const { clock, version, onlyBreaking = false } = options
  const profile = onlyBreaking ? 'dev' : options.profile
  const startedMs = clock.wallMs()
  const facts = await factsOrNull(clock, {
    tool: `mqctl ${version}`,
    ...(options.pid === undefined ? {} : { pid: options.pid }),
    ...(options.connections === undefined ? {} : { connections: options.connections }),
    ...(options.dataDir === undefined ? {} : { dataDirFallback: options.dataDir }),
  })
  if (facts === null) return null
  const only = new Set(
    registry.filter(({ cannotStart }) => cannotStart === true).map(({ id }) => id),
  )
  return judge(facts, {
    profile,
    version,
    startedMs,
    nowMs: clock.wallMs(),
    ...(onlyBreaking ? { only } : {}),
  })
}

async function factsOrNull(clock: Clock, options: CollectOptions): Promise<HostFacts | null> {
  try {
    return await collectFacts(new NodeHostFiles(), clock, options)
  } catch (error) {
    if (error instanceof MqError) return null
    throw error
  }
}

/** A failed check as results of a benchmark carry it. */
export interface HostComplaint {
  readonly check: string
  readonly text: string
  readonly hint: string
}

/**
 * This host in every part that it plays in a measurement: as the generator's, and as that of each
 * broker that runs here, by its pid.
 */
export async function hostComplaints(
  clock: Clock,
  brokers: readonly { readonly pid: number | null }[],
  /** Where their messages go, unless their broker.conf says. */
  dataDir: string | null,
): Promise<HostComplaint[]> {
  const common = { clock, version: '' }
  const reports = [await hostChecks({ ...common, profile: 'loadgen' })]
  for (const { pid } of brokers) {
    if (pid === null) continue
    const profile = processName(pid) === 'java' ? 'jvm-broker' : 'node-broker'
    const place = dataDir === null ? {} : { dataDir }
    reports.push(await hostChecks({ ...common, ...place, profile, pid }))
  }
  return complaints(reports)
}

/** Failed checks that weigh at least `floor`, worst first, each once. */
export function complaints(
  reports: readonly (Report | null)[],
  floor: Severity = 'warning',
): HostComplaint[] {
  const weight = (severity: Severity) => severities.indexOf(severity)
  const seen = new Set<string>()
  return reports
    .flatMap((report) => report?.results ?? [])
    .filter(({ status, severity }) => status === 'fail' && isAtLeast(severity, floor))
    .sort((one, other) => weight(other.severity) - weight(one.severity))
    .filter(({ id }) => !seen.has(id) && seen.add(id))
    .map(({ id, title, actual, expected, remediation }) => ({
      check: id,
      text: `${title}: ${actual?.raw ?? '?'}, wanted ${expected.text}`,
      hint: remediation?.summary ?? `mqctl tune-os explain ${id}`,
    }))
}
