import { MqctlCommand } from '../../src/cli/command.ts'
import { explainedText, explainFilter, type ExplainedFilter } from '../../src/cli/filter-view.ts'
import { argument, pairFlag } from '../../src/cli/flags.ts'

export default class FilterExplain extends MqctlCommand<ExplainedFilter> {
  static override summary = 'How brokers read an SQL92 filter, as a tree; points at what is wrong.'
  static override description = `No broker is asked. The grammar, types and outcomes are those of RocketMQ: a property is a text or
missing; a missing one makes a comparison unknown; only what is true is delivered.`
  static override args = {
    expression: argument({ description: 'The expression.', required: true }),
  }
  static override flags = {
    header: pairFlag({
      char: 'H',
      summary: 'A property of a message to judge; repeatable.',
      multiple: true,
      multipleNonGreedy: true,
    }),
  }
  static override examples = [
    `<%= config.bin %> filter explain "price > 10 and region = 'eu'"`,
    `<%= config.bin %> filter explain "price > 10" --header price=12`,
  ]

  async run(): Promise<ExplainedFilter> {
    const { args, flags } = await this.parse(FilterExplain)
    const explained = explainFilter(args.expression, flags.header ?? [])
    return this.show(explained, { text: explainedText })
  }
}
