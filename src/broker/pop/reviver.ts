/**
 * Brings back what was taken by POP and not acknowledged in time: reads checkpoints and acknowledgements
 * from the revive topic as the timer delivers them, and stores the messages that nobody acknowledged in
 * the group's retry topic, with one try more. After the last try of the group they go to its dead
 * letters. Never before their time; twice rather than not at all.
 * Source: apache/rocketmq broker/…/processor/PopReviveService.java.
 */
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { Perm } from '../../protocol/bodies/topic-config.ts'
import { encodeOffsetId } from '../../protocol/message-id.ts'
import { dlqTopicOf, isRetryTopic } from '../../protocol/names.ts'
import { REVIVE_GROUP, plainTopicOf, popRetryTopicOf } from '../../protocol/pop-names.ts'
import { type Checkpoint, reviveMsOf } from '../../protocol/pop-records.ts'
import { PropertyName, parseProperties } from '../../protocol/properties.ts'
import { RecordVerdict, RecordView } from '../../protocol/record.ts'
import { AppendRequest, AppendStatus } from '../../store/append.ts'
import type { Store } from '../../store/store.ts'
import type { Stop } from '../../world/clock.ts'
import type { World } from '../../world/world.ts'
import type { Confirmations } from '../confirmations.ts'
import type { ConsumerOffsets } from '../consumer-offsets.ts'
import { fillFromRecord, withoutProperties } from '../delay/delayed-message.ts'
import type { GroupTable } from '../groups.ts'
import type { BrokerSettings } from '../options.ts'
import { Refusal } from '../refusal.ts'
import type { BrokerStats } from '../stats.ts'
import type { TopicTable } from '../topics.ts'
import { TurnBudget } from '../turn-budget.ts'
import { REVIVE_QUEUES } from './revive-log.ts'
import { type OpenCheckpoint, ReviveQueue } from './revive-queue.ts'
import { Settlement, type TimerProgress } from './settlement.ts'

const TICK_MS = 50
/** Checkpoints of one queue that are judged before their messages must be on their place. */
const RUN_MAX = 64
/** Beyond this many, a queue is not read on until some are judged. */
const OPEN_MAX = 20_000
/** When so many are open, those are judged whose time lies this far behind what was read. Source: PopReviveService. */
const BEHIND_MS = 2_000
const COMPLAINT_MS = 30_000
const RETRY_QUEUES = 1
const DLQ_QUEUES = 1

export interface ReviverParts {
  readonly world: World
  readonly settings: BrokerSettings
  readonly store: Store
  readonly topics: TopicTable
  readonly groups: GroupTable
  readonly offsets: ConsumerOffsets
  readonly confirmations: Confirmations
  readonly timers: TimerProgress
  readonly stats: BrokerStats
  readonly logger: Logger
  /** The revive topic. */
  readonly topic: string
}

export class Reviver {
  readonly topic: string
  readonly #parts: ReviverParts
  readonly #queues: readonly ReviveQueue[]
  readonly #settlement: Settlement
  readonly #budget: TurnBudget
  readonly #append = new AppendRequest()
  readonly #view = new RecordView()
  #running: Promise<void> | null = null
  #woken = true
  #stopped = false
  #stopTick: Stop = () => undefined
  #complainedMs = -Infinity
  #forgetAtMs = 0

  constructor(parts: ReviverParts) {
    const { store, offsets, topic, world } = parts
    this.topic = topic
    this.#parts = parts
    this.#budget = new TurnBudget(world.clock)
    this.#queues = Array.from({ length: REVIVE_QUEUES }, (_, queueId) => {
      // Progress names the last record that is done with, as at Apache.
      const next = (offsets.get(REVIVE_GROUP, topic, queueId) ?? -1) + 1
      const queue = store.queue(topic, queueId)
      return new ReviveQueue(store, queue, Math.min(next, queue.nextOffset))
    })
    this.#settlement = new Settlement(parts.timers, this.#queues)
  }

  /** Checkpoints that have come and are not judged. */
  get openCount(): number {
    return this.#queues.reduce((sum, { open }) => sum + open.size, 0)
  }

  start(): void {
    this.#stopTick = this.#parts.world.clock.every(TICK_MS, () => {
      this.#tick()
    })
  }

  /** A record of the revive topic has become visible. */
  onDispatched(): void {
    this.#woken = true
  }

  /** The log lost what was appended from some position on. */
  onLost(): void {
    this.#settlement.again()
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#stopTick()
    await this.#running
  }

  #tick(): void {
    if (this.#running !== null || (!this.#woken && this.openCount === 0)) return
    this.#woken = false
    this.#running = this.#run()
      .catch((error: unknown) => {
        this.#woken = true
        this.#complain(messageOf(error))
      })
      .finally(() => {
        this.#running = null
      })
  }

  #complain(why: string): void {
    const nowMs = this.#parts.world.clock.monotonicMs()
    if (nowMs - this.#complainedMs < COMPLAINT_MS) return
    this.#complainedMs = nowMs
    this.#parts.logger.error('messages that nobody acknowledged wait to be brought back', { why })
  }

  #isStopped(): boolean {
    return this.#stopped
  }

  async #run(): Promise<void> {
    const { clock } = this.#parts.world
    for (const queue of this.#queues) {
      await queue.read(this.#budget, () => this.#isStopped() || queue.open.size >= OPEN_MAX)
    }
    const nowMs = clock.wallMs()
    if (this.#queues.some((queue) => dueOf(queue) <= nowMs)) this.#settlement.step(nowMs)
    for (const queue of this.#queues) await this.#judge(queue)
    if (nowMs < this.#forgetAtMs) return
    // Long enough for a checkpoint that the timer delivers behind its acknowledgement.
    this.#forgetAtMs = nowMs + COMPLAINT_MS
    for (const queue of this.#queues) queue.forgetEarly()
  }

  /** Judges the checkpoints of a queue whose time has come, oldest first. */
  async #judge(queue: ReviveQueue): Promise<void> {
    while (!this.#isStopped()) {
      const run: OpenCheckpoint[] = []
      for (const opened of queue.open.values()) {
        if (run.length === RUN_MAX || !this.#isSettled(queue, opened)) break
        run.push(opened)
      }
      const last = run.at(-1)
      if (last === undefined) return
      let end = 0
      for (const opened of run) end = Math.max(end, await this.#revive(opened))
      const { confirmations, store, offsets } = this.#parts
      if (end > store.watermarks.confirmed) {
        const fault = await confirmations.wait(end)
        if (fault !== null) throw new Error(fault)
      }
      offsets.commit(REVIVE_GROUP, this.topic, queue.queue.queueId, last.offset)
      for (const [key, opened] of queue.open) {
        queue.open.delete(key)
        if (opened === last) break
      }
      if (this.#budget.spent) await this.#budget.nextTurn()
    }
  }

  #isSettled(queue: ReviveQueue, { checkpoint }: OpenCheckpoint): boolean {
    const dueMs = reviveMsOf(checkpoint)
    if (dueMs <= this.#settlement.settledMs) return true
    return queue.open.size >= OPEN_MAX && queue.newestDueMs - dueMs > BEHIND_MS
  }

  /** Stores again what nobody acknowledged; returns the end of the log behind it, 0 when there is nothing. */
  async #revive(opened: OpenCheckpoint): Promise<number> {
    const { checkpoint } = opened
    const { topics, store } = this.#parts
    const { topic: name, group, queueId } = checkpoint
    const offsets = opened.unacked()
    if (offsets.length === 0) return 0
    const source = topics.get(name)
    const tries = this.#triesOf(group)
    // Of a topic or a group that is gone nothing comes back.
    if (source === null || tries === null || queueId < 0 || queueId >= source.queueNums) return 0
    if (topics.get(plainTopicOf(name, group)) === null) return 0
    let end = 0
    for (const offset of offsets) {
      const unit = await store.unitAt(source.queue(queueId), offset)
      const record = unit === null ? null : await store.recordAt(unit.physicalOffset)
      if (record !== null) end = Math.max(end, this.#store(record, checkpoint, tries))
      if (this.#budget.spent) await this.#budget.nextTurn()
    }
    return end
  }

  /** How often the group tries a message; null when there is no such group. */
  #triesOf(group: string): number | null {
    try {
      return this.#parts.groups.findOrCreate(group).retryMaxTimes
    } catch (error) {
      if (error instanceof Refusal) return null
      throw error
    }
  }

  #store(record: Buffer, checkpoint: Checkpoint, tries: number): number {
    const { store, stats, topics, settings, offsets } = this.#parts
    const { topic, group, suspended } = checkpoint
    const view = this.#view
    if (view.check(record, 0, record.length, false) !== RecordVerdict.ok) return 0
    const append = this.#append
    fillFromRecord(append, record, 0, view)
    const isDead = !suspended && append.reconsumeTimes >= tries
    const retryName = isRetryTopic(topic)
      ? topic
      : popRetryTopicOf(group, topic, settings.enableRetryTopicV2)
    const name = isDead ? dlqTopicOf(group) : retryName
    const isNew = topics.get(name) === null
    const target = topics.ensure(name, isDead ? DLQ_QUEUES : RETRY_QUEUES, Perm.readWrite)
    if (target === null) throw new Error(`the topic ${name} cannot be made`)
    if (isNew && !isDead && offsets.get(group, name, 0) === null) offsets.commit(group, name, 0, 0)
    addHistory(append, record, view, checkpoint, isDead)
    if (!suspended) append.reconsumeTimes++
    append.queue = target.queue(0)
    const status = store.append(append)
    if (status !== AppendStatus.ok) throw new Error('the log takes nothing right now')
    const { end, physicalOffset } = store.lastAppend
    stats.onPut(target, 1, end - physicalOffset)
    return end
  }
}

const firstTaken: ReadonlySet<string> = new Set<string>([PropertyName.firstPopTime])
const way: ReadonlySet<string> = new Set<string>([
  PropertyName.retryTopic,
  PropertyName.originMessageId,
])

/** Notes when the message was first taken; of a dead letter also where it comes from. */
function addHistory(
  append: AppendRequest,
  record: Buffer,
  view: RecordView,
  checkpoint: Checkpoint,
  isDead: boolean,
): void {
  const known = parseProperties(record.toString('utf8', view.propertiesStart, view.propertiesEnd))
  const isFirst = append.reconsumeTimes === 0 || known[PropertyName.firstPopTime] === undefined
  if (!isFirst && !isDead) return
  const additions: [string, string][] = []
  const dropped = new Set<string>()
  if (isFirst) {
    for (const name of firstTaken) dropped.add(name)
    additions.push([PropertyName.firstPopTime, String(checkpoint.popMs)])
  }
  if (isDead) {
    for (const name of way) dropped.add(name)
    const storeHost = record.subarray(view.storeHostAt, view.storeHostAt + view.storeHostBytes)
    const origin = known[PropertyName.originMessageId]
    additions.push(
      [PropertyName.retryTopic, plainTopicOf(checkpoint.topic, checkpoint.group)],
      [PropertyName.originMessageId, origin ?? encodeOffsetId(storeHost, view.physicalOffset)],
    )
  }
  const text = additions.map(([name, value]) => `${name}\u0001${value}\u0002`).join('')
  const bytes = Buffer.concat([
    Buffer.from(withoutProperties(append, dropped), 'latin1'),
    Buffer.from(text, 'utf8'),
  ])
  append.setProperties(bytes, 0, bytes.length)
}

/** When the oldest open checkpoint of the queue is due; Infinity when there is none. */
function dueOf({ open }: ReviveQueue): number {
  for (const { checkpoint } of open.values()) return reviveMsOf(checkpoint)
  return Infinity
}
