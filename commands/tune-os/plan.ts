import { Flags } from '@oclif/core'
import { ExitCode } from '../../src/base/exit-codes.ts'
import { MqctlCommand } from '../../src/cli/command.ts'
import { hostFlags, selectionFlags, tuningRequest } from '../../src/cli/tuning-flags.ts'
import { planFor } from '../../src/host/tuning/change-host.ts'
import { planResult, type PlanResult } from '../../src/host/tuning/plan-result.ts'
import { planText } from '../../src/host/tuning/plan-text.ts'

export default class TuneOsPlan extends MqctlCommand<PlanResult> {
  static override summary = 'What apply would change: a diff of files, and values to set now.'
  static override flags = {
    ...selectionFlags,
    waivers: Flags.string({ summary: 'Leave accepted findings alone.', helpValue: '<file>' }),
    'detailed-exitcode': Flags.boolean({ summary: 'Exit code 1 when something would change.' }),
    ...hostFlags,
  }
  static override examples = [
    '<%= config.bin %> tune-os plan',
    '<%= config.bin %> tune-os plan --unit rocketmq-broker --only vm,limit',
    '<%= config.bin %> tune-os plan --json | jq -r .diff',
  ]

  async run(): Promise<PlanResult> {
    const { flags } = await this.parse(TuneOsPlan)
    const { plan } = await planFor(this.world.clock, {
      ...tuningRequest(flags, this.config.version),
      ...(flags.waivers === undefined ? {} : { waivers: flags.waivers }),
    })
    const result = planResult(plan)
    if (flags['detailed-exitcode'] && result.pending) this.exitWith(ExitCode.failed)
    return this.show(result, { text: (_, terminal) => planText(result, terminal.out) })
  }
}
