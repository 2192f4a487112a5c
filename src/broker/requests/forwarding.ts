/**
 * GET_CONSUMER_RUNNING_INFO, CONSUME_MESSAGE_DIRECTLY, INVOKE_BROKER_TO_GET_CONSUMER_STATUS: what an
 * administrator asks of a consumer, passed on over the consumer's own connection.
 * Source: apache/rocketmq broker/…/processor/AdminBrokerProcessor.java (callConsumer), client/net/Broker2Client.java.
 */
import { MqError, messageOf } from '../../base/errors.ts'
import {
  type QueueOffset,
  decodeClientStatus,
  encodeConsumerStatus,
} from '../../protocol/bodies/queue-offsets.ts'
import { RequestCode, ResponseCode } from '../../protocol/codes.ts'
import { type Command, request, respond } from '../../protocol/command.ts'
import { decodeOffsetId } from '../../protocol/message-id.ts'
import type { Member } from '../consumer-group.ts'
import type { BrokerContext, RequestHandler } from '../context.ts'
import { Refusal } from '../refusal.ts'
import { knownTopic } from './consume-stats.ts'
import { groupField, optionalText, textField } from './fields.ts'

/** MQVersion.V3_1_8_SNAPSHOT: older clients do not know these requests. */
const VERSION_MIN = 62

function memberOf(context: BrokerContext, group: string, clientId: string): Member {
  const member = context.clients.consumerGroup(group)?.memberById(clientId) ?? null
  if (member === null) {
    throw new Refusal(
      ResponseCode.SYSTEM_ERROR,
      `The Consumer <${group}> <${clientId.slice(0, 300)}> not online`,
    )
  }
  if (member.version < VERSION_MIN) {
    throw new Refusal(
      ResponseCode.SYSTEM_ERROR,
      `The Consumer <${group}> <${clientId.slice(0, 300)}> Version ${member.version} too low to finish, please upgrade it to V3_1_8_SNAPSHOT`,
    )
  }
  return member
}

/** Passes the request on and the answer back. 207 when the client does not answer in time. */
async function forward(
  context: BrokerContext,
  command: Command,
  member: Member,
  body: Buffer | null,
): Promise<Command> {
  const { forwardTimeoutMs } = context.settings
  try {
    const answer = await member.connection.invoke(
      request(command.code, command.ext, body),
      forwardTimeoutMs,
    )
    return respond(command, answer.code, answer.remark, answer.ext, answer.body)
  } catch (error) {
    if (error instanceof MqError && error.code === 'REQUEST_TIMEOUT') {
      throw new Refusal(
        ResponseCode.CONSUME_MSG_TIMEOUT,
        `consumer <${member.clientId.slice(0, 300)}> did not answer within ${forwardTimeoutMs} ms`,
      )
    }
    throw new Refusal(
      ResponseCode.SYSTEM_ERROR,
      `invoke consumer <${member.clientId.slice(0, 300)}> failed: ${messageOf(error)}`,
    )
  }
}

export const consumerRunningInfo: RequestHandler = (context, _connection, command) => {
  const group = groupField(command)
  const member = memberOf(context, group, textField(command, 'clientId'))
  return forward(context, command, member, null)
}

/** The message travels with the request, as it lies in the log. */
export const consumeDirectly: RequestHandler = async (context, _connection, command) => {
  const group = groupField(command)
  const member = memberOf(context, group, textField(command, 'clientId'))
  const messageId = textField(command, 'msgId')
  const id = decodeOffsetId(messageId)
  const record = id === null ? null : await context.store.recordAt(id.physicalOffset)
  if (record === null) {
    throw new Refusal(
      ResponseCode.SYSTEM_ERROR,
      `can not find message by the offset message id ${messageId.slice(0, 100)}`,
    )
  }
  return forward(context, command, member, record)
}

/** Where the members of a group say they are. */
export const consumerStatus: RequestHandler = async (context, _connection, command) => {
  const topic = knownTopic(context, command)
  const group = groupField(command, 'group')
  const only = optionalText(command, 'clientAddr')
  const members = [...(context.clients.consumerGroup(group)?.members.values() ?? [])]
  if (members.length === 0) {
    throw new Refusal(
      ResponseCode.SYSTEM_ERROR,
      `No Any Consumer online in the consumer group: [${group}]`,
    )
  }
  const asked = members.filter((member) => only === null || member.clientId === only)
  const table = new Map<string, QueueOffset[]>()
  await Promise.all(
    asked.map(async (member) => {
      const status = await statusOf(context, member, topic.name, group)
      if (status !== null) table.set(member.clientId, status)
    }),
  )
  return respond(command, ResponseCode.SUCCESS, null, {}, encodeConsumerStatus(table))
}

/** Null when the client does not answer, or not with what was asked. */
async function statusOf(
  context: BrokerContext,
  member: Member,
  topic: string,
  group: string,
): Promise<QueueOffset[] | null> {
  try {
    const answer = await member.connection.invoke(
      request(RequestCode.GET_CONSUMER_STATUS_FROM_CLIENT, { topic, group }),
      context.settings.forwardTimeoutMs / 2,
    )
    return answer.code === ResponseCode.SUCCESS ? decodeClientStatus(answer.body) : null
  } catch (error) {
    context.logger.warn('consumer did not say where it is', {
      group,
      client: member.clientId.slice(0, 200),
      why: messageOf(error),
    })
    return null
  }
}
