import { Flags } from '@oclif/core'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { globMatcher } from '../../src/cli/glob.ts'
import { renderTable } from '../../src/cli/table.ts'
import type { TopicSummary } from '../../src/client/topic-admin.ts'

const ownTypes: readonly string[] = ['RETRY', 'DLQ', 'SYSTEM']

export default class TopicList extends BrokerCommand<{ topics: TopicSummary[] }> {
  static override summary = 'Topics, by name.'
  static override flags = {
    match: Flags.string({ summary: 'Only names like this; * and ? stand for any.' }),
    type: Flags.string({ summary: 'Only topics of this type.', helpValue: 'NORMAL|FIFO|…' }),
    system: Flags.boolean({ summary: 'Also retry, dead-letter and system topics.' }),
  }
  static override examples = [
    '<%= config.bin %> topic list',
    "<%= config.bin %> topic list --match 'order*' -o name",
    '<%= config.bin %> topic list --system --json',
  ]

  async run(): Promise<{ topics: TopicSummary[] }> {
    const { flags } = await this.parse(TopicList)
    const matches = globMatcher(flags.match ?? '*')
    const type = flags.type?.toUpperCase()
    const all = await this.connect(flags, (admin) => admin.topics.list())
    const topics = all.filter(
      (topic) =>
        matches(topic.name) &&
        (type === undefined ? flags.system || !ownTypes.includes(topic.type) : topic.type === type),
    )
    if (topics.length === 0) this.remark('no topics; mqctl topic create NAME makes one')
    return this.show(
      { topics },
      {
        rows: () => topics,
        text: (_, terminal) =>
          topics.length === 0
            ? ''
            : renderTable(
                terminal,
                [
                  { head: 'TOPIC' },
                  { head: 'QUEUES', align: 'right' },
                  { head: 'PERM' },
                  { head: 'TYPE' },
                ],
                topics.map((topic) => [topic.name, topic.queues, topic.perm, topic.type]),
              ),
      },
    )
  }
}
