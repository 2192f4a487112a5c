/**
 * LOCK_BATCH_MQ, UNLOCK_BATCH_MQ: what a consumer that keeps the order of its queues asks before it
 * begins, and when it ends. Locks are given by name: whether this broker has the topic is not asked.
 * Source: apache/rocketmq broker/…/processor/AdminBrokerProcessor.java (lockBatchMQ, unlockBatchMQ).
 */
import {
  decodeLockBatch,
  encodeLockedQueues,
  type LockBatch,
} from '../../protocol/bodies/lock-batch.ts'
import { ResponseCode } from '../../protocol/codes.ts'
import { type Command, respond } from '../../protocol/command.ts'
import { faultOfTopic, remarkOnGroup } from '../../protocol/names.ts'
import type { RequestHandler } from '../context.ts'
import { Refusal } from '../refusal.ts'
import { jsonField } from './fields.ts'

const CLIENT_ID_CHARS_MAX = 1_024
const QUEUE_ID_MAX = 65_535
/** Queues of one request. */
const QUEUES_MAX = 65_536

export const lockQueues: RequestHandler = (context, _connection, command) => {
  const { group, clientId, queues } = lockBatch(command)
  const owned = context.locks.lock(group, queues, clientId)
  return respond(command, ResponseCode.SUCCESS, null, {}, encodeLockedQueues(owned))
}

export const unlockQueues: RequestHandler = (context, _connection, command) => {
  const { group, clientId, queues } = lockBatch(command)
  context.locks.unlock(group, queues, clientId)
  return respond(command, ResponseCode.SUCCESS)
}

/** The request, when it is one that a consumer could mean. */
function lockBatch(command: Command): LockBatch {
  const batch = jsonField(command, decodeLockBatch)
  const { group, clientId, queues } = batch
  const remark = remarkOnGroup(group)
  if (remark !== null) throw refused(remark)
  if (clientId === '' || clientId.length > CLIENT_ID_CHARS_MAX) {
    throw refused(`the client id must have 1 to ${CLIENT_ID_CHARS_MAX} characters`)
  }
  if (queues.length > QUEUES_MAX) {
    throw refused(`one request may name ${QUEUES_MAX} queues at most`)
  }
  for (const { topic, brokerName, queueId } of queues) {
    if (faultOfTopic(topic) !== null || brokerName.length > 300) {
      throw refused(`no queue can have the name ${JSON.stringify(topic.slice(0, 300))}`)
    }
    if (queueId < 0 || queueId > QUEUE_ID_MAX) {
      throw refused(`no queue can have the number ${queueId}`)
    }
  }
  return batch
}

function refused(what: string): Refusal {
  return new Refusal(ResponseCode.INVALID_PARAMETER, what)
}
