import { Flags } from '@oclif/core'
import { formatBytes } from '../src/base/units.ts'
import { MqctlCommand } from '../src/cli/command.ts'
import { instanceArgument, noSuchInstance } from '../src/cli/instances.ts'
import { confirm } from '../src/cli/confirm.ts'
import {
  allBelongings,
  belongingsBytes,
  belongingsOf,
  refuseInUse,
  removeBelongings,
} from '../src/engine/purge.ts'

export interface Purged {
  readonly name: string
  readonly dataDir: string
  readonly bytes: number
  readonly removed: boolean
}

export default class Purge extends MqctlCommand<Purged | { purged: Purged[] }> {
  static override summary = 'Delete the messages of a stopped instance; asks first.'
  static override description = `Messages, offsets, topics, run.json and logs go. With --all, those of every instance of this user:
nothing that mqctl start made is left then. While one of them runs, none is deleted.`
  static override args = { name: instanceArgument() }
  static override flags = {
    all: Flags.boolean({ summary: 'Every instance of this user.' }),
    yes: Flags.boolean({ char: 'y', summary: 'Do not ask.' }),
    'dry-run': Flags.boolean({ summary: 'Only say what would be deleted.' }),
  }
  static override examples = [
    '<%= config.bin %> purge',
    '<%= config.bin %> purge dev --yes',
    '<%= config.bin %> purge --all',
    '<%= config.bin %> purge --dry-run --json',
  ]

  async run(): Promise<Purged | { purged: Purged[] }> {
    const { args, flags } = await this.parse(Purge)
    const one = flags.all ? null : belongingsOf(process.env, args.name)
    if (one === null && !flags.all) throw noSuchInstance(args.name)
    const all = one === null ? allBelongings(process.env) : [one]
    for (const what of all) await refuseInUse(this.world.disk, what)

    const found = all.map((what) => ({ what, bytes: belongingsBytes(what) }))
    const remove = found.length > 0 && !flags['dry-run'] && (flags.yes || (await this.#ask(found)))
    const done = remove ? 'deleted' : flags['dry-run'] ? 'would delete' : 'kept'
    const purged: Purged[] = []
    for (const { what, bytes } of found) {
      if (remove) await removeBelongings(this.world.disk, process.env, what)
      purged.push({ name: what.name, dataDir: what.dataDir, bytes, removed: remove })
    }
    const [first] = purged
    return this.show(flags.all || first === undefined ? { purged } : first, {
      rows: () => purged,
      text: () =>
        purged.length === 0
          ? 'there is nothing to delete'
          : purged.map((row) => `${done} ${placeOf(row)}`).join('\n'),
    })
  }

  #ask(found: readonly { what: { dataDir: string }; bytes: number }[]): Promise<boolean> {
    const places = found.map(({ what, bytes }) => placeOf({ dataDir: what.dataDir, bytes }))
    return confirm(this.terminal, `Delete all messages in ${places.join(', ')}?`)
  }
}

function placeOf({ dataDir, bytes }: { dataDir: string; bytes: number }): string {
  return `${dataDir} (${formatBytes(bytes)})`
}
