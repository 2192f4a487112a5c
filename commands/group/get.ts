import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { argument } from '../../src/cli/flags.ts'
import { renderFacts, renderTable } from '../../src/cli/table.ts'
import type { Terminal } from '../../src/cli/terminal.ts'

export interface GroupView {
  readonly name: string
  readonly model: string | null
  readonly lag: number
  readonly lagSeconds: number | null
  readonly members: readonly {
    readonly clientId: string
    readonly address: string
    readonly language: string
    readonly version: number
  }[]
  readonly subscriptions: readonly { readonly topic: string; readonly expression: string }[]
  readonly brokers: readonly {
    readonly name: string
    readonly address: string
    readonly consumeEnable: boolean
    readonly retryQueues: number
    readonly retryMax: number
  }[]
}

export default class GroupGet extends BrokerCommand<GroupView> {
  static override summary = 'One consumer group: members, subscriptions, settings, lag.'
  static override args = { group: argument({ description: 'The group.', required: true }) }
  static override examples = ['<%= config.bin %> group get audit']

  async run(): Promise<GroupView> {
    const { args, flags } = await this.parse(GroupGet)
    const view = await this.connect(flags, async (admin): Promise<GroupView> => {
      const rows = await admin.groups.get(args.group)
      const [connection, lag] = await Promise.all([
        admin.groups.connections(args.group),
        admin.groups.lag(args.group),
      ])
      return {
        name: args.group,
        model: connection?.messageModel ?? null,
        lag: lag.lag,
        lagSeconds: lag.lagSeconds,
        members: (connection?.connections ?? []).map((member) => ({
          clientId: member.clientId,
          address: member.clientAddr,
          language: member.language,
          version: member.version,
        })),
        subscriptions: (connection?.subscriptions ?? []).map(({ topic, subString }) => ({
          topic,
          expression: subString,
        })),
        brokers: rows.map(({ broker, address, config }) => ({
          name: broker,
          address,
          consumeEnable: config.consumeEnable,
          retryQueues: config.retryQueueNums,
          retryMax: config.retryMaxTimes,
        })),
      }
    })
    return this.show(view, { text: groupText })
  }
}

function groupText(view: GroupView, terminal: Terminal): string {
  const facts = renderFacts(terminal, [
    ['group', view.name],
    ['model', view.model],
    ['lag', view.lag],
    [
      'topics',
      view.subscriptions.map((row) => `${row.topic} (${row.expression})`).join(', ') || null,
    ],
    ['brokers', view.brokers.map(({ name }) => name).join(', ')],
  ])
  if (view.members.length === 0) return `${facts}\n\nnobody is connected`
  const table = renderTable(
    terminal,
    [{ head: 'CLIENT' }, { head: 'ADDRESS' }, { head: 'LANGUAGE' }],
    view.members.map((member) => [member.clientId, member.address, member.language]),
  )
  return `${facts}\n\n${table}`
}
