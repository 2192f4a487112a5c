/** What can be asked about one queue: its ends, positions by time, a group's progress, messages. */
import { MqError } from '../base/errors.ts'
import type { MessageQueue } from '../protocol/bodies/message-queue.ts'
import { RequestCode, ResponseCode } from '../protocol/codes.ts'
import { type Command, type ExtValues, request } from '../protocol/command.ts'
import { PullSysFlag, pullFields, readPullResponse } from '../protocol/pull-header.ts'
import type { MqClient } from './client.ts'
import { type ReceivedMessage, receivedMessages } from './received-message.ts'

/** `found`: messages. `none`: the end of the queue. `filtered`: messages, but none that match. `moved`: the offset is outside the queue. */
export type PullStatus = 'found' | 'none' | 'filtered' | 'moved'

export interface PullResult {
  readonly status: PullStatus
  /** With bodies decompressed; tags are compared by their hash only. */
  readonly messages: readonly ReceivedMessage[]
  /** Where to go on. */
  readonly nextOffset: number
  readonly minOffset: number
  readonly maxOffset: number
  /** Broker id to pull from next. */
  readonly suggestedBrokerId: number
}

/**
 * Messages that the broker passed over: their records are damaged, or were taken away just now. Only
 * meaningful for a pull of everything from `offset` on; with a filter, what did not match is counted.
 */
export function missingCount(result: PullResult, offset: number): number {
  const passes = result.status === 'found' || result.status === 'filtered'
  return passes ? Math.max(0, result.nextOffset - offset - result.messages.length) : 0
}

export interface PullOptions {
  readonly group: string
  readonly offset: number
  /** Default 32, which is also Apache's limit for messages in memory. */
  readonly maxMessages?: number
  /** Tag expression; null: that of the group's heart-beat. Default `*`. */
  readonly tags?: string | null
  /** SQL92 expression, evaluated by the broker; instead of `tags`. */
  readonly sql?: string | null
  readonly subVersion?: number
  /** How long a broker may hold the pull when there is no message; default 0. */
  readonly holdMs?: number
  /** Progress to store on the way; null (default): none. */
  readonly progress?: number | null
  /** 0 (default) is the master. */
  readonly brokerId?: number
}

const MASTER_ID = 0
const PULL_BYTES_MAX = 256 * 1024
/** Beyond the time that the broker may hold a pull. */
const PULL_GRACE_MS = 15_000

const statusOfCode: ReadonlyMap<number, PullStatus> = new Map([
  [ResponseCode.SUCCESS, 'found'],
  [ResponseCode.PULL_NOT_FOUND, 'none'],
  [ResponseCode.PULL_RETRY_IMMEDIATELY, 'filtered'],
  [ResponseCode.PULL_OFFSET_MOVED, 'moved'],
])

export class QueueAccess {
  readonly #client: MqClient

  constructor(client: MqClient) {
    this.#client = client
  }

  /** The next queue offset that will be written. */
  maxOffset(queue: MessageQueue): Promise<number> {
    return this.#number(queue, RequestCode.GET_MAX_OFFSET, {}, 'offset')
  }

  /** The first queue offset that is still there. */
  async minOffset(queue: MessageQueue): Promise<number> {
    // A batch queue that never had a message answers −1.
    return Math.max(0, await this.#number(queue, RequestCode.GET_MIN_OFFSET, {}, 'offset'))
  }

  /** The first queue offset stored at `timeMs` or later (milliseconds since 1970). */
  offsetAtTime(queue: MessageQueue, timeMs: number): Promise<number> {
    const ext = { timestamp: Math.floor(timeMs) }
    return this.#number(queue, RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, ext, 'offset')
  }

  /** Store time of the first message that is still there, milliseconds since 1970; null when there is none. */
  async earliestTimeMs(queue: MessageQueue): Promise<number | null> {
    const code = RequestCode.GET_EARLIEST_MSG_STORETIME
    const timeMs = await this.#number(queue, code, {}, 'timestamp')
    return timeMs < 0 ? null : timeMs
  }

  /**
   * The next queue offset that a group will process; null when it never reported one. Brokers say 0
   * instead while a queue is young, unless `exact` is asked for.
   */
  async progress(group: string, queue: MessageQueue, exact = false): Promise<number | null> {
    const code = RequestCode.QUERY_CONSUMER_OFFSET
    const ext = {
      consumerGroup: group,
      topic: queue.topic,
      queueId: queue.queueId,
      setZeroIfNotFound: exact ? false : null,
    }
    const address = this.#client.masterOf(queue.brokerName)
    const response = await this.#client.remoting.invoke(
      address,
      request(code, { ...ext, bname: queue.brokerName }),
      this.#client.requestTimeoutMs,
    )
    if (response.code === ResponseCode.QUERY_NOT_FOUND) return null
    if (response.code !== ResponseCode.SUCCESS) {
      throw this.#client.refusal(address, code, response, { topic: queue.topic, group })
    }
    return numberField(address, response, 'offset')
  }

  /** Stores how far a group is. */
  async reportProgress(group: string, queue: MessageQueue, offset: number): Promise<void> {
    await this.#client.ask(
      this.#client.masterOf(queue.brokerName),
      RequestCode.UPDATE_CONSUMER_OFFSET,
      {
        consumerGroup: group,
        topic: queue.topic,
        queueId: queue.queueId,
        commitOffset: offset,
        bname: queue.brokerName,
      },
      null,
      { topic: queue.topic, group },
    )
  }

  /** Throws MqError for everything but the four answers of a pull. */
  async pull(queue: MessageQueue, options: PullOptions): Promise<PullResult> {
    const holdMs = options.holdMs ?? 0
    const tags = options.tags === undefined ? '*' : options.tags
    const sql = options.sql ?? null
    const expression = sql ?? tags
    const progress = options.progress ?? null
    const where = this.#client.routes.addressToRead(queue.brokerName, options.brokerId ?? MASTER_ID)
    const address = where?.address ?? this.#client.masterOf(queue.brokerName)
    const reportsProgress = progress !== null && (where?.id ?? MASTER_ID) === MASTER_ID
    const command = request(
      RequestCode.PULL_MESSAGE,
      pullFields({
        consumerGroup: options.group,
        topic: queue.topic,
        queueId: queue.queueId,
        queueOffset: options.offset,
        maxMsgNums: options.maxMessages ?? 32,
        sysFlag:
          (reportsProgress ? PullSysFlag.commitOffset : 0) |
          (holdMs > 0 ? PullSysFlag.suspend : 0) |
          (expression === null ? 0 : PullSysFlag.subscription),
        commitOffset: reportsProgress ? progress : 0,
        suspendTimeoutMs: holdMs,
        subscription: expression,
        subVersion: options.subVersion ?? 0,
        expressionType: sql !== null ? 'SQL92' : tags === null ? null : 'TAG',
        maxMsgBytes: PULL_BYTES_MAX,
      }),
    )
    command.ext['bname'] = queue.brokerName
    const response = await this.#client.remoting.invoke(address, command, holdMs + PULL_GRACE_MS)
    const status = statusOfCode.get(response.code)
    const header = status === undefined ? null : readPullResponse(response.ext)
    if (status === undefined || header === null) {
      throw this.#client.refusal(address, RequestCode.PULL_MESSAGE, response, {
        topic: queue.topic,
        group: options.group,
      })
    }
    return {
      status,
      messages:
        status === 'found' && response.body !== null
          ? receivedMessages(address, queue.brokerName, response.body).filter(
              // Of a batch that is one record all of it comes, whatever of it was read before.
              ({ queueOffset }) => queueOffset >= options.offset,
            )
          : [],
      nextOffset: header.nextBeginOffset,
      minOffset: header.minOffset,
      maxOffset: header.maxOffset,
      suggestedBrokerId: header.suggestWhichBrokerId,
    }
  }

  /** The message at an offset; null when there is none. */
  async messageAt(
    queue: MessageQueue,
    offset: number,
    group: string,
  ): Promise<ReceivedMessage | null> {
    const result = await this.pull(queue, { group, offset, maxMessages: 1 })
    return result.messages.find((message) => message.queueOffset === offset) ?? null
  }

  async #number(queue: MessageQueue, code: number, ext: ExtValues, field: string): Promise<number> {
    const address = this.#client.masterOf(queue.brokerName)
    const { topic, queueId, brokerName } = queue
    const response = await this.#client.ask(
      address,
      code,
      { topic, queueId, bname: brokerName, ...ext },
      null,
      { topic },
    )
    return numberField(address, response, field)
  }
}

function numberField(address: string, response: Command, field: string): number {
  const number = Number(response.ext[field] ?? Number.NaN)
  if (Number.isFinite(number)) return number
  throw new MqError('FRAME_MALFORMED', { address, what: `the answer has no field ${field}` })
}
