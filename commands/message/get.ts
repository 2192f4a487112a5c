import { Flags } from '@oclif/core'
import { MqError } from '../../src/base/errors.ts'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { argument, wholeFlag } from '../../src/cli/flags.ts'
import { MessageFormat } from '../../src/cli/message-format.ts'
import { formattedMessage, messageJson, type MessageJson } from '../../src/cli/message-json.ts'
import { bodyViews, messageText } from '../../src/cli/message-view.ts'
import type { Admin } from '../../src/client/admin.ts'
import type { ReceivedMessage } from '../../src/client/received-message.ts'

export default class MessageGet extends BrokerCommand<MessageJson> {
  static override summary = 'One message, by its id or by its place.'
  static override args = {
    id: argument({ description: 'Message id, or offset message id.' }),
  }
  static override flags = {
    topic: Flags.string({ summary: 'Its topic; without it, all topics are searched for the id.' }),
    queue: wholeFlag({ summary: 'Queue, with --topic and --offset.', dependsOn: ['offset'] }),
    offset: wholeFlag({ summary: 'Queue offset.', dependsOn: ['topic', 'queue'] }),
    broker: Flags.string({ summary: 'Broker of the queue, when several have it.' }),
    format: Flags.string({
      char: 'f',
      summary: 'How to write it; see mqctl help formats.',
      helpValue: '<format>',
    }),
    'body-as': Flags.option({
      summary: 'How to show the body.',
      options: bodyViews,
      default: 'auto' as const,
    })(),
  }
  static override examples = [
    '<%= config.bin %> message get 7F0000010A2B18B4AAC2000000000000',
    '<%= config.bin %> message get --topic orders --queue 3 --offset 1200 --body-as json',
    `<%= config.bin %> message get --topic orders --queue 3 --offset 1200 --format '%v'`,
  ]

  async run(): Promise<MessageJson> {
    const { args, flags } = await this.parse(MessageGet)
    if ((args.id === undefined) === (flags.offset === undefined)) {
      throw new MqError('USAGE', { what: 'name the message by its ID, or by --queue and --offset' })
    }
    const format = flags.format === undefined ? null : MessageFormat.compile(flags.format)
    const message = await this.connect(flags, (admin) =>
      args.id === undefined
        ? atPlace(admin, flags.topic ?? '', flags.queue ?? 0, flags.offset ?? 0, flags.broker)
        : admin.messages.get(args.id, flags.topic),
    )
    if (format !== null && !this.forPrograms) {
      process.stdout.write(format.render(formattedMessage(message)))
      return messageJson(message)
    }
    const json = messageJson(message)
    return this.show(json, {
      rows: () => [json],
      text: (_, terminal) => messageText(message, flags['body-as'], terminal),
    })
  }
}

async function atPlace(
  admin: Admin,
  topic: string,
  queueId: number,
  offset: number,
  broker: string | undefined,
): Promise<ReceivedMessage> {
  const route = await admin.topics.route(topic)
  const queues = route.subscribeQueues.filter(
    (queue) => queue.queueId === queueId && (broker === undefined || queue.brokerName === broker),
  )
  const [queue, other] = queues
  if (queue === undefined) {
    throw new MqError('MESSAGE_NOT_FOUND', {
      what: `queue ${queueId} of ${topic}${broker === undefined ? '' : ` on ${broker}`}`,
      hint: `mqctl topic get ${topic} shows its queues`,
    })
  }
  if (other !== undefined) {
    const names = queues.map(({ brokerName }) => brokerName).join(', ')
    throw new MqError('USAGE', { what: `queue ${queueId} is on ${names}: add --broker` })
  }
  return admin.messages.at(queue, offset)
}
