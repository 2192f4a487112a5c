import { exitCodeTable } from '../src/base/exit-codes.ts'
import { MqctlCommand } from '../src/cli/command.ts'
import { argument } from '../src/cli/flags.ts'
import { CapturedHelp } from '../src/cli/help.ts'
import { helpPages } from '../src/cli/help-pages.ts'

export default class Help extends MqctlCommand<object> {
  static override summary = 'Help on a command, or a page: exit-codes, formats, time, environment.'
  static override strict = false
  static override args = {
    subject: argument({ description: 'A command, a group of commands, or a page.' }),
  }
  static override examples = [
    '<%= config.bin %> help produce',
    '<%= config.bin %> help topic create',
    '<%= config.bin %> help exit-codes',
  ]

  async run(): Promise<object> {
    const { args, argv } = await this.parse(Help)
    const page = helpPages.find(({ name }) => name === args.subject)
    if (page !== undefined) {
      const table = page.name === 'exit-codes' ? { exitCodes: exitCodeTable } : {}
      const result = { page: page.name, text: page.text(this.terminal), ...table }
      return this.show(result, { text: () => result.text })
    }
    const words = argv.map(String)
    const help = new CapturedHelp(this.config, { maxWidth: 100 })
    await help.showHelp(words.length === 0 ? ['--help'] : words)
    const result = { subject: words.join(' '), text: help.text }
    return this.show(result, { text: () => result.text })
  }
}
