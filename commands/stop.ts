import { Flags } from '@oclif/core'
import { formatDurationMs } from '../src/base/units.ts'
import { MqctlCommand } from '../src/cli/command.ts'
import { durationFlag } from '../src/cli/flags.ts'
import { instanceArgument, lookUpInstance, noSuchInstance } from '../src/cli/instances.ts'
import { defaultInstanceName } from '../src/engine/directories.ts'
import { instanceNames } from '../src/engine/instance.ts'
import { stopInstance } from '../src/engine/stop.ts'

export interface Stopped {
  readonly name: string
  readonly state: 'stopped'
  /** False when there was nothing to stop. */
  readonly wasRunning: boolean
  readonly killed: number
  readonly tookMs: number
}

export default class Stop extends MqctlCommand<{ stopped: Stopped[] }> {
  static override summary = 'Stop what mqctl start runs; messages stay.'
  static override description =
    'Brokers first, then name servers. Stopping what does not run is fine (exit 0).'
  static override args = { name: instanceArgument() }
  static override flags = {
    all: Flags.boolean({ summary: 'Stop every instance of this user.' }),
    force: Flags.boolean({ summary: 'Kill at once; the next start recovers.' }),
    timeout: durationFlag({
      summary: 'How long a clean stop may take before it is killed.',
      default: 30_000,
      defaultHelp: async () => '30s',
    }),
  }
  static override examples = [
    '<%= config.bin %> stop',
    '<%= config.bin %> stop --all',
    '<%= config.bin %> stop dev --timeout 5s',
  ]

  async run(): Promise<{ stopped: Stopped[] }> {
    const { args, flags } = await this.parse(Stop)
    const names = flags.all ? instanceNames(process.env) : [args.name]
    const stopped: Stopped[] = []
    for (const name of names) {
      const known = lookUpInstance(name)
      if (known === null && name !== defaultInstanceName) throw noSuchInstance(name)
      const wasRunning = known !== null && known.status.state !== 'stopped'
      if (flags.all && !wasRunning) continue
      const { killed, tookMs } = wasRunning
        ? await stopInstance(this.world, known.run, known.stateDir, {
            timeoutMs: flags.timeout,
            force: flags.force,
          })
        : { killed: 0, tookMs: 0 }
      stopped.push({ name, state: 'stopped', wasRunning, killed, tookMs: Math.round(tookMs) })
    }
    return this.show(
      { stopped },
      {
        rows: () => stopped,
        text: () => (stopped.length === 0 ? 'nothing runs' : stopped.map(line).join('\n')),
      },
    )
  }
}

function line({ name, wasRunning, killed, tookMs }: Stopped): string {
  if (!wasRunning) return `${name} was not running`
  const how = killed > 0 ? `, ${killed} processes had to be killed` : ''
  return `${name} stopped in ${formatDurationMs(tookMs)}${how}`
}
