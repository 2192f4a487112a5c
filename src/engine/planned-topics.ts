/** Topics that an instance should have from the start. */
import { MqError } from '../base/errors.ts'
import { Admin } from '../client/admin.ts'
import type { World } from '../world/world.ts'
import type { PlannedTopic } from './topology.ts'

/** Creates those that do not exist; one that exists stays as it is. */
export async function ensureTopics(
  world: World,
  nameServers: readonly string[],
  topics: readonly PlannedTopic[],
): Promise<void> {
  if (topics.length === 0) return
  const admin = Admin.open(world, { nameServers })
  try {
    for (const { name, queues } of topics) {
      if (await exists(admin, name)) continue
      await admin.topics.create({ topic: name, readQueues: queues, writeQueues: queues })
    }
  } finally {
    admin.close()
  }
}

async function exists(admin: Admin, topic: string): Promise<boolean> {
  try {
    await admin.topics.route(topic)
    return true
  } catch (error) {
    if (error instanceof MqError && error.code === 'TOPIC_NOT_FOUND') return false
    throw error
  }
}
