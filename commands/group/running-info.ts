import { Flags } from '@oclif/core'
import { MqError } from '../../src/base/errors.ts'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { argument } from '../../src/cli/flags.ts'
import { type RunningMember, runningMember, runningText } from '../../src/cli/running-view.ts'

export interface GroupRunningInfoResult {
  readonly group: string
  readonly members: readonly RunningMember[]
}

export default class GroupRunningInfo extends BrokerCommand<GroupRunningInfoResult> {
  static override summary =
    'What members of a group do now: queues, what waits, rates, where they hang.'
  static override description = `Brokers pass the question on, the members answer. A queue is called stuck when messages wait that were
pulled, and none was processed for a minute. --stack shows where: the threads of a Java client, the
messages under work of ours. With stuck queues the exit code is 1.`
  static override args = { group: argument({ description: 'The group.', required: true }) }
  static override flags = {
    client: Flags.string({ summary: 'Only this member; see mqctl group get.' }),
    stack: Flags.boolean({ summary: 'Also where their threads are, or what they work on.' }),
  }
  static override examples = [
    '<%= config.bin %> group running-info audit',
    '<%= config.bin %> group running-info audit --client 10.0.0.7@4711 --stack',
  ]

  async run(): Promise<GroupRunningInfoResult> {
    const { args, flags } = await this.parse(GroupRunningInfo)
    const nowMs = this.world.clock.wallMs()
    const members = await this.connect(flags, async (admin) => {
      await admin.groups.get(args.group)
      const rows = (await admin.groups.connections(args.group))?.connections ?? []
      const ids = rows.map(({ clientId }) => clientId)
      const wanted = flags.client === undefined ? ids : ids.filter((id) => id === flags.client)
      if (wanted.length === 0 && flags.client !== undefined) {
        throw new MqError('VALUE_INVALID', {
          what: `${flags.client} is no member of ${args.group}`,
          hint: ids.length === 0 ? 'nobody is connected' : `there are: ${ids.join(', ')}`,
        })
      }
      const infos = wanted.map(async (id) => {
        const info = await admin.groups.runningInfo(args.group, id, flags.stack)
        return runningMember(id, info, nowMs)
      })
      return Promise.all(infos)
    })
    if (members.length === 0) this.remark(`nobody of ${args.group} is connected`)
    const stuck = members.flatMap(({ queues }) => queues).filter((queue) => queue.stuck)
    if (stuck.length > 0) {
      this.warn(`${stuck.length} queues are stuck${flags.stack ? '' : '; --stack shows where'}`)
      this.exitWith(1)
    }
    return this.show(
      { group: args.group, members },
      {
        rows: () =>
          members.flatMap(({ clientId, queues }) => queues.map((row) => ({ clientId, ...row }))),
        text: (_, terminal) => runningText(members, nowMs, terminal),
      },
    )
  }
}
