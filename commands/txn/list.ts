import { Flags } from '@oclif/core'
import { formatDurationMs } from '../../src/base/units.ts'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { renderTable } from '../../src/cli/table.ts'
import type { OpenTransaction } from '../../src/client/transaction-admin.ts'

export default class TxnList extends BrokerCommand<{ transactions: OpenTransaction[] }> {
  static override summary = 'Transactions that nobody has committed or rolled back.'
  static override description = `The oldest first. AGE counts from the birth of the message, CHECKS how often the broker has asked the
producers of its group; after 15 (transactionCheckMax) it puts the message aside in
TRANS_CHECK_MAX_TIME_TOPIC. Brokers of Apache's write down every 3 s what was ended: until then it is
listed, too.`
  static override flags = {
    topic: Flags.string({ summary: 'Only messages for this topic.' }),
    group: Flags.string({ char: 'g', summary: 'Only those of this producer group.' }),
  }
  static override examples = [
    '<%= config.bin %> txn list',
    '<%= config.bin %> txn list --group payments --json',
  ]

  async run(): Promise<{ transactions: OpenTransaction[] }> {
    const { flags } = await this.parse(TxnList)
    const all = await this.connect(flags, (admin) => admin.transactions.list())
    const transactions = all.filter(
      ({ topic, producerGroup }) =>
        (flags.topic === undefined || flags.topic === topic) &&
        (flags.group === undefined || flags.group === producerGroup),
    )
    if (transactions.length === 0) this.remark('no open transactions')
    return this.show(
      { transactions },
      {
        rows: () => transactions,
        text: (_, terminal) =>
          transactions.length === 0
            ? ''
            : renderTable(
                terminal,
                [
                  { head: 'MESSAGE ID' },
                  { head: 'TOPIC' },
                  { head: 'GROUP' },
                  { head: 'BROKER' },
                  { head: 'AGE', align: 'right' },
                  { head: 'CHECKS', align: 'right' },
                ],
                transactions.map((one) => [
                  one.messageId,
                  one.topic,
                  one.producerGroup,
                  one.broker,
                  formatDurationMs(one.ageMs),
                  one.checks,
                ]),
              ),
      },
    )
  }
}
