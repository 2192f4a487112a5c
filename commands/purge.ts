import { Flags } from '@oclif/core'
import { MqError } from '../src/base/errors.ts'
import { formatBytes } from '../src/base/units.ts'
import { MqctlCommand } from '../src/cli/command.ts'
import { findInstance, instanceArgument } from '../src/cli/instances.ts'
import { confirm } from '../src/cli/confirm.ts'
import { directoryBytes, removeData } from '../src/engine/purge.ts'

export interface Purged {
  readonly name: string
  readonly dataDir: string
  readonly bytes: number
  readonly removed: boolean
}

export default class Purge extends MqctlCommand<Purged> {
  static override summary = 'Delete the messages of a stopped instance; asks first.'
  static override args = { name: instanceArgument() }
  static override flags = {
    yes: Flags.boolean({ char: 'y', summary: 'Do not ask.' }),
    'dry-run': Flags.boolean({ summary: 'Only say what would be deleted.' }),
  }
  static override examples = [
    '<%= config.bin %> purge',
    '<%= config.bin %> purge dev --yes',
    '<%= config.bin %> purge --dry-run --json',
  ]

  async run(): Promise<Purged> {
    const { args, flags } = await this.parse(Purge)
    const { run, status, stateDir } = findInstance(args.name)
    if (status.state !== 'stopped') {
      throw new MqError('ALREADY_RUNNING', { name: args.name, pid: status.supervisorPid ?? '?' })
    }
    const bytes = directoryBytes(run.dataDir)
    const what = `${run.dataDir} (${formatBytes(bytes)})`
    const remove =
      !flags['dry-run'] &&
      (flags.yes || (await confirm(this.terminal, `Delete all messages in ${what}?`)))
    if (remove) await removeData(this.world.disk, run, stateDir)
    const result = { name: args.name, dataDir: run.dataDir, bytes, removed: remove }
    return this.show(result, {
      text: () => `${remove ? 'deleted' : flags['dry-run'] ? 'would delete' : 'kept'} ${what}`,
    })
  }
}
