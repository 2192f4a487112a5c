import { Args } from '@oclif/core'
import { completionScript, shells, type Shell } from '../src/cli/completion.ts'
import { MqctlCommand } from '../src/cli/command.ts'

export default class Completion extends MqctlCommand<{ shell: Shell; script: string }> {
  static override summary = 'Print a completion script for bash, zsh or fish.'
  static override args = {
    shell: Args.custom<Shell>({
      description: 'The shell.',
      options: [...shells],
      required: true,
      ignoreStdin: true,
    })({ required: true }),
  }
  static override examples = [
    '$ source <(<%= config.bin %> completion bash)',
    '<%= config.bin %> completion zsh > ~/.zfunc/_mqctl',
    '<%= config.bin %> completion fish > ~/.config/fish/completions/mqctl.fish',
  ]

  async run(): Promise<{ shell: Shell; script: string }> {
    const { args } = await this.parse(Completion)
    const script = completionScript(args.shell, this.config.commands, this.config.topics)
    return this.show({ shell: args.shell, script }, { text: () => script.trimEnd() })
  }
}
