/**
 * What a consumer says about itself when a broker forwards the question (307), and how it did with
 * one message that it was handed directly (309).
 * Source: apache/rocketmq remoting/…/body/{ConsumerRunningInfo,ProcessQueueInfo,ConsumeStatus,ConsumeMessageDirectlyResult}.java.
 */
import { jsonBody } from '../lenient-json.ts'
import {
  flagOf,
  integerOf,
  listOf,
  numberOf,
  objectOf,
  parseBody,
  textOf,
  textOrNull,
  textTableOf,
} from './fields.ts'
import { type MessageQueue, queueTable, queueTableOf } from './message-queue.ts'
import {
  type SubscriptionData,
  subscriptionDataFromJson,
  subscriptionDataToJson,
} from './subscription-data.ts'

/** One queue that the consumer works on. Times are milliseconds since 1970. */
export interface ProcessQueueInfo {
  readonly queue: MessageQueue
  /** Next offset to report as progress. */
  readonly commitOffset: number
  readonly cachedMsgMinOffset: number
  readonly cachedMsgMaxOffset: number
  readonly cachedMsgCount: number
  readonly cachedMsgSizeInMiB: number
  readonly locked: boolean
  readonly droped: boolean
  readonly lastPullTimestamp: number
  readonly lastConsumeTimestamp: number
}

export interface ConsumeStatus {
  readonly topic: string
  /** Milliseconds a pull takes. */
  readonly pullRT: number
  readonly pullTPS: number
  /** Milliseconds the handler takes. */
  readonly consumeRT: number
  readonly consumeOKTPS: number
  readonly consumeFailedTPS: number
  readonly consumeFailedMsgs: number
}

export interface ConsumerRunningInfo {
  readonly properties: Readonly<Record<string, string>>
  readonly subscriptions: readonly SubscriptionData[]
  readonly queues: readonly ProcessQueueInfo[]
  readonly statuses: readonly ConsumeStatus[]
  readonly jstack: string | null
}

export function decodeConsumerRunningInfo(body: Buffer | null): ConsumerRunningInfo {
  const object = parseBody(body)
  return {
    properties: textTableOf(object['properties']),
    subscriptions: listOf(object['subscriptionSet']).map(subscriptionDataFromJson),
    queues: queueTableOf(object['mqTable']).map(([queue, value]) => {
      const fields = objectOf(value)
      return {
        queue,
        commitOffset: integerOf(fields['commitOffset']),
        cachedMsgMinOffset: integerOf(fields['cachedMsgMinOffset']),
        cachedMsgMaxOffset: integerOf(fields['cachedMsgMaxOffset']),
        cachedMsgCount: integerOf(fields['cachedMsgCount']),
        cachedMsgSizeInMiB: integerOf(fields['cachedMsgSizeInMiB']),
        locked: flagOf(fields['locked']),
        droped: flagOf(fields['droped']),
        lastPullTimestamp: integerOf(fields['lastPullTimestamp']),
        lastConsumeTimestamp: integerOf(fields['lastConsumeTimestamp']),
      }
    }),
    statuses: Object.entries(objectOf(object['statusTable'])).map(([topic, value]) => {
      const fields = objectOf(value)
      return {
        topic,
        pullRT: numberOf(fields['pullRT']),
        pullTPS: numberOf(fields['pullTPS']),
        consumeRT: numberOf(fields['consumeRT']),
        consumeOKTPS: numberOf(fields['consumeOKTPS']),
        consumeFailedTPS: numberOf(fields['consumeFailedTPS']),
        consumeFailedMsgs: integerOf(fields['consumeFailedMsgs']),
      }
    }),
    jstack: textOrNull(object['jstack']),
  }
}

export function encodeConsumerRunningInfo(info: ConsumerRunningInfo): Buffer {
  return jsonBody(
    {
      jstack: info.jstack ?? undefined,
      mqPopTable: {},
      mqTable: queueTable(
        info.queues,
        (row) => row.queue,
        ({ queue: _, ...fields }) => ({
          ...fields,
          // Java's class has more members; clients of the body read them all.
          lastLockTimestamp: 0,
          transactionMsgCount: 0,
          transactionMsgMaxOffset: 0,
          transactionMsgMinOffset: 0,
          tryUnlockTimes: 0,
        }),
      ),
      properties: info.properties,
      statusTable: Object.fromEntries(
        info.statuses.map(({ topic, ...fields }) => [topic, { ...fields }]),
      ),
      subscriptionSet: info.subscriptions.map(subscriptionDataToJson),
      userConsumerInfo: {},
    },
    { bareObjectKeys: true },
  )
}

export interface DirectConsumeResult {
  /** CR_SUCCESS, CR_LATER, CR_ROLLBACK, CR_COMMIT, CR_THROW_EXCEPTION or CR_RETURN_NULL. */
  readonly consumeResult: string
  readonly remark: string | null
  readonly spentTimeMs: number
  readonly order: boolean
  readonly autoCommit: boolean
}

export function decodeDirectConsumeResult(body: Buffer | null): DirectConsumeResult {
  const object = parseBody(body)
  return {
    consumeResult: textOf(object['consumeResult']),
    remark: textOrNull(object['remark']),
    spentTimeMs: integerOf(object['spentTimeMills']),
    order: flagOf(object['order']),
    autoCommit: flagOf(object['autoCommit'], true),
  }
}

export function encodeDirectConsumeResult(result: DirectConsumeResult): Buffer {
  return jsonBody({
    autoCommit: result.autoCommit,
    consumeResult: result.consumeResult,
    order: result.order,
    remark: result.remark ?? undefined,
    spentTimeMills: result.spentTimeMs,
  })
}
