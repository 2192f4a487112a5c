/**
 * POP consumption: a member of a group takes messages from queues that belong to nobody. They are out
 * of sight of the group until they are acknowledged or their time is over; what is not acknowledged
 * comes again through the group's retry topic (`reviver.ts`).
 *
 *   take    queue after queue from a random one on → a checkpoint each → answer once they are on their place
 *   hold    nothing there: until something comes, or the request's time is over (`waiting-pops.ts`)
 *   ack     an acknowledgement beside the checkpoint; in order: the group's progress
 *
 * While everything is in memory a take happens in one piece, so that of many requests that wait only as
 * many are woken as there is something for; a take that looks into much goes on in the next turn.
 * Source of the behaviour: apache/rocketmq broker/…/processor/PopMessageProcessor.java.
 */
import type { Logger } from '../../base/logger.ts'
import { ResponseCode } from '../../protocol/codes.ts'
import { isRetryTopic } from '../../protocol/names.ts'
import { formatMessageOffsets, formatStartOffset } from '../../protocol/pop-handle.ts'
import { InitMode } from '../../protocol/pop-header.ts'
import { ORDER_REVIVE_QUEUE, popRetryTopicOf } from '../../protocol/pop-names.ts'
import type { PullOutcome } from '../../store/pull.ts'
import type { Queue } from '../../store/queue.ts'
import type { Store } from '../../store/store.ts'
import type { World } from '../../world/world.ts'
import { CONFIRMATIONS_MAX, type Confirmations } from '../confirmations.ts'
import type { ConsumerOffsets } from '../consumer-offsets.ts'
import type { BrokerSettings } from '../options.ts'
import { hasPriorities } from '../priority.ts'
import { Refusal } from '../refusal.ts'
import { RunBuffer } from '../run-buffer.ts'
import type { Topic } from '../topic.ts'
import type { TopicTable } from '../topics.ts'
import { TurnBudget } from '../turn-budget.ts'
import type { ConsumerOrder } from './consumer-order.ts'
import { PopOffsets, positionKey } from './pop-offsets.ts'
import type { ReviveLog } from './revive-log.ts'
import { type PopSource, type PopWish, Taken } from './taken.ts'
import { TakenRecords } from './taken-records.ts'
import { WaitingPops } from './waiting-pops.ts'

/** Bytes that one queue gives to a request, and all queues together. */
const QUEUE_BYTES_MAX = 256 * 1024
const BODY_BYTES_MAX = 4 * 1024 * 1024
const KEPT_BYTES_MAX = 1024 * 1024

export interface PopsParts {
  readonly world: World
  readonly settings: BrokerSettings
  readonly store: Store
  readonly topics: TopicTable
  readonly offsets: ConsumerOffsets
  readonly order: ConsumerOrder
  readonly confirmations: Confirmations
  readonly reviveLog: ReviveLog
  readonly logger: Logger
}

export class Pops {
  readonly waiting: WaitingPops
  readonly #parts: PopsParts
  readonly #positions: PopOffsets
  readonly #run = new RunBuffer()
  readonly #probe = new RunBuffer()
  readonly #records: TakenRecords

  constructor(parts: PopsParts) {
    this.#parts = parts
    this.#positions = new PopOffsets(parts.offsets)
    this.#records = new TakenRecords(parts.settings.brokerName, parts.logger)
    this.waiting = new WaitingPops({
      topics: parts.topics,
      hasNews: (group, source, wish) => this.hasNews(group, source, wish),
    })
  }

  /** Queues in which a take is under way. */
  get underWay(): number {
    return this.#positions.count
  }

  /** Retry topics of the group for the topic, those that may have messages, as they are called. */
  retryTopicsOf(group: string, topic: string): string[] {
    const older = popRetryTopicOf(group, topic)
    return this.#parts.settings.enableRetryTopicV2
      ? [popRetryTopicOf(group, topic, true), older]
      : [older]
  }

  /** Takes what there is; waits for the disk at most. Never rejects: see `fault`. */
  take(wish: PopWish): Taken | Promise<Taken> {
    const { world, reviveLog } = this.#parts
    const reviveQueueId = wish.order ? ORDER_REVIVE_QUEUE : reviveLog.nextQueue()
    const taken = new Taken(Math.floor(world.clock.wallMs()), reviveQueueId)
    const budget = new TurnBudget(world.clock)
    return this.#takeFrom(wish, taken, this.#sourcesOf(wish), 0, budget) ?? taken
  }

  /**
   * Resolves when what was taken counts: its checkpoints are on their place, and progress is reported.
   * Else with the reason why it does not: then the messages can be taken again.
   */
  async confirm(group: string, taken: Taken): Promise<string | null> {
    if (taken.end === 0) return null
    const { confirmations, store } = this.#parts
    const { end, losses } = taken
    const isThere = end <= store.watermarks.confirmed && losses === confirmations.losses
    const fault = isThere ? null : await confirmations.wait(end, losses)
    for (const progress of taken.pending) {
      this.#positions.settle(group, progress, fault === null)
    }
    return fault
  }

  /** Whether the group would be given something of the queue. */
  hasNews(group: string, source: PopSource, wish: Pick<PopWish, 'order' | 'attemptId'>): boolean {
    const { order } = this.#parts
    const { topic, queueId } = source
    if (topic.deleted) return false
    const key = positionKey(group, source)
    if (this.#positions.isBusy(key, source)) return false
    const queue = topic.queue(queueId)
    const next = this.#positions.nextOf(key, group, source) ?? queue.minOffset
    if (next >= queue.maxOffset) return false
    return !wish.order || order.blockedUntil(topic.name, group, queueId, wish.attemptId) === 0
  }

  /** Whether anything could be taken. */
  hasAnyNews(wish: PopWish): boolean {
    if (wish.topic.deleted) return false
    return this.#sourcesOf(wish).some((source) => this.hasNews(wish.group, source, wish))
  }

  /** The topic is gone: whoever waits for it hears that there is nothing, and nothing blocks a new one. */
  onDeleted(topic: string): void {
    this.#parts.order.forgetTopic(topic)
    this.waiting.onDeleted(topic)
  }

  // ---- taking ------------------------------------------------------------------------------------

  /** The queues to look into, in their order: now and then the retry topic first, so that it never starves. */
  #sourcesOf(wish: PopWish): PopSource[] {
    const { topics, settings, world } = this.#parts
    const { random } = world
    const byPriority =
      !wish.order && hasPriorities(wish.topic) && random.below(100) < wish.priorityFactor
    const first = byPriority ? 0 : random.below(Math.max(1, wish.topic.readQueueNums))
    const all = sourcesOf(wish.topic, first, false)
    const own =
      wish.queueId >= 0
        ? [{ topic: wish.topic, queueId: wish.queueId, isRetry: false }]
        : byPriority && settings.priorityOrderAsc
          ? all.reverse()
          : all
    if (wish.order) return own
    const retries = this.retryTopicsOf(wish.group, wish.topic.name)
      .map((name) => topics.get(name))
      .filter((topic) => topic !== null)
    // Answers have room for one of the two forms only.
    const withNews = retries.filter((topic) =>
      sourcesOf(topic, 0, true).some((source) => this.hasNews(wish.group, source, wish)),
    )
    const chosen = withNews[random.below(Math.max(1, withNews.length))]
    const retry = chosen === undefined ? [] : sourcesOf(chosen, 0, true)
    if (byPriority && settings.priorityOrderAsc) retry.reverse()
    const retriesFirst = byPriority
      ? settings.popFromRetryProbabilityForPriority
      : settings.popFromRetryProbability
    return random.below(100) < retriesFirst ? [...retry, ...own] : [...own, ...retry]
  }

  /**
   * Null when all is done; a promise when the disk is needed first, or when others should have a turn: a
   * filter may look into megabytes of each queue and want none of them.
   */
  #takeFrom(
    wish: PopWish,
    taken: Taken,
    sources: readonly PopSource[],
    first: number,
    budget: TurnBudget,
  ): Promise<Taken> | null {
    for (const [next, source] of sources.entries()) {
      if (next < first) continue
      if (next > first && budget.spent) {
        return budget
          .nextTurn()
          .then(() => this.#takeFrom(wish, taken, sources, next, budget) ?? taken)
      }
      const later = this.#takeOf(wish, taken, source)
      if (later === null) continue
      return later.then(() => this.#takeFrom(wish, taken, sources, next + 1, budget) ?? taken)
    }
    return null
  }

  #takeOf(wish: PopWish, taken: Taken, source: PopSource): Promise<void> | null {
    const { offsets, order } = this.#parts
    const { topic, queueId } = source
    // While the disk was read for another queue, or somebody waited, it may have gone away.
    if (isGone(wish, source)) return null
    const { group } = wish
    const key = positionKey(group, source)
    const queue = topic.queue(queueId)
    if (this.#positions.isBusy(key, source)) {
      const next = this.#positions.nextOf(key, group, source) ?? 0
      if (!wish.order) taken.rest += Math.max(0, queue.maxOffset - next)
      return null
    }
    const reset = offsets.takeReset(group, topic.name, queueId)
    if (reset !== null) {
      order.clear(topic.name, group, queueId)
      this.#positions.reset(key, group, source, reset)
    }
    const offset =
      this.#positions.nextOf(key, group, source) ?? this.#begin(key, wish, source, queue)
    if (wish.order) {
      const freeMs = order.blockedUntil(topic.name, group, queueId, wish.attemptId)
      if (freeMs > 0) {
        taken.freeMs = Math.min(taken.freeMs, freeMs)
        return null
      }
    }
    const messagesMax = wish.messagesMax - taken.count
    const bytesMax = Math.min(QUEUE_BYTES_MAX, BODY_BYTES_MAX - taken.body.length)
    if (messagesMax <= 0 || bytesMax <= 0) {
      taken.rest += Math.max(0, queue.maxOffset - offset)
      return null
    }
    if (offset === queue.maxOffset) return null
    return this.#read(wish, taken, source, key, offset, messagesMax, bytesMax)
  }

  #read(
    wish: PopWish,
    taken: Taken,
    source: PopSource,
    key: string,
    offset: number,
    messagesMax: number,
    bytesMax: number,
    again = false,
    isOurs = false,
  ): Promise<void> | null {
    const { store } = this.#parts
    const queue = source.topic.queue(source.queueId)
    const { accept, select } = wish.filter
    const use = (outcome: PullOutcome, run: RunBuffer, acquired: boolean): Promise<void> | null => {
      if (isGone(wish, source)) return null
      const { status, nextBeginOffset } = outcome
      if (status === 'OFFSET_TOO_SMALL' || status === 'OFFSET_OVERFLOW_BADLY') {
        this.#positions.reset(key, wish.group, source, nextBeginOffset)
        if (again) return null
        const next = nextBeginOffset
        return this.#read(wish, taken, source, key, next, messagesMax, bytesMax, true, acquired)
      }
      this.#use(wish, taken, source, key, offset, outcome, run)
      return null
    }
    const run = this.#run
    run.reuse(KEPT_BYTES_MAX)
    const outcome = store.pullNow(queue, offset, messagesMax, bytesMax, accept, run, select)
    if (outcome !== null) return use(outcome, run, isOurs)
    if (!isOurs) this.#positions.acquire(key, source, offset)
    const own = new RunBuffer()
    const read = store
      .pull(queue, offset, messagesMax, bytesMax, accept, own, select)
      .then((found) => use(found, own, true) ?? undefined)
    // Who acquired the queue releases it, once.
    if (isOurs) return read
    return read
      .catch((error: unknown) => {
        taken.fault = error instanceof Error ? error : new Error(String(error))
      })
      .finally(() => {
        this.#positions.release(key, source)
        taken.releases++
        this.waiting.wakeGroup(wish.group, wish.topic.name)
      })
  }

  /** Where a group begins that has no progress; that is its progress from now on. */
  #begin(key: string, wish: PopWish, source: PopSource, queue: Queue): number {
    const { store } = this.#parts
    let offset = queue.minOffset
    if (wish.initMode !== InitMode.min && !isRetryTopic(source.topic.name)) {
      // A topic that is as young as the group: its first message counts as new.
      this.#probe.reuse(0)
      const isYoung =
        queue.minOffset === 0 && store.pullNow(queue, 0, 1, 1, null, this.#probe) !== null
      offset = isYoung ? 0 : Math.max(0, queue.maxOffset - 1)
    }
    this.#positions.skip(key, wish.group, source, offset)
    return offset
  }

  #use(
    wish: PopWish,
    taken: Taken,
    source: PopSource,
    key: string,
    offset: number,
    outcome: PullOutcome,
    run: RunBuffer,
  ): void {
    const { nextBeginOffset, maxOffset, count } = outcome
    if (count === 0) {
      if (nextBeginOffset <= offset) return
      this.#positions.skip(key, wish.group, source, nextBeginOffset)
      taken.advanced ||= nextBeginOffset < maxOffset
      taken.rest += Math.max(0, maxOffset - nextBeginOffset)
      return
    }
    const messages = this.#records.offsetsIn(run)
    if (wish.order) this.#noteInOrder(wish, taken, source, key, offset, messages)
    else {
      try {
        this.#putCheckpoint(wish, taken, source, offset, messages)
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        taken.fault = error
        return
      }
      taken.pending.push(this.#positions.advance(key, source, nextBeginOffset))
      const { name } = source.topic
      const starts = formatStartOffset(name, source.queueId, offset)
      taken.note(starts, formatMessageOffsets(name, source.queueId, messages), null)
    }
    this.#records.add(wish, taken, source, offset, run)
    taken.count += messages.length
    taken.rest += Math.max(0, maxOffset - nextBeginOffset)
  }

  #noteInOrder(
    wish: PopWish,
    taken: Taken,
    source: PopSource,
    key: string,
    offset: number,
    messages: readonly number[],
  ): void {
    const { group, attemptId, invisibleMs } = wish
    const { popMs } = taken
    const { topic, queueId } = source
    const times = this.#parts.order.take({
      topic: topic.name,
      group,
      queueId,
      attemptId,
      popMs,
      invisibleMs,
      offsets: messages,
    })
    // Progress stays in front of what was taken, until it is acknowledged.
    this.#positions.skip(key, group, source, offset)
    const starts = formatStartOffset(topic.name, queueId, offset)
    taken.note(starts, formatMessageOffsets(topic.name, queueId, messages), times)
  }

  #putCheckpoint(
    wish: PopWish,
    taken: Taken,
    source: PopSource,
    startOffset: number,
    messages: readonly number[],
  ): void {
    const { reviveLog, settings, confirmations } = this.#parts
    if (confirmations.count >= CONFIRMATIONS_MAX) {
      throw new Refusal(ResponseCode.SYSTEM_BUSY, 'too many requests wait for the disk')
    }
    const checkpoint = {
      topic: source.topic.name,
      group: wish.group,
      queueId: source.queueId,
      startOffset,
      popMs: taken.popMs,
      invisibleMs: wish.invisibleMs,
      brokerName: settings.brokerName,
      distances: messages.map((message) => message - startOffset),
      acked: 0,
      putAgain: 0,
      suspended: false,
    }
    if (taken.end === 0) taken.losses = confirmations.losses
    taken.end = reviveLog.putCheckpoint(checkpoint, taken.reviveQueueId)
  }
}

/** Whether a topic was deleted since the request came. */
function isGone(wish: PopWish, source: PopSource): boolean {
  return wish.topic.deleted || source.topic.deleted
}

function sourcesOf(topic: Topic, first: number, isRetry: boolean): PopSource[] {
  const count = topic.readQueueNums
  return Array.from({ length: count }, (_, i) => ({
    topic,
    queueId: (first + i) % count,
    isRetry,
  }))
}
