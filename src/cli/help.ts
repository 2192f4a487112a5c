/** Help: bare `mqctl` shows the eight commands that matter, `mqctl --help` all of them. */
import { Help, type Command } from '@oclif/core'
import { MqError } from '../base/errors.ts'
import { suggestCommand } from './command-not-found.ts'
import { helpPages } from './help-pages.ts'
import { processTerminal } from './terminal.ts'

/** In the order in which a newcomer meets them. */
const firstCommands: readonly (readonly [line: string, what: string])[] = [
  ['start', 'run a broker here, ready in under a second'],
  ['produce orders "hello"', 'send a message; also from a file or stdin'],
  ['consume orders --from start', 'read messages'],
  ['bench', 'pressure test: 2 producers × 80 senders, 500 B, 2 consumers'],
  ['topic list', 'topics of the cluster'],
  ['group lag', 'how far consumers are behind'],
  ['status', 'what runs here, and where'],
  ['stop', 'stop it; messages stay'],
]

export default class MqctlHelp extends Help {
  override async showHelp(argv: string[]): Promise<void> {
    if (argv.length === 0) {
      this.log(this.#firstPage())
      return
    }
    const words = argv.filter((word) => !word.startsWith('-'))
    const page = words[0] === 'help' ? helpPages.find(({ name }) => name === words[1]) : undefined
    if (page !== undefined) {
      this.log(page.text(processTerminal(argv)))
      return
    }
    this.#refuseUnknown(words)
    await super.showHelp(argv)
  }

  protected override async showRootHelp(): Promise<void> {
    const { bold, dim } = processTerminal(process.argv).out
    const ids = this.sortedCommands.filter(({ hidden }) => hidden !== true)
    const line = (id: string, summary: string) =>
      `  ${id.replaceAll(':', ' ').padEnd(18)} ${summary}`
    const groups = new Map<string, string[]>()
    for (const command of ids) {
      const topic = command.id.includes(':') ? (command.id.split(':')[0] ?? '') : ''
      const isGroup = topic !== '' || ids.some(({ id }) => id.startsWith(`${command.id}:`))
      const key = isGroup ? topic || command.id : ''
      const lines = groups.get(key) ?? []
      lines.push(line(command.id, (command.summary ?? '').replace(/\.$/, '')))
      groups.set(key, lines)
    }
    const blocks = [...groups.keys()].sort().map((key) => {
      const topic = this.config.topics.find(({ name }) => name === key)
      const head = key === '' ? bold('Commands') : bold(key) + dim(`  ${topic?.description ?? ''}`)
      return `${head}\n${(groups.get(key) ?? []).join('\n')}`
    })
    const pages = helpPages.map((page) => line(`help ${page.name}`, page.summary)).join('\n')
    this.log(
      [
        `${this.config.pjson.description ?? ''}\n`,
        `${bold('Usage')}\n  mqctl COMMAND [--json] [flags]\n`,
        ...blocks.map((block) => `${block}\n`),
        `${bold('More')}\n${pages}`,
        line('COMMAND --help', 'flags and examples of one command'),
      ].join('\n'),
    )
  }

  /** Descriptions are broken into lines for their source file; here they fit the terminal. */
  override async showCommandHelp(command: Command.Loadable): Promise<void> {
    if (command.description !== undefined) {
      command.description = command.description.replaceAll(/(?<!\n)\n(?!\n)/g, ' ')
    }
    await super.showCommandHelp(command)
  }

  #firstPage(): string {
    const { bold, dim } = processTerminal(process.argv).out
    const width = Math.max(...firstCommands.map(([line]) => line.length))
    return [
      `${bold('mqctl')} ${this.config.version}  a broker in one command, a hand for every RocketMQ, an honest pressure test`,
      '',
      ...firstCommands.map(([line, what]) => `  mqctl ${line.padEnd(width)}   ${dim(what)}`),
      '',
      `${dim('All commands: mqctl --help · one command: mqctl produce --help · exit codes: mqctl help exit-codes')}`,
    ].join('\n')
  }

  /** oclif would print an error of its own and exit with another code. */
  #refuseUnknown(words: readonly string[]): void {
    const asked = words[0] === 'help' ? words.slice(1) : words
    const first = asked[0]
    if (first === undefined) return
    const known = this.config.findCommand(first) ?? this.config.findTopic(asked.join(':')) ?? null
    if (known !== null || this.config.findTopic(first) !== undefined) return
    const names = helpPages.map(({ name }) => name)
    throw new MqError('COMMAND_UNKNOWN', {
      what: suggestCommand(first, this.config.commandIDs, names),
    })
  }
}
