import { Flags } from '@oclif/core'
import { sharesOf, triedOverrides } from '../../src/bench/overrides.ts'
import { argument } from '../../src/cli/flags.ts'
import Bench from './index.ts'

export default class BenchBalance extends Bench {
  static override summary = 'Find the highest rate at which no resource is above a given share.'
  static override description = `It answers what a pressure test is for: how much the machine carries with room to spare. Resources are cpu (of
all cores), broker (of a core, its busiest thread), disk, nic (of a link whose speed is known) and memory. Without --max,
cpu, disk and nic stay at or below 70 %, as far as they are known. They are those of the brokers' host: this one, or
that of an agent (--watch-agent, --agent). Exit code 10 when no rate keeps them.`
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
    max: Flags.string({ summary: 'Shares that may be in use, as in cpu=70%,disk=60%,nic=60%.' }),
    sla: Flags.string({ summary: 'What must hold as well, as a threshold.', multiple: true }),
    resolution: Flags.string({ summary: 'How close the bracket must come.', default: '5%' }),
  }
  static override examples = [
    '<%= config.bin %> bench balance',
    '<%= config.bin %> bench balance --max cpu=70%,disk=60%,nic=60% --duration 10s',
  ]

  override async run(): ReturnType<Bench['run']> {
    const { args, flags } = await this.parse(BenchBalance)
    const { from, to, sla, resolution } = flags
    const max = flags.max === undefined ? {} : { max: sharesOf(flags.max) }
    const promised = sla === undefined ? {} : { sla }
    const stage = { as: 'balance', shape: 'balance', from, to, resolution, ...max, ...promised }
    return this.runScenario(args.scenario, triedOverrides(stage, flags), flags)
  }
}
