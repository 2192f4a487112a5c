/**
 * The write path: a send request becomes a record in the log, and once the log has come as far as
 * the acknowledgement promises, an answer.
 *
 *   onFrame     the usual form, read as bytes       (hot)
 *   onCommand   V1, binary headers, odd JSON        (the same checks, slower reading)
 *      └─ #accept    checks in Apache's order, appends, notes the reply that is owed
 *   answerOwed  called when a watermark moved: answers everybody behind it, oldest first
 *   failOwed    called when staged bytes could not be written
 *   tick        flush time-outs, and senders that were held because the disk is slow
 *
 * Nothing is awaited and nothing is allocated a message. Checks: rocketmq AbstractSendMessageProcessor
 * (msgCheck), SendMessageProcessor.
 */
import { BatchReader } from '../protocol/batch-body.ts'
import { Perm } from '../protocol/bodies/topic-config.ts'
import { ResponseCode } from '../protocol/codes.ts'
import type { Command, ExtValues } from '../protocol/command.ts'
import { encodeHost } from '../protocol/host.ts'
import { UniqueIdMaker, encodeOffsetId } from '../protocol/message-id.ts'
import { isClosedToSend, isDlqTopic, isRetryTopic } from '../protocol/names.ts'
import { PropertyName } from '../protocol/properties.ts'
import { encodeRecallHandle } from '../protocol/recall-handle.ts'
import { SendRequest } from '../protocol/send-request.ts'
import { SysFlag } from '../protocol/sys-flag.ts'
import type { Connection } from '../remoting/connection.ts'
import { AppendRequest, AppendStatus } from '../store/append.ts'
import type { BrokerContext } from './context.ts'
import { unhide, withoutProperties } from './delay/delayed-message.ts'
import { checkHiding, hideUntilDue } from './delay/hiding.ts'
import { queueOfPriority } from './priority.ts'
import { Refusal } from './refusal.ts'
import { topicOfResent } from './retry/resent.ts'
import { batchWithout } from './sends/batch-without.ts'
import {
  faultOfAppend,
  faultOfBatch,
  faultOfBatchItem,
  faultOfMessage,
  type SendFault,
} from './sends/send-fault.ts'
import { SendReplies } from './send-replies.ts'
import type { Topic } from './topic.ts'
import { uniqueKeyIn } from './transactions/half-message.ts'

/** Staged bytes above which senders are not read from until the disk has caught up. */
const STAGED_BYTES_HOLD = 8 * 1024 * 1024
/** Held senders are read again below this. */
const STAGED_BYTES_RELEASE = 2 * 1024 * 1024
/** A write or flush that takes longer makes new sends "busy" instead of waiting; Apache's osPageCacheBusyTimeOutMills. */
const DISK_BUSY_MS = 1_000
/** After a tick that came this late the process itself stood still: what the disk did meanwhile is not known yet. */
const TICK_LATE_MS = 500
/** SYNC_FLUSH: an answer that waited this long says FLUSH_DISK_TIMEOUT; the message is stored. Apache's syncFlushTimeout. */
const FLUSH_TIMEOUT_MS = 5_000

/** Which messages were taken says the broker that hands them out: a sender's handle would be believed. */
const POP_CHECK = new Set<string>([PropertyName.popCheck])
const PRIORITY = new Set<string>([PropertyName.priority])

export class WritePath {
  readonly #context: BrokerContext
  readonly #send = new SendRequest()
  readonly #append = new AppendRequest()
  readonly #batch = new BatchReader()
  readonly #replies: SendReplies
  readonly #storeHost: Buffer
  readonly #uniqueIds: UniqueIdMaker
  /** CLUSTER, MSG_REGION and TRACE_ON, which every stored message carries behind its sender's properties. */
  readonly #suffix: Buffer
  readonly #held = new Set<Connection>()
  #lastTopic: Topic | null = null
  #diskIsSlow = false
  /** How far the log was written when the disk was last looked at. */
  #writtenWhenSlow = 0
  #lastTickMs = 0

  constructor(context: BrokerContext, storeHost: Buffer) {
    const { settings, world } = context
    this.#context = context
    this.#storeHost = storeHost
    this.#replies = new SendReplies(settings, context.stats, storeHost)
    this.#uniqueIds = new UniqueIdMaker(
      storeHost.subarray(0, -4),
      world.random.below(0x1_0000),
      world.random.below(0x1_0000_0000),
    )
    this.#suffix = Buffer.from(
      `MSG_REGION\u0001${settings.regionId}\u0002TRACE_ON\u0001${settings.traceOn}\u0002` +
        `CLUSTER\u0001${settings.clusterName}\u0002`,
    )
  }

  /** Answers that wait for the disk. */
  get owedCount(): number {
    return this.#replies.size
  }

  /** True when the frame was a send in its usual form and is taken care of. */
  onFrame(connection: Connection, bytes: Buffer, start: number, end: number): boolean {
    if (!SendRequest.mayBe(bytes, start, end)) return false
    if (!this.#send.scan(bytes, start, end)) return false
    this.#accept(connection)
    return true
  }

  /** A send in any other form; answers by itself. */
  onCommand(connection: Connection, command: Command): void {
    if (this.#send.fromCommand(command)) this.#accept(connection)
    else this.#refuse(connection, ResponseCode.INVALID_PARAMETER, this.#send.fault)
  }

  /** A watermark moved, or the state of the store changed: answers what the policy now allows. */
  answerOwed(): void {
    const { store, world } = this.#context
    const { confirmed } = store.watermarks
    const replies = this.#replies
    if (replies.firstEnd <= confirmed) replies.acknowledge(confirmed, world.clock.monotonicMs())
    if (store.state === 'flush-failed' && replies.size > 0) {
      this.failOwed(confirmed, 'the disk failed to flush, nothing is acknowledged any more')
    }
    // At once, not with the next tick: those who are answered now send again in the same moment, and
    // would be refused as often as they retry. What came while the disk stood still is written next and
    // is as old; the disk goes on all the same.
    if (this.#diskIsSlow) this.#diskIsSlow = store.watermarks.written === this.#writtenWhenSlow
    if (this.#held.size > 0) this.#releaseHeld()
  }

  /** Bytes behind `fromOffset` will never be confirmed: whoever waits for them is told so. */
  failOwed(fromOffset: number, remark: string): void {
    this.#replies.fail(
      fromOffset,
      ResponseCode.SERVICE_NOT_AVAILABLE,
      `service not available now: ${remark}`,
    )
    // Also when more than a little stays staged: a log that failed to flush writes nothing any more.
    this.#releaseHeld(true)
  }

  /** Called a few times a second. */
  tick(nowMs: number): void {
    const { written } = this.#context.store.watermarks
    const replies = this.#replies
    const late = nowMs - this.#lastTickMs > TICK_LATE_MS
    this.#lastTickMs = nowMs
    this.#diskIsSlow =
      !late && replies.firstEnd > written && replies.firstAgeMs(nowMs) > DISK_BUSY_MS
    this.#writtenWhenSlow = written
    // Held senders would wait in silence: read them, so that they are told to slow down.
    if (this.#diskIsSlow && this.#held.size > 0) this.#releaseHeld(true)
    replies.timeOut(written, nowMs, FLUSH_TIMEOUT_MS)
  }

  /** Forgets a connection that is gone; what it sent is stored all the same. */
  onClose(connection: Connection): void {
    this.#held.delete(connection)
  }

  #accept(connection: Connection): void {
    const send = this.#send
    if (this.#diskIsSlow) {
      this.#refuseAppend(connection, AppendStatus.busy)
      return
    }
    let topic = this.#topicOf(connection)
    if (topic?.isRetry === true && !send.batch) topic = this.#resent(connection, topic)
    if (topic === null) return
    let { queueId } = send
    if (queueId < 0) queueId = this.#context.world.random.below(topic.writeQueueNums)
    else if (queueId >= Math.max(topic.writeQueueNums, topic.readQueueNums)) {
      this.#refuse(
        connection,
        ResponseCode.INVALID_PARAMETER,
        `request queueId[${queueId}] is illegal, topic ${topic.name} has ${topic.writeQueueNums} write queues`,
      )
      return
    }
    const append = this.#append
    append.queue = topic.queue(queueId)
    append.queueId = queueId
    append.topic = topic.bytes
    append.flag = send.flag
    append.sysFlag = send.sysFlag
    append.bornTimestamp = send.bornTimestamp
    append.bornHost = connection.remoteHost
    append.reconsumeTimes = send.reconsumeTimes
    append.suffix = this.#suffix
    if (send.batch) {
      this.#appendBatch(connection, topic)
      return
    }
    append.body = send.body
    append.bodyStart = send.bodyStart
    append.bodyEnd = send.bodyEnd
    append.setProperties(send.properties, 0, send.propertiesEnd)
    if (append.scan.popCheck) this.#drop(POP_CHECK)
    if (append.scan.priority) queueId = this.#byPriority(topic, queueId)
    if (append.scan.uniqKeyStart < 0) this.#addUniqueKey()
    const isHalf = append.scan.transaction && !this.#isTriedAgain()
    let extra: ExtValues | null = null
    if (append.scan.delayStart >= 0 || append.scan.timer) {
      try {
        // A half waits once it is committed; whether it can is said now: nobody hears of it then.
        if (isHalf) checkHiding(append, this.#context.settings, this.#context.world.clock.wallMs())
        else extra = this.#hide()
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        this.#refuse(connection, error.code, error.message)
        return
      }
    }
    if (this.#refuseFault(connection, this.#faultOfMessage())) return
    if (isHalf) {
      this.#appendHalf(connection, queueId)
      return
    }
    const { store, stats } = this.#context
    const status = store.append(append)
    if (status !== AppendStatus.ok) {
      this.#refuseAppend(connection, status)
      return
    }
    const { lastAppend } = store
    stats.onPut(topic, 1, lastAppend.end - lastAppend.physicalOffset)
    this.#owe(connection, queueId, null, extra)
  }

  /** Whether it is a committed message on its way to be consumed again: its properties still say TRAN_MSG. */
  #isTriedAgain(): boolean {
    const send = this.#send
    return (
      isRetryTopic(send.topic) || (send.reconsumeTimes > 0 && this.#append.scan.delayStart >= 0)
    )
  }

  /** The first half of a transaction: stored where no consumer sees it, until its sender decides. */
  #appendHalf(connection: Connection, queueId: number): void {
    const { transactions } = this.#context
    try {
      const status = transactions.prepare(this.#append)
      if (status === AppendStatus.ok) {
        this.#owe(connection, queueId, null, { transactionId: transactions.preparedId ?? '' })
      } else this.#refuseAppend(connection, status)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      this.#refuse(connection, error.code, error.message)
    }
  }

  /** Where a message to a retry topic goes; null when it was refused. */
  #resent(connection: Connection, retry: Topic): Topic | null {
    try {
      const topic = topicOfResent(this.#context, retry, this.#send)
      if (topic !== retry) this.#send.queueId = -1
      return topic
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      this.#refuse(connection, error.code, error.message)
      return null
    }
  }

  /**
   * A message that asks for a delay goes where it waits first. Returns what the answer says of that.
   * Throws a Refusal.
   */
  #hide(): ExtValues | null {
    const append = this.#append
    const { store, settings, world } = this.#context
    // A dead letter that was on its way to a retry topic.
    if (isDlqTopic(append.topic.toString()) && isRetryTopic(this.#send.topic)) {
      unhide(append)
      return null
    }
    const uniqueKey = uniqueKeyIn(append)
    const topic = append.topic.toString()
    const nowMs = world.clock.wallMs()
    const dueMs = hideUntilDue(append, settings, nowMs, (name, id) => store.queue(name, id))
    if (dueMs === null || isRetryTopic(topic)) return null
    const { brokerName } = settings
    const recallHandle = encodeRecallHandle({ topic, brokerName, timeMs: dueMs + 1, uniqueKey })
    return { recallHandle }
  }

  /** The queue of the message's priority, or the one it has. */
  #byPriority(topic: Topic, queueId: number): number {
    const append = this.#append
    const { properties, propertiesStart, propertiesEnd } = append
    const text = properties.toString('utf8', propertiesStart, propertiesEnd)
    const wanted = queueOfPriority(text, topic.writeQueueNums)
    if (wanted === 'drop') this.#drop(PRIORITY)
    if (wanted === null || wanted === 'drop') return queueId
    append.queue = topic.queue(wanted)
    append.queueId = wanted
    return wanted
  }

  /** The properties once more without one that clients may not set, or that does not count. */
  #drop(names: ReadonlySet<string>): void {
    const bytes = Buffer.from(withoutProperties(this.#append, names), 'latin1')
    this.#append.setProperties(bytes, 0, bytes.length)
  }

  /** A message without UNIQ_KEY (old or foreign clients) gets one, so that it can be found by it. */
  #addUniqueKey(): void {
    const append = this.#append
    const own = append.properties.subarray(append.propertiesStart, append.propertiesEnd)
    const separator = own.length > 0 && own[own.length - 1] !== 2 ? '\u0002' : ''
    const bytes = Buffer.concat([
      own,
      Buffer.from(
        `${separator}UNIQ_KEY\u0001${this.#uniqueIds.next(this.#context.world.clock.wallMs())}\u0002`,
      ),
    ])
    append.setProperties(bytes, 0, bytes.length)
  }

  #appendBatch(connection: Connection, topic: Topic): void {
    const send = this.#send
    const append = this.#append
    const { store, stats } = this.#context
    if (isRetryTopic(topic.name)) {
      this.#refuse(
        connection,
        ResponseCode.MESSAGE_ILLEGAL,
        'batch request does not support retry group',
      )
      return
    }
    const batchBytes = send.bodyEnd - send.bodyStart
    const batchBytesMax = store.settings.messageBytesMax
    if (batchBytes > batchBytesMax) {
      this.#refuse(
        connection,
        ResponseCode.MESSAGE_ILLEGAL,
        `the batch of ${batchBytes} bytes is larger than maxMessageSize ${batchBytesMax}`,
      )
      return
    }
    // What is asked for all of them, which records of their own would not say.
    append.setProperties(send.properties, 0, send.propertiesEnd)
    if (this.#refuseFault(connection, faultOfBatchItem(append))) return
    // First pass: nothing is stored when one of the messages cannot be.
    const batch = this.#batch
    batch.open(send.body, send.bodyStart, send.bodyEnd)
    let count = 0
    let hasForeignHandle = false
    while (batch.next()) {
      append.body = send.body
      append.bodyStart = batch.bodyStart
      append.bodyEnd = batch.bodyEnd
      append.setProperties(send.body, batch.propertiesStart, batch.propertiesEnd)
      hasForeignHandle ||= append.scan.popCheck
      if (this.#refuseFault(connection, faultOfBatchItem(append) ?? this.#faultOfMessage())) return
      count++
    }
    if (this.#refuseFault(connection, faultOfBatch(batch, count))) return
    const body = hasForeignHandle
      ? batchWithout(POP_CHECK, batch, send.body, send.bodyStart, send.bodyEnd)
      : send.body
    const start = hasForeignHandle ? 0 : send.bodyStart
    const end = hasForeignHandle ? body.length : send.bodyEnd
    if (topic.isBatch && this.#appendInner(connection, topic, body, start, end, count)) return
    const status = store.appendBatch(append, batch, body, start, end)
    if (status !== AppendStatus.ok) {
      this.#refuseAppend(connection, status)
      return
    }
    const { lastAppend } = store
    stats.onPut(topic, lastAppend.count, lastAppend.end - lastAppend.physicalOffset)
    let ids = ''
    for (let i = 0; i < lastAppend.count; i++) {
      const id = encodeOffsetId(this.#storeHost, lastAppend.physicalOffsets[i] ?? 0)
      ids = i === 0 ? id : `${ids},${id}`
    }
    this.#owe(connection, append.queueId, ids, null)
  }

  /**
   * A batch to a topic of batch queues stays one record, which has the properties of the request; its
   * messages have their own. False when it is stored message by message: without an id of its own, as
   * at Apache, or with bodies that are compressed one by one, which no reader of such a record expects.
   */
  #appendInner(
    connection: Connection,
    topic: Topic,
    body: Buffer,
    start: number,
    end: number,
    count: number,
  ): boolean {
    const send = this.#send
    const append = this.#append
    const { store, stats } = this.#context
    append.setProperties(send.properties, 0, send.propertiesEnd)
    if (append.scan.uniqKeyStart < 0 || (send.sysFlag & SysFlag.compressed) !== 0) return false
    if (append.scan.popCheck) this.#drop(POP_CHECK)
    const uniqueId = uniqueKeyIn(append)
    append.flag = send.flag
    append.body = body
    append.bodyStart = start
    append.bodyEnd = end
    if (this.#refuseFault(connection, faultOfBatchItem(append) ?? this.#faultOfMessage()))
      return true
    append.sysFlag = send.sysFlag | SysFlag.needUnwrap | SysFlag.innerBatch
    append.messages = count
    const status = store.append(append)
    append.messages = 1
    if (status !== AppendStatus.ok) {
      this.#refuseAppend(connection, status)
      return true
    }
    const { lastAppend } = store
    stats.onPut(topic, count, lastAppend.end - lastAppend.physicalOffset)
    this.#owe(connection, append.queueId, null, { batchUniqId: uniqueId })
    return true
  }

  #owe(connection: Connection, queueId: number, ids: string | null, extra: ExtValues | null): void {
    const send = this.#send
    const { store, world } = this.#context
    const { lastAppend, watermarks } = store
    const nowMs = world.clock.monotonicMs()
    this.#replies.owe(connection, send, queueId, lastAppend, nowMs, ids, extra)
    if (watermarks.appended - watermarks.written > STAGED_BYTES_HOLD) {
      this.#held.add(connection)
      connection.hold(true)
    }
  }

  #releaseHeld(always = false): void {
    const { watermarks } = this.#context.store
    if (!always && watermarks.appended - watermarks.written > STAGED_BYTES_RELEASE) return
    for (const connection of this.#held) connection.hold(false)
    this.#held.clear()
  }

  /** The topic of the request, made when that is allowed; null when the request was refused. */
  #topicOf(connection: Connection): Topic | null {
    const send = this.#send
    const last = this.#lastTopic
    if (last !== null && !last.deleted && this.#isNamed(last.bytes)) return last
    const name = send.topic
    const topic = this.#context.topics.get(name) ?? this.#makeTopic(connection, name)
    if (topic === null) return null
    if (isClosedToSend(name)) {
      this.#refuse(
        connection,
        ResponseCode.NO_PERMISSION,
        `sending message to topic[${name}] is forbidden`,
      )
      return null
    }
    if (topic.unserved !== null) {
      this.#refuse(connection, ResponseCode.MESSAGE_ILLEGAL, topic.unserved)
      return null
    }
    this.#lastTopic = topic
    return topic
  }

  #isNamed(name: Buffer): boolean {
    const { bytes, topicStart, topicEnd } = this.#send
    if (topicEnd - topicStart !== name.length) return false
    for (let i = 0; i < name.length; i++) if (bytes[topicStart + i] !== name[i]) return false
    return true
  }

  #makeTopic(connection: Connection, name: string): Topic | null {
    const send = this.#send
    const { topics } = this.#context
    const made = isRetryTopic(name)
      ? (topics.ensure(name, 1, Perm.readWrite) ??
        topics.faultOfName(name) ??
        `topic[${name}] not exist`)
      : topics.autoCreate(name, send.defaultTopic, send.defaultTopicQueueNums, 0)
    if (typeof made !== 'string') return made
    const illegal = topics.faultOfName(name) !== null
    this.#refuse(
      connection,
      illegal ? ResponseCode.INVALID_PARAMETER : ResponseCode.TOPIC_NOT_EXIST,
      made,
    )
    return null
  }

  #faultOfMessage(): SendFault | null {
    return faultOfMessage(
      this.#append,
      this.#context.store.settings.messageBytesMax,
      this.#suffix.length,
    )
  }

  #refuseAppend(connection: Connection, status: AppendStatus): void {
    this.#context.stats.onPutFailed()
    this.#refuseFault(connection, faultOfAppend(status))
  }

  /** True when there was a fault. */
  #refuseFault(connection: Connection, fault: SendFault | null): boolean {
    if (fault !== null) this.#refuse(connection, fault.code, fault.remark)
    return fault !== null
  }

  /** Answers the request being read, unless it wants no answer. */
  #refuse(connection: Connection, code: number, remark: string): void {
    this.#replies.refuse(connection, this.#send, code, remark)
  }
}

/** The broker's own address as records carry it; loopback when it is a host name. */
export function storeHostOf(advertisedAddress: string): Buffer {
  const own = encodeHost(advertisedAddress)
  if (own !== null) return own
  const port = Number(/:(\d+)$/.exec(advertisedAddress)?.[1] ?? 0)
  return encodeHost(`127.0.0.1:${port}`) ?? Buffer.alloc(8)
}
