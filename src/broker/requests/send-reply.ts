/**
 * SEND_REPLY_MESSAGE: the answer to a request that travelled as a message. It is pushed to the
 * client that asked (PUSH_REPLY_MESSAGE_TO_CLIENT), over the connection of its heart-beats, and then
 * stored in the cluster's reply topic. Whoever answered hears whether the push arrived: when it did
 * not, the message is stored all the same, and the code is SYSTEM_ERROR. A reply without a body says
 * that there is nothing to say, or comes from the official Go client, whose CreateReplyMessage loses the
 * body: it is pushed, and not stored, since no record is without a body.
 * Source: apache/rocketmq broker/…/processor/ReplyMessageProcessor.java.
 */
import { messageOf } from '../../base/errors.ts'
import { Perm } from '../../protocol/bodies/topic-config.ts'
import { RequestCode, ResponseCode } from '../../protocol/codes.ts'
import { type Command, request, respond } from '../../protocol/command.ts'
import { encodeOffsetId } from '../../protocol/message-id.ts'
import { replyTopicOf } from '../../protocol/names.ts'
import {
  encodeProperties,
  PROPERTIES_BYTES_MAX,
  type Properties,
  PropertyName,
  parseProperties,
} from '../../protocol/properties.ts'
import { readSendHeader, type SendHeader, SendHeaderError } from '../../protocol/send-header.ts'
import { SysFlag } from '../../protocol/sys-flag.ts'
import type { Connection } from '../../remoting/connection.ts'
import { AppendRequest, AppendStatus } from '../../store/append.ts'
import { CONFIRMATIONS_MAX } from '../confirmations.ts'
import type { BrokerContext, RequestHandler } from '../context.ts'
import { Refusal } from '../refusal.ts'
import type { Topic } from '../topic.ts'
import { storeHostOf } from '../write-path.ts'

/** How long the client that asked may take to confirm. */
const PUSH_TIMEOUT_MS = 10_000

export const sendReply: RequestHandler = async (context, connection, command) => {
  const { confirmations, replies } = context
  const header = headerOf(command)
  const body = command.body ?? Buffer.alloc(0)
  const topic = checkedTopic(context, header, body)
  if (confirmations.count >= CONFIRMATIONS_MAX) {
    throw new Refusal(ResponseCode.SYSTEM_BUSY, 'too many replies are stored at once')
  }
  const properties = parseProperties(header.properties)
  const clientId = properties[PropertyName.replyToClient] ?? ''
  // Properties are kept as they came and as they go out.
  const bytes = body.length + 2 * header.properties.length
  if (!replies.enter(clientId, bytes)) {
    throw new Refusal(ResponseCode.SYSTEM_BUSY, 'too many replies wait for the clients that asked')
  }
  try {
    return await passOn(context, connection, command, header, properties, body, topic)
  } finally {
    replies.leave(clientId, bytes)
  }
}

/** Pushes and stores it. */
async function passOn(
  context: BrokerContext,
  connection: Connection,
  command: Command,
  header: SendHeader,
  properties: Properties,
  body: Buffer,
  topic: Topic,
): Promise<Command> {
  const { settings } = context
  const fault = await push(context, connection, header, properties, body)
  const queueId =
    header.queueId >= 0 ? header.queueId : context.world.random.below(topic.writeQueueNums)
  const stored =
    settings.storeReplyMessageEnable && body.length > 0
      ? await store(context, connection, header, body, topic, queueId)
      : null
  const ext = { MSG_REGION: settings.regionId, TRACE_ON: settings.traceOn }
  // The client needs these three with every success, also when nothing was stored.
  const place = { msgId: '0', queueId, queueOffset: 0, ...stored }
  return fault === null
    ? respond(command, ResponseCode.SUCCESS, null, { ...ext, ...place })
    : respond(command, ResponseCode.SYSTEM_ERROR, fault, ext)
}

function headerOf(command: Command): SendHeader {
  try {
    return readSendHeader(command.code, command.ext)
  } catch (error) {
    if (!(error instanceof SendHeaderError)) throw error
    throw new Refusal(ResponseCode.INVALID_PARAMETER, error.message)
  }
}

/** Replies go through the cluster's reply topic and no other: nothing else can be reached by them. */
function checkedTopic(context: BrokerContext, header: SendHeader, body: Buffer): Topic {
  const { settings, topics, store } = context
  if ((settings.brokerPermission & Perm.write) === 0) {
    throw new Refusal(
      ResponseCode.NO_PERMISSION,
      `the broker[${settings.advertisedAddress}] sending message is forbidden`,
    )
  }
  const name = replyTopicOf(settings.clusterName)
  const topic = header.topic === name ? topics.get(name) : null
  if (topic === null) {
    throw new Refusal(
      ResponseCode.TOPIC_NOT_EXIST,
      `replies go through the topic ${name}, not ${JSON.stringify(header.topic.slice(0, 200))}`,
    )
  }
  if (!topic.isWritable) {
    throw new Refusal(ResponseCode.NO_PERMISSION, `the topic[${name}] sending message is forbidden`)
  }
  if (header.queueId >= topic.writeQueueNums) {
    throw new Refusal(
      ResponseCode.INVALID_PARAMETER,
      `request queueId[${header.queueId}] is illegal, topic ${name} has ${topic.writeQueueNums} write queues`,
    )
  }
  const { messageBytesMax } = store.settings
  if (body.length > messageBytesMax) {
    throw new Refusal(
      ResponseCode.MESSAGE_ILLEGAL,
      `the body has ${body.length} bytes, ${messageBytesMax} are allowed`,
    )
  }
  if (Buffer.byteLength(header.properties) > PROPERTIES_BYTES_MAX) {
    throw new Refusal(
      ResponseCode.MESSAGE_ILLEGAL,
      `the properties are longer than ${PROPERTIES_BYTES_MAX} bytes`,
    )
  }
  return topic
}

/** Null when the client that asked has it, else why not. */
async function push(
  context: BrokerContext,
  connection: Connection,
  header: SendHeader,
  properties: Properties,
  body: Buffer,
): Promise<string | null> {
  const { clients, settings, world, logger } = context
  const clientId = properties[PropertyName.replyToClient]
  if (clientId === undefined) {
    return `reply message properties[${PropertyName.replyToClient}] is null`
  }
  const target = clients.producerConnection(clientId)
  const shown = clientId.slice(0, 300)
  if (target === null) return `push reply message fail, channel of <${shown}> not found.`
  const nowMs = world.clock.wallMs()
  const ext = {
    producerGroup: header.producerGroup,
    topic: header.topic,
    defaultTopic: header.defaultTopic,
    defaultTopicQueueNums: header.defaultTopicQueueNums,
    queueId: header.queueId,
    sysFlag: header.sysFlag,
    bornTimestamp: header.bornTimestamp,
    flag: header.flag,
    properties: encodeProperties({
      ...properties,
      [PropertyName.region]: settings.regionId,
      [PropertyName.traceOn]: String(settings.traceOn),
      [PropertyName.pushReplyTime]: String(nowMs),
    }),
    reconsumeTimes: header.reconsumeTimes,
    unitMode: header.unitMode,
    bornHost: connection.remoteAddress,
    storeHost: settings.advertisedAddress,
    storeTimestamp: nowMs,
  }
  const command = request(RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT, ext, body)
  try {
    const answer = await target.invoke(command, PUSH_TIMEOUT_MS)
    if (answer.code === ResponseCode.SUCCESS) return null
    logger.warn('a reply was not taken', { client: shown, why: answer.remark ?? '' })
  } catch (error) {
    logger.warn('a reply was not pushed', { client: shown, why: messageOf(error) })
  }
  return `push reply message to ${shown}fail.`
}

/** Where it went; null when it could not be stored, which whoever answered is not told. */
async function store(
  context: BrokerContext,
  connection: Connection,
  header: SendHeader,
  body: Buffer,
  topic: Topic,
  queueId: number,
): Promise<{ msgId: string; queueOffset: number } | null> {
  const append = new AppendRequest()
  append.queue = topic.queue(queueId)
  append.queueId = queueId
  append.topic = topic.bytes
  append.flag = header.flag
  // How to read the body; a reply is no part of a transaction, whatever the rest of the flag says.
  append.sysFlag = header.sysFlag & (SysFlag.compressed | SysFlag.compressionMask)
  append.bornTimestamp = header.bornTimestamp
  append.bornHost = connection.remoteHost
  append.reconsumeTimes = header.reconsumeTimes
  append.body = body
  append.bodyEnd = body.length
  const properties = Buffer.from(header.properties, 'utf8')
  append.setProperties(properties, 0, properties.length)
  const status = context.store.append(append)
  if (status !== AppendStatus.ok) {
    context.stats.onPutFailed()
    context.logger.warn('a reply was not stored', { topic: topic.name, status })
    return null
  }
  const { end, physicalOffset, queueOffset } = context.store.lastAppend
  context.stats.onPut(topic, 1, end - physicalOffset)
  if ((await context.confirmations.wait(end)) !== null) return null
  const host = storeHostOf(context.settings.advertisedAddress)
  return { msgId: encodeOffsetId(host, physicalOffset), queueOffset }
}
