import { Flags } from '@oclif/core'
import { formatDurationMs } from '../src/base/units.ts'
import { BrokerCommand } from '../src/cli/broker-command.ts'
import { argument, messageFlags } from '../src/cli/flags.ts'
import { bodyJson } from '../src/cli/message-json.ts'
import { checkFiles, messagesFrom, readsStdin } from '../src/cli/message-source.ts'
import { Requester } from '../src/client/request-reply.ts'

interface Answered {
  readonly topic: string
  readonly messageId: string
  readonly tookMs: number
  readonly body: string
  readonly bodyEncoding: 'utf8' | 'base64'
  readonly properties: Readonly<Record<string, string>>
}

export default class Request extends BrokerCommand<Answered> {
  static override summary = 'Send a message and print the answer of whoever consumes it.'
  static override description = `Without BODY and --file, stdin is the message. The answer's body goes to stdout. When none comes
within --timeout, the exit code is 3; the message stays where it is, and whoever consumes it later answers
in vain. Consumers answer with mqctl reply, with replyTo() of the library, or with createReplyMessage of
official clients.`
  static override args = {
    topic: argument({ description: 'The topic.', required: true }),
    body: argument({ description: 'The request; stdin or --file when missing.' }),
  }
  static override flags = {
    file: Flags.string({
      summary: 'Read the request from this file.',
      helpValue: '<path>',
      exclusive: ['body'],
    }),
    ...messageFlags,
    group: Flags.string({ char: 'g', summary: 'Producer group.' }),
  }
  static override examples = [
    '<%= config.bin %> request prices pear',
    '<%= config.bin %> request prices pear --timeout 30s --json',
    '$ <%= config.bin %> request resize < picture.png > small.png',
  ]

  async run(): Promise<Answered> {
    const { args, flags } = await this.parse(Request)
    const source = {
      body: args.body,
      files: flags.file === undefined ? [] : [flags.file],
      input: 'whole' as const,
      format: null,
    }
    await checkFiles(source.files)
    if (readsStdin(source) && this.terminal.stdinIsTty) {
      this.remark('reading the request from the terminal; Ctrl-D ends')
    }
    const message = await onlyOne(messagesFrom(source))
    return this.connect(flags, async ({ client }) => {
      const requester = Requester.over(
        client,
        flags.group === undefined ? {} : { group: flags.group },
      )
      try {
        const reply = await requester.request(
          {
            topic: args.topic,
            body: message.body,
            keys: flags.key ?? [],
            properties: Object.fromEntries(flags.header ?? []),
            ...(flags.tag === undefined ? {} : { tags: flags.tag }),
          },
          flags.timeout,
        )
        this.detail(`answered after ${formatDurationMs(reply.tookMs)}`)
        const answered: Answered = {
          topic: args.topic,
          messageId: reply.request.messageId,
          tookMs: Math.round(reply.tookMs),
          ...bodyJson(reply.body),
          properties: { ...reply.properties },
        }
        if (this.forPrograms) return await this.show(answered, { text: () => '' })
        process.stdout.write(reply.body)
        if (this.terminal.stdoutIsTty && reply.body.at(-1) !== NEWLINE) process.stdout.write('\n')
        return answered
      } finally {
        await requester.close()
      }
    })
  }
}

const NEWLINE = 0x0a

async function onlyOne<Item>(items: AsyncIterable<Item>): Promise<Item> {
  for await (const item of items) return item
  throw new Error('a source that is read as a whole has one message')
}
