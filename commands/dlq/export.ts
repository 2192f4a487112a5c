import { Flags } from '@oclif/core'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { deadLetterFlags, isMeant, spanOfFlags } from '../../src/cli/dead-letter-flags.ts'
import { argument } from '../../src/cli/flags.ts'
import { MessageFormat } from '../../src/cli/message-format.ts'
import { MessagePrinter } from '../../src/cli/message-printer.ts'
import { deadLetters } from '../../src/client/dead-letters.ts'

export default class DlqExport extends BrokerCommand<void> {
  static override summary = 'Write the dead letters of a group to stdout, a JSON object a line.'
  static override description = `produce --input ndjson reads them back, and consume -o ndjson writes the same. Nothing is taken
away: what is exported stays in the dead-letter topic until it expires.`
  static override args = { group: argument({ description: 'The group.', required: true }) }
  static override flags = {
    ...deadLetterFlags,
    format: Flags.string({
      char: 'f',
      summary: 'Write them by a format instead, as in "%k %v\\n"; see mqctl help formats.',
      helpValue: '<format>',
    }),
  }
  static override examples = [
    '<%= config.bin %> dlq export audit > dead.ndjson',
    `<%= config.bin %> dlq export audit --from @-1d --format '%d{iso} %k %v\\n'`,
    '<%= config.bin %> dlq export audit | <%= config.bin %> produce repair --input ndjson',
  ]

  async run(): Promise<void> {
    const { args, flags } = await this.parse(DlqExport)
    const span = spanOfFlags(flags, this.world.clock.wallMs())
    const format = flags.format === undefined ? null : MessageFormat.compile(flags.format)
    const signal = this.claimInterrupts()
    const printer = new MessagePrinter(format, signal)
    await this.connect(flags, async (admin) => {
      for await (const message of deadLetters(admin, args.group, span)) {
        if (signal.aborted) return
        if (isMeant(message, flags.id)) await printer.print(message)
      }
    })
    this.remark(
      printer.printed === 0
        ? `no such dead letters of ${args.group}`
        : `${printer.printed} dead letters`,
    )
  }
}
