/**
 * CONSUMER_SEND_MSG_BACK: a consumer could not process a message and gives it back. It comes again
 * through the group's retry topic, after a delay that grows with each try (10 s, 30 s, 1 min … 2 h);
 * after the last try it goes to the group's dead-letter topic, where it stays until somebody looks.
 *
 * The message is a new record with the body, properties and birth of the one that was given back.
 * Its properties tell its way: RETRY_TOPIC the topic it was sent to, ORIGIN_MESSAGE_ID the place of
 * its first record. The answer waits until the new record is stored by the policy of the broker.
 * Source: apache/rocketmq broker/…/processor/AbstractSendMessageProcessor.java (consumerSendMsgBack).
 */
import { Perm, TopicSysFlag } from '../../protocol/bodies/topic-config.ts'
import { ResponseCode } from '../../protocol/codes.ts'
import { type Command, respond } from '../../protocol/command.ts'
import { FIRST_RETRY_LEVEL } from '../../protocol/delay-levels.ts'
import { encodeOffsetId } from '../../protocol/message-id.ts'
import { dlqTopicOf, isClosedToSend, retryTopicOf } from '../../protocol/names.ts'
import { PropertyName, parseProperties } from '../../protocol/properties.ts'
import { RecordVerdict, RecordView } from '../../protocol/record.ts'
import { SysFlag } from '../../protocol/sys-flag.ts'
import { AppendRequest, AppendStatus } from '../../store/append.ts'
import { CONFIRMATIONS_MAX } from '../confirmations.ts'
import type { BrokerContext, RequestHandler } from '../context.ts'
import { fillFromRecord, hide, withoutProperties } from '../delay/delayed-message.ts'
import { Refusal } from '../refusal.ts'
import type { Topic } from '../topic.ts'
import { flagField, groupField, integerField, optionalInteger } from './fields.ts'

/** Clients of this version and newer say themselves how often a message may come again (V3_4_9). */
export const KNOWS_MAX_RECONSUME_TIMES = 121
/** Queues of a dead-letter topic. */
const DLQ_QUEUES = 1
const INT_MAX = 0x7fff_ffff

const rewritten: ReadonlySet<string> = new Set<string>([
  PropertyName.wait,
  PropertyName.delay,
  PropertyName.retryTopic,
  PropertyName.originMessageId,
  PropertyName.innerNum,
  PropertyName.innerBase,
])

const statusNames = new Map<number, string>(
  Object.entries(AppendStatus).map(([name, status]) => [status, name]),
)

export const sendBack: RequestHandler = async (context, _connection, command) => {
  const group = groupField(command, 'group')
  const offset = integerField(command, 'offset')
  const wishedLevel = integerField(command, 'delayLevel', -INT_MAX - 1, INT_MAX)
  const { retryQueueNums, retryMaxTimes } = context.groups.findOrCreate(group)
  checkBrokerWritable(context)
  // A group that wants no retries: the message is done with.
  if (retryQueueNums <= 0) return respond(command, ResponseCode.SUCCESS)
  const unitMode = flagField(command, 'unitMode')
  const retry = topicOf(
    context,
    retryTopicOf(group),
    retryQueueNums,
    unitMode ? TopicSysFlag.unitSub : 0,
  )
  const record = await context.store.recordAt(offset)
  const view = new RecordView()
  if (
    record === null ||
    view.check(record, 0, record.length, false) !== RecordVerdict.ok ||
    isClosedToSend(record.toString('utf8', view.topicStart, view.topicEnd))
  ) {
    throw new Refusal(ResponseCode.SYSTEM_ERROR, `look message by offset failed, ${offset}`)
  }
  if ((view.sysFlag & SysFlag.innerBatch) !== 0) {
    // Many messages: which one it is does not say. Clients send it to the retry topic themselves then.
    throw new Refusal(ResponseCode.SYSTEM_ERROR, 'a message of an inner batch cannot be given back')
  }
  if (context.confirmations.count >= CONFIRMATIONS_MAX) {
    throw new Refusal(ResponseCode.SYSTEM_ERROR, 'too many messages are given back at once')
  }
  const append = new AppendRequest()
  fillFromRecord(append, record, 0, view)
  const isDead = wishedLevel < 0 || append.reconsumeTimes >= triesOf(command, retryMaxTimes)
  const level = isDead
    ? 0
    : Math.min(
        context.settings.delayLevelMax,
        wishedLevel || FIRST_RETRY_LEVEL + append.reconsumeTimes,
      )
  const topic = isDead ? topicOf(context, dlqTopicOf(group), DLQ_QUEUES, 0) : retry
  address(append, record, view, level)
  append.reconsumeTimes = Math.min(INT_MAX, append.reconsumeTimes + 1)
  append.queue = topic.queue(context.world.random.below(topic.writeQueueNums))
  if (level > 0) hide(append, level, (name, queueId) => context.store.queue(name, queueId))
  const fault = await stored(context, append, topic)
  if (fault !== null) {
    throw new Refusal(ResponseCode.SYSTEM_ERROR, `the message was not taken back: ${fault}`)
  }
  return respond(command, ResponseCode.SUCCESS)
}

function checkBrokerWritable({ settings }: BrokerContext): void {
  if ((settings.brokerPermission & Perm.write) !== 0) return
  throw new Refusal(
    ResponseCode.NO_PERMISSION,
    `the broker[${settings.advertisedAddress}] sending message is forbidden`,
  )
}

/** The topic of a group, made when it is missing; refuses when that cannot be or when it is closed. */
export function topicOf(
  context: BrokerContext,
  name: string,
  queues: number,
  sysFlag: number,
): Topic {
  const topic = context.topics.ensure(name, queues, Perm.readWrite, sysFlag)
  if (topic === null || topic.writeQueueNums <= 0) {
    throw new Refusal(ResponseCode.SYSTEM_ERROR, `topic[${name}] not exist`)
  }
  if (topic.isWritable) return topic
  throw new Refusal(ResponseCode.NO_PERMISSION, `the topic[${name}] sending message is forbidden`)
}

function triesOf(command: Command, retryMaxTimes: number): number {
  if (command.version < KNOWS_MAX_RECONSUME_TIMES) return retryMaxTimes
  return optionalInteger(command, 'maxReconsumeTimes', retryMaxTimes, -INT_MAX - 1, INT_MAX)
}

/** Writes into the properties where the message comes from and how long it waits. */
function address(append: AppendRequest, record: Buffer, view: RecordView, level: number): void {
  const known = parseProperties(record.toString('utf8', view.propertiesStart, view.propertiesEnd))
  const origin = known[PropertyName.originMessageId]
  const storeHost = record.subarray(view.storeHostAt, view.storeHostAt + view.storeHostBytes)
  const additions = [
    [PropertyName.retryTopic, known[PropertyName.retryTopic] ?? topicIn(record, view)],
    [PropertyName.wait, 'false'],
    [PropertyName.delay, String(level)],
    [PropertyName.originMessageId, origin ?? encodeOffsetId(storeHost, view.physicalOffset)],
  ]
  const text = additions.map(([name, value]) => `${name}\u0001${value}\u0002`).join('')
  const properties = Buffer.concat([
    Buffer.from(withoutProperties(append, rewritten), 'latin1'),
    Buffer.from(text, 'utf8'),
  ])
  append.setProperties(properties, 0, properties.length)
}

function topicIn(record: Buffer, view: RecordView): string {
  return record.toString('utf8', view.topicStart, view.topicEnd)
}

/** Appends and waits until it counts. Null, or why it does not. */
async function stored(
  { store, stats, confirmations }: BrokerContext,
  append: AppendRequest,
  topic: Topic,
): Promise<string | null> {
  const status = store.append(append)
  if (status !== AppendStatus.ok) {
    stats.onPutFailed()
    return statusNames.get(status) ?? String(status)
  }
  const { end, physicalOffset } = store.lastAppend
  stats.onPut(topic, 1, end - physicalOffset)
  return confirmations.wait(end)
}
