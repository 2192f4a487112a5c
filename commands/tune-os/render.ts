import { Flags } from '@oclif/core'
import { MqctlCommand } from '../../src/cli/command.ts'
import { hostFlags, selectionFlags, tuningRequest } from '../../src/cli/tuning-flags.ts'
import { renderFor } from '../../src/host/tuning/change-host.ts'
import { renderFormats } from '../../src/host/tuning/render.ts'

export interface Rendered {
  readonly format: string
  readonly text: string
}

export default class TuneOsRender extends MqctlCommand<Rendered> {
  static override summary =
    'The same changes for other tools: sysctl, systemd, ansible, shell, k8s.'
  static override flags = {
    format: Flags.option({
      summary: 'What to write.',
      options: renderFormats,
      default: 'shell' as const,
    })(),
    all: Flags.boolean({
      summary: 'Everything that the profile recommends, not only what this host lacks.',
    }),
    ...selectionFlags,
    ...hostFlags,
  }
  static override examples = [
    '<%= config.bin %> tune-os render --format shell > tune.sh',
    '<%= config.bin %> tune-os render --format k8s --all --profile jvm-broker',
    '<%= config.bin %> tune-os render --format systemd --unit rocketmq-broker.service --all',
  ]

  async run(): Promise<Rendered> {
    const { flags } = await this.parse(TuneOsRender)
    const request = tuningRequest(flags, this.config.version)
    const text = await renderFor(this.world.clock, request, flags.format, flags.all)
    return this.show({ format: flags.format, text }, { text: () => text.trimEnd() })
  }
}
