/**
 * Host checks: facts → rules → report. `collect.ts` reads a host into facts (or `facts-file.ts` a
 * file), the rules under `checks/` judge them without touching anything, `report.ts` weighs the
 * findings. `plan.ts` turns them into changes, `apply.ts` makes and undoes those.
 *
 * `hostChecks` is what other commands use: results of a benchmark carry its report, and `start`
 * asks only for what would keep a broker from working.
 */
import type { Clock } from '../../world/clock.ts'
import type { Profile } from './check.ts'
import { collectFacts } from './collect.ts'
import { NodeHostFiles } from './host-files.ts'
import { registry } from './registry.ts'
import { judge, type CheckResult, type Report } from './report.ts'

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
  const facts = await collectFacts(new NodeHostFiles(), clock, {
    tool: `mqctl ${version}`,
    ...(options.pid === undefined ? {} : { pid: options.pid }),
    ...(options.connections === undefined ? {} : { connections: options.connections }),
    ...(options.dataDir === undefined ? {} : { dataDirFallback: options.dataDir }),
  })
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

/** One line a failed check, worst first, for people. */
export function complaints(report: Report): string[] {
  return report.results
    .filter(({ status }) => status === 'fail')
    .map(({ id, actual, expected, remediation }) =>
      complaint(id, actual?.raw, expected, remediation),
    )
}

function complaint(
  id: string,
  actual: string | undefined,
  expected: CheckResult['expected'],
  remediation: CheckResult['remediation'],
): string {
  return `${id}: ${actual ?? '?'}, wanted ${expected.text}; ${remediation?.summary ?? ''}`
}
