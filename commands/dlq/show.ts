import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { deadLetterFlags, isMeant, spanOfFlags } from '../../src/cli/dead-letter-flags.ts'
import { argument, wholeFlag } from '../../src/cli/flags.ts'
import { messageJson, type MessageJson } from '../../src/cli/message-json.ts'
import { messageList } from '../../src/cli/message-view.ts'
import { deadLetters } from '../../src/client/dead-letters.ts'
import type { ReceivedMessage } from '../../src/client/received-message.ts'
import { originalTopicOf } from '../../src/client/resent-message.ts'

export interface DeadLetterJson extends MessageJson {
  readonly originalTopic: string
}

export interface DlqShowResult {
  readonly messages: readonly DeadLetterJson[]
  /** There are more than `--limit`. */
  readonly more: boolean
}

export default class DlqShow extends BrokerCommand<DlqShowResult> {
  static override summary = 'The dead letters of a group; looking takes nothing away.'
  static override args = { group: argument({ description: 'The group.', required: true }) }
  static override flags = {
    ...deadLetterFlags,
    limit: wholeFlag({ summary: 'At most so many.', min: 1, max: 100_000, default: 64 }),
  }
  static override examples = [
    '<%= config.bin %> dlq show audit',
    '<%= config.bin %> dlq show audit --from @-1h --json',
  ]

  async run(): Promise<DlqShowResult> {
    const { args, flags } = await this.parse(DlqShow)
    const span = spanOfFlags(flags, this.world.clock.wallMs())
    const found: ReceivedMessage[] = []
    const more = await this.connect(flags, async (admin) => {
      for await (const message of deadLetters(admin, args.group, span)) {
        if (!isMeant(message, flags.id)) continue
        if (found.length === flags.limit) return true
        found.push(message)
      }
      return false
    })
    const messages = found.map((message) => ({
      ...messageJson(message),
      originalTopic: originalTopicOf(message),
    }))
    if (messages.length === 0) this.remark(`no such dead letters of ${args.group}`)
    else if (more) this.remark(`the first ${messages.length}; --limit shows more`)
    return this.show(
      { messages, more },
      {
        rows: () => messages,
        text: (_, terminal) => (found.length === 0 ? '' : messageList(found, terminal)),
      },
    )
  }
}
