import { Flags } from '@oclif/core'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { renderFacts, renderTable } from '../../src/cli/table.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import { isoTime } from '../../src/cli/time.ts'
import { topicArgument } from '../../src/cli/topic-flags.ts'
import type { Admin } from '../../src/client/admin.ts'
import { permText, type TopicDetails } from '../../src/client/topic-admin.ts'

export interface TopicView {
  readonly name: string
  readonly type: string
  readonly perm: string
  readonly queues: number
  readonly messages: number
  readonly groups: readonly string[]
  readonly brokers: readonly {
    readonly name: string
    readonly address: string
    readonly readQueues: number
    readonly writeQueues: number
    readonly perm: string
    readonly order: boolean
    readonly attributes: Readonly<Record<string, string>>
  }[]
  readonly offsets: readonly {
    readonly broker: string
    readonly queueId: number
    readonly minOffset: number
    readonly maxOffset: number
    readonly messages: number
    readonly lastStoredAt: string | null
  }[]
  /** With --stats: what brokers count, all of them together. */
  readonly stats?: TopicStats
}

export interface TopicStats {
  readonly stored: TopicRates
  readonly delivered: readonly ({ readonly group: string } & TopicRates)[]
}

export interface TopicRates {
  /** Messages a second, over the last minute. */
  readonly perSecond: number
  readonly lastMinute: number
  readonly lastHour: number
  readonly lastDay: number
}

export default class TopicGet extends BrokerCommand<TopicView> {
  static override summary = 'One topic: brokers, queues, offsets, and who consumes it.'
  static override args = { topic: topicArgument() }
  static override flags = {
    stats: Flags.boolean({ summary: 'Also what is stored and delivered a second, hour and day.' }),
  }
  static override examples = [
    '<%= config.bin %> topic get orders',
    '<%= config.bin %> topic get orders --stats',
    '<%= config.bin %> topic get orders --json | jq .messages',
  ]

  async run(): Promise<TopicView> {
    const { args, flags } = await this.parse(TopicGet)
    const view = await this.connect(flags, async (admin): Promise<TopicView> => {
      const found = viewOf(await admin.topics.get(args.topic))
      return flags.stats ? { ...found, stats: await statsOf(admin, found) } : found
    })
    return this.show(view, { text: topicText })
  }
}

type Stats = NonNullable<Awaited<ReturnType<Admin['brokers']['stats']>>>

async function statsOf(admin: Admin, { name, groups, brokers }: TopicView): Promise<TopicStats> {
  const sum = async (statsName: string, key: string): Promise<TopicRates> => {
    const all = await Promise.all(
      brokers.map(({ address }) => admin.brokers.stats(address, statsName, key)),
    )
    const total = (of: (stats: Stats) => number) =>
      all.reduce((before, stats) => before + (stats === null ? 0 : of(stats)), 0)
    return {
      perSecond: total(({ statsMinute }) => statsMinute.tps),
      lastMinute: total(({ statsMinute }) => statsMinute.sum),
      lastHour: total(({ statsHour }) => statsHour.sum),
      lastDay: total(({ statsDay }) => statsDay.sum),
    }
  }
  return {
    stored: await sum('TOPIC_PUT_NUMS', name),
    delivered: await Promise.all(
      groups.map(async (group) => ({
        group,
        ...(await sum('GROUP_GET_NUMS', `${name}@${group}`)),
      })),
    ),
  }
}

function statsText({ stored, delivered }: TopicStats, terminal: Terminal): string {
  const cells = (rates: TopicRates) => [
    rates.perSecond.toFixed(1),
    ...[rates.lastMinute, rates.lastHour, rates.lastDay],
  ]
  return renderTable(
    terminal,
    [
      { head: '' },
      { head: 'A SECOND', align: 'right' },
      { head: 'LAST MINUTE', align: 'right' },
      { head: 'HOUR', align: 'right' },
      { head: 'DAY', align: 'right' },
    ],
    [
      ['stored', ...cells(stored)],
      ...delivered.map((row) => [`delivered to ${row.group}`, ...cells(row)]),
    ],
  )
}

function viewOf(details: TopicDetails): TopicView {
  const { name, type, perm, queues, messages, groups } = details
  return {
    name,
    type,
    perm,
    queues,
    messages,
    groups,
    brokers: details.brokers.map(({ broker, address, config }) => ({
      name: broker,
      address,
      readQueues: config.readQueueNums,
      writeQueues: config.writeQueueNums,
      perm: permText(config.perm),
      order: config.order,
      attributes: config.attributes,
    })),
    offsets: details.offsets.map((row) => ({
      broker: row.queue.brokerName,
      queueId: row.queue.queueId,
      minOffset: row.minOffset,
      maxOffset: row.maxOffset,
      messages: row.maxOffset - row.minOffset,
      lastStoredAt: isoTime(row.lastUpdateTimestamp),
    })),
  }
}

function topicText(view: TopicView, terminal: Terminal): string {
  const attributes = [
    ...new Set(
      view.brokers.flatMap((row) => Object.entries(row.attributes).map((pair) => pair.join('='))),
    ),
  ]
  const facts = renderFacts(terminal, [
    ['topic', view.name],
    ['type', view.type],
    ['permission', view.perm],
    ['messages', view.messages],
    ['groups', view.groups.length === 0 ? 'none' : view.groups.join(', ')],
    ['attributes', attributes.length === 0 ? null : attributes.join(', ')],
    ['brokers', view.brokers.map(({ name, address }) => `${name} (${address})`).join(', ')],
  ])
  const table = renderTable(
    terminal,
    [
      { head: 'BROKER' },
      { head: 'QUEUE', align: 'right' },
      { head: 'FIRST', align: 'right' },
      { head: 'NEXT', align: 'right' },
      { head: 'MESSAGES', align: 'right' },
      { head: 'LAST STORED' },
    ],
    view.offsets.map((row) => [
      row.broker,
      row.queueId,
      row.minOffset,
      row.maxOffset,
      row.messages,
      row.lastStoredAt,
    ]),
  )
  const stats = view.stats === undefined ? '' : `\n\n${statsText(view.stats, terminal)}`
  return `${facts}\n\n${table}${stats}`
}
