import { Flags } from '@oclif/core'
import { MqError } from '../../src/base/errors.ts'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import {
  topicArgument,
  topicChanges,
  topicFlags,
  whereFlags,
  whereOf,
} from '../../src/cli/topic-flags.ts'
import type { TopicChanges } from '../../src/client/topic-admin.ts'

export interface TopicAltered {
  readonly name: string
  readonly changes: TopicChanges
  readonly brokers: readonly string[]
  readonly dryRun: boolean
}

export default class TopicAlter extends BrokerCommand<TopicAltered> {
  static override summary = 'Change a topic; what no flag names stays as it is.'
  static override args = { topic: topicArgument() }
  static override flags = {
    ...topicFlags,
    ...whereFlags,
    'dry-run': Flags.boolean({ summary: 'Only say what would be done.' }),
  }
  static override examples = [
    '<%= config.bin %> topic alter orders --queues 16',
    '<%= config.bin %> topic alter orders --perm r --dry-run',
  ]

  async run(): Promise<TopicAltered> {
    const { args, flags } = await this.parse(TopicAlter)
    const changes = topicChanges(flags)
    if (Object.keys(changes).length === 0) {
      throw new MqError('USAGE', { what: 'nothing to change: name it with --queues, --perm …' })
    }
    const brokers = await this.connect(flags, async (admin) => {
      if (!flags['dry-run']) return admin.topics.alter(args.topic, changes, whereOf(flags))
      const route = await admin.topics.route(args.topic)
      return [...route.brokers.keys()].map((broker) => ({ broker }))
    })
    const result = {
      name: args.topic,
      changes,
      brokers: brokers.map(({ broker }) => broker),
      dryRun: flags['dry-run'],
    }
    return this.show(result, {
      text: () => {
        const list = Object.entries(changes).map(
          ([key, value]) => `${key}=${JSON.stringify(value)}`,
        )
        const verb = flags['dry-run'] ? 'would change' : 'changed'
        return `${verb} ${args.topic} on ${result.brokers.join(', ')}: ${list.join(' ')}`
      },
    })
  }
}
