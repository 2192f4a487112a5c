import { Flags } from '@oclif/core'
import { MqError } from '../../src/base/errors.ts'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { confirm } from '../../src/cli/confirm.ts'
import { argument } from '../../src/cli/flags.ts'
import { whereFlags, whereOf } from '../../src/cli/topic-flags.ts'
import type { Admin } from '../../src/client/admin.ts'

export interface TopicDeleted {
  readonly name: string
  readonly deleted: boolean
  readonly existed: boolean
  readonly messages: number
  readonly groups: readonly string[]
  readonly brokers: readonly string[]
}

export default class TopicDelete extends BrokerCommand<{ topics: TopicDeleted[] }> {
  static override summary = 'Delete topics with their messages; says first who consumes them.'
  static override args = {
    topic: argument({ description: 'One or more topics.', required: true, multiple: true }),
  }
  static override flags = {
    ...whereFlags,
    yes: Flags.boolean({ char: 'y', summary: 'Do not ask.' }),
    'if-exists': Flags.boolean({ summary: 'A topic that does not exist is no error.' }),
    'dry-run': Flags.boolean({ summary: 'Only say what would be deleted.' }),
  }
  static override examples = [
    '<%= config.bin %> topic delete orders',
    '<%= config.bin %> topic delete orders payments --yes --if-exists',
    '<%= config.bin %> topic delete orders --dry-run',
  ]

  async run(): Promise<{ topics: TopicDeleted[] }> {
    const { args, flags } = await this.parse(TopicDelete)
    const topics = await this.connect(flags, async (admin) => {
      const results: TopicDeleted[] = []
      for (const name of args.topic) {
        const found = await lookAt(admin, name)
        if (found === null && !flags['if-exists']) {
          throw new MqError('TOPIC_NOT_FOUND', { topic: name })
        }
        const consumers =
          found === null || found.groups.length === 0
            ? 'nobody consumes it'
            : `consumed by ${found.groups.join(', ')}`
        const question = `Delete topic ${name} with ${found?.messages ?? 0} messages (${consumers})?`
        const deleted =
          found !== null &&
          !flags['dry-run'] &&
          (flags.yes || (await confirm(this.terminal, question)))
        const brokers = deleted ? await admin.topics.delete(name, whereOf(flags)) : []
        results.push({
          name,
          deleted,
          existed: found !== null,
          messages: found?.messages ?? 0,
          groups: found?.groups ?? [],
          brokers: brokers.map(({ broker }) => broker),
        })
      }
      return results
    })
    return this.show(
      { topics },
      {
        rows: () => topics,
        text: () => topics.map((topic) => line(topic, flags['dry-run'])).join('\n'),
      },
    )
  }
}

function line({ name, deleted, existed, messages, groups }: TopicDeleted, dryRun: boolean): string {
  if (!existed) return `${name} does not exist`
  const verb = dryRun ? 'would delete' : deleted ? 'deleted' : 'kept'
  const consumers = groups.length === 0 ? '' : `, consumed by ${groups.join(', ')}`
  return `${verb} ${name} (${messages} messages${consumers})`
}

async function lookAt(
  admin: Admin,
  topic: string,
): Promise<{ messages: number; groups: readonly string[] } | null> {
  try {
    return await admin.topics.get(topic)
  } catch (error) {
    if (error instanceof MqError && error.code === 'TOPIC_NOT_FOUND') return null
    throw error
  }
}
