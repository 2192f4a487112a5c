/** A report for people, and as JUnit XML. Pure. */
import { isAtLeast, type Severity } from './check.ts'
import type { CheckResult, Report } from './report.ts'

type Paint = (text: string) => string

/** Colours; chalk has them. */
export interface Paints {
  readonly bold: Paint
  readonly dim: Paint
  readonly red: Paint
  readonly yellow: Paint
  readonly green: Paint
  readonly cyan: Paint
}

const fixesShown = 3

export function reportText(report: Report, paint: Paints, verbose: boolean): string {
  const lines: string[] = []
  const width = Math.max(...report.results.map(({ id }) => id.length), 0)
  let category = ''
  for (const [index, result] of report.results.entries()) {
    const before = report.results[index - 1]
    if (result.category !== category) {
      category = result.category
      lines.push('', paint.bold(category))
    } else if (!verbose && before !== undefined && isSameSkip(result, before)) {
      continue
    }
    const more = verbose ? 0 : sameSkipsAfter(report.results, index)
    const also = more > 0 ? paint.dim(` (and ${more} more)`) : ''
    const [first = '', ...rest] = resultLines(result, width, paint, verbose)
    lines.push(first + also, ...rest)
  }
  lines.push('', ...summaryLines(report, paint))
  return lines.join('\n').trimStart()
}

/** Thirteen checks that skip for one reason are one line. */
function isSameSkip(one: CheckResult, other: CheckResult): boolean {
  return one.status === 'skip' && other.status === 'skip' && one.text === other.text
}

function sameSkipsAfter(results: readonly CheckResult[], index: number): number {
  const result = results[index]
  let count = 0
  if (result === undefined) return count
  for (const other of results.slice(index + 1)) {
    if (!isSameSkip(other, result) || other.category !== result.category) break
    count += 1
  }
  return count
}

function resultLines(
  result: CheckResult,
  width: number,
  paint: Paints,
  verbose: boolean,
): string[] {
  const { id, status, actual, expected, text } = result
  const head = `${label(result, paint)}  ${id.padEnd(width)}  `
  const shown = actual === null ? '' : actual.raw
  switch (status) {
    case 'pass': {
      const note = text !== '' && verbose ? paint.dim(`  ${text}`) : ''
      return [`${head}${shown}${lost(result)}${note}`.trimEnd()]
    }
    case 'skip':
      return [`${head}${paint.dim(`${result.reason ?? ''}: ${text}`)}`]
    case 'error':
      return [`${head}${text}`]
    case 'fail': {
      const lines = [`${head}${shown} → ${expected.text}${lost(result)}`]
      const indent = ' '.repeat(6)
      if (text !== '') lines.push(`${indent}${text}`)
      for (const { source, value } of result.evidence.slice(0, verbose ? 20 : 4)) {
        lines.push(paint.dim(`${indent}${source}: ${value.replace(/\s+/g, ' ')}`))
      }
      if (result.remediation !== null) {
        lines.push(`${indent}${paint.cyan('fix')} ${result.remediation.summary}`)
      }
      const { waiver } = result
      if (waiver !== null) {
        const word = waiver.expired ? paint.red('waiver expired') : 'waived until'
        lines.push(`${indent}${word} ${waiver.expires}: ${waiver.justification}`)
      }
      return lines
    }
  }
}

function lost({ persisted, status }: CheckResult): string {
  if (persisted === null || persisted.same || persisted.value === null) return ''
  const where = persisted.file === null ? 'kernel default' : `${persisted.file}:${persisted.line}`
  return `  (${status === 'pass' ? 'lost at reboot' : 'at boot'}: ${persisted.value}, ${where})`
}

function label(result: CheckResult, paint: Paints): string {
  switch (result.status) {
    case 'pass':
      return paint.green('PASS')
    case 'skip':
      return paint.dim('SKIP')
    case 'error':
      return paint.red('ERR ')
    case 'fail': {
      if (result.waiver !== null && !result.waiver.expired) return paint.dim('WAIV')
      const paints: Readonly<Record<Severity, Paint>> = {
        critical: paint.red,
        warning: paint.yellow,
        info: paint.cyan,
      }
      const words: Readonly<Record<Severity, string>> = {
        critical: 'FAIL',
        warning: 'WARN',
        info: 'INFO',
      }
      return paints[result.severity](words[result.severity])
    }
  }
}

function summaryLines({ summary, results, profile, policy }: Report, paint: Paints): string[] {
  const { failBySeverity: by } = summary
  const parts = [
    `${summary.fail} failed (${by.critical} critical, ${by.warning} warning, ${by.info} info)`,
    `${summary.pass} passed`,
    skipText(results),
    ...(summary.error > 0 ? [`${summary.error} could not be judged`] : []),
    ...(summary.waived > 0 ? [`${summary.waived} waived`] : []),
  ]
  const lines = [paint.bold(parts.join(', '))]
  const fixes = results
    .filter(({ status, waiver }) => status === 'fail' && (waiver === null || waiver.expired))
    .sort((a, b) => rank(b.severity) - rank(a.severity))
    .slice(0, fixesShown)
    .filter(({ severity }) => isAtLeast(severity, 'warning'))
  if (fixes.length > 0) {
    lines.push('', 'first')
    for (const { id, remediation } of fixes) lines.push(`  ${id}: ${remediation?.summary ?? ''}`)
    lines.push(
      paint.dim('mqctl tune-os explain ID says why, mqctl tune-os plan shows what would change'),
    )
  }
  const floor = policy.failOn === 'never' ? 'nothing fails it' : `fails on ${policy.failOn}`
  const words = {
    pass: paint.green('pass'),
    fail: paint.red('fail'),
    unknown: paint.yellow('unknown'),
  }
  lines.push(
    '',
    `${words[summary.verdict]}  profile ${profile}, ${floor}, exit ${summary.exitCode}`,
  )
  return lines
}

function rank(severity: Severity): number {
  return ['info', 'warning', 'critical'].indexOf(severity)
}

function skipText(results: readonly CheckResult[]): string {
  const skips = results.filter(({ status }) => status === 'skip')
  const root = skips.filter(({ reason }) => reason === 'needs-root').length
  const host = skips.filter(({ reason }) => reason === 'not-namespaced').length
  const whys = [
    ...(root > 0 ? [`${root} need root`] : []),
    ...(host > 0 ? [`${host} host-only`] : []),
  ]
  return `${skips.length} skipped${whys.length > 0 ? ` (${whys.join(', ')})` : ''}`
}

/** JUnit XML: a category is a suite; what a policy does not fail on is a passed case with a note. */
export function junitText(report: Report): string {
  const categories = [...new Set(report.results.map(({ category }) => category))]
  const suites = categories.map((category) => {
    const results = report.results.filter((result) => result.category === category)
    const cases = results.map((result) => junitCase(result, report))
    const count = (word: string) => cases.filter((text) => text.includes(`<${word}`)).length
    return [
      `  <testsuite name="${xml(category)}" tests="${cases.length}" failures="${count('failure')}" errors="${count('error')}" skipped="${count('skipped')}" time="0">`,
      ...cases,
      '  </testsuite>',
    ].join('\n')
  })
  const { summary } = report
  const all = suites.join('\n')
  const failures = [...all.matchAll(/<failure /g)].length
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="mqctl tune-os ${xml(report.profile)}" tests="${summary.total}" failures="${failures}" errors="${summary.error}" skipped="${summary.skip}" time="${(report.durationMs / 1_000).toFixed(3)}">`,
    all,
    '</testsuites>',
  ].join('\n')
}

function junitCase(result: CheckResult, { policy }: Report): string {
  const { id, category, status, severity, actual, expected, text, waiver, remediation } = result
  const open = `    <testcase classname="tune-os.${xml(category)}" name="${xml(id)}" time="0"`
  const value = `${actual?.raw ?? ''} → ${expected.text}`
  if (status === 'skip')
    return `${open}><skipped message="${xml(`${result.reason}: ${text}`)}"/></testcase>`
  if (status === 'error') return `${open}><error message="${xml(text)}"/></testcase>`
  if (status === 'pass') return `${open}/>`
  const counts =
    (waiver === null || waiver.expired) &&
    policy.failOn !== 'never' &&
    isAtLeast(severity, policy.failOn)
  const detail = [text, remediation === null ? '' : `fix: ${remediation.summary}`]
    .filter((line) => line !== '')
    .join('\n')
  return counts
    ? `${open}><failure type="${severity}" message="${xml(value)}">${xml(detail)}</failure></testcase>`
    : `${open}><system-out>${xml(`${severity}: ${value}\n${detail}`)}</system-out></testcase>`
}

function xml(text: string): string {
  return text
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, '')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
