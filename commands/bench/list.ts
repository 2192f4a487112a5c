import path from 'node:path'
import { formatBytes, formatDurationMs } from '../../src/base/units.ts'
import { Catalogue } from '../../src/bench/catalogue.ts'
import { sizesOf } from '../../src/bench/scenario-schema.ts'
import { plannedMs } from '../../src/bench/stages.ts'
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
      const { producers, consumers, load } = scenario
      const sizes = sizesOf(scenario).map(({ sizeBytes }) => sizeBytes)
      const [least, most] = [Math.min(...sizes), Math.max(...sizes)].map(formatBytes)
      const size = least === most ? String(least) : `${String(least)} to ${String(most)}`
      const isOpenEnded = load.some(({ shape, until }) => shape === 'search' || until !== undefined)
      const length = `${isOpenEnded ? 'at most ' : ''}${formatDurationMs(plannedMs(scenario))}`
      return {
        name,
        driver: scenario.target.driver,
        load: `${producers.instances} × ${producers.threads} senders, ${size}, ${consumers.instances} consumer${consumers.instances === 1 ? '' : 's'}, ${length}`,
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
