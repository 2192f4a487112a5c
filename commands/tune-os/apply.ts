import { Flags } from '@oclif/core'
import { ExitCode } from '../../src/base/exit-codes.ts'
import { MqctlCommand } from '../../src/cli/command.ts'
import { confirm } from '../../src/cli/confirm.ts'
import { renderTable } from '../../src/cli/table.ts'
import { hostFlags, selectionFlags, tuningRequest } from '../../src/cli/tuning-flags.ts'
import type { ApplyResult } from '../../src/host/tuning/apply.ts'
import { applyFor, checkMayApply, planFor } from '../../src/host/tuning/change-host.ts'
import { planResult } from '../../src/host/tuning/plan-result.ts'
import { planText } from '../../src/host/tuning/plan-text.ts'
import { isEmpty } from '../../src/host/tuning/plan.ts'

const { facts: _, ...here } = hostFlags

export default class TuneOsApply extends MqctlCommand<ApplyResult> {
  static override summary = 'Make the changes of plan; needs root, asks first, can be rolled back.'
  static override description = `Writes only files of its own (90-mqctl.conf and the like), saves what was there under /var/lib/mqctl, sets
values, reads them back. Exit code 1: a value did not take, or something is in the way (nothing was done then); 3: not permitted.`
  static override flags = {
    yes: Flags.boolean({ char: 'y', summary: 'Do not ask.' }),
    ...selectionFlags,
    waivers: Flags.string({ summary: 'Leave accepted findings alone.', helpValue: '<file>' }),
    ...here,
  }
  static override examples = [
    'sudo <%= config.bin %> tune-os apply',
    'sudo <%= config.bin %> tune-os apply --yes --only vm --profile jvm-broker',
    'sudo <%= config.bin %> tune-os apply --yes --unit rocketmq-broker',
  ]

  async run(): Promise<ApplyResult> {
    const { flags } = await this.parse(TuneOsApply)
    const request = {
      ...tuningRequest(flags, this.config.version),
      ...(flags.waivers === undefined ? {} : { waivers: flags.waivers }),
    }
    const { plan } = await planFor(this.world.clock, request)
    if (!isEmpty(plan) && !flags.yes) {
      checkMayApply(request)
      this.remark(planText(planResult(plan), this.terminal.err))
      if (!(await confirm(this.terminal, 'Apply this?'))) {
        const kept = { applied: false, files: [], values: [], afterwards: [], ok: true }
        return this.show(kept, { text: () => 'nothing was changed' })
      }
    }
    const result = applyFor(this.world.clock, request, plan)
    if (!result.ok) this.exitWith(ExitCode.failed)
    return this.show(result, {
      text: (_result, terminal) => {
        if (!result.applied) return 'nothing to change'
        const rows = result.values.map(({ name, before, now, ok }) => [
          ok ? 'ok' : 'FAILED',
          name,
          before,
          now,
        ])
        const heads = ['', 'VALUE', 'BEFORE', 'NOW'].map((head) => ({ head }))
        return [
          ...result.files.map((path) => `wrote ${path}`),
          ...(rows.length > 0 ? [renderTable(terminal, heads, rows)] : []),
          ...result.afterwards.map((line) => `then  ${line}`),
          'mqctl tune-os rollback takes it back',
        ].join('\n')
      },
    })
  }
}
