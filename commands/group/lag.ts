import { Flags } from '@oclif/core'
import { ExitCode } from '../../src/base/exit-codes.ts'
import { formatDurationMs } from '../../src/base/units.ts'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { argument, durationFlag, wholeFlag } from '../../src/cli/flags.ts'
import { LagTrend, trendText } from '../../src/cli/lag-trend.ts'
import { jsonText } from '../../src/cli/output.ts'
import { renderTable } from '../../src/cli/table.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import { isoTime } from '../../src/cli/time.ts'
import type { Admin } from '../../src/client/admin.ts'
import type { GroupLag as Lag } from '../../src/client/group-admin.ts'
import { pauseOrAbort } from '../../src/client/pause.ts'

const WATCH_MS = 2_000

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
    watch: Flags.boolean({
      summary: 'Look again and again, with rates and when each group will have caught up.',
      exclusive: ['json', 'warn', 'crit'],
    }),
    interval: durationFlag({
      summary: 'How often; default 2s.',
      dependsOn: ['watch'],
    }),
    count: wholeFlag({
      char: 'c',
      summary: 'Stop after so many looks.',
      min: 1,
      dependsOn: ['watch'],
    }),
  }
  static override examples = [
    '<%= config.bin %> group lag',
    '<%= config.bin %> group lag audit --topic orders',
    '<%= config.bin %> group lag --sort lag --top 10',
    '<%= config.bin %> group lag audit --watch --interval 5s',
    '<%= config.bin %> group lag audit --warn 1000 --crit 10000',
  ]

  async run(): Promise<{ groups: Lag[] }> {
    const { args, flags } = await this.parse(GroupLag)
    const look = async (admin: Admin): Promise<readonly Lag[]> => {
      const all = await lagsOf(admin, args.group, flags.topic)
      const sorted = flags.sort === 'lag' ? [...all].sort((one, two) => two.lag - one.lag) : all
      return sorted.slice(0, flags.top ?? sorted.length)
    }
    if (flags.watch) {
      const { interval = WATCH_MS, count = Number.POSITIVE_INFINITY } = flags
      return this.connect(flags, (admin) => this.#watch(() => look(admin), interval, count))
    }
    const groups = await this.connect(flags, async (admin) => [...(await look(admin))])
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

  /** Prints a block, or with -o ndjson a line a group, for each look. */
  async #watch(
    look: () => Promise<readonly Lag[]>,
    intervalMs: number,
    count: number,
  ): Promise<{ groups: Lag[] }> {
    const signal = this.claimInterrupts()
    this.endWithReader()
    const { clock } = this.world
    const trend = new LagTrend()
    let groups: readonly Lag[] = []
    for (let round = 1; round <= count && !signal.aborted; round++) {
      groups = await look()
      const at = isoTime(clock.wallMs())
      const rows = trend.add(groups, clock.monotonicMs())
      if (this.output === 'ndjson') {
        for (const row of rows) process.stdout.write(`${jsonText({ at, ...row })}\n`)
      } else process.stdout.write(`${trendText(at, rows, this.terminal)}\n\n`)
      if (round < count) await pauseOrAbort(clock, intervalMs, signal)
    }
    return { groups: [...groups] }
  }
}

/** One group, or all; of one topic, or of all. */
async function lagsOf(
  admin: Admin,
  group: string | undefined,
  topic: string | undefined,
): Promise<Lag[]> {
  if (group !== undefined) return [await admin.groups.lag(group, topic)]
  const lags: Lag[] = []
  for (const name of await admin.groups.names()) lags.push(await admin.groups.lag(name))
  if (topic === undefined) return lags
  return lags.map((lag) => onlyTopic(lag, topic)).filter(({ queues }) => queues.length > 0)
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
