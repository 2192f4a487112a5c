import path from 'node:path'
import { Catalogue } from '../../src/bench/catalogue.ts'
import { MqctlCommand } from '../../src/cli/command.ts'
import { renderTable } from '../../src/cli/table.ts'

interface ScenarioRow {
  readonly name: string
  readonly driver: string
  readonly load: string
  readonly description: string
}

interface ScenarioList {
  readonly scenarios: readonly ScenarioRow[]
}

export default class BenchList extends MqctlCommand<ScenarioList> {
  static override summary = 'Scenarios that ship with mqctl.'
  static override examples = ['<%= config.bin %> bench list', '<%= config.bin %> bench list --json']

  async run(): Promise<ScenarioList> {
    await this.parse(BenchList)
    const catalogue = new Catalogue(path.join(this.config.root, 'scenarios'))
    const scenarios = catalogue.names.map((name): ScenarioRow => {
      const { scenario } = catalogue.load(name)
      const { producers, consumers, message, load } = scenario
      const seconds = load.reduce((sum, stage) => sum + stage.for, 0) / 1000
      return {
        name,
        driver: scenario.target.driver,
        load: `${producers.instances} × ${producers.threads} senders, ${message.size} B, ${consumers.instances} consumers, ${seconds} s`,
        description: scenario.description,
      }
    })
    return this.show(
      { scenarios },
      {
        rows: (list) => list.scenarios,
        text: (list, terminal) =>
          renderTable(
            terminal,
            ['NAME', 'LOAD', 'DESCRIPTION'].map((head) => ({ head })),
            list.scenarios.map((row) => [row.name, row.load, row.description]),
          ),
      },
    )
  }
}
