import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { renderTable } from '../../src/cli/table.ts'
import { type DeadLetterCount, countDeadLetters } from '../../src/client/dead-letters.ts'

export default class DlqList extends BrokerCommand<{ groups: DeadLetterCount[] }> {
  static override summary = 'Consumer groups that have dead letters.'
  static override examples = ['<%= config.bin %> dlq list', '<%= config.bin %> dlq list --json']

  async run(): Promise<{ groups: DeadLetterCount[] }> {
    const { flags } = await this.parse(DlqList)
    const groups = await this.connect(flags, countDeadLetters)
    if (groups.length === 0) this.remark('no dead letters')
    return this.show(
      { groups },
      {
        rows: () => groups,
        text: (_, terminal) =>
          groups.length === 0
            ? ''
            : renderTable(
                terminal,
                [{ head: 'GROUP' }, { head: 'MESSAGES', align: 'right' }, { head: 'TOPIC' }],
                groups.map((row) => [row.group, row.messages, row.topic]),
              ),
      },
    )
  }
}
