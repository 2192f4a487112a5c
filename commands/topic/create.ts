import { Flags } from '@oclif/core'
import { MqError } from '../../src/base/errors.ts'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { argument } from '../../src/cli/flags.ts'
import { topicChanges, topicFlags, whereFlags, whereOf } from '../../src/cli/topic-flags.ts'
import type { Admin } from '../../src/client/admin.ts'

export interface TopicCreated {
  readonly name: string
  readonly created: boolean
  readonly brokers: readonly string[]
}

export default class TopicCreate extends BrokerCommand<{ topics: TopicCreated[] }> {
  static override summary = 'Create topics on every broker, and wait until they can be used.'
  static override args = {
    topic: argument({ description: 'One or more topics.', required: true, multiple: true }),
  }
  static override flags = {
    ...topicFlags,
    ...whereFlags,
    'if-not-exists': Flags.boolean({ summary: 'Leave a topic that exists as it is.' }),
    'dry-run': Flags.boolean({ summary: 'Only say what would be done.' }),
  }
  static override examples = [
    '<%= config.bin %> topic create orders',
    '<%= config.bin %> topic create orders payments --queues 4 --if-not-exists',
    '<%= config.bin %> topic create events --perm rw --broker broker-a',
  ]

  async run(): Promise<{ topics: TopicCreated[] }> {
    const { args, flags } = await this.parse(TopicCreate)
    const changes = topicChanges(flags)
    const where = whereOf(flags)
    const topics = await this.connect(flags, async (admin) => {
      const results: TopicCreated[] = []
      for (const name of args.topic) {
        const exists = await topicExists(admin, name)
        if (exists && !flags['if-not-exists']) throw new MqError('TOPIC_EXISTS', { topic: name })
        const brokers =
          exists || flags['dry-run']
            ? await admin.cluster.masters(where)
            : await admin.topics.create({ topic: name, ...changes }, where)
        results.push({ name, created: !exists, brokers: brokers.map(({ broker }) => broker) })
      }
      return results
    })
    const verb = flags['dry-run'] ? 'would create' : 'created'
    return this.show(
      { topics },
      {
        rows: () => topics,
        text: () =>
          topics
            .map(({ name, created, brokers }) =>
              created ? `${verb} ${name} on ${brokers.join(', ')}` : `${name} exists already`,
            )
            .join('\n'),
      },
    )
  }
}

async function topicExists(admin: Admin, topic: string): Promise<boolean> {
  try {
    await admin.topics.route(topic)
    return true
  } catch (error) {
    if (error instanceof MqError && error.code === 'TOPIC_NOT_FOUND') return false
    throw error
  }
}
