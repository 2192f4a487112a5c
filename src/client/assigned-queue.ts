/**
 * One queue that this consumer was given: pulls ahead of the handler, within limits, and keeps
 * count of what is finished.
 *
 *     assigned → pulling ⇄ waiting for room → dropped
 */
import { MqError, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { MessageQueue } from '../protocol/bodies/message-queue.ts'
import { type SubscriptionData } from '../protocol/bodies/subscription-data.ts'
import { ResponseCode } from '../protocol/codes.ts'
import type { Clock } from '../world/clock.ts'
import { responseCodeOf } from './answers.ts'
import { Pauses } from './pause.ts'
import { missingCount, type PullResult, type QueueAccess } from './queue-access.ts'
import { QueueProgress } from './queue-progress.ts'
import type { ReceivedMessage } from './received-message.ts'

/** How far a queue may be pulled ahead of the handler. */
export interface FlowLimits {
  readonly messagesMax: number
  readonly bytesMax: number
  /** Queue offsets from the lowest unfinished to the highest pulled. */
  readonly spanMax: number
}

export interface AssignedQueueOptions {
  readonly group: string
  readonly queue: MessageQueue
  readonly subscription: SubscriptionData
  readonly pullBatch: number
  readonly limits: FlowLimits
  /** Whether pulls carry the progress to the broker. */
  readonly reportsWithPull: boolean
  readonly access: QueueAccess
  readonly clock: Clock
  readonly logger: Logger
  /** There are messages to take. */
  readonly onMessages: () => void
  /** The broker moved the offset: this queue is dropped, and starts again from there. */
  readonly onMoved: (queue: AssignedQueue, offset: number) => void
  /** The broker does not know this consumer (any more). */
  readonly onUnknown: () => Promise<void>
}

const HOLD_MS = 15_000
/** An empty answer that came sooner than this was not held: the next pull waits. */
const HELD_MS_MIN = 50
const PAUSE_MS_MIN = 100
const PAUSE_MS_MAX = 3_000
const FLOW_CONTROL_PAUSE_MS = 20

export class AssignedQueue {
  readonly queue: MessageQueue
  readonly progress: QueueProgress
  /** Pulled and not handed out, in order; `takeMessage` takes the first. */
  readonly #waiting: ReceivedMessage[] = []
  #waitingHead = 0
  #handledNow = 0
  #onIdle: () => void = () => undefined
  /** Ordered: a message failed and will be first in line again; until then nothing is handed out. */
  isPausing = false
  /** Where the queue ended at the last answer. */
  maxOffset: number
  lastPullMs = 0
  lastHandledMs = 0
  /** What was reported last. */
  reportedOffset: number | null = null
  readonly #options: AssignedQueueOptions
  readonly #tags: ReadonlySet<string>
  readonly #pauses: Pauses
  /** The last pull met an error. */
  #isFailing = false
  #nextOffset: number
  #brokerId = 0
  #dropped = false
  #roomWanted: (() => void) | null = null

  constructor(options: AssignedQueueOptions, startOffset: number) {
    this.#options = options
    this.#pauses = new Pauses(options.clock)
    this.queue = options.queue
    this.#nextOffset = startOffset
    this.maxOffset = startOffset
    this.progress = new QueueProgress(startOffset)
    this.#tags = new Set(options.subscription.tagsSet)
  }

  isDropped(): boolean {
    return this.#dropped
  }

  get waitingCount(): number {
    return this.#waiting.length - this.#waitingHead
  }

  /** True when everything that is in the queue was processed. */
  get isCaughtUp(): boolean {
    return this.progress.count === 0 && this.#nextOffset >= this.maxOffset && this.lastPullMs > 0
  }

  /** There may be more to process now: not so when all was, nor when the broker gives nothing. */
  get hasWork(): boolean {
    return !this.isCaughtUp && !this.#isFailing
  }

  /** Stops pulling. What waits is forgotten; what the handler has may finish. */
  drop(): void {
    this.#dropped = true
    this.#waiting.length = 0
    this.#waitingHead = 0
    this.#pauses.end()
    this.#roomWanted?.()
  }

  /** Messages of this queue that the handler has now. */
  get handledNow(): number {
    return this.#handledNow
  }

  handlingBegins(): void {
    this.#handledNow += 1
  }

  handlingEnds(): void {
    this.#handledNow -= 1
    if (this.#handledNow === 0) this.#onIdle()
  }

  /** Resolves when the handler has no message of this queue, which must be dropped. */
  whenIdle(): Promise<void> {
    if (this.#handledNow === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const before = this.#onIdle
      this.#onIdle = () => {
        before()
        resolve()
      }
    })
  }

  takeMessage(): ReceivedMessage | null {
    const message = this.#waiting[this.#waitingHead]
    if (message === undefined) return null
    this.#waitingHead += 1
    if (this.#waitingHead === this.#waiting.length) {
      this.#waiting.length = 0
      this.#waitingHead = 0
    } else if (this.#waitingHead >= 1024) {
      this.#waiting.splice(0, this.#waitingHead)
      this.#waitingHead = 0
    }
    return message
  }

  /** Puts a message back in front. */
  putBack(message: ReceivedMessage): void {
    if (this.#dropped) return
    if (this.#waitingHead > 0) {
      this.#waitingHead -= 1
      this.#waiting[this.#waitingHead] = message
    } else this.#waiting.unshift(message)
  }

  finish(message: ReceivedMessage): void {
    this.progress.finish(message.queueOffset)
    if (this.#roomWanted !== null && this.#hasRoom()) this.#roomWanted()
  }

  /** Pulls until dropped. Never rejects. */
  async run(): Promise<void> {
    let failures = 0
    while (!this.isDropped()) {
      await this.#untilRoom()
      if (this.isDropped()) return
      try {
        await this.#pullOnce()
        failures = 0
        this.#isFailing = false
      } catch (error) {
        failures += 1
        await this.#afterFailure(error, failures)
      }
    }
  }

  async #pullOnce(): Promise<void> {
    const { access, group, subscription, pullBatch, clock } = this.#options
    const { position } = this.progress
    const startMs = clock.monotonicMs()
    // The first answer is not waited for: it says where the queue ends.
    const holdMs = this.lastPullMs === 0 ? 0 : HOLD_MS
    const result = await access.pull(this.queue, {
      group,
      offset: this.#nextOffset,
      maxMessages: pullBatch,
      tags: null,
      subVersion: subscription.subVersion,
      holdMs,
      progress: this.#options.reportsWithPull && position > 0 ? position : null,
      brokerId: this.#brokerId,
    })
    if (this.isDropped()) return
    this.lastPullMs = clock.wallMs()
    this.maxOffset = result.maxOffset
    this.#brokerId = result.suggestedBrokerId
    if (result.status === 'moved') {
      this.#options.logger.info('offset moved by the broker', {
        topic: this.queue.topic,
        queueId: this.queue.queueId,
        from: this.#nextOffset,
        to: result.nextOffset,
      })
      this.drop()
      this.#options.onMoved(this, result.nextOffset)
      return
    }
    this.#take(result)
    const tookMs = clock.monotonicMs() - startMs
    const isEmpty = result.status === 'none' || result.nextOffset === this.#nextOffset
    this.#nextOffset = result.nextOffset
    // A broker that answers "nothing" at once, instead of holding, must not be asked in a circle.
    if (isEmpty && holdMs > 0 && tookMs < HELD_MS_MIN) await this.#pauses.pause(PAUSE_MS_MIN)
  }

  #take(result: PullResult): void {
    const unfiltered = this.#tags.size === 0 && this.#options.subscription.expressionType === 'TAG'
    const missing = unfiltered ? missingCount(result, this.#nextOffset) : 0
    if (missing > 0) {
      this.#options.logger.warn('messages are missing: damaged on the broker, or just taken away', {
        topic: this.queue.topic,
        queueId: this.queue.queueId,
        from: this.#nextOffset,
        missing,
      })
    }
    for (const message of result.messages) {
      // The broker compares hashes of tags; two tags can share one.
      if (this.#tags.size > 0 && !this.#tags.has(message.tags)) continue
      if (this.progress.add(message.queueOffset, message.sizeBytes)) this.#waiting.push(message)
    }
    this.progress.fetchedUpTo(result.nextOffset)
    if (this.waitingCount > 0) this.#options.onMessages()
  }

  async #afterFailure(error: unknown, failures: number): Promise<void> {
    if (this.isDropped()) return
    const { logger, onUnknown } = this.#options
    const code = responseCodeOf(error)
    if (code === ResponseCode.FLOW_CONTROL) {
      await this.#pauses.pause(FLOW_CONTROL_PAUSE_MS)
      return
    }
    this.#isFailing = true
    if (failures === 1 || failures % 20 === 0) {
      logger.warn('pull failed', {
        topic: this.queue.topic,
        queueId: this.queue.queueId,
        why: messageOf(error),
        failures,
      })
    }
    if (!(error instanceof MqError)) logger.error('bug in pull', { why: messageOf(error) })
    if (
      code === ResponseCode.SUBSCRIPTION_NOT_EXIST ||
      code === ResponseCode.SUBSCRIPTION_NOT_LATEST
    ) {
      await onUnknown()
    }
    await this.#pauses.pause(Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** (failures - 1)))
  }

  #hasRoom(): boolean {
    const { messagesMax, bytesMax, spanMax } = this.#options.limits
    const { progress } = this
    return progress.count < messagesMax && progress.bytes < bytesMax && progress.span < spanMax
  }

  async #untilRoom(): Promise<void> {
    if (this.#hasRoom() || this.isDropped()) return
    await new Promise<void>((resolve) => {
      this.#roomWanted = resolve
    })
    this.#roomWanted = null
  }
}
