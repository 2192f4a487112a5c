import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { argument } from '../../src/cli/flags.ts'

export interface MessageRecallResult {
  readonly messageId: string
  readonly topic: string
  readonly recalled: true
}

export default class MessageRecall extends BrokerCommand<MessageRecallResult> {
  static override summary = 'Take back a message that waits for its time.'
  static override description = `The handle is what mqctl produce --delay or --at showed, and what the official clients have in their
send result. A message that has a delay level cannot be taken back.`
  static override args = {
    handle: argument({ description: 'The recall handle of the message.', required: true }),
  }
  static override examples = ['<%= config.bin %> message recall djEgb3JkZXJzIGJyb2tlci1hIDE3NjM3=']

  async run(): Promise<MessageRecallResult> {
    const { args, flags } = await this.parse(MessageRecall)
    const { messageId, topic } = await this.connect(flags, (admin) =>
      admin.messages.recall(args.handle),
    )
    const result = { messageId, topic, recalled: true as const }
    return this.show(result, {
      rows: () => [result],
      text: () => `${messageId} will not be delivered to ${topic}`,
    })
  }
}
