import { Flags } from '@oclif/core'
import { ExitCode } from '../src/base/exit-codes.ts'
import { MqctlCommand } from '../src/cli/command.ts'
import { damageText, withDamage } from '../src/cli/damage.ts'
import {
  instanceArgument,
  instanceStatus,
  lookUpInstance,
  statusText,
} from '../src/cli/instances.ts'
import { renderTable } from '../src/cli/table.ts'
import { instanceNames, type InstanceStatus } from '../src/engine/instance.ts'

export default class Status extends MqctlCommand<object> {
  static override summary = 'What runs on this machine, and where.'
  static override description =
    'Exit code 0 when it runs, 1 when it is stopped or a part of it is missing. Running brokers are asked for damaged records in their logs; the rest of the log is served.'
  static override args = { name: instanceArgument() }
  static override flags = {
    all: Flags.boolean({ summary: 'Every instance that ever ran for this user.' }),
  }
  static override examples = [
    '<%= config.bin %> status',
    '<%= config.bin %> status --json',
    '<%= config.bin %> status --all',
  ]

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Status)
    if (flags.all) return this.#all()
    const found = instanceStatus(args.name)
    const status = await withDamage(this.world, found.run, found.status)
    if (status.state !== 'running') this.exitWith(ExitCode.failed)
    return this.show(status, {
      rows: () => [status],
      text: (_, terminal) => {
        const text = statusText(status, terminal, this.world.clock.wallMs())
        const damage = damageText(status)
        return damage === '' ? text : `${text}\n\n${terminal.out.red(damage)}`
      },
    })
  }

  async #all(): Promise<object> {
    const known = instanceNames(process.env).map((name) => lookUpInstance(name))
    const instances = await Promise.all(
      known
        .filter((found) => found !== null)
        .map(({ run, status }) => withDamage(this.world, run, status)),
    )
    return this.show(
      { instances },
      {
        rows: () => instances,
        text: (_, terminal) =>
          instances.length === 0
            ? 'nothing has run here yet; mqctl start begins'
            : [
                renderTable(
                  terminal,
                  ['NAME', 'STATE', 'NAME SERVERS', 'BROKERS', 'DATA'].map((head) => ({ head })),
                  instances.map(row),
                ),
                ...instances
                  .map((one) => [one.name, damageText(one)] as const)
                  .filter(([, damage]) => damage !== '')
                  .map(([name, damage]) => terminal.out.red(`${name}: ${damage}`)),
              ].join('\n'),
      },
    )
  }
}

function row(status: InstanceStatus): (string | number)[] {
  const { name, state, namesrv, brokers, dataDir } = status
  return [name, state, namesrv.join(';'), brokers.map(({ address }) => address).join(';'), dataDir]
}
