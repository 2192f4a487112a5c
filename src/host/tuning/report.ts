/**
 * Facts to report: every check of the profile judges, severities are weighed, waivers applied, and
 * one exit code comes out. The report is the JSON document of `tune-os check`.
 */
import { messageOf } from '../../base/errors.ts'
import { ExitCode } from '../../base/exit-codes.ts'
import { bootOf, definitionsOf, driftOf } from './boot-values.ts'
import {
  isAtLeast,
  severityIn,
  type Actual,
  type Category,
  type Change,
  type Check,
  type Evidence,
  type Finding,
  type Profile,
  type Reason,
  type Severity,
} from './check.ts'
import { explanationOf } from './explanations.ts'
import type { HostFacts } from './facts.ts'
import { changeCommand, changeFile } from './change-text.ts'
import { registry } from './registry.ts'
import { isExpired, type Waiver } from './waivers.ts'

const REPORT_SCHEMA = 'mqctl.tune-os.check/1'

export interface CheckResult {
  readonly id: string
  readonly category: Category
  readonly title: string
  readonly status: Finding['status']
  readonly severity: Severity
  readonly actual: Actual | null
  readonly expected: { readonly text: string }
  readonly evidence: readonly Evidence[]
  readonly persisted: PersistedValue | null
  readonly reason: Reason | null
  readonly text: string
  readonly why: string
  readonly refs: readonly string[]
  readonly remediation: Remediation | null
  readonly waiver: AppliedWaiver | null
}

export interface PersistedValue {
  readonly key: string
  /** After a boot; null when it depends on the machine. */
  readonly value: string | null
  /** Null when no file sets it. */
  readonly file: string | null
  readonly line: number | null
  /** Lines that a later one overrides or that are not read. */
  readonly shadowed: readonly {
    readonly value: string
    readonly file: string
    readonly line: number
    readonly why: string
  }[]
  /** Whether the live value is the one after a boot. */
  readonly same: boolean
}

export interface Remediation {
  readonly summary: string
  readonly scope: Check['scope']
  readonly risk: 'low' | 'medium' | 'high'
  readonly needs: readonly string[]
  readonly runtime: readonly string[]
  readonly persist: readonly { readonly path: string; readonly line: string }[]
  readonly restart: boolean
  readonly reboot: boolean
  /** Whether `tune-os apply` does it. */
  readonly auto: boolean
}

export interface AppliedWaiver {
  readonly justification: string
  readonly expires: string
  readonly expired: boolean
}

export interface Report {
  readonly schema: typeof REPORT_SCHEMA
  readonly tool: { readonly name: 'mqctl'; readonly version: string }
  readonly startedAt: string
  readonly durationMs: number
  readonly profile: Profile
  readonly host: {
    readonly kernel: string | null
    readonly arch: string
    readonly container: string
    readonly cgroup: 1 | 2 | null
    readonly uid: number
    readonly privileged: boolean
    readonly targetPid: number | null
  }
  readonly policy: {
    readonly failOn: FailOn
    readonly strict: boolean
    readonly waivers: string | null
  }
  readonly summary: Summary
  readonly results: readonly CheckResult[]
}

export interface Summary {
  readonly total: number
  readonly pass: number
  readonly fail: number
  readonly skip: number
  readonly error: number
  readonly waived: number
  readonly failBySeverity: Readonly<Record<Severity, number>>
  readonly verdict: 'pass' | 'fail' | 'unknown'
  readonly exitCode: number
}

export type FailOn = Severity | 'never'

export interface JudgeOptions {
  readonly profile: Profile
  readonly version: string
  readonly failOn?: FailOn
  readonly strict?: boolean
  /** Ids that are judged; absent means all of the profile. */
  readonly only?: ReadonlySet<string>
  readonly skip?: ReadonlySet<string>
  readonly waivers?: { readonly file: string; readonly list: readonly Waiver[] }
  readonly nowMs: number
  readonly startedMs?: number
}

/** Pure: the same facts and options give the same report. */
export function judge(facts: HostFacts, options: JudgeOptions): Report {
  const { profile, failOn = 'critical', strict = false } = options
  const waivers = new Map(options.waivers?.list.map((waiver) => [waiver.id, waiver]))
  const results = checksOf(options).map(({ check, severity }) =>
    resultOf(check, severity, facts, profile, waivers.get(check.id) ?? null, options.nowMs),
  )
  const { platform, container, group, target } = facts
  return {
    schema: REPORT_SCHEMA,
    tool: { name: 'mqctl', version: options.version },
    startedAt: new Date(options.startedMs ?? options.nowMs).toISOString(),
    durationMs: Math.round(options.nowMs - (options.startedMs ?? options.nowMs)),
    profile,
    host: {
      kernel: platform.kernel.text,
      arch: platform.arch,
      container: container.kind,
      cgroup: group.version,
      uid: platform.uid,
      privileged: platform.privileged,
      targetPid: target.pid,
    },
    policy: { failOn, strict, waivers: options.waivers?.file ?? null },
    summary: summaryOf(results, failOn, strict),
    results,
  }
}

/** Checks of the profile in order, with their severity there. */
export function checksOf(
  options: Pick<JudgeOptions, 'profile' | 'only' | 'skip'>,
): { check: Check; severity: Severity }[] {
  const { only, skip, profile } = options
  return registry.flatMap((check) => {
    if (only !== undefined && !only.has(check.id)) return []
    if (skip?.has(check.id) === true) return []
    // What was asked for by name is judged, also when the profile does not run it.
    const severity = severityIn(check, profile) ?? (only === undefined ? null : 'info')
    return severity === null ? [] : [{ check, severity }]
  })
}

function resultOf(
  check: Check,
  usual: Severity,
  facts: HostFacts,
  profile: Profile,
  waiver: Waiver | null,
  nowMs: number,
): CheckResult {
  const finding = inContainer(check, usual, facts, judged(check, facts, profile))
  const { why, refs } = explanationOf(check.id)
  const { status, actual, expected, evidence, reason, text } = finding
  return {
    id: check.id,
    category: check.category,
    title: check.title,
    status,
    severity: weightOf(finding, usual, profile),
    actual,
    expected: { text: expected },
    evidence,
    persisted: persistedOf(check, facts),
    reason,
    text,
    why,
    refs,
    remediation: status === 'fail' ? remediationOf(check, finding, facts) : null,
    waiver:
      waiver === null
        ? null
        : {
            justification: waiver.justification,
            expires: waiver.expires,
            expired: isExpired(waiver, nowMs),
          },
  }
}

/** On a development machine only what keeps a broker from starting is more than information. */
function weightOf(finding: Finding, usual: Severity, profile: Profile): Severity {
  const said = finding.severity ?? usual
  if (profile !== 'dev') return said
  return said === 'critical' ? usual : 'info'
}

function judged(check: Check, facts: HostFacts, profile: Profile): Finding {
  try {
    return check.judge(facts, profile)
  } catch (error) {
    return {
      status: 'error',
      actual: null,
      expected: '',
      evidence: [],
      reason: 'bug',
      text: `the check itself failed: ${messageOf(error)}`,
      remedy: null,
    }
  }
}

/**
 * A container sees the host's value and cannot set it. What keeps a broker from working stays a
 * failure; the rest is the business of whoever owns the host.
 */
function inContainer(
  check: Check,
  severity: Severity,
  facts: HostFacts,
  finding: Finding,
): Finding {
  if (facts.container.kind === 'none' || check.scope !== 'host') return finding
  if (finding.status !== 'fail' || severity === 'critical') return finding
  const value = finding.actual?.raw ?? 'the value'
  return {
    ...finding,
    status: 'skip',
    reason: 'not-namespaced',
    text: `${value} belongs to the host and cannot be set here: judge the host`,
    remedy: null,
  }
}

function persistedOf(check: Check, facts: HostFacts): PersistedValue | null {
  if (facts.container.kind !== 'none') return null
  const keys = check.keys ?? []
  // Of bytes and ratio the one that is set; of several keys the first that will change.
  const alive = keys.filter((key) => (facts.sysctl[key]?.text ?? null) !== null)
  const key =
    alive.find((one) => driftOf(facts, one) !== null) ??
    alive.find((one) => facts.sysctl[one]?.text !== '0') ??
    alive[0]
  if (key === undefined) return null
  const { value, winner } = bootOf(facts, key)
  return {
    key,
    value,
    file: winner?.file ?? null,
    line: winner?.line ?? null,
    shadowed: definitionsOf(facts, key)
      .filter((definition) => definition !== winner)
      .map((definition) => ({
        value: definition.value,
        file: definition.file,
        line: definition.line,
        why: definition.ignored ?? `overridden by ${winner?.file ?? 'a later line'}`,
      })),
    same: driftOf(facts, key) === null,
  }
}

function remediationOf(check: Check, finding: Finding, facts: HostFacts): Remediation | null {
  const { remedy } = finding
  if (remedy === null) return null
  const changes: readonly Change[] = remedy.changes ?? []
  const unit = facts.unit?.name ?? null
  return {
    summary: remedy.summary,
    scope: check.scope,
    risk: remedy.risk ?? 'low',
    needs: changes.length > 0 || check.scope === 'host' ? ['root'] : [],
    runtime: [
      ...(remedy.runtime ?? []),
      ...changes.map((change) => changeCommand(change)).filter((line) => line !== null),
    ],
    persist: changes.map((change) => changeFile(change, unit)),
    restart: remedy.restart ?? false,
    reboot: remedy.reboot ?? false,
    auto: changes.some((change) => change.kind !== 'unit' || unit !== null),
  }
}

function summaryOf(results: readonly CheckResult[], failOn: FailOn, strict: boolean): Summary {
  const count = (status: Finding['status']) =>
    results.filter((result) => result.status === status).length
  const fails = results.filter((result) => result.status === 'fail')
  const isWaived = ({ waiver }: CheckResult) => waiver !== null && !waiver.expired
  const counting = fails.filter((result) => !isWaived(result))
  const bad =
    failOn === 'never' ? [] : counting.filter(({ severity }) => isAtLeast(severity, failOn))
  const unjudged =
    strict && results.some(({ status, reason }) => status === 'error' || reason === 'needs-root')
  const bySeverity = (severity: Severity) =>
    counting.filter((result) => result.severity === severity).length
  const exitCode = unjudged ? ExitCode.unreachable : bad.length > 0 ? ExitCode.failed : ExitCode.ok
  return {
    total: results.length,
    pass: count('pass'),
    fail: fails.length,
    skip: count('skip'),
    error: count('error'),
    waived: fails.filter(isWaived).length,
    failBySeverity: {
      critical: bySeverity('critical'),
      warning: bySeverity('warning'),
      info: bySeverity('info'),
    },
    verdict: unjudged ? 'unknown' : bad.length > 0 ? 'fail' : 'pass',
    exitCode,
  }
}
