/**
 * QUERY_MESSAGE, VIEW_MESSAGE_BY_ID, SEARCH_OFFSET_BY_TIMESTAMP, GET_EARLIEST_MSG_STORETIME,
 * QUERY_CONSUME_QUEUE: looking for messages.
 * Source: apache/rocketmq broker/…/processor/{QueryMessageProcessor,AdminBrokerProcessor}.java.
 */
import { type QueueViewUnit, encodeQueueView } from '../../protocol/bodies/queue-view.ts'
import { ResponseCode } from '../../protocol/codes.ts'
import { respond } from '../../protocol/command.ts'
import { RecordVerdict, RecordView } from '../../protocol/record.ts'
import type { BrokerContext, RequestHandler } from '../context.ts'
import type { MessageFilter } from '../message-filter.ts'
import { Refusal } from '../refusal.ts'
import { TurnBudget } from '../turn-budget.ts'
import {
  flagField,
  integerField,
  optionalInteger,
  optionalText,
  textField,
  timeField,
  topicField,
} from './fields.ts'
import { knownTopic } from './consume-stats.ts'
import { queueField } from './offset-requests.ts'

/** Messages that a query for a unique key returns at most. Source: defaultQueryMaxNum. */
const UNIQUE_KEY_MAX = 32
/** Messages of one answer stop here, after at least one: a frame ends at 16 MiB. */
const ANSWER_BYTES_MAX = 8 * 1024 * 1024
const KEY_CHARS_MAX = 32_767
/** Units that one look into a consume queue shows at most. */
const UNITS_MAX = 1_000

export const queryMessage: RequestHandler = async (context, _connection, command) => {
  const topic = topicField(command)
  const key = textField(command, 'key')
  if (key.length > KEY_CHARS_MAX) {
    throw new Refusal(ResponseCode.INVALID_PARAMETER, `the key is longer than ${KEY_CHARS_MAX}`)
  }
  const beginMs = timeField(command, 'beginTimestamp')
  const endMs = timeField(command, 'endTimestamp')
  const byUniqueKey = flagField(command, '_UNIQUE_KEY_QUERY')
  const asked = integerField(command, 'maxNum', 0, 0x7fff_ffff)
  const max = byUniqueKey ? UNIQUE_KEY_MAX : asked
  const found = await context.store.queryKey(topic, key, max, beginMs, endMs, ANSWER_BYTES_MAX)
  if (found.records.length === 0) {
    return respond(
      command,
      ResponseCode.QUERY_NOT_FOUND,
      'can not find message, maybe time range not correct',
    )
  }
  return respond(
    command,
    ResponseCode.SUCCESS,
    null,
    {
      indexLastUpdateTimestamp: found.lastUpdateTimestamp,
      indexLastUpdatePhyoffset: found.lastUpdatePhysicalOffset,
    },
    Buffer.concat(found.records),
  )
}

export const viewMessage: RequestHandler = async (context, _connection, command) => {
  const offset = integerField(command, 'offset', Number.MIN_SAFE_INTEGER)
  const record = offset < 0 ? null : await context.store.recordAt(offset)
  if (record === null) {
    return respond(
      command,
      ResponseCode.SYSTEM_ERROR,
      `can not find message by the offset, ${offset}`,
    )
  }
  return respond(command, ResponseCode.SUCCESS, null, {}, record)
}

export const searchOffset: RequestHandler = async (context, _connection, command) => {
  const queue = queueField(context, command)
  const timestamp = timeField(command, 'timestamp')
  const boundary =
    optionalText(command, 'boundaryType')?.toUpperCase() === 'UPPER' ? 'UPPER' : 'LOWER'
  const offset = await context.store.offsetByTime(queue, timestamp, boundary)
  return respond(command, ResponseCode.SUCCESS, null, { offset })
}

export const earliestStoreTime: RequestHandler = async (context, _connection, command) => {
  const queue = queueField(context, command)
  const timestamp =
    queue.maxOffset > queue.minOffset ? await context.store.storeTimeOf(queue, queue.minOffset) : -1
  return respond(command, ResponseCode.SUCCESS, null, { timestamp })
}

/** Some units of a consume queue; with `consumerGroup` also whether that group's filter lets them pass. */
export const queryQueue: RequestHandler = async (context, _connection, command) => {
  const topic = knownTopic(context, command)
  const queue = queueField(context, command)
  const group = optionalText(command, 'consumerGroup')
  const subscription = group === null ? null : context.clients.subscriptionOf(group, topic.name)
  const filter = subscription?.filter() ?? null
  const from = Math.max(optionalInteger(command, 'index', 0), queue.minOffset)
  const count = Math.min(optionalInteger(command, 'count', 10), UNITS_MAX)
  const units: QueueViewUnit[] = []
  const end = Math.min(from + count, queue.maxOffset)
  const budget = new TurnBudget(context.world.clock)
  for (let offset = from; offset < end; offset++) {
    const unit = await context.store.unitAt(queue, offset)
    if (unit === null) continue
    if (unit.base !== undefined) offset = unit.base + (unit.messages ?? 1) - 1
    units.push({
      physicOffset: unit.physicalOffset,
      physicSize: unit.size,
      tagsCode: BigInt(unit.tagsCode),
      extendDataJson: null,
      bitMap: null,
      eval: subscription !== null && (filter === null || (await isWanted(context, filter, unit))),
      msg: null,
    })
    if (budget.spent) await budget.nextTurn()
  }
  const body = encodeQueueView({
    minQueueIndex: queue.minOffset,
    maxQueueIndex: queue.maxOffset,
    units,
    filterData:
      group !== null && subscription === null ? `${group}@${topic.name} is not online!` : null,
  })
  return respond(command, ResponseCode.SUCCESS, null, {}, body)
}

async function isWanted(
  { store }: BrokerContext,
  { accept, select }: MessageFilter,
  unit: { readonly tagsCode: number; readonly physicalOffset: number },
): Promise<boolean> {
  if (accept !== null && !accept(unit.tagsCode)) return false
  if (select === null) return true
  const record = await store.recordAt(unit.physicalOffset)
  if (record === null) return false
  const view = new RecordView()
  return view.check(record, 0, record.length, false) === RecordVerdict.ok && select(record, view)
}
