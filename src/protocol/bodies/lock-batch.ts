/**
 * Bodies of LOCK_BATCH_MQ and UNLOCK_BATCH_MQ: which queues a member of a group wants for itself,
 * and which it has.
 * Source: apache/rocketmq remoting/…/body/{LockBatchRequestBody,LockBatchResponseBody,UnlockBatchRequestBody}.java.
 */
import { jsonBody } from '../lenient-json.ts'
import { listOf, parseBody, textOf } from './fields.ts'
import { type MessageQueue, messageQueueFromJson, messageQueueToJson } from './message-queue.ts'

/** Request of both. */
export interface LockBatch {
  readonly group: string
  readonly clientId: string
  readonly queues: readonly MessageQueue[]
}

export function decodeLockBatch(body: Buffer | null): LockBatch {
  const object = parseBody(body)
  return {
    group: textOf(object['consumerGroup']),
    clientId: textOf(object['clientId']),
    queues: listOf(object['mqSet']).map(messageQueueFromJson),
  }
}

export function encodeLockBatch({ group, clientId, queues }: LockBatch): Buffer {
  return jsonBody({
    clientId,
    consumerGroup: group,
    mqSet: queues.map(messageQueueToJson),
    onlyThisBroker: false,
  })
}

/** Response of LOCK_BATCH_MQ: the queues that the client has now. */
export function decodeLockedQueues(body: Buffer | null): MessageQueue[] {
  return listOf(parseBody(body)['lockOKMQSet']).map(messageQueueFromJson)
}

export function encodeLockedQueues(queues: readonly MessageQueue[]): Buffer {
  return jsonBody({ lockOKMQSet: queues.map(messageQueueToJson) })
}
