import { Args } from '@oclif/core'
import { BrokerCommand } from '../src/cli/broker-command.ts'
import { instanceNames } from '../src/engine/instance.ts'

const kinds = ['topics', 'groups', 'instances'] as const

/** Asked by completion scripts at every TAB: quick, and silent when nobody answers. */
const TIMEOUT_MS = 500

export default class Complete extends BrokerCommand<{ names: string[] }> {
  static override hidden = true
  static override summary = 'Names for completion scripts.'
  static override args = {
    kind: Args.custom<(typeof kinds)[number]>({
      description: 'What to complete.',
      options: [...kinds],
      ignoreStdin: true,
    })({ required: true }),
  }

  async run(): Promise<{ names: string[] }> {
    const { args, flags } = await this.parse(Complete)
    const names =
      args.kind === 'instances'
        ? instanceNames(process.env)
        : await this.connect({ ...flags, timeout: TIMEOUT_MS }, (admin) =>
            args.kind === 'topics' ? admin.topics.names() : admin.groups.names(),
          ).catch(() => [])
    return this.show(
      { names },
      { rows: () => names.map((name) => ({ name })), text: () => names.join('\n') },
    )
  }
}
