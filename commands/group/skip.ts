import { Flags } from '@oclif/core'
import { argument } from '../../src/cli/flags.ts'
import { ProgressCommand, type ProgressResult } from '../../src/cli/progress-command.ts'

export interface GroupSkipResult extends ProgressResult {
  readonly topic: string
  /** Messages that the group will not see. */
  readonly skipped: number
}

export default class GroupSkip extends ProgressCommand<GroupSkipResult> {
  static override summary =
    'Let a group skip its backlog; shows the plan, and does it with --execute.'
  static override description =
    'The group goes on with what is sent from now on. What it skips stays stored: group reset brings it back.'
  static override args = { group: argument({ description: 'The group.', required: true }) }
  static override flags = {
    topic: Flags.string({ summary: 'The topic.', required: true }),
    execute: Flags.boolean({ summary: 'Do it; without this nothing is changed.' }),
  }
  static override examples = [
    '<%= config.bin %> group skip audit --topic orders',
    '<%= config.bin %> group skip audit --topic orders --execute',
  ]

  async run(): Promise<GroupSkipResult> {
    const { args, flags } = await this.parse(GroupSkip)
    const { group } = args
    const { topic, execute } = flags
    const queues = await this.connect(flags, async (admin) => {
      const plan = await admin.progress.planReset(group, topic, { kind: 'end' })
      return this.change(admin, group, plan, execute)
    })
    const skipped = queues.reduce((sum, { from, to, minOffset }) => {
      return sum + Math.max(0, to - Math.max(from ?? minOffset, minOffset))
    }, 0)
    return this.report({ group, topic, executed: execute, skipped, queues })
  }
}
