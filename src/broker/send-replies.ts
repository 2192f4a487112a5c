/**
 * Answers to sends: those that are owed until the log has come far enough, oldest first, and those
 * that refuse. The usual answer is written as bytes; batches, binary headers and everything that is
 * not plain success go through a command.
 */
import { ResponseCode } from '../protocol/codes.ts'
import {
  Command,
  CommandFlag,
  type ExtValues,
  OUR_LANGUAGE,
  PROTOCOL_VERSION,
  type SerializeType,
  extFields,
} from '../protocol/command.ts'
import { encodeOffsetId } from '../protocol/message-id.ts'
import { SendAnswerWriter } from '../protocol/send-answer.ts'
import type { SendRequest } from '../protocol/send-request.ts'
import type { Connection } from '../remoting/connection.ts'
import type { AppendResult } from '../store/append.ts'
import type { BrokerSettings } from './options.ts'
import { OwedReplies } from './owed-replies.ts'
import type { BrokerStats } from './stats.ts'

export class SendReplies {
  readonly #settings: BrokerSettings
  readonly #stats: BrokerStats
  readonly #storeHost: Buffer
  readonly #owed = new OwedReplies()
  readonly #writer: SendAnswerWriter

  constructor(settings: BrokerSettings, stats: BrokerStats, storeHost: Buffer) {
    this.#settings = settings
    this.#stats = stats
    this.#storeHost = storeHost
    this.#writer = new SendAnswerWriter(storeHost, settings.regionId, settings.traceOn)
  }

  /** Answers that are owed. */
  get size(): number {
    return this.#owed.size
  }

  /** Log position that the oldest one waits for; Infinity when none is owed. */
  get firstEnd(): number {
    return this.#owed.firstEnd
  }

  /** How long the oldest one has waited; −Infinity when none is owed. */
  firstAgeMs(nowMs: number): number {
    return nowMs - this.#owed.firstAppendedMs
  }

  /**
   * Notes an answer that is owed; `ids` are the ids of a batch, `extra` what the answer says
   * besides. One-way requests get none.
   */
  owe(
    connection: Connection,
    send: SendRequest,
    queueId: number,
    appended: AppendResult,
    nowMs: number,
    ids: string | null,
    extra: ExtValues | null,
  ): void {
    if (send.isOneway) return
    this.#owed.add(
      connection,
      send.opaque,
      send.serializeType,
      queueId,
      appended.queueOffset,
      appended.physicalOffset,
      appended.end,
      nowMs,
      ids,
      extra,
    )
  }

  /** Answers everybody whose record ends at or before `durable`: stored, as promised. */
  acknowledge(durable: number, nowMs: number): void {
    const owed = this.#owed
    while (owed.firstEnd <= durable) {
      this.#stats.recordPutMs(nowMs - owed.firstAppendedMs)
      owed.take()
      this.#acknowledgeTaken()
    }
  }

  /** Answers those who have waited too long with FLUSH_DISK_TIMEOUT: the kernel has their record, the disk may not. */
  timeOut(written: number, nowMs: number, waitMsMax: number): void {
    const owed = this.#owed
    while (owed.firstEnd <= written && nowMs - owed.firstAppendedMs > waitMsMax) {
      owed.take()
      this.#answerStored(ResponseCode.FLUSH_DISK_TIMEOUT)
    }
  }

  /** Bytes behind `fromOffset` will never be confirmed: whoever waits for them is told so. */
  fail(fromOffset: number, code: number, remark: string): void {
    const owed = this.#owed
    // Once around the ring: the order of those who stay is kept.
    for (let count = owed.size; count > 0; count--) {
      const end = owed.firstEnd
      const appendedMs = owed.firstAppendedMs
      owed.take()
      if (owed.connection === null) continue
      if (end > fromOffset) {
        this.#answer(owed.connection, owed.opaque, owed.serializeType, code, remark)
        continue
      }
      owed.add(
        owed.connection,
        owed.opaque,
        owed.serializeType,
        owed.queueId,
        owed.queueOffset,
        owed.physicalOffset,
        end,
        appendedMs,
        owed.ids,
        owed.extra,
      )
    }
  }

  /** Answers a request that is not taken, unless it wants no answer. */
  refuse(connection: Connection, send: SendRequest, code: number, remark: string): void {
    if (send.isOneway) return
    this.#answer(connection, send.opaque, send.serializeType, code, remark)
  }

  #acknowledgeTaken(): void {
    const owed = this.#owed
    const { connection } = owed
    if (connection === null || connection.isClosed) return
    const transactionId = owed.extra === null ? '' : plainTransactionId(owed.extra)
    if (owed.ids !== null || transactionId === null || owed.serializeType !== 0) {
      this.#answerStored(ResponseCode.SUCCESS)
      return
    }
    const { out } = connection
    const at = out.reserve(this.#writer.bytesMaxWith(transactionId))
    out.length = this.#writer.write(
      out.bytes,
      at,
      owed.opaque,
      owed.queueId,
      owed.queueOffset,
      owed.physicalOffset,
      transactionId,
    )
    connection.touch()
  }

  /** The same answer as a command: batches, binary headers, FLUSH_DISK_TIMEOUT. */
  #answerStored(code: number): void {
    const owed = this.#owed
    if (owed.connection === null) return
    this.#answer(owed.connection, owed.opaque, owed.serializeType, code, null, {
      MSG_REGION: this.#settings.regionId,
      TRACE_ON: this.#settings.traceOn,
      msgId: owed.ids ?? encodeOffsetId(this.#storeHost, owed.physicalOffset),
      queueId: owed.queueId,
      queueOffset: owed.queueOffset,
      ...owed.extra,
    })
  }

  #answer(
    connection: Connection,
    opaque: number,
    serializeType: number,
    code: number,
    remark: string | null,
    ext: ExtValues = {},
  ): void {
    connection.reply(
      new Command(
        code,
        OUR_LANGUAGE,
        PROTOCOL_VERSION,
        opaque,
        CommandFlag.response,
        remark,
        extFields(ext),
        null,
        serializeType as SerializeType,
      ),
    )
  }
}

/** The id when the answer says it and nothing else besides, as it does for nearly every half; else null. */
function plainTransactionId(extra: ExtValues): string | null {
  const { transactionId, recallHandle } = extra
  return typeof transactionId === 'string' &&
    recallHandle === undefined &&
    /^[0-9A-Za-z]+$/.test(transactionId)
    ? transactionId
    : null
}
