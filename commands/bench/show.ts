import path from 'node:path'
import { Flags } from '@oclif/core'
import { Catalogue, DEFAULT_SCENARIO } from '../../src/bench/catalogue.ts'
import { overridesOf } from '../../src/bench/overrides.ts'
import { MqctlCommand } from '../../src/cli/command.ts'
import { argument, pairFlag } from '../../src/cli/flags.ts'

interface ShownScenario {
  readonly name: string
  readonly file: string
  readonly hash: string
  /** As written. */
  readonly text: string
  /** With every default filled in: durations in milliseconds, sizes in bytes. */
  readonly resolved: object
}

export default class BenchShow extends MqctlCommand<ShownScenario> {
  static override summary = 'Print a scenario, as a start for your own.'
  static override args = {
    scenario: argument({
      description: 'A name from bench list, or a file.',
      default: DEFAULT_SCENARIO,
    }),
  }
  static override flags = {
    resolved: Flags.boolean({ summary: 'With every default filled in.' }),
    set: pairFlag({ summary: 'Change a key first, as in producers.threads=160.', multiple: true }),
  }
  static override examples = [
    '<%= config.bin %> bench show > my.yaml',
    '<%= config.bin %> bench show smoke --resolved',
  ]

  async run(): Promise<ShownScenario> {
    const { args, flags } = await this.parse(BenchShow)
    const catalogue = new Catalogue(path.join(this.config.root, 'scenarios'))
    const { file, text } = catalogue.text(args.scenario)
    const { scenario, hash } = catalogue.load(args.scenario, overridesOf(flags))
    const shown = { name: scenario.name, file, hash, text, resolved: scenario }
    const { stringify } = await import('yaml')
    return this.show(shown, {
      text: () =>
        (flags.resolved || flags.set !== undefined ? stringify(scenario) : text).trimEnd(),
    })
  }
}
