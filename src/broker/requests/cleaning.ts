/**
 * CLEAN_EXPIRED_CONSUMEQUEUE, CLEAN_UNUSED_TOPIC, DELETE_EXPIRED_COMMITLOG: an administrator asks for
 * what the store does by itself sooner or later.
 * Source: apache/rocketmq broker/…/processor/AdminBrokerProcessor.java.
 */
import { ResponseCode } from '../../protocol/codes.ts'
import { respond } from '../../protocol/command.ts'
import type { RequestHandler } from '../context.ts'

/** Deletes files of the log that are older than their time, at any hour of the day, and what points into them. */
export const deleteExpired: RequestHandler = async (context, _connection, command) => {
  await context.store.cleanNow()
  return respond(command, ResponseCode.SUCCESS)
}

/** Deletes the consume queues of topics that are no longer there. */
export const cleanUnusedTopics: RequestHandler = async (context, _connection, command) => {
  for (const name of context.store.topics()) {
    if (context.topics.get(name) !== null) continue
    context.logger.info('queues of a topic that is gone are removed', { topic: name })
    await context.topics.delete(name, () => context.store.deleteTopic(name))
  }
  return respond(command, ResponseCode.SUCCESS)
}
