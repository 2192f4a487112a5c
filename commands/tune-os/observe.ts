import { Flags } from '@oclif/core'
import { MqctlCommand } from '../../src/cli/command.ts'
import { wholeFlag } from '../../src/cli/flags.ts'
import { renderTable } from '../../src/cli/table.ts'
import { secondsOrDuration } from '../../src/cli/tuning-flags.ts'
import { NodeHostFiles } from '../../src/host/tuning/host-files.ts'
import { observe, type Observation } from '../../src/host/tuning/observe.ts'

export default class TuneOsObserve extends MqctlCommand<Observation> {
  static override summary =
    'Watch pressure, faults, drops, steal, throttling: which resource hurts now.'
  static override flags = {
    seconds: Flags.custom<number>({
      helpValue: '<seconds>',
      parse: async (input) => Math.max(0.1, secondsOrDuration(input) / 1_000),
    })({ summary: 'Length of the window; 30 or 2m.', default: 10, defaultHelp: async () => '10' }),
    pid: wholeFlag({ summary: 'Pressure and throttling of this process’s control group.', min: 1 }),
    'data-dir': Flags.string({
      summary: 'Watch the disk below it.',
      default: '/',
      helpValue: '<dir>',
    }),
  }
  static override examples = [
    '<%= config.bin %> tune-os observe',
    '<%= config.bin %> tune-os observe --seconds 60 --pid 4711 --data-dir /data --json',
  ]

  async run(): Promise<Observation> {
    const { flags } = await this.parse(TuneOsObserve)
    this.detail(`watching for ${flags.seconds} s`)
    const observation = await observe(new NodeHostFiles(), this.world.clock, {
      seconds: flags.seconds,
      pid: flags.pid ?? null,
      path: flags['data-dir'],
    })
    return this.show(observation, {
      rows: () => observation.signals,
      text: (_, terminal) => {
        const heads = ['', 'RESOURCE', 'SIGNAL', 'VALUE', 'WHAT'].map((head) => ({ head }))
        const marks = ['', 'watch', 'HURTS']
        const rows = observation.signals.map((signal) => [
          marks[signal.level] ?? '',
          signal.resource,
          signal.name,
          `${signal.value} ${signal.unit}`,
          signal.text,
        ])
        const missing =
          observation.missing.length > 0
            ? `\nnot visible here: ${observation.missing.join(', ')}`
            : ''
        const verdict =
          observation.hurts === null
            ? observation.why
            : `${observation.hurts} hurts: ${observation.why}`
        return `${renderTable(terminal, heads, rows)}${missing}\n\n${terminal.out.bold(verdict)} (over ${observation.seconds} s)`
      },
    })
  }
}
