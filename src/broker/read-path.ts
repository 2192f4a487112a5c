/**
 * The read path: a pull is answered with the log's own bytes, at once when they are in memory,
 * after a read of the disk otherwise, and later when there is nothing yet (`held-pulls.ts`).
 *
 * Checks and answers in Apache's order: rocketmq PullMessageProcessor, DefaultPullMessageResultHandler.
 */
import { ResponseCode } from '../protocol/codes.ts'
import {
  Command,
  CommandFlag,
  OUR_LANGUAGE,
  PROTOCOL_VERSION,
  SerializeType,
  extFields,
  respond,
} from '../protocol/command.ts'
import { encodeFrameHead } from '../protocol/frame.ts'
import {
  type PullHeader,
  PullHeaderError,
  PullSysFlag,
  pullResponseFields,
  readPullHeader,
} from '../protocol/pull-header.ts'
import type { Connection } from '../remoting/connection.ts'
import { OutBuffer } from '../remoting/out-buffer.ts'
import type { PullOutcome } from '../store/pull.ts'
import type { Queue } from '../store/queue.ts'
import type { BrokerContext } from './context.ts'
import { HeldPull, HeldPulls, type TagFilter } from './held-pulls.ts'
import { Refusal } from './refusal.ts'
import { tagFilterOf } from './tag-filter.ts'
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

export class ReadPath {
  readonly held = new HeldPulls()
  readonly #context: BrokerContext
  /** Bodies of answers are put together here; one at a time. */
  readonly #body = new OutBuffer()

  constructor(context: BrokerContext) {
    this.#context = context
  }

  /** PULL_MESSAGE and LITE_PULL_MESSAGE; answers by itself. */
  onCommand(connection: Connection, command: Command): void {
    let pull: HeldPull
    try {
      pull = this.#admit(connection, command)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      connection.reply(respond(command, error.code, error.message, { forbiddenType: error.detail }))
      return
    }
    this.#serve(pull, (pull.header.sysFlag & PullSysFlag.suspend) !== 0)
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
  #admit(connection: Connection, command: Command): HeldPull {
    const { settings, topics, groups, offsets, store } = this.#context
    const header = readHeader(command)
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
    if (header.queueId < 0 || header.queueId >= topic.readQueueNums) {
      throw new Refusal(
        ResponseCode.INVALID_PARAMETER,
        `queueId[${header.queueId}] is illegal, topic:[${header.topic}] topicConfig.readQueueNums:[${topic.readQueueNums}] consumer:[${connection.remoteAddress}]`,
      )
    }
    const accept = this.#filterOf(header, topic)
    if ((header.sysFlag & PullSysFlag.commitOffset) !== 0) {
      offsets.commit(header.consumerGroup, header.topic, header.queueId, header.commitOffset)
    }
    const nowMs = this.#context.world.clock.monotonicMs()
    const holdMs = Math.min(Math.max(header.suspendTimeoutMs, 0), HOLD_MS_MAX)
    return new HeldPull(
      connection,
      command.opaque,
      command.serializeType,
      header,
      store.queue(header.topic, header.queueId),
      accept,
      nowMs + holdMs,
    )
  }

  #filterOf(header: PullHeader, topic: Topic): TagFilter {
    if ((header.sysFlag & PullSysFlag.subscription) !== 0) {
      return tagFilterOf(header.expressionType, header.subscription)
    }
    this.#checkGroupMayRead(header.consumerGroup, topic.name)
    return this.#context.clients.filterOf(header.consumerGroup, topic.name, header.subVersion)
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
    const { store, offsets } = this.#context
    const { header, queue } = pull
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
    const messagesMax = Math.min(
      Math.max(header.maxMsgNums, 1),
      generous ? MESSAGES_MAX : MESSAGES_DEFAULT_MAX,
    )
    this.#body.length = 0
    const now = store.pullNow(queue, pull.offset, messagesMax, bytesMax, pull.accept, this.#body)
    if (now !== null) {
      this.#answer(pull, now, this.#body, mayHold)
      return
    }
    const body = new OutBuffer()
    store.pull(queue, pull.offset, messagesMax, bytesMax, pull.accept, body).then(
      (outcome) => {
        this.#answer(pull, outcome, body, mayHold)
      },
      (error: unknown) => {
        this.#context.logger.error('pull failed', { topic: header.topic, error: String(error) })
        this.#reply(pull, ResponseCode.SYSTEM_ERROR, `reading the log failed: ${String(error)}`, {})
      },
    )
  }

  #answer(pull: HeldPull, outcome: PullOutcome, body: OutBuffer, mayHold: boolean): void {
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
        if (mayHold && nextBeginOffset < pull.queue.maxOffset) {
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

  /** False when it cannot be held. A message that came while the disk was read is served at once. */
  #hold(pull: HeldPull): boolean {
    const { clock } = this.#context.world
    if (this.held.count >= HELD_PULLS_MAX || pull.deadlineMs <= clock.monotonicMs()) return false
    if (pull.queue.maxOffset > pull.offset) {
      clock.atEndOfTurn(() => {
        this.#serve(pull, true)
      })
    } else this.held.hold(pull)
    return true
  }

  #replyFound(pull: HeldPull, outcome: PullOutcome, body: OutBuffer): void {
    const { stats } = this.#context
    const { connection, header } = pull
    stats.countGet(header.topic, header.consumerGroup, outcome.count, body.length)
    connection.out.append(
      encodeFrameHead(
        this.#command(pull, ResponseCode.SUCCESS, 'FOUND', outcome.nextBeginOffset),
        body.length,
      ),
    )
    connection.out.append(body.filled())
    connection.touch()
    body.reuse()
  }

  #replyEmpty(pull: HeldPull, code: number, remark: string, nextBeginOffset: number): void {
    this.#context.stats.onGetMiss()
    pull.connection.reply(this.#command(pull, code, remark, nextBeginOffset))
  }

  #command(pull: HeldPull, code: number, remark: string, nextBeginOffset: number): Command {
    return new Command(
      code,
      OUR_LANGUAGE,
      PROTOCOL_VERSION,
      pull.opaque,
      CommandFlag.response,
      remark,
      pullResponseFields({
        suggestWhichBrokerId: 0,
        nextBeginOffset,
        minOffset: pull.queue.minOffset,
        maxOffset: pull.queue.maxOffset,
      }),
      null,
      pull.serializeType === SerializeType.json ? SerializeType.json : SerializeType.rocketmq,
    )
  }

  #reply(pull: HeldPull, code: number, remark: string, ext: Record<string, string>): void {
    const answer = this.#command(pull, code, remark, pull.offset)
    answer.ext = extFields(ext)
    pull.connection.reply(answer)
  }
}

function readHeader(command: Command): PullHeader {
  try {
    return readPullHeader(command.ext)
  } catch (error) {
    if (!(error instanceof PullHeaderError)) throw error
    throw new Refusal(ResponseCode.INVALID_PARAMETER, error.message)
  }
}
