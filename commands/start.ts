import { Flags } from '@oclif/core'
import { ExitCode } from '../src/base/exit-codes.ts'
import { MqctlCommand } from '../src/cli/command.ts'
import { instanceArgument, statusText } from '../src/cli/instances.ts'
import { logText } from '../src/cli/log-view.ts'
import { keptText, leftOutText, planOf, startFlags } from '../src/cli/start-flags.ts'
import { startDetached } from '../src/engine/detach.ts'
import { directoriesOf } from '../src/engine/directories.ts'
import { Instance } from '../src/engine/engine.ts'
import { type InstanceStatus, readLastRun } from '../src/engine/instance.ts'
import { followLogs } from '../src/engine/log-reader.ts'
import type { InstancePlan } from '../src/engine/topology.ts'

export default class Start extends MqctlCommand<InstanceStatus> {
  static override summary = 'Run a name server and a broker on this machine.'
  static override description = `Each is a process of its own under this one. In the foreground, Ctrl-C stops them; with --detach
they run on and mqctl stop ends them. Messages stay until mqctl purge. What the broker acknowledges
is on disk in Apache RocketMQ's own format.`
  static override args = { name: instanceArgument() }
  static override flags = {
    detach: Flags.boolean({ char: 'd', summary: 'Run in the background.' }),
    wait: Flags.boolean({
      summary: 'Return when it serves (always so: kept for scripts that say it).',
      dependsOn: ['detach'],
    }),
    ...startFlags,
  }
  static override examples = [
    '<%= config.bin %> start',
    '<%= config.bin %> start --detach --wait --topic orders:4',
    '<%= config.bin %> start ci --detach --wait --any-port --json',
    '<%= config.bin %> start --brokers 3 --namesrvs 2 --flush sync',
    '<%= config.bin %> start --bind 0.0.0.0 --advertise broker.local --insecure-expose',
  ]

  async run(): Promise<InstanceStatus> {
    const { args, flags } = await this.parse(Start)
    const { stateDir } = directoriesOf(process.env, args.name)
    const last = readLastRun(stateDir)?.plan ?? null
    const plan = planOf(args.name, flags, last)
    const interrupted = this.claimInterrupts()
    if (flags['insecure-expose'] && flags.bind !== '127.0.0.1') {
      this.warn(
        `anybody who reaches ${flags.bind} can read, write and delete: there is no access control`,
      )
    }
    const leftOut = leftOutText(plan, last)
    if (leftOut !== null) this.warn(leftOut)
    const kept = keptText(plan, flags)
    if (kept !== null) this.remark(kept)
    const looked = this.#lookAtHost(plan.dataDir)
    if (!flags.detach) {
      await looked
      return this.#foreground(plan, stateDir, interrupted)
    }
    const [status] = await Promise.all([startDetached({ plan, stateDir }, interrupted), looked])
    return this.#showStarted(status, plan)
  }

  /** Warns of what would keep a broker from working here, while the processes start. */
  async #lookAtHost(dataDir: string): Promise<void> {
    const { complaints, hostChecks } = await import('../src/host/tuning/tuning.ts')
    const report = await hostChecks({
      clock: this.world.clock,
      version: this.config.version,
      profile: 'node-broker',
      dataDir,
      onlyBreaking: true,
    })
    for (const { text, hint } of complaints([report], 'critical')) this.warn(`${text}: ${hint}`)
  }

  async #foreground(
    plan: InstancePlan,
    stateDir: string,
    interrupted: AbortSignal,
  ): Promise<InstanceStatus> {
    const over = new AbortController()
    const stopLogs = new AbortController()
    let instance: Instance | null = null
    const logs = this.quiet
      ? Promise.resolve()
      : followLogs(this.world, stateDir, stopLogs.signal, (line) => {
          process.stderr.write(`${logText(line, this.terminal.err)}\n`)
        })
    try {
      instance = await Instance.start(this.world, plan, {
        stateDir,
        onRoleEnd: ({ name, pid, how, expected }) => {
          if (expected) return
          this.remark(`${name} (pid ${pid}) ended: ${how}`)
          this.exitWith(ExitCode.failed)
          if (instance?.living === 0) over.abort()
        },
      })
      const status = await this.#showStarted(instance.status, plan)
      await either(interrupted, over.signal)
      this.remark('stopping …')
      await instance.stop()
      return status
    } finally {
      stopLogs.abort()
      await logs
    }
  }

  #showStarted(status: InstanceStatus, plan: InstancePlan): Promise<InstanceStatus> {
    const topic = plan.topics[0]?.name ?? 'orders'
    return this.show(status, {
      text: (_, terminal) => {
        const other = status.name === 'local' ? '' : ` -n ${quoted(status.namesrv.join(';'))}`
        const next = [
          `mqctl produce ${topic} "hello"${other}`,
          `mqctl consume ${topic} --from start${other}`,
          `mqctl bench`,
        ]
        const text = statusText(status, terminal, this.world.clock.wallMs())
        return `${text}\n\n${terminal.out.bold('next')}\n${next.map((line) => `  ${line}`).join('\n')}`
      },
    })
  }
}

/** For a shell: a `;` would end the command. */
function quoted(text: string): string {
  return text.includes(';') ? `'${text}'` : text
}

function either(one: AbortSignal, other: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of [one, other]) {
      if (signal.aborted) resolve()
      else
        signal.addEventListener('abort', () => {
          resolve()
        })
    }
  })
}
