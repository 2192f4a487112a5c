/**
 * What brokers ask of a consumer, some of it on behalf of an administrator.
 * Source: apache/rocketmq client/…/impl/ClientRemotingProcessor.java.
 */
import { messageOf } from '../base/errors.ts'
import {
  type ProcessQueueInfo,
  encodeConsumerRunningInfo,
  encodeDirectConsumeResult,
} from '../protocol/bodies/consumer-running-info.ts'
import {
  type QueueOffset,
  decodeResetOffsetBody,
  encodeClientStatus,
} from '../protocol/bodies/queue-offsets.ts'
import type { SubscriptionData } from '../protocol/bodies/subscription-data.ts'
import { RequestCode, ResponseCode } from '../protocol/codes.ts'
import { type Command, respond } from '../protocol/command.ts'
import type { Clock } from '../world/clock.ts'
import type { AssignedQueue } from './assigned-queue.ts'
import type { MessageHandler, Try } from './handler-loop.ts'
import type { HandlerStats } from './handler-stats.ts'
import { receivedMessages } from './received-message.ts'

export interface ConsumerSide {
  readonly group: string
  readonly nameServers: readonly string[]
  /** Milliseconds since 1970. */
  readonly startedMs: number
  readonly ordered: boolean
  readonly concurrency: number
  readonly subscriptions: readonly SubscriptionData[]
  readonly assigned: readonly AssignedQueue[]
  readonly stats: HandlerStats
  /** The calls of the handler that have not ended; missing: nobody counts them. */
  readonly tries?: Iterable<Try>
  readonly handler: MessageHandler
  readonly clock: Clock
  rebalance(): void
  reset(offsets: readonly QueueOffset[]): void
}

/** The response; null when the request is for another member of this process, or has none. */
export function answerConsumerRequest(
  command: Command,
  side: ConsumerSide,
): Promise<Command | null> | Command | null {
  if ((command.ext['consumerGroup'] ?? command.ext['group']) !== side.group) return null
  switch (command.code) {
    case RequestCode.NOTIFY_CONSUMER_IDS_CHANGED:
      side.rebalance()
      return null
    case RequestCode.RESET_CONSUMER_CLIENT_OFFSET:
      side.reset(decodeResetOffsetBody(command.body))
      return null
    case RequestCode.GET_CONSUMER_STATUS_FROM_CLIENT:
      return clientStatus(command, side)
    case RequestCode.GET_CONSUMER_RUNNING_INFO:
      return runningInfo(command, side)
    case RequestCode.CONSUME_MESSAGE_DIRECTLY:
      return consumeDirectly(command, side)
    default:
      return null
  }
}

function clientStatus(command: Command, side: ConsumerSide): Command {
  const topic = command.ext['topic']
  const offsets = side.assigned
    .filter((one) => one.queue.topic === topic)
    .map((one) => ({ queue: one.queue, offset: one.progress.position }))
  return respond(command, ResponseCode.SUCCESS, null, {}, encodeClientStatus(offsets))
}

function runningInfo(command: Command, side: ConsumerSide): Command {
  const body = encodeConsumerRunningInfo({
    properties: {
      PROP_NAMESERVER_ADDR: side.nameServers.join(';'),
      PROP_THREADPOOL_CORE_SIZE: String(side.concurrency),
      PROP_CONSUMEORDERLY: String(side.ordered),
      PROP_CONSUME_TYPE: 'CONSUME_PASSIVELY',
      PROP_CLIENT_VERSION: 'V5_3_3',
      PROP_CONSUMER_START_TIMESTAMP: String(side.startedMs),
    },
    subscriptions: side.subscriptions,
    queues: side.assigned.map(queueInfo),
    statuses: side.stats.statuses(),
    jstack: command.ext['jstackEnable'] === 'true' ? workText(side) : null,
  })
  return respond(command, ResponseCode.SUCCESS, null, {}, body)
}

/** There are no threads to show: which messages the handler works on, and for how long, says where it hangs. */
function workText({ tries, clock }: ConsumerSide): string {
  if (tries === undefined) return 'what the handler works on is not known\n'
  const nowMs = clock.monotonicMs()
  const lines = [...tries].map(({ message, startMs }) => {
    const { topic, broker, queueId, queueOffset, messageId } = message
    const ms = Math.round(nowMs - startMs)
    return `handler works for ${ms} ms on ${messageId} of ${topic}, ${broker} queue ${queueId}, offset ${queueOffset}\n`
  })
  return lines.length === 0 ? 'the handler works on nothing\n' : lines.join('')
}

function queueInfo(assigned: AssignedQueue): ProcessQueueInfo {
  const { progress } = assigned
  const first = progress.position
  return {
    queue: assigned.queue,
    commitOffset: first,
    cachedMsgMinOffset: progress.count === 0 ? 0 : first,
    cachedMsgMaxOffset: progress.count === 0 ? 0 : first + progress.span,
    cachedMsgCount: progress.count,
    cachedMsgSizeInMiB: Math.floor(progress.bytes / (1024 * 1024)),
    locked: false,
    droped: assigned.isDropped(),
    lastPullTimestamp: assigned.lastPullMs,
    lastConsumeTimestamp: assigned.lastHandledMs,
  }
}

/** Runs the handler once on the message in the body; progress and retries are not touched. */
async function consumeDirectly(command: Command, side: ConsumerSide): Promise<Command> {
  const brokerName = command.ext['brokerName'] ?? ''
  const [message] = receivedMessages(brokerName, brokerName, command.body ?? Buffer.alloc(0))
  if (message === undefined) {
    return respond(command, ResponseCode.SYSTEM_ERROR, 'the body holds no message')
  }
  const startMs = side.clock.monotonicMs()
  let consumeResult = 'CR_SUCCESS'
  let remark: string | null = null
  try {
    if ((await side.handler(message)) === 'leave') consumeResult = 'CR_LATER'
  } catch (error) {
    consumeResult = 'CR_THROW_EXCEPTION'
    remark = messageOf(error)
  }
  const body = encodeDirectConsumeResult({
    consumeResult,
    remark,
    spentTimeMs: Math.round(side.clock.monotonicMs() - startMs),
    order: side.ordered,
    autoCommit: true,
  })
  return respond(command, ResponseCode.SUCCESS, null, {}, body)
}
