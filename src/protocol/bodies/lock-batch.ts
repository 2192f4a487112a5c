/**
 * Locks of queues for ordered consumption.
 * Source: apache/rocketmq remoting/…/body/{LockBatchRequestBody,LockBatchResponseBody,UnlockBatchRequestBody}.java.
 */
import { jsonBody } from '../lenient-json.ts'
import { flagOf, listOf, parseBody, textOf } from './fields.ts'
import { type MessageQueue, messageQueueFromJson, messageQueueToJson } from './message-queue.ts'

/** Body of LOCK_BATCH_MQ and UNLOCK_BATCH_MQ. */
export interface LockBatchRequest {
  readonly consumerGroup: string
  readonly clientId: string
  readonly onlyThisBroker: boolean
  readonly queues: readonly MessageQueue[]
}

export function decodeLockBatchRequest(body: Buffer | null): LockBatchRequest {
  const object = parseBody(body)
  return {
    consumerGroup: textOf(object['consumerGroup']),
    clientId: textOf(object['clientId']),
    onlyThisBroker: flagOf(object['onlyThisBroker']),
    queues: listOf(object['mqSet']).map(messageQueueFromJson),
  }
}

export function encodeLockBatchRequest(request: LockBatchRequest): Buffer {
  return jsonBody({
    clientId: request.clientId,
    consumerGroup: request.consumerGroup,
    mqSet: request.queues.map(messageQueueToJson),
    onlyThisBroker: request.onlyThisBroker,
  })
}

/** The queues that the client holds now. */
export function decodeLockBatchResponse(body: Buffer | null): MessageQueue[] {
  return listOf(parseBody(body)['lockOKMQSet']).map(messageQueueFromJson)
}

export function encodeLockBatchResponse(queues: readonly MessageQueue[]): Buffer {
  return jsonBody({ lockOKMQSet: queues.map(messageQueueToJson) })
}
