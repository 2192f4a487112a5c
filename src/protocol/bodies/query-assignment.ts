/**
 * Bodies of QUERY_ASSIGNMENT: a member of a group asks a broker which queues it should use, and how.
 * Source: apache/rocketmq remoting/…/body/{QueryAssignmentRequestBody,QueryAssignmentResponseBody}.java,
 * common/…/message/MessageQueueAssignment.java.
 */
import { jsonBody } from '../lenient-json.ts'
import { type MessageModel, messageModels } from './consumer-data.ts'
import { listOf, objectOf, parseBody, textOf, wordOf } from './fields.ts'
import { type MessageQueue, messageQueueFromJson, messageQueueToJson } from './message-queue.ts'
import { type RequestMode, requestModes } from './request-mode.ts'

export interface AssignmentQuery {
  readonly topic: string
  readonly group: string
  readonly clientId: string
  readonly messageModel: MessageModel
  /** AVG or AVG_BY_CIRCLE. */
  readonly strategyName: string
}

export interface QueueAssignment {
  /** In POP mode a queue id of −1 means all queues of the broker. */
  readonly queue: MessageQueue
  readonly mode: RequestMode
}

export function decodeAssignmentQuery(body: Buffer | null): AssignmentQuery {
  const object = parseBody(body)
  return {
    topic: textOf(object['topic']),
    group: textOf(object['consumerGroup']),
    clientId: textOf(object['clientId']),
    messageModel: wordOf(object['messageModel'], messageModels, 'CLUSTERING'),
    strategyName: textOf(object['strategyName']),
  }
}

export function encodeAssignmentQuery(query: AssignmentQuery): Buffer {
  return jsonBody({
    clientId: query.clientId,
    consumerGroup: query.group,
    messageModel: query.messageModel,
    strategyName: query.strategyName,
    topic: query.topic,
  })
}

/** Null: the broker cannot say, and nothing should change. */
export function decodeAssignments(body: Buffer | null): QueueAssignment[] | null {
  const list = parseBody(body)['messageQueueAssignments']
  if (!Array.isArray(list)) return null
  return listOf(list).map((value) => {
    const object = objectOf(value)
    return {
      queue: messageQueueFromJson(object['messageQueue']),
      mode: wordOf(object['mode'], requestModes, 'PULL'),
    }
  })
}

export function encodeAssignments(assignments: readonly QueueAssignment[] | null): Buffer {
  return jsonBody({
    messageQueueAssignments: assignments?.map(({ queue, mode }) => ({
      messageQueue: messageQueueToJson(queue),
      mode,
    })),
  })
}
