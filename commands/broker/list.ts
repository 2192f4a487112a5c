import { ExitCode } from '../../src/base/exit-codes.ts'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { brokerRow, brokerTable, type BrokerRow } from '../../src/cli/broker-view.ts'
import { whereFlags, whereOf } from '../../src/cli/topic-flags.ts'

export default class BrokerList extends BrokerCommand<{ brokers: BrokerRow[] }> {
  static override summary = 'Brokers, and how much goes through them.'
  static override description =
    'The exit code is 3 when a broker that the name server knows does not answer.'
  static override flags = { cluster: whereFlags.cluster }
  static override examples = [
    '<%= config.bin %> broker list',
    '<%= config.bin %> broker list -o name',
  ]

  async run(): Promise<{ brokers: BrokerRow[] }> {
    const { flags } = await this.parse(BrokerList)
    const brokers = await this.connect(flags, async (admin) =>
      (await admin.brokers.list(whereOf(flags))).map(brokerRow),
    )
    if (brokers.some(({ error }) => error !== null)) this.exitWith(ExitCode.unreachable)
    if (brokers.length === 0) this.remark('no broker has registered with these name servers')
    return this.show(
      { brokers },
      { rows: () => brokers, text: (_, terminal) => brokerTable(brokers, terminal) },
    )
  }
}
