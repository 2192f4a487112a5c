import { Flags } from '@oclif/core'
import { argument } from '../../src/cli/flags.ts'
import { ProgressCommand, type ProgressResult } from '../../src/cli/progress-command.ts'

export interface GroupCopyOffsetsResult extends ProgressResult {
  readonly source: string
}

export default class GroupCopyOffsets extends ProgressCommand<GroupCopyOffsetsResult> {
  static override summary =
    'Let a group go on where another one is; shows the plan, and does it with --execute.'
  static override description =
    'For a blue-green switch, or a second reader that begins where the first is. The other group is ' +
    'made if it does not exist. Queues in which the first group has no progress are left alone, and so are its retries.'
  static override args = {
    source: argument({ description: 'The group whose progress is taken.', required: true }),
    group: argument({ description: 'The group that gets it.', required: true }),
  }
  static override flags = {
    topic: Flags.string({ summary: 'Only this topic; without it, all topics of the first group.' }),
    execute: Flags.boolean({ summary: 'Do it; without this nothing is changed.' }),
  }
  static override examples = [
    '<%= config.bin %> group copy-offsets audit audit-green',
    '<%= config.bin %> group copy-offsets audit audit-green --topic orders --execute',
  ]

  async run(): Promise<GroupCopyOffsetsResult> {
    const { args, flags } = await this.parse(GroupCopyOffsets)
    const { source, group } = args
    const queues = await this.connect(flags, async (admin) => {
      const plan = await admin.progress.planCopy(source, group, flags.topic)
      return this.change(admin, group, plan, flags.execute)
    })
    return this.report({ group, source, executed: flags.execute, queues })
  }
}
