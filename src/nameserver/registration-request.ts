/**
 * REGISTER_BROKER, the header and body as values that were checked.
 * Source: apache/rocketmq remoting/…/header/namesrv/RegisterBrokerRequestHeader.java.
 */
import { messageOf } from '../base/errors.ts'
import { bodyCrc32, decodeRegisterBrokerBody } from '../protocol/bodies/register-broker-body.ts'
import type { Command } from '../protocol/command.ts'
import type { BrokerIdentity, Registration } from './route-tables.ts'

/** A request whose fields cannot be used. */
export class BadRequestError extends Error {
  override readonly name = 'BadRequestError'
}

const NAME_LENGTH_MAX = 255
const ADDRESS_LENGTH_MAX = 300
/** Topics named like a host may have dots; nothing here is ever used as a path. */
const nameFault = /[\s/\\\u0000-\u001f\u007f]/
const QUEUES_MAX = 65_536
const EXPIRY_MS_MAX = 24 * 3_600_000
/** Filter servers are a thing of the past; what is kept of them is bounded all the same. */
const FILTER_SERVERS_MAX = 64

export function requiredText(command: Command, field: string): string {
  const value = command.ext[field]
  if (value === undefined || value === '') throw new BadRequestError(`${field} is missing`)
  return value
}

/** A topic, broker or cluster name as it may stand in the tables. */
export function isUsableName(name: string): boolean {
  return name !== '' && name.length <= NAME_LENGTH_MAX && !nameFault.test(name)
}

function requiredName(command: Command, field: string): string {
  const name = requiredText(command, field)
  if (!isUsableName(name)) {
    throw new BadRequestError(`${field} ${JSON.stringify(name.slice(0, 60))} is no legal name`)
  }
  return name
}

/** What REGISTER_BROKER, UNREGISTER_BROKER, QUERY_DATA_VERSION and BROKER_HEARTBEAT have in common. */
export function readIdentity(command: Command): BrokerIdentity {
  const brokerAddr = requiredText(command, 'brokerAddr')
  if (brokerAddr.length > ADDRESS_LENGTH_MAX || !/^\S+:\d{1,5}$/.test(brokerAddr)) {
    throw new BadRequestError('brokerAddr is no address of the form host:port')
  }
  const brokerId = Number(command.ext['brokerId'] ?? 0)
  if (!Number.isSafeInteger(brokerId) || brokerId < -1) {
    throw new BadRequestError('brokerId is no broker id')
  }
  return {
    clusterName: requiredName(command, 'clusterName'),
    brokerName: requiredName(command, 'brokerName'),
    brokerId,
    brokerAddr,
  }
}

export interface RegistrationRequest {
  readonly registration: Registration
  /** Topics that were left out because their name or queue count is impossible. */
  readonly topicsLeftOut: number
}

/** Throws BadRequestError. */
export function readRegistration(command: Command, expiryMsDefault: number): RegistrationRequest {
  const { ext } = command
  const bodyCrc = Number(ext['bodyCrc32'] ?? 0)
  if (bodyCrc !== 0 && command.body !== null && bodyCrc32(command.body) !== bodyCrc) {
    throw new BadRequestError('crc32 not match')
  }
  let body
  try {
    body = decodeRegisterBrokerBody(command.body, ext['compressed'] === 'true')
  } catch (error) {
    throw new BadRequestError(`the body cannot be read: ${messageOf(error)}`, { cause: error })
  }
  const topics = body.topics.filter(
    (topic) =>
      isUsableName(topic.topicName) &&
      isQueueCount(topic.readQueueNums) &&
      isQueueCount(topic.writeQueueNums),
  )
  const expiryMs = Number(ext['heartbeatTimeoutMillis'] ?? 0)
  const actingMaster = ext['enableActingMaster']
  return {
    registration: {
      ...readIdentity(command),
      haServerAddr: optionalText(command, 'haServerAddr') ?? '',
      zoneName: optionalText(command, '__ZONE_NAME'),
      enableActingMaster: actingMaster === undefined ? null : actingMaster === 'true',
      expiryMs: expiryMs > 0 && expiryMs <= EXPIRY_MS_MAX ? expiryMs : expiryMsDefault,
      dataVersion: body.dataVersion,
      topics,
      filterServers: body.filterServers
        .filter((address) => address.length <= ADDRESS_LENGTH_MAX)
        .slice(0, FILTER_SERVERS_MAX),
    },
    topicsLeftOut: body.topics.length - topics.length,
  }
}

function optionalText(command: Command, field: string): string | null {
  const value = command.ext[field] ?? null
  if (value !== null && value.length > ADDRESS_LENGTH_MAX) {
    throw new BadRequestError(`${field} has ${value.length} characters`)
  }
  return value
}

function isQueueCount(count: number): boolean {
  return Number.isInteger(count) && count >= 0 && count <= QUEUES_MAX
}
