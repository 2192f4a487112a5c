import { Flags } from '@oclif/core'
import { MqctlCommand } from '../../src/cli/command.ts'
import { addressesFlag } from '../../src/cli/flags.ts'
import { hostFlags, selectionFlags, tuningRequest } from '../../src/cli/tuning-flags.ts'
import { answer } from '../../src/host/tuning/request.ts'
import type { Report } from '../../src/host/tuning/report.ts'
import { junitText, reportText } from '../../src/host/tuning/report-text.ts'

export default class TuneOsCheck extends MqctlCommand<Report | object> {
  static override summary = 'Judge this machine for messaging work: what, why, how to fix it.'
  static override description = `Reads /proc, /sys and configuration files, changes nothing and runs nothing. Exit code 0: nothing at or
above --fail-on; 1: something; 2: wrong usage; 3: could not be judged. Works without root; what needs it is skipped and says so.`
  static override flags = {
    ...selectionFlags,
    'fail-on': Flags.option({
      summary: 'Severity from which a failed check fails the command.',
      options: ['critical', 'warning', 'info', 'never'] as const,
      default: 'critical' as const,
    })(),
    strict: Flags.boolean({
      summary: 'What could not be judged (errors, missing rights) ends with exit code 3.',
    }),
    waivers: Flags.string({
      summary: 'YAML file of accepted findings: id, justification, expires.',
      helpValue: '<file>',
    }),
    format: Flags.option({
      summary: 'Form of the report; --json is another.',
      options: ['table', 'junit'] as const,
      default: 'table' as const,
    })(),
    ...hostFlags,
    broker: addressesFlag({
      summary: 'Ask this broker for its configuration and judge that.',
      helpValue: 'host:port',
      helpGroup: 'TARGET',
      exclusive: ['broker-conf', 'facts'],
    }),
  }
  static override examples = [
    '<%= config.bin %> tune-os check',
    '<%= config.bin %> tune-os check --profile node-broker --json',
    '<%= config.bin %> tune-os check --unit rocketmq-broker --data-dir /data --probe --window 5s',
    '<%= config.bin %> tune-os check --only vm,net.somaxconn --fail-on warning',
    '<%= config.bin %> tune-os check --facts facts.json --waivers waivers.yaml --format junit',
  ]

  async run(): Promise<Report | object> {
    const { flags } = await this.parse(TuneOsCheck)
    const brokerTold = flags.broker === undefined ? null : await this.#ask(flags.broker)
    const { report } = await answer(this.world.clock, {
      ...tuningRequest(flags, this.config.version),
      failOn: flags['fail-on'],
      strict: flags.strict,
      ...(flags.waivers === undefined ? {} : { waivers: flags.waivers }),
      ...(brokerTold === null ? {} : { brokerTold }),
    })
    this.exitWith(report.summary.exitCode)
    return this.show(report, {
      rows: () => report.results,
      text: (_, terminal) =>
        flags.format === 'junit'
          ? junitText(report)
          : reportText(report, terminal.out, this.verbose),
    })
  }

  async #ask(addresses: readonly string[]): Promise<{ text: string; source: string }> {
    const address = addresses[0] ?? ''
    // A client is half of the start-up time, and few ask a broker.
    const { withAdmin } = await import('../../src/cli/connection.ts')
    const settings = await withAdmin(this.world, addresses, 5_000, (admin) =>
      admin.brokers.config(address),
    )
    return {
      text: [...settings].map(([key, value]) => `${key}=${value}`).join('\n'),
      source: `broker ${address}`,
    }
  }
}
