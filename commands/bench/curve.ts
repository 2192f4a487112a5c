import { Flags } from '@oclif/core'
import { triedOverrides } from '../../src/bench/overrides.ts'
import { argument } from '../../src/cli/flags.ts'
import Bench from './index.ts'

export default class BenchCurve extends Bench {
  static override summary = 'Measure latency by rate, and find the knee.'
  static override description = `Rates grow by the same factor from step to step; it ends after two steps that the target did not carry. The knee
is the step with the highest rate divided by mean response time (Kleinrock's power). Each step shows what it took of
the machine; the HTML page has the curve.`
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
    steps: Flags.string({ summary: 'Rates to try.', default: '12' }),
  }
  static override examples = [
    '<%= config.bin %> bench curve --out ./curve',
    '<%= config.bin %> bench curve --from 1k/s --to 100k/s --steps 8 --duration 10s',
  ]

  override async run(): ReturnType<Bench['run']> {
    const { args, flags } = await this.parse(BenchCurve)
    const { from, to, steps } = flags
    // What is no number is refused as one, by the scenario's own rule.
    const points = /^\d+$/.test(steps) ? Number(steps) : steps
    const stage = { as: 'curve', shape: 'curve', from, to, steps: points }
    return this.runScenario(args.scenario, triedOverrides(stage, flags), flags)
  }
}
