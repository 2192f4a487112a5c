import { Flags } from '@oclif/core'
import { argument, wholeFlag } from '../../src/cli/flags.ts'
import { parsePosition } from '../../src/cli/position.ts'
import { ProgressCommand, type ProgressResult } from '../../src/cli/progress-command.ts'

export interface GroupResetResult extends ProgressResult {
  readonly topic: string
}

export default class GroupReset extends ProgressCommand<GroupResetResult> {
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
    const queues = await this.connect(flags, async (admin) => {
      const plan = await admin.progress.planReset(group, topic, target)
      const steps = plan.filter(
        (step) =>
          (flags.broker === undefined || step.broker === flags.broker) &&
          (flags.queue === undefined || step.queueId === flags.queue),
      )
      return this.change(admin, group, steps, execute)
    })
    return this.report({ group, topic, executed: execute, queues })
  }
}
