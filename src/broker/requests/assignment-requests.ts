/**
 * QUERY_ASSIGNMENT, SET_MESSAGE_REQUEST_MODE, GET_ALL_MESSAGE_REQUEST_MODE: a broker divides queues for
 * the members of a group, and says whether they pull them or take from them by POP.
 * Source: apache/rocketmq broker/…/processor/QueryAssignmentProcessor.java.
 */
import type { MessageQueue } from '../../protocol/bodies/message-queue.ts'
import {
  type AssignmentQuery,
  decodeAssignmentQuery,
  encodeAssignments,
} from '../../protocol/bodies/query-assignment.ts'
import {
  type GroupRequestMode,
  decodeRequestMode,
  requestModes,
} from '../../protocol/bodies/request-mode.ts'
import { ResponseCode } from '../../protocol/codes.ts'
import { respond } from '../../protocol/command.ts'
import { isRetryTopic } from '../../protocol/names.ts'
import type { BrokerContext, RequestHandler } from '../context.ts'
import { divide, divideForPop, division } from '../pop/division.ts'
import { Refusal } from '../refusal.ts'
import { jsonField } from './fields.ts'

/** Null assignments mean that the member should go on as it is. */
export const queryAssignment: RequestHandler = async (context, _connection, command) => {
  const query = jsonField(command, decodeAssignmentQuery)
  if (query.topic === '' || query.group === '') {
    throw new Refusal(ResponseCode.INVALID_PARAMETER, 'the topic or the consumerGroup is missing')
  }
  const mode = modeOf(context, query.topic, query.group)
  const queues = await queuesFor(context, query, mode)
  const assignments = queues?.map((queue) => ({ queue, mode: mode.mode })) ?? null
  const body = encodeAssignments(assignments)
  return respond(command, ResponseCode.SUCCESS, null, {}, body)
}

export const setRequestMode: RequestHandler = async (context, _connection, command) => {
  const wanted = jsonField(command, decodeRequestMode)
  const { topic, group } = wanted
  if (isRetryTopic(topic)) {
    throw new Refusal(ResponseCode.NO_PERMISSION, 'retry topic is not allowed to set mode')
  }
  if (context.topics.get(topic) === null) {
    throw new Refusal(ResponseCode.TOPIC_NOT_EXIST, `topic[${topic.slice(0, 255)}] not exist`)
  }
  const mode = requestModes.find((word) => word === wanted.mode)
  if (mode === undefined) {
    throw new Refusal(
      ResponseCode.INVALID_PARAMETER,
      `the mode must be PULL or POP, not ${JSON.stringify(wanted.mode.slice(0, 50))}`,
    )
  }
  context.groups.findOrCreate(group)
  await context.requestModes.set({ ...wanted, mode })
  return respond(command, ResponseCode.SUCCESS)
}

export const allRequestModes: RequestHandler = (context, _connection, command) =>
  respond(command, ResponseCode.SUCCESS, null, {}, context.requestModes.body())

/** What was set, or else the broker's default. Retry topics are pulled. */
function modeOf(context: BrokerContext, topic: string, group: string): GroupRequestMode {
  const known = context.requestModes.get(topic, group)
  if (known !== null) return known
  const { defaultMessageRequestMode, defaultPopShareQueueNum } = context.settings
  const mode = isRetryTopic(topic) ? 'PULL' : defaultMessageRequestMode
  const popShareQueueNum = mode === 'POP' ? defaultPopShareQueueNum : 0
  return { topic, group, mode, popShareQueueNum }
}

async function queuesFor(
  context: BrokerContext,
  query: AssignmentQuery,
  mode: GroupRequestMode,
): Promise<readonly MessageQueue[] | null> {
  const { clients, routes } = context
  const queues = await routes.queuesOf(query.topic)
  if (queues === null || query.messageModel === 'BROADCASTING') return queues
  if (clients.consumerGroup(query.group) === null) return null
  const whole = division(query.clientId, clients.consumerIds(query.group), queues)
  return mode.mode === 'POP'
    ? divideForPop(query.strategyName, whole, mode.popShareQueueNum)
    : divide(query.strategyName, whole)
}
