/**
 * What GitHub Actions shows: annotations, which are lines that its runner takes for commands. Text
 * is escaped as its toolkit does, so that no name of a topic or reason becomes a command.
 */
import type { BenchResult } from '../bench/result.ts'
import type { GateResult } from '../bench/gate-result.ts'

/** One line each; none for a run that is good and has no warnings. */
export function runAnnotations(result: BenchResult): string[] {
  const title = `mqctl bench ${result.scenario.name}: ${result.verdict}`
  const errors = result.reasons.map((reason) => annotation('error', title, reason))
  const checks = result.validity
    .filter(({ ok, severity }) => !ok && severity === 'warning')
    .map(({ text }) => annotation('warning', `mqctl bench ${result.scenario.name}`, text))
  return result.verdict === 'ok' ? checks : [...errors, ...checks]
}

/** One line each; an inconclusive gate is a warning, never silence. */
export function gateAnnotations(result: GateResult): string[] {
  const { verdict, scenario, reasons } = result
  if (verdict === 'ok' || verdict === 'improved') return []
  const title = `mqctl bench gate ${scenario.name}: ${verdict}`
  const level = verdict === 'inconclusive' ? 'warning' : 'error'
  const texts = reasons.length === 0 ? [verdict] : reasons
  return texts.map((text) => annotation(level, title, text))
}

function annotation(level: 'error' | 'warning', title: string, text: string): string {
  return `::${level} title=${property(title)}::${data(text)}`
}

function data(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
}

function property(text: string): string {
  return data(text).replaceAll(':', '%3A').replaceAll(',', '%2C')
}
