/**
 * The requests of POP consumption: take messages from any queue of a broker, say that they are
 * processed, or when they should come again.
 * Source: apache/rocketmq client/…/impl/MQClientAPIImpl.java (popMessageAsync, processPopResponse, ackMessageAsync).
 */
import { MqError } from '../base/errors.ts'
import { RequestCode, ResponseCode } from '../protocol/codes.ts'
import { type Command, request } from '../protocol/command.ts'
import { formatPopHandle, parsePopHandle, parseStartOffsets } from '../protocol/pop-handle.ts'
import {
  type PopAnswer,
  type PopRequest,
  handleRequestFields,
  popRequestFields,
  readInvisible,
  readPopAnswer,
} from '../protocol/pop-header.ts'
import { retryFlagOf, topicOfFlag } from '../protocol/pop-names.ts'
import { PropertyName } from '../protocol/properties.ts'
import type { MqClient } from './client.ts'
import { type ReceivedMessage, receivedMessages } from './received-message.ts'

/** A message that was taken, and what its broker wants to hear with any word on it. */
export interface PoppedMessage {
  readonly message: ReceivedMessage
  readonly handle: string
  /** Where it lies: a retry topic when it comes again. */
  readonly realTopic: string
  /** Until when nobody else gets it, on the monotonic clock. */
  readonly untilMs: number
}

/** Beyond the time that the broker may hold the request. */
const GRACE_MS = 10_000

const emptyCodes: ReadonlySet<number> = new Set([
  ResponseCode.PULL_NOT_FOUND,
  ResponseCode.POLLING_FULL,
  ResponseCode.POLLING_TIMEOUT,
])

export class PopAccess {
  readonly #client: MqClient
  readonly #group: string

  constructor(client: MqClient, group: string) {
    this.#client = client
    this.#group = group
  }

  /** Takes messages; none when none came in time. Throws MqError. `rest`: those that wait behind them, at least. */
  async pop(
    brokerName: string,
    wish: Omit<PopRequest, 'group' | 'queueId' | 'bornMs' | 'order' | 'attemptId'>,
  ): Promise<{ readonly messages: PoppedMessage[]; readonly rest: number }> {
    const { clock } = this.#client.world
    // Born when it arrives: the clocks of two machines differ.
    const bornMs = 0
    const startMs = clock.monotonicMs()
    const whole = {
      ...wish,
      group: this.#group,
      queueId: -1,
      bornMs,
      order: false,
      attemptId: null,
    }
    const address = this.#client.masterOf(brokerName)
    const command = request(RequestCode.POP_MESSAGE, {
      ...popRequestFields(whole),
      bname: brokerName,
    })
    const timeoutMs = wish.pollMs + GRACE_MS
    const answer = await this.#client.remoting.invoke(address, command, timeoutMs)
    const rest = readPopAnswer(answer.ext)?.rest ?? 0
    if (emptyCodes.has(answer.code)) return { messages: [], rest }
    if (answer.code !== ResponseCode.SUCCESS) {
      const asked = { topic: wish.topic, group: this.#group }
      throw this.#client.refusal(address, RequestCode.POP_MESSAGE, answer, asked)
    }
    const untilMs = startMs + wish.invisibleMs
    return { messages: this.#messagesIn(address, brokerName, answer, untilMs), rest }
  }

  /** The message is processed: it does not come again. Throws MqError. */
  async ack(popped: PoppedMessage): Promise<void> {
    await this.#tell(RequestCode.ACK_MESSAGE, popped, {})
  }

  /**
   * The message comes again after this time, counted from now; it is another try of it, unless it is
   * only put off. Throws MqError. The handle of before is of no use any more; returns the new one.
   */
  async changeInvisible(
    popped: PoppedMessage,
    invisibleMs: number,
    isPutOff = false,
  ): Promise<string> {
    const ext = { invisibleTime: invisibleMs, suspend: isPutOff }
    const answer = await this.#tell(RequestCode.CHANGE_MESSAGE_INVISIBLETIME, popped, ext)
    const fields = readInvisible(answer.ext)
    const handle = parsePopHandle(popped.handle)
    if (fields === null || handle === null) return popped.handle
    return formatPopHandle({ ...handle, ...fields, startOffset: popped.message.queueOffset })
  }

  #tell(
    code: number,
    { message, handle, realTopic }: PoppedMessage,
    ext: Readonly<Record<string, string | number | boolean>>,
  ): Promise<Command> {
    const { queueId, queueOffset: offset, broker } = message
    const about = { group: this.#group, topic: realTopic, queueId, offset, handle }
    const fields = { ...handleRequestFields(about), ...ext, bname: broker }
    const asked = { topic: realTopic, group: this.#group }
    return this.#client.ask(this.#client.masterOf(broker), code, fields, null, asked)
  }

  #messagesIn(
    address: string,
    brokerName: string,
    answer: Command,
    untilMs: number,
  ): PoppedMessage[] {
    const fields = readPopAnswer(answer.ext)
    const starts = fields === null ? null : parseStartOffsets(fields.startOffsets)
    if (fields === null || starts === null) {
      throw new MqError('FRAME_MALFORMED', { address, what: 'the answer to a pop misses fields' })
    }
    const body = answer.body ?? Buffer.alloc(0)
    return receivedMessages(address, brokerName, body).map((message) => {
      const given = message.properties[PropertyName.popCheck]
      const handle = given ?? this.#handleOf(fields, starts, brokerName, message)
      const flag = parsePopHandle(handle)?.retryFlag ?? '0'
      const realTopic = topicOfFlag(flag, message.topic, this.#group) ?? message.topic
      return { message, handle, realTopic, untilMs }
    })
  }

  #handleOf(
    fields: PopAnswer,
    starts: ReadonlyMap<string, number>,
    brokerName: string,
    { topic, queueId, queueOffset }: ReceivedMessage,
  ): string {
    const retryFlag = retryFlagOf(topic)
    return formatPopHandle({
      ...fields,
      startOffset: starts.get(`${retryFlag}@${queueId}`) ?? queueOffset,
      retryFlag,
      brokerName,
      queueId,
      messageOffset: queueOffset,
    })
  }
}
