import path from 'node:path'
import { Flags } from '@oclif/core'
import { Catalogue } from '../../src/bench/catalogue.ts'
import { triedOverrides } from '../../src/bench/overrides.ts'
import type { Override } from '../../src/bench/scenario.ts'
import { argument } from '../../src/cli/flags.ts'
import Bench from './index.ts'

const LATENCY_SLA = ['response.p99 < 20ms']
/** Only where somebody consumes. */
const CONSUMED_SLA = ['lag.seconds < 1s']

export default class BenchSearch extends Bench {
  static override summary = 'Find the highest rate that keeps a promise.'
  static override description = `Rates are tried one after the other: twice the last while it holds, then between the highest that held and the
lowest that did not. What is found must hold once more. Exit code 10 when no rate holds.`
  static override args = {
    scenario: argument({
      description: 'Whose target, messages, producers and consumers are taken; its load is not.',
      default: 'saturation-search',
    }),
  }
  static override flags = {
    ...Bench.flags,
    from: Flags.string({ summary: 'The first rate.', default: '1000/s' }),
    to: Flags.string({ summary: 'The highest rate to try.', default: '500k/s' }),
    sla: Flags.string({
      summary:
        'What must hold of a rate, as a threshold; without consumers the default has no lag.',
      multiple: true,
      default: [...LATENCY_SLA, ...CONSUMED_SLA],
    }),
    resolution: Flags.string({ summary: 'How close the bracket must come.', default: '5%' }),
  }
  static override examples = [
    '<%= config.bin %> bench search',
    '<%= config.bin %> bench search --sla "response.p99 < 5ms" --to 50k/s --duration 20s',
    '<%= config.bin %> bench search ./my.yaml --namesrv 10.0.0.5:9876 --json',
  ]

  override async run(): ReturnType<Bench['run']> {
    const { args, flags, metadata } = await this.parse(BenchSearch)
    const { from, to, sla, resolution } = flags
    const stage = { as: 'search', shape: 'search', from, to, sla, resolution }
    const isDefault = metadata.flags['sla']?.setFromDefault === true
    const plain = triedOverrides({ ...stage, sla: LATENCY_SLA }, flags)
    const overrides =
      isDefault && !this.#isConsumed(args.scenario, plain) ? plain : triedOverrides(stage, flags)
    return this.runScenario(args.scenario, overrides, flags)
  }

  /** Whether there will be consumers, of whose lag something can be promised. */
  #isConsumed(name: string, overrides: readonly Override[]): boolean {
    const catalogue = new Catalogue(path.join(this.config.root, 'scenarios'))
    const cells = catalogue.loadMatrix(name, overrides)
    const all = cells?.map(({ loaded }) => loaded) ?? [catalogue.load(name, overrides)]
    return all.some(({ scenario }) => scenario.consumers.instances > 0)
  }
}
