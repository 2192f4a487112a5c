import { Flags } from '@oclif/core'
import { MqError } from '../../src/base/errors.ts'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { argument, wholeFlag } from '../../src/cli/flags.ts'
import { type StoryJson, storyJson, storyText } from '../../src/cli/story-view.ts'

export default class MessageTrace extends BrokerCommand<{ stories: StoryJson[] }> {
  static override summary = 'What became of a message: sent, stored, processed by whom and how.'
  static override description = `Clients tell it who trace: mqctl produce and consume with --trace, official clients with
enableMsgTrace. A try that failed, or that began and has not ended, is shown as well. Times are those of
the clients' clocks. What is told arrives a second later, from official clients up to five. A batch of
the Java client is told as one, and found only by the id that its send returned: all ids, with commas.`
  static override args = { id: argument({ description: 'Message id, or offset message id.' }) }
  static override flags = {
    key: Flags.string({
      summary: 'Instead of an id: messages with this key.',
      dependsOn: ['topic'],
    }),
    topic: Flags.string({ summary: 'Topic of the message.' }),
    'trace-topic': Flags.string({
      summary: 'Where traces are; default RMQ_SYS_TRACE_TOPIC.',
      helpValue: '<topic>',
    }),
    limit: wholeFlag({ summary: 'At most so many stories.', min: 1, max: 1_000, default: 20 }),
  }
  static override examples = [
    '<%= config.bin %> message trace 7F0000010A2B18B4AAC2000000000000',
    '<%= config.bin %> message trace --topic orders --key A-1001',
    `<%= config.bin %> message trace 7F0000010A2B18B4AAC2000000000000 --json | jq '.stories[].events'`,
  ]

  async run(): Promise<{ stories: StoryJson[] }> {
    const { args, flags } = await this.parse(MessageTrace)
    const { key, topic, 'trace-topic': traceTopic } = flags
    if ((args.id === undefined) === (key === undefined)) {
      throw new MqError('USAGE', { what: 'name the message by its ID, or by --key and --topic' })
    }
    const query = {
      limit: flags.limit,
      ...(traceTopic === undefined ? {} : { traceTopic }),
      ...(topic === undefined ? {} : { topic }),
    }
    const stories = await this.connect(flags, async ({ traces }) =>
      args.id === undefined
        ? traces.storiesOfKey(topic ?? '', key ?? '', query)
        : [await traces.story(args.id, query)],
    )
    const result = { stories: stories.map(storyJson) }
    return this.show(result, {
      rows: () => result.stories,
      text: (_, terminal) => stories.map((story) => storyText(story, terminal)).join('\n\n'),
    })
  }
}
