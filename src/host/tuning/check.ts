/**
 * What a check is: a stable id, how much it weighs in each profile, and a pure function from facts
 * to a finding. A finding carries its evidence, and the changes that would cure it.
 */
import type { HostFacts, Reading } from './facts.ts'

export const profiles = ['jvm-broker', 'node-broker', 'loadgen', 'dev'] as const
export type Profile = (typeof profiles)[number]

export const severities = ['info', 'warning', 'critical'] as const
export type Severity = (typeof severities)[number]

export type Category =
  | 'platform'
  | 'memory'
  | 'limits'
  | 'disk'
  | 'network'
  | 'cpu'
  | 'time'
  | 'jvm'
  | 'node'
  | 'broker'
  | 'persistence'

/** Why there is no verdict. */
export type Reason =
  | 'not-applicable'
  | 'needs-root'
  | 'not-namespaced'
  | 'absent'
  | 'gone'
  | 'needs-probe'
  | 'unknown'
  | 'malformed'
  | 'bug'

export interface Actual {
  readonly value: number | string | boolean | null
  readonly unit: string | null
  /** As it was read, or for people. */
  readonly raw: string
}

export interface Evidence {
  readonly source: string
  readonly value: string
}

/** One setting and the value it should have: every rendering and `apply` work from this. */
export type Change =
  | { readonly kind: 'sysctl'; readonly key: string; readonly value: string }
  | { readonly kind: 'thp'; readonly value: string }
  | { readonly kind: 'unit'; readonly setting: UnitLimit; readonly value: string }
  | {
      readonly kind: 'disk'
      readonly disk: string
      readonly attribute: 'scheduler' | 'read_ahead_kb'
      readonly value: string
    }

export type UnitLimit = 'LimitNOFILE' | 'LimitNPROC' | 'LimitMEMLOCK'

export interface Remedy {
  readonly summary: string
  /** What must start again before it counts. */
  readonly restart?: boolean
  readonly reboot?: boolean
  readonly risk?: 'low' | 'medium' | 'high'
  /** Commands that cure it now, for people. */
  readonly runtime?: readonly string[]
  readonly changes?: readonly Change[]
}

export interface Finding {
  readonly status: 'pass' | 'fail' | 'skip' | 'error'
  /** When this finding weighs other than its check usually does. */
  readonly severity?: Severity
  readonly actual: Actual | null
  readonly expected: string
  readonly evidence: readonly Evidence[]
  readonly reason: Reason | null
  /** One sentence; empty when value and expectation say it all. */
  readonly text: string
  readonly remedy: Remedy | null
}

export interface Check {
  readonly id: string
  readonly category: Category
  readonly title: string
  /** Weight in jvm-broker/node-broker/loadgen: C critical, W warning, I info, - not run. */
  readonly weight: `${Weight}/${Weight}/${Weight}`
  /**
   * Where a cure has to be applied. `host`: the value belongs to the kernel as a whole, so a
   * container can see it and not set it.
   */
  readonly scope: 'host' | 'namespace' | 'unit' | 'jvm' | 'process' | 'broker'
  /** A fault that keeps a broker from starting: critical also in profile `dev`. */
  readonly cannotStart?: boolean
  /** Sysctl keys that it judges, for what survives a reboot. */
  readonly keys?: readonly string[]
  judge(facts: HostFacts, profile: Profile): Finding
}

type Weight = 'C' | 'W' | 'I' | '-'

const severityOf: Readonly<Record<Weight, Severity | null>> = {
  C: 'critical',
  W: 'warning',
  I: 'info',
  '-': null,
}

/** Null when the profile does not run the check. */
export function severityIn(check: Check, profile: Profile): Severity | null {
  const weights = check.weight.split('/') as Weight[]
  if (profile === 'dev') {
    if (check.cannotStart === true) return 'critical'
    return weights.every((weight) => weight === '-') ? null : 'info'
  }
  return severityOf[weights[profiles.indexOf(profile)] ?? '-']
}

export function isAtLeast(severity: Severity, floor: Severity): boolean {
  return severities.indexOf(severity) >= severities.indexOf(floor)
}

export function measured(value: Actual['value'], unit: string | null = null, raw?: string): Actual {
  return { value, unit, raw: raw ?? (unit === null ? String(value) : `${value} ${unit}`) }
}

export interface Basis {
  readonly actual: Actual | null
  readonly expected: string
  readonly evidence?: readonly Evidence[]
  readonly text?: string
}

export function pass(basis: Basis): Finding {
  return { status: 'pass', reason: null, remedy: null, ...filled(basis) }
}

export function fail(basis: Basis & { remedy: Remedy; severity?: Severity }): Finding {
  return { status: 'fail', reason: null, ...filled(basis) }
}

export function verdict(
  ok: boolean,
  basis: Basis & { remedy: Remedy; severity?: Severity },
): Finding {
  if (!ok) return fail(basis)
  const { actual, expected, evidence = [], text = '' } = basis
  return pass({ actual, expected, evidence, text })
}

function filled<B extends Basis>(basis: B) {
  return { ...basis, evidence: basis.evidence ?? [], text: basis.text ?? '' }
}

export function skip(reason: Reason, text: string, basis: Partial<Basis> = {}): Finding {
  return {
    status: 'skip',
    actual: basis.actual ?? null,
    expected: basis.expected ?? '',
    evidence: basis.evidence ?? [],
    reason,
    text,
    remedy: null,
  }
}

/** Nothing to read: a skip that says why, never a failure. */
export function unread(reading: Reading): Finding {
  switch (reading.missing) {
    case 'denied':
      return skip('needs-root', `${reading.source} may not be read by this user`)
    case 'gone':
      return skip('gone', `${reading.source} vanished while it was read`)
    case 'absent':
    case 'failed':
    case null:
      return skip('absent', `${reading.source} is not there`)
  }
}

function malformed(reading: Reading): Finding {
  return {
    status: 'error',
    actual: measured(reading.text, null, quoted(reading.text ?? '')),
    expected: 'a number',
    evidence: [evidenceOf(reading)],
    reason: 'malformed',
    text: `${reading.source} says ${quoted(reading.text ?? '')}, which is not a number`,
    remedy: null,
  }
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
}

export function evidenceOf(reading: Reading): Evidence {
  return { source: reading.source, value: reading.text ?? '' }
}

/** A whole number in a reading, or the finding that there is none. */
export function numberOf(reading: Reading | undefined): number | Finding {
  if (reading === undefined) return skip('absent', 'not in these facts')
  if (reading.text === null) return unread(reading)
  return /^-?\d+$/.test(reading.text) ? Number(reading.text) : malformed(reading)
}

export function sysctlOf(facts: HostFacts, key: string): Reading {
  return facts.sysctl[key] ?? { source: key, text: null, missing: 'absent' }
}

interface SysctlRule {
  readonly id: string
  readonly category: Category
  readonly title: string
  readonly weight: Check['weight']
  readonly scope: 'host' | 'namespace'
  readonly key: string
  readonly expected: string
  /** Null when the rule does not apply here, with the reason as the text of a skip. */
  readonly applies?: (facts: HostFacts) => string | null
  judge(
    value: number,
    facts: HostFacts,
    profile: Profile,
  ): { ok: boolean; want: string; text?: string; summary: string; severity?: Severity }
}

/** A check of one numeric sysctl. */
export function sysctlCheck(rule: SysctlRule): Check {
  const { id, category, title, weight, scope, key, expected } = rule
  return {
    id,
    category,
    title,
    weight,
    scope,
    keys: [key],
    judge(facts, profile) {
      const reading = sysctlOf(facts, key)
      const not = rule.applies?.(facts) ?? null
      if (not !== null) return skip('not-applicable', not)
      const value = numberOf(reading)
      if (typeof value !== 'number') return value
      const { ok, want, text = '', summary, severity } = rule.judge(value, facts, profile)
      return verdict(ok, {
        actual: measured(value),
        expected,
        evidence: [evidenceOf(reading)],
        text,
        ...(severity === undefined ? {} : { severity }),
        remedy: { summary, changes: [{ kind: 'sysctl', key, value: want }] },
      })
    },
  }
}
