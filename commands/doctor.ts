import { Flags } from '@oclif/core'
import { MqctlCommand } from '../src/cli/command.ts'
import { chooseNameServers } from '../src/cli/connection.ts'
import { networkRows } from '../src/cli/doctor-network.ts'
import { connectionFlags } from '../src/cli/flags.ts'
import { lookUpInstance } from '../src/cli/instances.ts'
import { renderTable } from '../src/cli/table.ts'
import { dataHome } from '../src/engine/directories.ts'
import { instanceNames } from '../src/engine/instance.ts'
import { defaultBrokerPort, defaultNameServerPort } from '../src/engine/ports.ts'
import { summaryOf, type DoctorRow, type DoctorSummary } from '../src/host/doctor/doctor.ts'
import { bundle, examine } from '../src/host/doctor/examine.ts'

export interface Diagnosis {
  readonly version: string
  readonly checks: readonly DoctorRow[]
  readonly summary: DoctorSummary
  readonly bundle: {
    readonly file: string
    readonly bytes: number
    readonly files: readonly string[]
  } | null
}

export default class Doctor extends MqctlCommand<Diagnosis> {
  static override summary =
    'Is mqctl itself all right here: Node, ports, directories, clock, brokers.'
  static override description =
    'Exit code 1 when something failed. For the machine as a home of a broker: mqctl tune-os check.'
  static override baseFlags = { ...connectionFlags, ...MqctlCommand.baseFlags }
  static override flags = {
    'data-dir': Flags.string({ summary: 'Directory of messages to look at.', helpValue: '<dir>' }),
    bundle: Flags.string({
      summary: 'Also write a support archive (.tar.gz) without secrets.',
      helpValue: '<file>',
    }),
    'broker-conf': Flags.string({
      summary: 'A broker.conf that belongs into the archive, values of unknown keys hidden.',
      helpValue: '<file>',
      dependsOn: ['bundle'],
    }),
  }
  static override examples = [
    '<%= config.bin %> doctor',
    '<%= config.bin %> doctor -n mq1:9876 --json',
    '<%= config.bin %> doctor --bundle mqctl-doctor.tar.gz',
  ]

  async run(): Promise<Diagnosis> {
    const { flags } = await this.parse(Doctor)
    const dataDir = flags['data-dir'] ?? dataHome(process.env)
    const instances = instanceNames(process.env)
      .map((name) => lookUpInstance(name))
      .filter((known) => known !== null)
      .map(({ stateDir, status }) => ({
        name: status.name,
        stateDir,
        supervisorPid: status.supervisorPid,
        roles: [...status.nameServers, ...status.brokers],
        status,
      }))
    const { term, locale } = { term: process.env['TERM'], locale: localeOf(process.env) }
    const { stdoutIsTty, widthColumns } = this.terminal
    const local = await examine(this.world, {
      terminal: { stdoutIsTty, widthColumns, term: term ?? null, locale },
      dataDir,
      instances,
      ports: [
        { port: defaultNameServerPort, flag: '--namesrv-port' },
        { port: defaultBrokerPort, flag: '--port' },
      ],
    })
    const choice = chooseNameServers(namesrvOf(flags), process.env)
    const network = await networkRows(this.world, choice, timeoutOf(flags))
    const checks = [...local, ...network]
    const result = { version: this.config.version, checks, summary: summaryOf(checks) }
    const archive =
      flags.bundle === undefined
        ? null
        : await bundle(this.world, {
            file: flags.bundle,
            version: this.config.version,
            doctor: result,
            argv: process.argv.slice(2),
            brokerConf: flags['broker-conf'] ?? null,
            dataDir,
            instances,
          })
    this.exitWith(result.summary.exitCode)
    return this.show(
      { ...result, bundle: archive },
      {
        rows: () => checks,
        text: (_, terminal) => {
          const rows = checks.map(({ id, status, text, hint }) => [
            status === 'ok' ? 'ok' : status.toUpperCase(),
            id,
            hint === '' ? text : `${text} → ${hint}`,
          ])
          const heads = ['', 'WHAT', 'FOUND'].map((head) => ({ head }))
          const { ok, warn, fail } = result.summary
          return [
            renderTable(terminal, heads, rows),
            '',
            `${fail} failed, ${warn} to look at, ${ok} fine`,
            ...(archive === null
              ? []
              : [`wrote ${archive.file}: look through it before you send it`]),
          ].join('\n')
        },
      },
    )
  }
}

function localeOf(env: NodeJS.ProcessEnv): string | null {
  return env['LC_ALL'] ?? env['LC_CTYPE'] ?? env['LANG'] ?? null
}

function namesrvOf(flags: object): readonly string[] | undefined {
  return (flags as { namesrv?: readonly string[] }).namesrv
}

function timeoutOf(flags: object): number {
  return (flags as { timeout?: number }).timeout ?? 5_000
}
