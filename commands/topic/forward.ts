import { Flags } from '@oclif/core'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { formatCount } from '../../src/base/units.ts'
import { argument } from '../../src/cli/flags.ts'
import { ProgressLine } from '../../src/cli/progress-line.ts'
import { renderTable } from '../../src/cli/table.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import { forward, planForward } from '../../src/client/topic-forward.ts'

export interface TopicForwardResult {
  readonly source: string
  readonly target: string
  /** Whose progress says where it goes on. */
  readonly group: string
  readonly executed: boolean
  /** Messages that were copied. */
  readonly moved: number
  /** Messages that are still to be copied. */
  readonly left: number
  readonly queues: readonly {
    readonly broker: string
    readonly queueId: number
    readonly from: number
    /** Where it is now; without --execute where it would end. */
    readonly to: number
  }[]
}

export default class TopicForward extends BrokerCommand<TopicForwardResult> {
  static override summary =
    'Copy a backlog into another topic, in order; shows the plan, and does it with --execute.'
  static override description = `For a topic that is too narrow: make a wider one, let producers send there, and move what still waits.
Copies keep ids, keys, tags and properties; messages of one order key, or of one key, keep their order.
Up to what is there when it begins; brokers note how far it is, so that another run goes on there. What
was copied stays in its topic until it expires: consumers should leave it (group skip).`
  static override args = {
    source: argument({ description: 'The topic whose messages are copied.', required: true }),
    target: argument({ description: 'The topic that gets them.', required: true }),
  }
  static override flags = {
    execute: Flags.boolean({ summary: 'Do it; without this nothing is sent.' }),
  }
  static override examples = [
    '<%= config.bin %> topic forward orders orders-wide',
    '<%= config.bin %> topic forward orders orders-wide --execute',
  ]

  async run(): Promise<TopicForwardResult> {
    const { args, flags } = await this.parse(TopicForward)
    const signal = this.claimInterrupts()
    const view = new ProgressLine(this.terminal, this.quiet || !this.terminal.stderrIsTty)
    const result = await this.connect(flags, async (admin): Promise<TopicForwardResult> => {
      const plan = await planForward(admin, args.source, args.target)
      const planned = plan.steps.reduce((sum, { from, to }) => sum + to - from, 0)
      let moved = 0
      const ends = flags.execute
        ? await forward(admin, plan, {
            signal,
            sendTimeoutMs: flags.timeout,
            onMoved: (messages) => {
              moved += messages
              view.show('moving', `${formatCount(moved)} of ${formatCount(planned)}`, null)
            },
          }).finally(() => {
            view.end()
          })
        : plan.steps.map(({ to }) => to)
      const { source, target, group } = plan
      const queues = plan.steps.map(({ queue, from, to }, index) => ({
        row: { broker: queue.brokerName, queueId: queue.queueId, from, to: ends[index] ?? from },
        left: flags.execute ? to - (ends[index] ?? from) : to - from,
      }))
      return {
        ...{ source, target, group, moved, executed: flags.execute },
        left: queues.reduce((sum, { left }) => sum + left, 0),
        queues: queues.map(({ row }) => row),
      }
    })
    if (!flags.execute) this.remark('this is a plan; add --execute to do it')
    return this.show(result, { rows: ({ queues }) => queues, text: forwardText })
  }
}

function forwardText(result: TopicForwardResult, terminal: Terminal): string {
  const { source, target, executed, moved, left, queues } = result
  const head = executed
    ? `copied ${messages(moved)} from ${source} to ${target}${left === 0 ? '' : `, ${left} are left`}`
    : `would copy ${messages(left)} from ${source} to ${target}`
  const table = renderTable(
    terminal,
    [
      { head: 'BROKER' },
      { head: 'QUEUE', align: 'right' },
      { head: 'FROM', align: 'right' },
      { head: 'TO', align: 'right' },
    ],
    queues.map(({ broker, queueId, from, to }) => [broker, queueId, from, to]),
  )
  return `${head}\n\n${table}`
}

function messages(count: number): string {
  return `${count} ${count === 1 ? 'message' : 'messages'}`
}
