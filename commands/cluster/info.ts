import { ExitCode } from '../../src/base/exit-codes.ts'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { brokerRow, brokerTable, type BrokerRow } from '../../src/cli/broker-view.ts'

export interface ClusterView {
  readonly namesrv: readonly string[]
  readonly clusters: readonly { readonly name: string; readonly brokers: readonly BrokerRow[] }[]
}

export default class ClusterInfo extends BrokerCommand<ClusterView> {
  static override summary = 'Name servers, clusters and brokers.'
  static override description =
    'The exit code is 3 when a broker that the name server knows does not answer.'
  static override examples = [
    '<%= config.bin %> cluster info',
    '<%= config.bin %> cluster info --json',
  ]

  async run(): Promise<ClusterView> {
    const { flags } = await this.parse(ClusterInfo)
    const view = await this.connect(flags, async (admin): Promise<ClusterView> => {
      const rows = (await admin.brokers.list()).map(brokerRow)
      return {
        namesrv: admin.client.nameServers.addresses,
        clusters: [...new Set(rows.map(({ cluster }) => cluster))].map((name) => ({
          name,
          brokers: rows.filter(({ cluster }) => cluster === name),
        })),
      }
    })
    const rows = view.clusters.flatMap(({ brokers }) => brokers)
    if (rows.some(({ error }) => error !== null)) this.exitWith(ExitCode.unreachable)
    if (rows.length === 0) this.remark('no broker has registered with these name servers')
    return this.show(view, {
      rows: () => rows,
      text: (_, terminal) =>
        [`name servers  ${view.namesrv.join(';')}`, brokerTable(rows, terminal)]
          .filter((part) => part !== '')
          .join('\n\n'),
    })
  }
}
