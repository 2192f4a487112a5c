import { MqctlCommand } from '../../src/cli/command.ts'
import { argument } from '../../src/cli/flags.ts'
import { explainText, explain, type Explained } from '../../src/host/tuning/explain-text.ts'

export default class TuneOsExplain extends MqctlCommand<Explained> {
  static override summary =
    'Why a check is there: for whom it matters, who says what, how to read it by hand.'
  static override args = {
    id: argument({ description: 'Id of a check, as in vm.swappiness.', required: true }),
  }
  static override examples = [
    '<%= config.bin %> tune-os explain vm.max-map-count',
    '<%= config.bin %> tune-os explain jvm.flags --json',
  ]

  async run(): Promise<Explained> {
    const { args } = await this.parse(TuneOsExplain)
    const explained = explain(args.id)
    return this.show(explained, {
      text: (_, terminal) => explainText(explained, terminal.out, terminal.widthColumns),
    })
  }
}
