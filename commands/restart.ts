import { MqctlCommand } from '../src/cli/command.ts'
import { durationFlag } from '../src/cli/flags.ts'
import { findInstance, instanceArgument, statusText } from '../src/cli/instances.ts'
import { startDetached } from '../src/engine/detach.ts'
import type { InstanceStatus } from '../src/engine/instance.ts'
import { stopInstance } from '../src/engine/stop.ts'

export default class Restart extends MqctlCommand<InstanceStatus> {
  static override summary = 'Stop and start again, in the background, with the same options.'
  static override args = { name: instanceArgument() }
  static override flags = {
    timeout: durationFlag({
      summary: 'How long a clean stop may take before it is killed.',
      default: 30_000,
      defaultHelp: async () => '30s',
    }),
  }
  static override examples = ['<%= config.bin %> restart', '<%= config.bin %> restart dev']

  async run(): Promise<InstanceStatus> {
    const { args, flags } = await this.parse(Restart)
    const { run, status, stateDir } = findInstance(args.name)
    const interrupted = this.claimInterrupts()
    if (status.state !== 'stopped') {
      await stopInstance(this.world, run, stateDir, { timeoutMs: flags.timeout, force: false })
    }
    const started = await startDetached({ plan: run.plan, stateDir }, interrupted)
    return this.show(started, {
      text: (_, terminal) => statusText(started, terminal, this.world.clock.wallMs()),
    })
  }
}
