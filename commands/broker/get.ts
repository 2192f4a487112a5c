import { Flags } from '@oclif/core'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { argument } from '../../src/cli/flags.ts'
import { globMatcher } from '../../src/cli/glob.ts'
import { renderFacts } from '../../src/cli/table.ts'

export interface BrokerView {
  readonly name: string
  readonly cluster: string
  readonly address: string
  /** By RocketMQ's names. */
  readonly runtime: Readonly<Record<string, string>>
  /** Only with --config. */
  readonly config?: Readonly<Record<string, string>>
}

export default class BrokerGet extends BrokerCommand<BrokerView> {
  static override summary = 'Figures of one broker, and its settings.'
  static override args = {
    broker: argument({ description: 'Name or address.', required: true }),
  }
  static override flags = {
    config: Flags.boolean({ summary: 'Also its settings.' }),
    match: Flags.string({ summary: 'Only names like this; * and ? stand for any.' }),
  }
  static override examples = [
    '<%= config.bin %> broker get broker-a',
    "<%= config.bin %> broker get broker-a --match '*Tps'",
    '<%= config.bin %> broker get 127.0.0.1:10911 --config --json',
  ]

  async run(): Promise<BrokerView> {
    const { args, flags } = await this.parse(BrokerGet)
    const matches = globMatcher(flags.match ?? '*')
    const view = await this.connect(flags, async (admin): Promise<BrokerView> => {
      const { broker, cluster, address } = await admin.cluster.master(args.broker)
      const runtime = Object.entries(await admin.brokers.runtimeInfo(address))
      const config = flags.config ? [...(await admin.brokers.config(address))] : null
      const pick = (pairs: readonly (readonly [string, string])[]) =>
        Object.fromEntries(
          [...pairs].filter(([name]) => matches(name)).sort(([one], [two]) => (one < two ? -1 : 1)),
        )
      return {
        name: broker,
        cluster,
        address,
        runtime: pick(runtime),
        ...(config === null ? {} : { config: pick(config) }),
      }
    })
    return this.show(view, {
      text: (_, terminal) => {
        const head = renderFacts(terminal, [
          ['broker', view.name],
          ['cluster', view.cluster],
          ['address', view.address],
        ])
        const parts = [head, renderFacts(terminal, Object.entries(view.runtime))]
        if (view.config !== undefined) {
          parts.push(
            terminal.out.bold('settings'),
            renderFacts(terminal, Object.entries(view.config)),
          )
        }
        return parts.filter((part) => part !== '').join('\n\n')
      },
    })
  }
}
