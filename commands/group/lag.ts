import { Flags } from '@oclif/core'
import { ExitCode } from '../../src/base/exit-codes.ts'
import { formatDurationMs } from '../../src/base/units.ts'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { argument, wholeFlag } from '../../src/cli/flags.ts'
import { renderTable } from '../../src/cli/table.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import type { GroupLag as Lag } from '../../src/client/group-admin.ts'

export default class GroupLag extends BrokerCommand<{ groups: Lag[] }> {
  static override summary = 'How far consumer groups are behind; one group: queue by queue.'
  static override description = `Lag is what was stored and not yet reported as processed. An age that cannot be told is "-" (null),
never 0. With --crit, the exit code is 1 when a group is that far behind.`
  static override args = { group: argument({ description: 'One group; all when missing.' }) }
  static override flags = {
    topic: Flags.string({ summary: 'Only this topic.' }),
    sort: Flags.option({ summary: 'Order of groups.', options: ['lag', 'name'] as const })(),
    top: wholeFlag({ summary: 'Only the first groups.', min: 1 }),
    warn: wholeFlag({ summary: 'Warn from this lag on.', min: 1 }),
    crit: wholeFlag({ summary: 'Exit with 1 from this lag on.', min: 1 }),
  }
  static override examples = [
    '<%= config.bin %> group lag',
    '<%= config.bin %> group lag audit --topic orders',
    '<%= config.bin %> group lag --sort lag --top 10',
    '<%= config.bin %> group lag audit --warn 1000 --crit 10000',
  ]

  async run(): Promise<{ groups: Lag[] }> {
    const { args, flags } = await this.parse(GroupLag)
    const all = await this.connect(flags, async (admin) => {
      if (args.group !== undefined) return [await admin.groups.lag(args.group, flags.topic)]
      const lags: Lag[] = []
      for (const name of await admin.groups.names()) lags.push(await admin.groups.lag(name))
      if (flags.topic === undefined) return lags
      return lags
        .map((lag) => onlyTopic(lag, flags.topic ?? ''))
        .filter(({ queues }) => queues.length > 0)
    })
    const sorted = flags.sort === 'lag' ? [...all].sort((one, two) => two.lag - one.lag) : all
    const groups = sorted.slice(0, flags.top ?? sorted.length)
    for (const { name, lag } of groups) {
      if (flags.crit !== undefined && lag >= flags.crit) {
        this.warn(`${name} is ${lag} behind (critical from ${flags.crit})`)
        this.exitWith(ExitCode.failed)
      } else if (flags.warn !== undefined && lag >= flags.warn) {
        this.warn(`${name} is ${lag} behind (warning from ${flags.warn})`)
      }
    }
    if (groups.length === 0) this.remark('no consumer groups')
    return this.show(
      { groups },
      {
        rows: () =>
          args.group === undefined
            ? groups.map(({ name, lag, lagSeconds }) => ({ name, lag, lagSeconds }))
            : (groups[0]?.queues ?? []),
        text: (_, terminal) =>
          args.group === undefined ? overview(groups, terminal) : details(groups, terminal),
      },
    )
  }
}

function onlyTopic(lag: Lag, topic: string): Lag {
  const queues = lag.queues.filter((queue) => queue.topic === topic)
  const ages = queues.map(({ lagSeconds }) => lagSeconds).filter((age) => age !== null)
  return {
    name: lag.name,
    lag: queues.reduce((sum, queue) => sum + queue.lag, 0),
    lagSeconds: ages.length === 0 ? null : Math.max(...ages),
    queues,
  }
}

const age = (seconds: number | null) =>
  seconds === null ? null : formatDurationMs(seconds * 1_000)

function overview(groups: readonly Lag[], terminal: Terminal): string {
  if (groups.length === 0) return ''
  return renderTable(
    terminal,
    [
      { head: 'GROUP' },
      { head: 'LAG', align: 'right' },
      { head: 'BEHIND', align: 'right' },
      { head: 'QUEUES', align: 'right' },
    ],
    groups.map((group) => [group.name, group.lag, age(group.lagSeconds), group.queues.length]),
  )
}

function details(groups: readonly Lag[], terminal: Terminal): string {
  return groups
    .map((group) => {
      const head = `${terminal.out.bold(group.name)} is ${group.lag} behind`
      const table = renderTable(
        terminal,
        [
          { head: 'TOPIC' },
          { head: 'BROKER' },
          { head: 'QUEUE', align: 'right' },
          { head: 'STORED', align: 'right' },
          { head: 'PROCESSED', align: 'right' },
          { head: 'LAG', align: 'right' },
          { head: 'BEHIND', align: 'right' },
        ],
        group.queues.map((queue) => [
          queue.topic,
          queue.broker,
          queue.queueId,
          queue.brokerOffset,
          queue.consumerOffset,
          queue.lag,
          age(queue.lagSeconds),
        ]),
      )
      return group.queues.length === 0 ? head : `${head}\n\n${table}`
    })
    .join('\n\n')
}
