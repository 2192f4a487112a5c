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
import { type Checkpoint, batchKey, reviveMsOf } from '../../protocol/pop-records.ts'
import { PropertyName, parseProperties } from '../../protocol/properties.ts'
import { RecordVerdict, RecordView } from '../../protocol/record.ts'
import { AppendRequest, AppendStatus } from '../../store/append.ts'
import type { Queue } from '../../store/queue.ts'
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
import { REVIVE_QUEUES, type ReviveLog } from './revive-log.ts'
import { type OpenCheckpoint, ReviveQueue } from './revive-queue.ts'
import { Settlement, type TimerProgress } from './settlement.ts'

const TICK_MS = 50
/** Checkpoints of one queue that are judged before their messages must be on their place. */
const RUN_MAX = 64
/** Checkpoints of one queue that are open at one time. */
const OPEN_MAX = 20_000
/** Staged bytes above which nothing is brought back: the log's writes come first. */
const STAGED_BYTES_MAX = 4 * 1024 * 1024
/** A message that cannot be brought back now is put off for this long, then for twice as long, and so on. */
const PUT_OFF_MS_MIN = 10_000
const PUT_OFF_MS_MAX = 3_600_000
const PUT_OFFS_MAX = 99
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
  readonly reviveLog: ReviveLog
  /** Checkpoints of one queue that are open at one time. */
  readonly openMax?: number
}

/** One queue, and up to when it is known what became of its messages. */
interface Lane {
  readonly queue: ReviveQueue
  readonly settlement: Settlement
}

export class Reviver {
  readonly topic: string
  readonly #parts: ReviverParts
  readonly #lanes: readonly Lane[]
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
    const { store, offsets, world, timers, openMax = OPEN_MAX } = parts
    const { topic } = parts.reviveLog
    this.topic = topic
    this.#parts = parts
    this.#budget = new TurnBudget(world.clock)
    this.#lanes = Array.from({ length: REVIVE_QUEUES }, (_, queueId) => {
      // Progress names the last record that is done with, as at Apache.
      const next = (offsets.get(REVIVE_GROUP, topic, queueId) ?? -1) + 1
      const records = store.queue(topic, queueId)
      const first = Math.min(next, records.nextOffset)
      const queue = new ReviveQueue(store, records, first, openMax)
      return { queue, settlement: new Settlement(timers, queue) }
    })
  }

  /** Checkpoints that have come and are not judged. */
  get openCount(): number {
    return this.#lanes.reduce((sum, { queue }) => sum + queue.open.size, 0)
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

  /** The log lost what was appended from this position on. */
  onLost(fromOffset: number): void {
    for (const { queue, settlement } of this.#lanes) {
      queue.onLost(fromOffset)
      settlement.again()
    }
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#stopTick()
    await this.#running
  }

  #tick(): void {
    if (this.#running !== null) return
    if (!this.#woken && !this.#lanes.some(({ queue }) => queue.hasWork)) return
    this.#woken = false
    this.#running = this.#run().finally(() => {
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
    for (const lane of this.#lanes) {
      try {
        await this.#go(lane)
      } catch (error) {
        // The other queues go on.
        this.#woken = true
        this.#complain(messageOf(error))
      }
    }
    const nowMs = this.#parts.world.clock.wallMs()
    if (nowMs < this.#forgetAtMs) return
    // Long enough for a checkpoint that the timer delivers behind its acknowledgement.
    this.#forgetAtMs = nowMs + COMPLAINT_MS
    for (const { queue } of this.#lanes) queue.forgetEarly()
  }

  async #go(lane: Lane): Promise<void> {
    const { queue, settlement } = lane
    if (queue.goBack()) settlement.forget()
    await queue.read(this.#budget, () => this.#isStopped())
    const nowMs = this.#parts.world.clock.wallMs()
    if (dueOf(queue) <= nowMs) settlement.step(nowMs)
    await this.#judge(lane)
  }

  /** Judges the checkpoints of a queue whose time has come, oldest first. */
  async #judge(lane: Lane): Promise<void> {
    const { queue } = lane
    while (!this.#isStopped()) {
      const run = dueIn(lane)
      if (run.length === 0) return
      const fault = await this.#reviveAll(queue, run)
      await this.#finish(queue, run)
      if (fault !== null) throw fault
      // The log takes no more right now, or lost something.
      if (run.some((opened) => queue.open.has(batchKey(opened.checkpoint)))) return
      if (this.#budget.spent) await this.#budget.nextTurn()
    }
  }

  /** Goes through them until the log takes no more. Returns what went wrong, null when nothing did. */
  async #reviveAll(queue: ReviveQueue, run: readonly OpenCheckpoint[]): Promise<Error | null> {
    try {
      for (const opened of run) if (!(await this.#revive(queue, opened))) return null
      return null
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error))
    }
  }

  /** Forgets those of the run that are dealt with, up to the first that is not. */
  async #finish({ queue, open }: ReviveQueue, run: readonly OpenCheckpoint[]): Promise<void> {
    const { confirmations, store, offsets } = this.#parts
    const end = Math.max(...run.map((opened) => opened.end))
    if (end > store.watermarks.confirmed) {
      const fault = await confirmations.wait(end)
      if (fault !== null) throw new Error(fault)
    }
    // What the log lost meanwhile waits again.
    const first = run.findIndex((opened) => opened.waiting().length > 0)
    const done = first < 0 ? run : run.slice(0, first)
    const last = done.at(-1)
    if (last === undefined) return
    offsets.commit(REVIVE_GROUP, this.topic, queue.queueId, last.offset)
    for (const { checkpoint } of done) open.delete(batchKey(checkpoint))
  }

  /** Stores again what nobody acknowledged. False when the log takes nothing right now. */
  async #revive(queue: ReviveQueue, opened: OpenCheckpoint): Promise<boolean> {
    const { checkpoint } = opened
    const { topics } = this.#parts
    const { topic: name, group, queueId } = checkpoint
    const offsets = opened.waiting()
    if (offsets.length === 0) return true
    const source = topics.get(name)
    const tries = this.#triesOf(group)
    const isGone =
      source === null ||
      queueId < 0 ||
      queueId >= source.queueNums ||
      topics.get(plainTopicOf(name, group)) === null
    if (isGone || tries === null) {
      // Of a topic or a group that is gone nothing comes back.
      for (const offset of offsets) opened.place(offset, 0)
      return true
    }
    for (const offset of offsets) {
      if (this.#isStopped()) return false
      if (!(await this.#bringBack(queue, opened, source.queue(queueId), offset, tries)))
        return false
      if (this.#budget.spent) await this.#budget.nextTurn()
    }
    return true
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

  /** Deals with one message. False when the log takes nothing right now. */
  async #bringBack(
    queue: ReviveQueue,
    opened: OpenCheckpoint,
    source: Queue,
    offset: number,
    tries: number,
  ): Promise<boolean> {
    const { store } = this.#parts
    const { checkpoint } = opened
    let record: Buffer | null = null
    let fault: string | null = null
    try {
      const unit = await store.unitAt(source, offset)
      record = unit === null ? null : await store.recordAt(unit.physicalOffset)
    } catch (error) {
      fault = messageOf(error)
    }
    const { appended, written } = store.watermarks
    if (appended - written > STAGED_BYTES_MAX) return false
    // From the append to its note in one piece: the log may lose what was appended at any time.
    let end: number | null = 0
    if (fault !== null) end = this.#putOff(queue, checkpoint, offset, fault)
    else if (record !== null) end = this.#store(queue, record, checkpoint, offset, tries)
    if (end === null) return false
    opened.place(offset, end)
    return true
  }

  /**
   * A message that cannot be brought back now must not hold up the others: it gets a later checkpoint of
   * its own. Returns the end of the log behind that; null when the log takes nothing right now.
   */
  #putOff(queue: ReviveQueue, checkpoint: Checkpoint, offset: number, why: string): number | null {
    const { reviveLog, world, logger } = this.#parts
    const { topic, group, queueId, putAgain } = checkpoint
    const popMs = Math.floor(world.clock.wallMs())
    const invisibleMs = Math.min(PUT_OFF_MS_MIN * 2 ** putAgain, PUT_OFF_MS_MAX)
    const messages = { startOffset: offset, distances: [0], acked: 0 }
    const again = { putAgain: Math.min(putAgain + 1, PUT_OFFS_MAX), popMs, invisibleMs }
    logger.error('a message that nobody acknowledged cannot be brought back yet', {
      topic,
      group,
      queueId,
      offset,
      why,
    })
    try {
      return reviveLog.putCheckpoint({ ...checkpoint, ...messages, ...again }, queue.queue.queueId)
    } catch (error) {
      if (error instanceof Refusal) return null
      throw error
    }
  }

  /** One, or as many as the topic has that the messages were sent to. */
  #retryQueues(topic: string, group: string): number {
    const { settings, topics } = this.#parts
    if (!settings.useSeparateRetryQueue) return RETRY_QUEUES
    return topics.get(plainTopicOf(topic, group))?.writeQueueNums ?? RETRY_QUEUES
  }

  /** The same for the message itself; 0 when it can never be stored. */
  #store(
    queue: ReviveQueue,
    record: Buffer,
    checkpoint: Checkpoint,
    offset: number,
    tries: number,
  ): number | null {
    const { store, stats, topics, settings, offsets, logger } = this.#parts
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
    const known = topics.get(name)?.readQueueNums ?? 0
    const queues = isDead ? DLQ_QUEUES : this.#retryQueues(topic, group)
    const target = topics.ensureWide(name, queues, Perm.readWrite)
    if (target === null) {
      return this.#putOff(queue, checkpoint, offset, `the topic ${name} cannot be made`)
    }
    for (let id = known; id < target.readQueueNums && !isDead; id++) {
      if (offsets.get(group, name, id) === null) offsets.commit(group, name, id, 0)
    }
    const { queueId } = checkpoint
    append.queue = target.queue(queues > 1 && queueId < target.writeQueueNums ? queueId : 0)
    const bare = { bytes: append.properties, at: append.propertiesStart, end: append.propertiesEnd }
    addHistory(append, record, view, checkpoint, isDead)
    if (!suspended) append.reconsumeTimes++
    let status = store.append(append)
    if (status === AppendStatus.illegal) {
      // There is no room for the history.
      append.setProperties(bare.bytes, bare.at, bare.end)
      status = store.append(append)
    }
    if (status === AppendStatus.illegal) {
      const facts = { topic, group, queueId, offset, target: name }
      logger.error('a message that nobody acknowledged cannot be stored again', facts)
      return 0
    }
    if (status !== AppendStatus.ok) return null
    const { end, physicalOffset } = store.lastAppend
    stats.onPut(target, 1, end - physicalOffset)
    return end
  }
}

const firstTaken: ReadonlySet<string> = new Set<string>([
  PropertyName.firstPopTime,
  PropertyName.originGroup,
])
const way: ReadonlySet<string> = new Set<string>([
  PropertyName.retryTopic,
  PropertyName.originMessageId,
])

/** Notes when the message was first taken and by which group; of a dead letter also where it comes from. */
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
    additions.push(
      [PropertyName.firstPopTime, String(checkpoint.popMs)],
      [PropertyName.originGroup, checkpoint.group],
    )
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

/** The oldest open checkpoints of the queue of which it is known what became of them. */
function dueIn({ queue, settlement }: Lane): OpenCheckpoint[] {
  const run: OpenCheckpoint[] = []
  for (const opened of queue.open.values()) {
    if (run.length === RUN_MAX || reviveMsOf(opened.checkpoint) > settlement.settledMs) break
    run.push(opened)
  }
  return run
}
