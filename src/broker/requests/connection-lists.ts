/**
 * GET_CONSUMER_CONNECTION_LIST, GET_PRODUCER_CONNECTION_LIST, GET_ALL_PRODUCER_INFO: who is
 * connected. Source: apache/rocketmq broker/…/processor/AdminBrokerProcessor.java.
 */
import {
  type ClientConnection,
  type ProducerInfo,
  encodeConsumerConnection,
  encodeProducerConnection,
  encodeProducerTable,
} from '../../protocol/bodies/client-connection.ts'
import { ResponseCode } from '../../protocol/codes.ts'
import { respond } from '../../protocol/command.ts'
import type { Member } from '../consumer-group.ts'
import type { RequestHandler } from '../context.ts'
import { groupField } from './fields.ts'

function connectionOf(member: Member): ClientConnection {
  return {
    clientId: member.clientId,
    clientAddr: member.connection.remoteAddress,
    language: member.language,
    version: member.version,
  }
}

export const consumerConnections: RequestHandler = (context, _connection, command) => {
  const name = groupField(command)
  const group = context.clients.consumerGroup(name)
  if (group === null) {
    return respond(
      command,
      ResponseCode.CONSUMER_NOT_ONLINE,
      `the consumer group[${name}] not online`,
    )
  }
  const body = encodeConsumerConnection({
    connections: [...group.members.values()].map(connectionOf),
    consumeType: group.consumeType,
    messageModel: group.messageModel,
    consumeFromWhere: group.consumeFromWhere,
    subscriptions: [...group.subscriptions.values()].map((subscription) => subscription.data),
  })
  return respond(command, ResponseCode.SUCCESS, null, {}, body)
}

export const producerConnections: RequestHandler = (context, _connection, command) => {
  const group = groupField(command, 'producerGroup')
  const members = context.clients.producers(group)
  if (members.length === 0) {
    return respond(command, ResponseCode.SYSTEM_ERROR, `the producer group[${group}] not exist`)
  }
  const body = encodeProducerConnection(members.map(connectionOf))
  return respond(command, ResponseCode.SUCCESS, null, {}, body)
}

export const allProducers: RequestHandler = (context, _connection, command) => {
  const table = new Map<string, ProducerInfo[]>()
  for (const group of context.clients.producerGroups()) {
    table.set(
      group,
      context.clients.producers(group).map((member) => ({
        ...connectionOf(member),
        // With the slash that Java puts before an address.
        clientAddr: `/${member.connection.remoteAddress}`,
        lastUpdateTimestamp: Math.floor(member.lastSeenWallMs),
      })),
    )
  }
  return respond(command, ResponseCode.SUCCESS, null, {}, encodeProducerTable(table))
}
