import { MqctlCommand } from '../../src/cli/command.ts'
import { renderTable } from '../../src/cli/table.ts'
import { registry } from '../../src/host/tuning/registry.ts'
import { profiles, severityIn, type Severity } from '../../src/host/tuning/check.ts'

interface Row {
  readonly id: string
  readonly category: string
  readonly title: string
  /** Null where the profile does not run it. */
  readonly severity: Readonly<Record<string, Severity | null>>
}

export default class TuneOsList extends MqctlCommand<{ checks: Row[] }> {
  static override summary = 'All checks, and how much each weighs in each profile.'
  static override examples = [
    '<%= config.bin %> tune-os list',
    '<%= config.bin %> tune-os list -o name',
  ]

  async run(): Promise<{ checks: Row[] }> {
    await this.parse(TuneOsList)
    const checks = registry.map((check) => ({
      id: check.id,
      category: check.category,
      title: check.title,
      severity: Object.fromEntries(
        profiles.map((profile) => [profile, severityIn(check, profile)]),
      ),
    }))
    return this.show(
      { checks },
      {
        rows: () => checks,
        text: (_, terminal) =>
          renderTable(
            terminal,
            ['ID', ...profiles.map((profile) => profile.toUpperCase()), 'WHAT'].map((head) => ({
              head,
            })),
            checks.map(({ id, severity, title }) => [
              id,
              ...profiles.map((profile) => severity[profile] ?? null),
              title,
            ]),
          ),
      },
    )
  }
}
