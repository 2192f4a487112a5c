import { Flags } from '@oclif/core'
import { MqctlCommand } from '../../src/cli/command.ts'
import type { RollbackResult } from '../../src/host/tuning/apply.ts'
import { rollbackFor } from '../../src/host/tuning/change-host.ts'

export default class TuneOsRollback extends MqctlCommand<RollbackResult> {
  static override summary = 'Take back the last apply, to the byte; also one that was interrupted.'
  static override description =
    'Files and values that somebody changed since are not touched without --force: then nothing is undone.'
  static override flags = {
    all: Flags.boolean({ summary: 'Take back every apply, newest first.' }),
    force: Flags.boolean({ summary: 'Also what was changed since.' }),
    sysroot: Flags.string({ summary: 'In a mounted tree instead of /.', helpValue: '<dir>' }),
  }
  static override examples = [
    'sudo <%= config.bin %> tune-os rollback',
    'sudo <%= config.bin %> tune-os rollback --all --json',
  ]

  async run(): Promise<RollbackResult> {
    const { flags } = await this.parse(TuneOsRollback)
    const result = rollbackFor(flags.sysroot, { all: flags.all, force: flags.force })
    return this.show(result, {
      text: () => {
        if (result.undone === 0) return 'nothing to roll back'
        return [
          ...(result.interrupted ? ['an interrupted apply was among them'] : []),
          ...result.values.map((path) => `restored ${path}`),
          ...result.files.map((path) => `restored ${path}`),
          `${result.undone} undone`,
        ].join('\n')
      },
    })
  }
}
