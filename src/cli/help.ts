/** Help: bare `mqctl` shows the eight commands that matter, `mqctl --help` all of them. */
import { Help, type Command } from '@oclif/core'
import { MqError } from '../base/errors.ts'
import { suggestCommand } from './command-not-found.ts'
import { helpPages } from './help-pages.ts'
import { allCommands, firstPage, type RootFacts } from './root-help.ts'
import { processTerminal } from './terminal.ts'

export default class MqctlHelp extends Help {
  override async showHelp(argv: string[]): Promise<void> {
    if (argv.length === 0) {
      this.log(firstPage(this.#facts(), processTerminal(process.argv)))
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
    this.log(allCommands(this.#facts(), processTerminal(process.argv)))
  }

  /** Descriptions are broken into lines for their source file; here they fit the terminal. */
  override async showCommandHelp(command: Command.Loadable): Promise<void> {
    if (command.description !== undefined) {
      command.description = command.description.replaceAll(/(?<!\n)\n(?!\n)/g, ' ')
    }
    await super.showCommandHelp(command)
  }

  #facts(): RootFacts {
    const about: unknown = this.config.pjson['description']
    const topics: Record<string, { readonly description: string }> = {}
    for (const { name, description = '' } of this.config.topics) topics[name] = { description }
    return {
      version: this.config.version,
      description: typeof about === 'string' ? about : '',
      topics,
      commands: this.config.commands.map(({ id, summary = '', hidden = false }) => ({
        id,
        summary,
        hidden,
      })),
    }
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

/** The same pages as one text. */
export class CapturedHelp extends MqctlHelp {
  readonly #lines: string[] = []

  get text(): string {
    return this.#lines.join('\n').trimEnd()
  }

  protected override log(...lines: string[]): void {
    this.#lines.push(...lines)
  }
}
