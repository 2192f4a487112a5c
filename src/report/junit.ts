/**
 * The verdict as JUnit XML, which CI systems show beside unit tests: one case for the run's
 * validity, one for its integrity, one for each threshold. A case that could not be judged is an
 * error, one that said no a failure.
 */
import type { GateResult } from '../bench/gate-result.ts'
import type { BenchResult } from '../bench/result.ts'

interface Case {
  readonly name: string
  readonly failure: string | null
  readonly isError: boolean
}

/** XML with a final newline. */
export function junitReport(result: BenchResult): string {
  return suiteXml(`mqctl bench ${result.scenario.name}`, casesOf(result), result)
}

/** The same of a gate: a case for each metric that decides. What cannot be told is an error, never a pass. */
export function gateJunitReport(result: GateResult): string {
  const { verdict, reasons, metrics, thresholds, scenario } = result
  const ended = verdict === 'interrupted' || verdict === 'stopped' || verdict === 'unqualified'
  const cases: Case[] = [
    { name: 'the gate could judge', failure: ended ? reasons.join('; ') : null, isError: true },
    ...metrics
      .filter(({ primary }) => primary)
      .map(({ metric, why, change, verdict: of }) => ({
        name: `${metric} is no worse`,
        failure:
          of === 'ok' || of === 'improved'
            ? null
            : `${of}: ${change < 0 ? '' : '+'}${(change * 100).toFixed(1)} %, ${why}`,
        // A regression that did not come again is none.
        isError: of === 'inconclusive' || verdict === 'inconclusive',
      })),
    ...thresholds.map((one) => ({
      name: `${one.threshold} holds as often`,
      failure: one.verdict === 'ok' ? null : one.why,
      isError: one.verdict === 'inconclusive' || verdict === 'inconclusive',
    })),
  ]
  return suiteXml(`mqctl bench gate ${scenario.name}`, cases, result)
}

function suiteXml(
  title: string,
  cases: readonly Case[],
  result: { readonly startedAt: string; readonly endedAt: string },
): string {
  const failures = cases.filter((one) => one.failure !== null && !one.isError).length
  const errors = cases.filter((one) => one.failure !== null && one.isError).length
  const seconds = (Date.parse(result.endedAt) - Date.parse(result.startedAt)) / 1000
  const suite = escaped(title)
  const counts = `tests="${cases.length}" failures="${failures}" errors="${errors}"`
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="mqctl bench" ${counts}>`,
    `  <testsuite name="${suite}" ${counts} time="${seconds.toFixed(3)}" timestamp="${escaped(result.startedAt)}">`,
    ...cases.map((one) => caseXml(one, suite)),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n')
}

function casesOf(result: BenchResult): Case[] {
  const invalid = result.validity.filter(({ ok, severity }) => !ok && severity === 'error')
  const ended =
    result.verdict === 'unreachable' || result.verdict === 'interrupted'
      ? result.reasons.join('; ')
      : null
  return [
    { name: 'the run went to its end', failure: ended, isError: true },
    {
      name: 'the run is valid',
      failure: invalid.length === 0 ? null : invalid.map(({ text }) => text).join('; '),
      isError: true,
    },
    {
      name: 'every acknowledged message is accounted for',
      failure:
        result.integrity.violations.length === 0 ? null : result.integrity.violations.join('; '),
      isError: false,
    },
    ...result.thresholds.map(({ expression, phase, repetition, actual, unit, pass, why }) => ({
      name: `${expression}${phase === null ? '' : ` (${phase}${repetition > 1 ? ` #${repetition}` : ''})`}`,
      failure: pass
        ? null
        : `was ${actual === null ? 'not measured' : `${actual} ${unit}`}${why === null ? '' : `: ${why}`}`,
      isError: false,
    })),
  ]
}

function caseXml({ name, failure, isError }: Case, suite: string): string {
  const open = `    <testcase classname="${suite}" name="${escaped(name)}"`
  if (failure === null) return `${open}/>`
  const kind = isError ? 'error' : 'failure'
  return `${open}><${kind} message="${escaped(failure)}"/></testcase>`
}

/** Text for an attribute: no markup, and none of the control characters that XML 1.0 forbids. */
function escaped(text: string): string {
  const names: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    '\n': '&#10;',
  }
  return [...text]
    .filter((letter) => letter >= ' ' || letter === '\n' || letter === '\t')
    .map((letter) => names[letter] ?? letter)
    .join('')
}
