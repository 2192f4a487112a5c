import { Flags } from '@oclif/core'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { globMatcher } from '../../src/cli/glob.ts'
import { renderTable } from '../../src/cli/table.ts'
import type { GroupSummary } from '../../src/client/group-admin.ts'

export default class GroupList extends BrokerCommand<{ groups: GroupSummary[] }> {
  static override summary = 'Consumer groups, and who is connected.'
  static override flags = {
    match: Flags.string({ summary: 'Only names like this; * and ? stand for any.' }),
    system: Flags.boolean({ summary: 'Also RocketMQ’s own groups.' }),
  }
  static override examples = [
    '<%= config.bin %> group list',
    "<%= config.bin %> group list --match 'audit*' --json",
  ]

  async run(): Promise<{ groups: GroupSummary[] }> {
    const { flags } = await this.parse(GroupList)
    const matches = globMatcher(flags.match ?? '*')
    const all = await this.connect(flags, (admin) => admin.groups.list(flags.system))
    const groups = all.filter(({ name }) => matches(name))
    if (groups.length === 0) this.remark('no consumer groups')
    return this.show(
      { groups },
      {
        rows: () => groups,
        text: (_, terminal) =>
          groups.length === 0
            ? ''
            : renderTable(
                terminal,
                [
                  { head: 'GROUP' },
                  { head: 'MEMBERS', align: 'right' },
                  { head: 'MODEL' },
                  { head: 'TOPICS' },
                ],
                groups.map((group) => [
                  group.name,
                  group.members,
                  group.model,
                  group.topics.length === 0 ? null : group.topics.join(', '),
                ]),
              ),
      },
    )
  }
}
