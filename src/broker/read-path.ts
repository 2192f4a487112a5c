/**
 * The read path: a pull is answered with the log's own bytes, at once when they are in memory,
 * after a read of the disk otherwise, and later when there is nothing yet (`held-pulls.ts`).
 *
 * Checks and answers in Apache's order: rocketmq PullMessageProcessor, DefaultPullMessageResultHandler.
 */
import { ResponseCode } from '../protocol/codes.ts'
import { type Command, respond, SerializeType } from '../protocol/command.ts'
import { encodeFrameHead } from '../protocol/frame.ts'
import { pullAnswerHeadBytes, writePullAnswerHead } from '../protocol/pull-answer.ts'
import {
  type PullHeader,
  PullHeaderError,
  PullSysFlag,
  pullResponseFields,
  readPullHeader,
} from '../protocol/pull-header.ts'
import { PullRequest } from '../protocol/pull-request.ts'
import type { Connection } from '../remoting/connection.ts'
import { OutBuffer } from '../remoting/out-buffer.ts'
import type { PullOutcome } from '../store/pull.ts'
import type { Queue } from '../store/queue.ts'
import type { BrokerContext } from './context.ts'
import { ColdReads } from './cold-reads.ts'
import { HeldPull, HeldPulls } from './held-pulls.ts'
import { filterOfPull, type MessageFilter } from './message-filter.ts'
import { Refusal } from './refusal.ts'
import type { Topic } from './topic.ts'

const PERM_READ = 4
/** Messages and bytes that one pull gets when its sender does not say otherwise. */
const MESSAGES_MAX = 1_024
const BYTES_DEFAULT = 256 * 1024
/** A puller may ask for more bytes (maxMsgBytes), up to this; frames end at 16 MiB. */
const BYTES_MAX = 8 * 1024 * 1024
/** Apache hands out at most this many messages a pull whatever is asked; so do we to those who do not name a byte limit of their own. */
const MESSAGES_DEFAULT_MAX = 32
/** The longest a pull is held: clients give up after 30 s. */
const HOLD_MS_MAX = 25_000
const HELD_PULLS_MAX = 200_000
/** Memory that answers from the disk are put together in and that is kept: else each is garbage that no collection hurries for. */
const COLD_BODIES_MAX = 4
/** How long a pull is looked on for before its client is told how far that went. */
const LOOK_MS_MAX = 1_000

export class ReadPath {
  readonly held = new HeldPulls()
  readonly #coldReads = new ColdReads()
  readonly #context: BrokerContext
  readonly #request = new PullRequest()
  /** Bodies of answers with a binary header are put together here; one at a time. */
  readonly #body = new OutBuffer()
  /** … and those that are read from the disk, where nobody uses them now. */
  readonly #coldBodies: OutBuffer[] = []

  constructor(context: BrokerContext) {
    this.#context = context
  }

  /** True when the frame was a pull in its usual form and is taken care of. */
  onFrame(connection: Connection, bytes: Buffer, start: number, end: number): boolean {
    if (!PullRequest.mayBe(bytes, start, end)) return false
    const request = this.#request
    const header = request.scan(bytes, start, end)
    if (header === null) return false
    this.#take(connection, request.opaque, SerializeType.json, header)
    return true
  }

  /** PULL_MESSAGE in any other form, and LITE_PULL_MESSAGE; answers by itself. */
  onCommand(connection: Connection, command: Command): void {
    const { opaque, serializeType, ext } = command
    let header: PullHeader
    try {
      header = readPullHeader(ext)
    } catch (error) {
      if (!(error instanceof PullHeaderError)) throw error
      const code = ResponseCode.INVALID_PARAMETER
      connection.reply(respond(command, code, error.message))
      return
    }
    this.#take(connection, opaque, serializeType, header)
  }

  #take(
    connection: Connection,
    opaque: number,
    serializeType: SerializeType,
    header: PullHeader,
  ): void {
    let pull: HeldPull
    try {
      pull = this.#admit(connection, opaque, serializeType, header)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const { code, message, detail } = error
      connection.reply(respond({ opaque, serializeType }, code, message, { forbiddenType: detail }))
      return
    }
    this.#serve(pull, (header.sysFlag & PullSysFlag.suspend) !== 0)
  }

  /** Records of the queue have become visible: all of this round are there. */
  onDispatched(queue: Queue): void {
    if (this.held.count === 0) return
    for (const pull of this.held.takeOf(queue)) this.#serve(pull, true)
  }

  /** The queue is going away: whoever waits for it hears that there is nothing. */
  onDeleted(queue: Queue): void {
    for (const pull of this.held.takeOf(queue)) this.#serve(pull, false)
  }

  /** Called a few times a second. */
  tick(nowMs: number): void {
    for (const pull of this.held.takeExpired(nowMs)) this.#serve(pull, false)
  }

  onClose(connection: Connection): void {
    this.held.forget(connection)
  }

  /** Answers everything that waits, so that clients look for another broker at once. */
  close(): void {
    for (const pull of this.held.takeAll()) {
      this.#reply(pull, ResponseCode.SYSTEM_ERROR, 'the broker is shutting down', {})
    }
  }

  /** All checks; throws Refusal. */
  #admit(
    connection: Connection,
    opaque: number,
    serializeType: SerializeType,
    header: PullHeader,
  ): HeldPull {
    const { settings, topics, groups, offsets, store } = this.#context
    if ((settings.brokerPermission & PERM_READ) === 0) {
      throw new Refusal(ResponseCode.NO_PERMISSION, 'the broker is not readable', 1)
    }
    const group = groups.findOrCreate(header.consumerGroup)
    if (!group.consumeEnable) {
      throw new Refusal(
        ResponseCode.NO_PERMISSION,
        `subscription group no permission, ${header.consumerGroup}`,
        2,
      )
    }
    const topic = topics.get(header.topic)
    if (topic === null) {
      throw new Refusal(
        ResponseCode.TOPIC_NOT_EXIST,
        `topic[${header.topic}] not exist, apply first please!`,
      )
    }
    if ((topic.perm & PERM_READ) === 0) {
      throw new Refusal(
        ResponseCode.NO_PERMISSION,
        `the topic[${header.topic}] pulling message is forbidden`,
        3,
      )
    }
    if (topic.unserved !== null) {
      throw new Refusal(ResponseCode.NO_PERMISSION, topic.unserved, 3)
    }
    if (header.queueId < 0 || header.queueId >= topic.readQueueNums) {
      throw new Refusal(
        ResponseCode.INVALID_PARAMETER,
        `queueId[${header.queueId}] is illegal, topic:[${header.topic}] topicConfig.readQueueNums:[${topic.readQueueNums}] consumer:[${connection.remoteAddress}]`,
      )
    }
    const filter = this.#filterOf(header, topic)
    if ((header.sysFlag & PullSysFlag.commitOffset) !== 0) {
      offsets.commit(header.consumerGroup, header.topic, header.queueId, header.commitOffset)
    }
    const nowMs = this.#context.world.clock.monotonicMs()
    const holdMs = Math.min(Math.max(header.suspendTimeoutMs, 0), HOLD_MS_MAX)
    return new HeldPull(
      connection,
      opaque,
      serializeType,
      header,
      store.queue(header.topic, header.queueId),
      filter,
      nowMs + holdMs,
    )
  }

  #filterOf(header: PullHeader, topic: Topic): MessageFilter {
    const { filters, settings } = this.#context
    const filter = this.#filterOfSubscription(header, topic)
    return settings.filterSupportRetry ? filters.forRetries(topic.name, filter) : filter
  }

  #filterOfSubscription(header: PullHeader, topic: Topic): MessageFilter {
    if ((header.sysFlag & PullSysFlag.subscription) !== 0) {
      return filterOfPull(
        header.expressionType,
        header.subscription,
        this.#context.settings.enablePropertyFilter,
      )
    }
    this.#checkGroupMayRead(header.consumerGroup, topic.name)
    return this.#context.clients.filterOf(
      header.consumerGroup,
      topic.name,
      header.subVersion,
      this.#context.settings.enablePropertyFilter,
    )
  }

  /** What an administrator may have forbidden; a pull with a subscription of its own is not asked, as at Apache. */
  #checkGroupMayRead(name: string, topic: string): void {
    const { clients, groups } = this.#context
    if (
      clients.consumerGroup(name)?.messageModel === 'BROADCASTING' &&
      groups.get(name)?.consumeBroadcastEnable === false
    ) {
      throw new Refusal(
        ResponseCode.NO_PERMISSION,
        `the consumer group[${name}] can not consume by broadcast way`,
        4,
      )
    }
    if (!groups.mayRead(name, topic)) {
      throw new Refusal(
        ResponseCode.NO_PERMISSION,
        `the consumer group[${name}] is forbidden for topic[${topic}]`,
        5,
      )
    }
  }

  #serve(pull: HeldPull, mayHold: boolean): void {
    if (!this.#isReady(pull, mayHold)) return
    const { offsets } = this.#context
    const { header } = pull
    const reset = offsets.takeReset(header.consumerGroup, header.topic, header.queueId)
    if (reset !== null) {
      offsets.notePull(header.consumerGroup, header.topic, header.queueId, reset)
      this.#replyEmpty(pull, ResponseCode.PULL_OFFSET_MOVED, 'OFFSET_RESET', reset)
      return
    }
    const asked = header.maxMsgBytes
    // Official clients send 262,144 here, which is also what Apache gives them; ours may ask for more.
    const generous = asked !== null && asked > BYTES_DEFAULT
    const bytesMax = generous ? Math.min(asked, BYTES_MAX) : BYTES_DEFAULT
    // Of a batch queue as many as are asked for: its records have many each.
    const isMany = generous || pull.queue.units !== null
    const messagesMax = Math.min(
      Math.max(header.maxMsgNums, 1),
      isMany ? MESSAGES_MAX : MESSAGES_DEFAULT_MAX,
    )
    const inFrame = pull.serializeType === SerializeType.json
    const outcome = inFrame
      ? this.#pullIntoFrame(pull, messagesMax, bytesMax)
      : this.#pullIntoBody(pull, messagesMax, bytesMax)
    if (outcome !== null) {
      this.#answer(pull, outcome, inFrame ? null : this.#body, mayHold)
      return
    }
    this.#coldReads.run(pull.connection, bytesMax, () =>
      this.#serveCold(pull, messagesMax, bytesMax, mayHold),
    )
  }

  /** Whether an answer can go out now; if not, the pull is served when its connection has room, if that is still there. */
  #isReady(pull: HeldPull, mayHold: boolean): boolean {
    const { connection } = pull
    if (connection.isClosed) return false
    if (!connection.isClogged) return true
    connection.whenRoom(() => {
      this.#serve(pull, mayHold)
    })
    return false
  }

  /** Serves what has to be read from the disk. */
  async #serveCold(
    pull: HeldPull,
    messagesMax: number,
    bytesMax: number,
    mayHold: boolean,
  ): Promise<void> {
    if (!this.#isReady(pull, mayHold)) return
    const { queue, offset, header } = pull
    const { accept, select } = pull.filter
    const body = this.#coldBodies.pop() ?? new OutBuffer()
    let outcome: PullOutcome
    try {
      const { store } = this.#context
      outcome = await store.pull(queue, offset, messagesMax, bytesMax, accept, body, select)
    } catch (error) {
      this.#context.logger.error('pull failed', { topic: header.topic, error: String(error) })
      this.#reply(pull, ResponseCode.SYSTEM_ERROR, `reading the log failed: ${String(error)}`, {})
      return
    }
    this.#answer(pull, outcome, body, mayHold)
    // Copied to where it goes out from, if it was sent at all.
    body.reuse()
    if (this.#coldBodies.length < COLD_BODIES_MAX) this.#coldBodies.push(body)
  }

  /**
   * Puts the whole answer to where it goes out from, head and records, each byte copied once. Null
   * when the disk is needed first. What is not FOUND leaves the output as it was.
   */
  #pullIntoFrame(pull: HeldPull, messagesMax: number, bytesMax: number): PullOutcome | null {
    const { opaque, queue, offset, filter } = pull
    const { accept, select } = filter
    const { store } = this.#context
    const { out } = pull.connection
    const start = out.length
    // The head stands before the records and its length depends on what is found: nearly always
    // this, else the records are moved by a digit.
    const likelyNext = Math.min(offset + messagesMax, queue.maxOffset)
    const likely = pullAnswerHeadBytes(opaque, likelyNext, queue.minOffset, queue.maxOffset)
    out.length = out.reserve(likely) + likely
    const outcome = store.pullNow(queue, offset, messagesMax, bytesMax, accept, out, select)
    if (outcome?.status !== 'FOUND') {
      out.length = start
      return outcome
    }
    const { nextBeginOffset, minOffset, maxOffset, bytes } = outcome
    const head = pullAnswerHeadBytes(opaque, nextBeginOffset, minOffset, maxOffset)
    if (head !== likely) {
      if (head > likely) out.reserve(head - likely)
      out.bytes.copyWithin(start + head, start + likely, out.length)
      out.length += head - likely
    }
    writePullAnswerHead(out.bytes, start, opaque, nextBeginOffset, minOffset, maxOffset, bytes)
    return outcome
  }

  #pullIntoBody(pull: HeldPull, messagesMax: number, bytesMax: number): PullOutcome | null {
    this.#body.reuse()
    const { queue, offset, filter } = pull
    const { accept, select } = filter
    const { store } = this.#context
    return store.pullNow(queue, offset, messagesMax, bytesMax, accept, this.#body, select)
  }

  /** `body` holds what was found, or is null when the answer is in the connection's output already. */
  #answer(pull: HeldPull, outcome: PullOutcome, body: OutBuffer | null, mayHold: boolean): void {
    if (pull.connection.isClosed) return
    const { status, nextBeginOffset } = outcome
    const { header } = pull
    this.#context.offsets.notePull(
      header.consumerGroup,
      header.topic,
      header.queueId,
      nextBeginOffset,
    )
    const untouched = pull.offset === header.queueOffset
    switch (status) {
      case 'FOUND':
        this.#replyFound(pull, outcome, body)
        return
      case 'NO_MATCHED_MESSAGE':
        pull.offset = nextBeginOffset
        if (mayHold && nextBeginOffset >= pull.queue.maxOffset && this.#hold(pull)) return
        if (mayHold && nextBeginOffset < pull.queue.maxOffset && this.#mayLookOn(pull)) {
          // More to look at: go on in the next turn, so that one filter cannot hold the loop.
          this.#context.world.clock.atEndOfTurn(() => {
            this.#serve(pull, true)
          })
          return
        }
        this.#replyEmpty(pull, ResponseCode.PULL_RETRY_IMMEDIATELY, status, nextBeginOffset)
        return
      case 'MESSAGE_WAS_REMOVING':
        this.#replyEmpty(pull, ResponseCode.PULL_RETRY_IMMEDIATELY, status, nextBeginOffset)
        return
      case 'NO_MATCHED_LOGIC_QUEUE':
      case 'NO_MESSAGE_IN_QUEUE':
        if (pull.offset !== 0) {
          this.#replyEmpty(pull, ResponseCode.PULL_OFFSET_MOVED, status, nextBeginOffset)
        } else if (!mayHold || !this.#hold(pull)) {
          this.#replyEmpty(pull, ResponseCode.PULL_NOT_FOUND, status, nextBeginOffset)
        }
        return
      case 'OFFSET_FOUND_NULL':
      case 'OFFSET_OVERFLOW_ONE':
        if (mayHold && this.#hold(pull)) return
        this.#replyEmpty(
          pull,
          // Behind messages that did not match, the client must learn how far it is.
          untouched ? ResponseCode.PULL_NOT_FOUND : ResponseCode.PULL_RETRY_IMMEDIATELY,
          status,
          nextBeginOffset,
        )
        return
      case 'OFFSET_OVERFLOW_BADLY':
      case 'OFFSET_TOO_SMALL':
        this.#replyEmpty(pull, ResponseCode.PULL_OFFSET_MOVED, status, nextBeginOffset)
    }
  }

  /**
   * Whether a pull that matched nothing yet is looked on for. Not for long: a client that gets no
   * answer in its time asks again from where it began, beside the look that goes on.
   */
  #mayLookOn(pull: HeldPull): boolean {
    const nowMs = this.#context.world.clock.monotonicMs()
    if (pull.lookUntilMs < 0) pull.lookUntilMs = nowMs + LOOK_MS_MAX
    return nowMs < Math.min(pull.lookUntilMs, pull.deadlineMs)
  }

  /** False when it cannot be held. A message that came while the disk was read is served at once. */
  #hold(pull: HeldPull): boolean {
    const { clock } = this.#context.world
    if (this.held.count >= HELD_PULLS_MAX || pull.deadlineMs <= clock.monotonicMs()) return false
    if (pull.queue.maxOffset > pull.offset) {
      clock.atEndOfTurn(() => {
        this.#serve(pull, true)
      })
    } else {
      pull.lookUntilMs = -1
      this.held.hold(pull)
    }
    return true
  }

  #replyFound(pull: HeldPull, outcome: PullOutcome, body: OutBuffer | null): void {
    const { connection, header } = pull
    const { count, bytes, nextBeginOffset } = outcome
    this.#context.stats.countGet(header.topic, header.consumerGroup, count, bytes)
    if (body !== null) {
      const head = this.#command(pull, ResponseCode.SUCCESS, 'FOUND', nextBeginOffset)
      connection.out.append(encodeFrameHead(head, body.length))
      connection.out.append(body.filled())
    }
    connection.touch()
  }

  #replyEmpty(pull: HeldPull, code: number, remark: string, nextBeginOffset: number): void {
    this.#context.stats.onGetMiss()
    pull.connection.reply(this.#command(pull, code, remark, nextBeginOffset))
  }

  #command(pull: HeldPull, code: number, remark: string, nextBeginOffset: number): Command {
    const { minOffset, maxOffset } = pull.queue
    return respond(
      pull,
      code,
      remark,
      pullResponseFields({ suggestWhichBrokerId: 0, nextBeginOffset, minOffset, maxOffset }),
    )
  }

  #reply(pull: HeldPull, code: number, remark: string, ext: Record<string, string>): void {
    pull.connection.reply(respond(pull, code, remark, ext))
  }
}
