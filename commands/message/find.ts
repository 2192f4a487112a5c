import { Flags } from '@oclif/core'
import { MqError } from '../../src/base/errors.ts'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { wholeFlag } from '../../src/cli/flags.ts'
import { messageJson, type MessageJson } from '../../src/cli/message-json.ts'
import { messageList } from '../../src/cli/message-view.ts'
import { parsePosition } from '../../src/cli/position.ts'

export default class MessageFind extends BrokerCommand<{ messages: MessageJson[] }> {
  static override summary = 'Messages by key, newest first.'
  static override flags = {
    topic: Flags.string({ summary: 'The topic.', required: true }),
    key: Flags.string({ summary: 'The key.', exactlyOne: ['key', 'unique-key'] }),
    'unique-key': Flags.string({
      summary: 'The message id: all copies, when its sender tried more than once.',
    }),
    from: Flags.string({ summary: 'Stored at this time or later, as in @-2h.' }),
    to: Flags.string({ summary: 'Stored before this time.' }),
    limit: wholeFlag({ summary: 'At most so many.', min: 1, max: 10_000, default: 64 }),
  }
  static override examples = [
    '<%= config.bin %> message find --topic orders --key A-1001',
    '<%= config.bin %> message find --topic orders --key A-1001 --from @-2h --limit 20 --json',
  ]

  async run(): Promise<{ messages: MessageJson[] }> {
    const { flags } = await this.parse(MessageFind)
    const nowMs = this.world.clock.wallMs()
    const fromMs = timeOf('--from', flags.from, nowMs)
    const toMs = timeOf('--to', flags.to, nowMs)
    const found = await this.connect(flags, (admin) =>
      flags['unique-key'] === undefined
        ? admin.messages.byKey(flags.topic, flags.key ?? '', {
            limit: flags.limit,
            ...(fromMs === null ? {} : { fromMs }),
            ...(toMs === null ? {} : { toMs }),
          })
        : admin.messages.byUniqueId(flags.topic, flags['unique-key']),
    )
    const messages = found.map(messageJson)
    if (messages.length === 0) this.remark('no messages')
    return this.show(
      { messages },
      {
        rows: () => messages,
        text: (_, terminal) => (found.length === 0 ? '' : messageList(found, terminal)),
      },
    )
  }
}

/** The key index knows times and no offsets. */
function timeOf(flag: string, text: string | undefined, nowMs: number): number | null {
  if (text === undefined) return null
  const position = parsePosition(text, nowMs)
  if (position.kind === 'time') return position.ms
  if (position.kind === 'start') return 0
  if (position.kind === 'end') return nowMs
  throw new MqError('VALUE_INVALID', {
    what: `${flag} ${text} is not a time`,
    hint: 'write @TIME, as in @-2h or @2026-11-20T08:00:00Z',
  })
}
