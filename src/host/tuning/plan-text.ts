/** A plan for people: the diff of every file, then what is set now. */
import { diffOf } from './plan-result.ts'
import type { PlanResult } from './plan-result.ts'

interface Paints {
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
  readonly red: (text: string) => string
  readonly green: (text: string) => string
  readonly yellow: (text: string) => string
}

export function planText(plan: PlanResult, paint: Paints): string {
  const lines: string[] = []
  for (const file of plan.files) {
    for (const line of diffOf(file).split('\n')) {
      lines.push(
        line.startsWith('+') ? paint.green(line) : line.startsWith('-') ? paint.red(line) : line,
      )
    }
    lines.push('')
  }
  if (plan.commands.length > 0)
    lines.push(paint.bold('now'), ...plan.commands.map((line) => `  ${line}`), '')
  if (plan.afterwards.length > 0) {
    lines.push(paint.bold('afterwards'), ...plan.afterwards.map((line) => `  ${line}`), '')
  }
  if (plan.obstacles.length > 0) {
    lines.push(paint.bold('in the way'))
    for (const { what, hint } of plan.obstacles)
      lines.push(`  ${paint.yellow(what)}`, `    ${hint}`)
    lines.push('')
  }
  if (plan.manual.length > 0) {
    lines.push(paint.bold('by hand'))
    for (const { id, summary } of plan.manual) lines.push(paint.dim(`  ${id}: ${summary}`))
    lines.push('')
  }
  if (plan.files.length === 0 && plan.commands.length === 0) lines.push('nothing to change')
  return lines.join('\n').trimEnd()
}
