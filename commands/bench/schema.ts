import { Flags } from '@oclif/core'
import { resultJsonSchema, scenarioJsonSchema } from '../../src/bench/json-schema.ts'
import { MqctlCommand } from '../../src/cli/command.ts'

export default class BenchSchema extends MqctlCommand<object> {
  static override summary = 'Print the JSON Schema of scenarios, or of results.'
  static override description = `An editor that knows the schema completes the keys of a scenario and marks mistakes. What belongs
together (an open load needs a rate) is checked by bench show as well.`
  static override flags = {
    result: Flags.boolean({ summary: 'Of the result instead of the scenario.' }),
  }
  static override examples = [
    '<%= config.bin %> bench schema > scenario.schema.json',
    '<%= config.bin %> bench schema --result > result.schema.json',
  ]

  async run(): Promise<object> {
    const { flags } = await this.parse(BenchSchema)
    const schema = flags.result ? resultJsonSchema() : scenarioJsonSchema()
    return this.show(schema, { text: () => JSON.stringify(schema, null, 2) })
  }
}
