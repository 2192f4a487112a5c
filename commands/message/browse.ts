import { Flags } from '@oclif/core'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { checkedSql } from '../../src/cli/filter-view.ts'
import { argument, wholeFlag } from '../../src/cli/flags.ts'
import { messagePage } from '../../src/cli/message-page.ts'
import { messageJson, type MessageJson } from '../../src/cli/message-json.ts'
import { messageList } from '../../src/cli/message-view.ts'
import { parseSpan } from '../../src/cli/position.ts'

export interface MessageBrowseResult {
  readonly topic: string
  readonly messages: readonly MessageJson[]
  /** For --after; null when this was the last page. */
  readonly next: string | null
}

export default class MessageBrowse extends BrokerCommand<MessageBrowseResult> {
  static override summary = 'Messages of a topic, a page at a time, oldest first.'
  static override description =
    'All queues merged by the time of storing. A page that is not the last one ends with what --after wants ' +
    'for the next one. Nobody’s progress changes.'
  static override args = { topic: argument({ description: 'The topic.', required: true }) }
  static override flags = {
    from: Flags.string({
      summary: 'Where to begin, or a span; see mqctl help time.',
      helpValue: '<position>',
      default: 'start',
    }),
    to: Flags.string({ summary: 'Where to stop.', helpValue: '<position>' }),
    after: Flags.string({
      summary: 'The page behind the one that ended with this.',
      helpValue: '<page>',
    }),
    limit: wholeFlag({ summary: 'Messages a page.', min: 1, max: 10_000, default: 20 }),
    broker: Flags.string({ summary: 'Only queues of this broker.' }),
    queue: wholeFlag({ summary: 'Only this queue.' }),
    filter: Flags.string({
      summary: 'Only messages with one of these tags.',
      helpValue: "'A || B'",
      default: '*',
    }),
    sql: Flags.string({
      summary: 'Only messages that an SQL92 expression describes; see mqctl filter explain.',
      helpValue: '"price > 10"',
      exclusive: ['filter'],
    }),
  }
  static override examples = [
    '<%= config.bin %> message browse orders',
    '<%= config.bin %> message browse orders --from @-1h --limit 50 --json',
    '<%= config.bin %> message browse orders --queue 3 --from 1200:1300',
  ]

  async run(): Promise<MessageBrowseResult> {
    const { args, flags } = await this.parse(MessageBrowse)
    const { topic } = args
    const nowMs = this.world.clock.wallMs()
    const span = parseSpan(flags.from, nowMs, flags.to)
    const sql = flags.sql === undefined ? null : checkedSql(flags.sql)
    const page = await this.connect(flags, (admin) =>
      messagePage(admin, topic, {
        span,
        tags: flags.filter,
        sql,
        after: flags.after ?? null,
        limit: flags.limit,
        isWanted: ({ brokerName, queueId }) =>
          (flags.broker === undefined || brokerName === flags.broker) &&
          (flags.queue === undefined || queueId === flags.queue),
      }),
    )
    const messages = page.messages.map(messageJson)
    if (messages.length === 0) this.remark('no messages')
    else if (page.next !== null) this.remark(`there is more: --after ${page.next}`)
    return this.show(
      { topic, messages, next: page.next },
      {
        rows: () => messages,
        text: (_, terminal) => (messages.length === 0 ? '' : messageList(page.messages, terminal)),
      },
    )
  }
}
