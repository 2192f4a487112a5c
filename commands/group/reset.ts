import { Flags } from '@oclif/core'
import { ExitCode } from '../../src/base/exit-codes.ts'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { argument, wholeFlag } from '../../src/cli/flags.ts'
import { parsePosition } from '../../src/cli/position.ts'
import { renderTable } from '../../src/cli/table.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import type { ResetStep } from '../../src/client/group-admin.ts'

export interface ResetQueue extends ResetStep {
  /** Messages that will be processed again (negative: skipped); null when there was no progress. */
  readonly change: number | null
  /** After --execute: whether the broker now says the same. */
  readonly verified: boolean | null
}

export interface GroupResetResult {
  readonly group: string
  readonly topic: string
  readonly executed: boolean
  readonly queues: readonly ResetQueue[]
}

export default class GroupReset extends BrokerCommand<GroupResetResult> {
  static override summary = 'Move a group’s progress; shows the plan, and does it with --execute.'
  static override args = { group: argument({ description: 'The group.', required: true }) }
  static override flags = {
    topic: Flags.string({ summary: 'The topic.', required: true }),
    to: Flags.string({
      summary: 'Where to; see mqctl help time.',
      helpValue: '<position>',
      required: true,
    }),
    broker: Flags.string({ summary: 'Only queues of this broker.' }),
    queue: wholeFlag({ summary: 'Only this queue.' }),
    execute: Flags.boolean({ summary: 'Do it; without this nothing is changed.' }),
  }
  static override examples = [
    '<%= config.bin %> group reset audit --topic orders --to start',
    '<%= config.bin %> group reset audit --topic orders --to @-1h --execute',
    '<%= config.bin %> group reset audit --topic orders --queue 3 --to 1200 --execute',
  ]

  async run(): Promise<GroupResetResult> {
    const { args, flags } = await this.parse(GroupReset)
    const target = parsePosition(flags.to, this.world.clock.wallMs())
    const { group } = args
    const { topic, execute } = flags
    const queues = await this.connect(flags, async (admin): Promise<ResetQueue[]> => {
      const plan = await admin.groups.planReset(group, topic, target)
      const steps = plan.filter(
        (step) =>
          (flags.broker === undefined || step.broker === flags.broker) &&
          (flags.queue === undefined || step.queueId === flags.queue),
      )
      const members = (await admin.groups.connections(group))?.connections.length ?? 0
      if (members > 0) {
        this.warn(`${members} members of ${group} are connected; they follow within seconds`)
      }
      if (!execute) return steps.map((step) => withChange(step, null))
      await admin.groups.applyReset(group, steps)
      return Promise.all(
        steps.map(async (step) => {
          const queue = { topic, brokerName: step.broker, queueId: step.queueId }
          const now = await admin.queues.progress(group, queue)
          // Members that run may already have gone on from there.
          return withChange(step, now === step.to || (members > 0 && (now ?? -1) >= step.to))
        }),
      )
    })
    if (queues.some(({ verified }) => verified === false)) {
      this.warn('some queues do not have the new position; run it again, or stop the members first')
      this.exitWith(ExitCode.failed)
    }
    if (!execute) this.remark('this is a plan; add --execute to do it')
    return this.show(
      { group, topic, executed: execute, queues },
      { rows: () => queues, text: ({ queues: rows }, terminal) => resetText(rows, terminal) },
    )
  }
}

function withChange(step: ResetStep, verified: boolean | null): ResetQueue {
  return { ...step, change: step.from === null ? null : step.from - step.to, verified }
}

function resetText(queues: readonly ResetQueue[], terminal: Terminal): string {
  if (queues.length === 0) return 'no such queue'
  return renderTable(
    terminal,
    [
      { head: 'BROKER' },
      { head: 'QUEUE', align: 'right' },
      { head: 'FROM', align: 'right' },
      { head: 'TO', align: 'right' },
      { head: 'CHANGE' },
      { head: 'VERIFIED' },
    ],
    queues.map((row) => [
      row.broker,
      row.queueId,
      row.from,
      row.to,
      changeText(row.change),
      row.verified === null ? 'not done' : row.verified ? 'yes' : 'no',
    ]),
  )
}

function changeText(change: number | null): string {
  if (change === null) return 'first position'
  if (change === 0) return 'none'
  return change > 0 ? `${change} again` : `${-change} skipped`
}
