/** A plan as the result of a command. */
import { changeCommand } from './change-text.ts'
import { unifiedDiff } from './diff.ts'
import { isEmpty, type Obstacle, type Plan, type PlannedFile } from './plan.ts'

export interface PlanResult {
  readonly pending: boolean
  readonly changes: readonly {
    readonly id: string
    readonly why: string
    readonly setting: string
    readonly value: string
  }[]
  readonly files: readonly PlannedFile[]
  readonly values: Plan['values']
  /** What takes effect at once. */
  readonly commands: readonly string[]
  readonly diff: string
  readonly afterwards: readonly string[]
  readonly obstacles: readonly Obstacle[]
  readonly manual: Plan['manual']
}

export function planResult(plan: Plan): PlanResult {
  const { changes, files, values, obstacles, manual, afterwards } = plan
  return {
    pending: !isEmpty(plan),
    changes: changes.map(({ id, why, change }) => ({
      id,
      why,
      setting:
        change.kind === 'sysctl'
          ? change.key
          : change.kind === 'unit'
            ? change.setting
            : change.kind === 'disk'
              ? `${change.disk} ${change.attribute}`
              : 'transparent_hugepage',
      value: change.value,
    })),
    files,
    values,
    commands: changes
      .filter(({ live }) => live)
      .map(({ change }) => changeCommand(change))
      .filter((line) => line !== null),
    diff: files.map(diffOf).join('\n'),
    afterwards,
    obstacles,
    manual,
  }
}

export function diffOf({ path, before, after }: PlannedFile): string {
  return unifiedDiff(path, before, after)
}
