/**
 * The store: where messages lie. One commit log takes every record in the order of arrival; a
 * consume queue per queue and a key index are built from it and can always be built again. Apache
 * RocketMQ's files, byte for byte: a directory can be handed to an Apache broker and back.
 *
 * The life of a message here: `append` encodes it into memory and gives it its offsets (appender.ts);
 * at the end of the turn the log writes once (commit-log.ts); what the policy confirms is dispatched
 * to queues and index (dispatcher.ts) and can be pulled (reading.ts, pull.ts). Callers watch
 * `watermarks`: an append is stored when `confirmed` has reached its `end`.
 *
 * What goes wrong with the disk shows as an AppendStatus and in `facts().state`; reads go on.
 */
import path from 'node:path'
import type { Logger } from '../base/logger.ts'
import { messageOf } from '../base/errors.ts'
import type { BatchReader } from '../protocol/batch-body.ts'
import { assert } from '../base/assert.ts'
import type { Stop } from '../world/clock.ts'
import type { DiskLock } from '../world/disk.ts'
import type { World } from '../world/world.ts'
import type { AppendRequest, AppendResult, AppendStatus } from './append.ts'
import { Appender } from './appender.ts'
import { ReadGate } from './block-cache.ts'
import { CheckpointFile } from './checkpoint.ts'
import { Checkpointer } from './checkpointer.ts'
import { CommitLog, type LogState } from './commit-log.ts'
import { batchForm } from './batch-unit.ts'
import { ConsumeQueues, plainForm } from './consume-queues.ts'
import { Dispatcher } from './dispatcher.ts'
import { DispatchRing } from './dispatch-ring.ts'
import { DurableEnd } from './durable-end.ts'
import { KeyIndex } from './key-index.ts'
import { LogReader, type ReplyBuffer } from './log-reader.ts'
import { AbortMark, takeLock } from './marks.ts'
import { OpenFiles } from './open-files.ts'
import type { StoreSettings } from './options.ts'
import type { Accept, PullOutcome, Select } from './pull.ts'
import type { Queue, UnitForm } from './queue.ts'
import { type KeyQueryResult, Reading } from './reading.ts'
import { recover, type RecoveryReport } from './recovery.ts'
import { type ForcedDeletions, Retention } from './retention.ts'
import { Segments } from './segments.ts'
import { Tail } from './tail.ts'
import type { TimeBoundary, Unit } from './time-search.ts'
import { type ConfirmPolicy, confirmFlushed, confirmWritten, Watermarks } from './watermarks.ts'

/** What the store tells its owner. Called from the event loop, never from inside `append`. */
export interface StoreHooks {
  /** A watermark moved, or the state changed; look at both. */
  onAdvanced(): void
  /** A write failed: everything appended behind `fromOffset` is gone and will never be confirmed. */
  onLost(fromOffset: number, error: Error): void
  /** The queue has new messages, up to its `maxOffset`. Once a queue and round, not once a message. */
  onDispatched(queue: Queue): void
  /** What counts as stored; by default `written` (async flush) or `flushed` (sync flush). */
  readonly confirm?: ConfirmPolicy
  /**
   * Whether the queues of a topic are batch queues, asked when a handle is made; null when the topic
   * is not known: then what lies in the directory decides.
   */
  readonly isBatchTopic?: (topic: string) => boolean | null
  /**
   * Whether there is such a topic; true when that is not known. What recovery finds of others in the
   * older part of the log was deleted, and does not come back.
   */
  readonly isKnownTopic?: (topic: string) => boolean
}

/** Everything that runtime info and `status` want to know. */
export interface StoreFacts {
  readonly dir: string
  readonly state: LogState
  /** Whether appends are taken: the log is writable and the disk is not too full. */
  readonly writable: boolean
  readonly flush: 'sync' | 'async'
  readonly watermarks: Readonly<Omit<Watermarks, 'startAt'>>
  readonly minPhysicalOffset: number
  readonly maxPhysicalOffset: number
  /** Confirmed bytes that are not visible yet. */
  readonly dispatchBehindBytes: number
  /** Written bytes that are not on the disk yet. */
  readonly flushBehindBytes: number
  /** Store time of the oldest message, ms; −1 when there is none or it is not known yet. */
  readonly earliestStoreTimestamp: number
  readonly lastStoreTimestamp: number
  /** Share of the file system that is used, 0 … 1; −1 until it was looked at. */
  readonly diskUsedRatio: number
  readonly diskTotalBytes: number
  readonly diskFreeBytes: number
  /** What was deleted before its time because the disk was nearly full. */
  readonly forced: Readonly<ForcedDeletions>
  readonly topics: number
  readonly queues: number
  readonly recovery: RecoveryReport
  /** Damaged records met while reading, and the positions of the last and the first one. */
  readonly badRecords: number
  readonly lastBadOffset: number
  readonly firstBadOffset: number
  readonly writes: number
  readonly flushes: number
  /** Time that all flushes took together, and the longest of them, in milliseconds. */
  readonly flushMs: number
  readonly flushMsMax: number
  readonly writtenBytes: number
  readonly tailBytes: number
}

const TICK_MS = 100

interface Parts {
  readonly world: World
  readonly settings: StoreSettings
  readonly hooks: StoreHooks
  readonly logger: Logger
  readonly lock: DiskLock
}

export class Store {
  readonly watermarks = new Watermarks()
  /** Where the last append went. */
  readonly lastAppend: AppendResult
  readonly settings: StoreSettings
  readonly #world: World
  readonly #hooks: StoreHooks
  readonly #logger: Logger
  readonly #lock: DiskLock
  readonly #confirm: ConfirmPolicy
  readonly #files: OpenFiles
  readonly #segments: Segments
  readonly #tail: Tail
  readonly #log: CommitLog
  readonly #appender: Appender
  readonly #ring: DispatchRing
  readonly #queues: ConsumeQueues
  readonly #index: KeyIndex | null
  readonly #dispatcher: Dispatcher
  readonly #reader: LogReader
  readonly #reading: Reading
  readonly #checkpointer: Checkpointer
  readonly #retention: Retention
  readonly #abort: AbortMark
  #timers: Stop[] = []
  #recovery: RecoveryReport | null = null
  #earliestStoreTimestamp = -1
  #closing: Promise<void> | null = null

  /**
   * Opens the directory, recovers what is there, and starts. Throws STORE_IN_USE, STORE_UNWRITABLE,
   * STORE_DAMAGED, STORE_FORMAT_UNKNOWN.
   */
  static async open(
    world: World,
    settings: StoreSettings,
    hooks: StoreHooks,
    logger: Logger,
  ): Promise<Store> {
    const lock = await takeLock(world.disk, settings.dir)
    let store: Store | null = null
    try {
      store = new Store({ world, settings, hooks, logger, lock })
      await store.#start()
      return store
    } catch (error) {
      if (store !== null) await store.#closeFiles().catch(() => undefined)
      await lock.release()
      throw error
    }
  }

  private constructor(parts: Parts) {
    const { world, settings, hooks, logger, lock } = parts
    const { clock, disk } = world
    this.#world = world
    this.settings = settings
    this.#hooks = hooks
    this.#logger = logger
    this.#lock = lock
    this.#confirm = hooks.confirm ?? (settings.flush === 'sync' ? confirmFlushed : confirmWritten)
    const gate = new ReadGate(settings.coldReadsMax)
    this.#files = new OpenFiles(disk, settings.openFilesMax)
    this.#segments = new Segments(disk, path.join(settings.dir, 'commitlog'), settings.segmentBytes)
    this.#tail = new Tail(settings.chunkBytes, settings.tailBytes)
    this.#ring = new DispatchRing(settings.pendingRecordsMax)
    const unitsOf = (batchUnits: ConsumeQueues | null, form: UnitForm) =>
      new ConsumeQueues(settings, disk, clock, this.#files, gate, logger, batchUnits, form)
    this.#queues = unitsOf(unitsOf(null, batchForm), plainForm)
    this.#queues.isBatchTopic = hooks.isBatchTopic ?? (() => null)
    this.#queues.isKnownTopic = hooks.isKnownTopic ?? (() => true)
    this.#index = settings.index
      ? new KeyIndex(settings, disk, clock, this.#files, gate, logger)
      : null
    this.#dispatcher = new Dispatcher(
      this.#ring,
      this.#queues,
      this.#index,
      this.watermarks,
      (queue) => {
        hooks.onDispatched(queue)
      },
    )
    this.#log = new CommitLog(
      settings,
      clock,
      this.#segments,
      this.#tail,
      this.watermarks,
      {
        onMoved: () => {
          this.#retention.appendedUpTo(this.watermarks.appended)
          this.advance()
        },
        onLost: (from, error) => {
          this.#ring.rewind(from)
          hooks.onLost(from, error)
        },
        onState: (state) => {
          if (state === 'full') this.#retention.lookNow()
          hooks.onAdvanced()
        },
      },
      logger,
    )
    this.#appender = new Appender(settings, this.#log, this.#ring, this.watermarks, clock)
    this.lastAppend = this.#appender.lastAppend
    this.#reader = new LogReader(
      settings,
      this.#segments,
      this.#tail,
      this.watermarks,
      this.#files,
      gate,
      clock,
      logger,
    )
    this.#reading = new Reading({
      settings,
      queues: this.#queues,
      reader: this.#reader,
      segments: this.#segments,
      watermarks: this.watermarks,
      index: this.#index,
    })
    this.#checkpointer = new Checkpointer({
      clock,
      log: this.#log,
      queues: this.#queues,
      index: this.#index,
      dispatcher: this.#dispatcher,
      watermarks: this.watermarks,
      checkpoint: new CheckpointFile(disk, settings.dir),
      durable: new DurableEnd(disk, settings.dir),
      intervalMs: settings.checkpointIntervalMs,
      logger,
    })
    this.#retention = new Retention({
      settings,
      disk,
      clock,
      segments: this.#segments,
      queues: this.#queues,
      index: this.#index,
      files: this.#files,
      watermarks: this.watermarks,
      onRefuse: (refuse) => {
        this.#appender.refuses = refuse
        hooks.onAdvanced()
      },
      dropCached: (segment) => {
        this.#reader.forget(segment)
        this.#earliestStoreTimestamp = -1
      },
      unitPhysicalOffset: (queue, offset) => this.#reading.physicalOffsetOf(queue, offset),
      correctBatchMin: (queue, units, logStart) =>
        this.#reading.correctBatchMin(queue, units, logStart),
      checkpointedEnd: () => this.#checkpointer.end,
      makeCheckpoint: () => this.#checkpointer.run(),
      logger,
    })
    this.#abort = new AbortMark(disk, settings.dir)
  }

  async #start(): Promise<void> {
    const { clock, disk } = this.#world
    this.#recovery = await recover({
      settings: this.settings,
      disk,
      clock,
      segments: this.#segments,
      queues: this.#queues,
      index: this.#index,
      files: this.#files,
      checkpoint: this.#checkpointer.checkpoint,
      durable: this.#checkpointer.durable,
      abort: this.#abort,
      logger: this.#logger,
    })
    this.watermarks.startAt(this.#recovery.logEnd)
    this.#appender.lastStoreTimestamp = this.#recovery.lastStoreTimestamp
    this.#dispatcher.lastStoreTimestamp = this.#recovery.lastStoreTimestamp
    await this.#segments.openForWriting(this.#segments.last)
    await this.#abort.set(process.pid)
    await this.#checkpointer.begin(this.#recovery)
    await this.#retention.look()
    this.#log.start()
    this.#timers = [
      clock.every(TICK_MS, () => {
        this.#tick()
      }),
    ]
  }

  #tick(): void {
    this.#queues.tick()
    this.#index?.tick()
    if (this.watermarks.dispatched < this.watermarks.confirmed) this.advance()
    this.#checkpointer.tick()
    this.#retention.tick()
  }

  // ---- append ----------------------------------------------------------------------------------

  /** The handle of a queue; made at the first call. Throws NAME_ILLEGAL. */
  queue(topic: string, queueId: number): Queue {
    return this.#queues.queue(topic, queueId)
  }

  /** The handle of a queue that has had messages or a handle before; null otherwise. */
  peekQueue(topic: string, queueId: number): Queue | null {
    return this.#queues.peek(topic, queueId)
  }

  /** How the log is. */
  get state(): LogState {
    return this.#log.state
  }

  /** Whether `append` has a chance right now. */
  get writable(): boolean {
    return this.#log.state === 'writable' && !this.#appender.refuses
  }

  /**
   * Appends one message; on `ok`, `lastAppend` says where it went. It is stored when
   * `watermarks.confirmed` has reached `lastAppend.end`. Reads the request's ranges now and keeps
   * nothing of them.
   */
  append(request: AppendRequest): AppendStatus {
    return this.#appender.append(request)
  }

  /**
   * Appends all items of a batch body, or none. `request` carries what they share (its body and
   * properties are ignored, its suffix is added to each); `body` is open at the first item.
   */
  appendBatch(
    request: AppendRequest,
    batch: BatchReader,
    body: Buffer,
    start: number,
    end: number,
  ): AppendStatus {
    return this.#appender.appendBatch(request, batch, body, start, end)
  }

  /** Looks at the policy again and dispatches what it allows. The owner calls it when its policy's inputs changed. */
  advance(): void {
    const { watermarks } = this
    // After a failed flush nobody knows what the disk has: nothing more is confirmed.
    if (this.#log.state !== 'flush-failed') {
      const confirmed = Math.min(this.#confirm(watermarks), watermarks.appended)
      if (confirmed > watermarks.confirmed) watermarks.confirmed = confirmed
      this.#dispatcher.run()
    }
    this.#hooks.onAdvanced()
  }

  // ---- read ------------------------------------------------------------------------------------

  /**
   * Adds messages of the queue from `offset` on to `target`, if everything that is needed is in
   * memory; null when the disk has to be read (`pull`). The first message is added whatever its size.
   */
  pullNow(
    queue: Queue,
    offset: number,
    messagesMax: number,
    bytesMax: number,
    accept: Accept,
    target: ReplyBuffer,
    select: Select = null,
  ): PullOutcome | null {
    return this.#reading.pullNow(queue, offset, messagesMax, bytesMax, accept, target, select)
  }

  /**
   * The same, reading what is needed first. `target` is touched only in the turn in which the
   * promise resolves, and must not be shared with other replies until then. Rejects with the disk's error.
   */
  pull(
    queue: Queue,
    offset: number,
    messagesMax: number,
    bytesMax: number,
    accept: Accept,
    target: ReplyBuffer,
    select: Select = null,
  ): Promise<PullOutcome> {
    return this.#reading.pull(queue, offset, messagesMax, bytesMax, accept, target, select)
  }

  /** The whole, valid record at the position; null when there is none. */
  recordAt(physicalOffset: number): Promise<Buffer | null> {
    return this.#reading.recordAt(physicalOffset)
  }

  /**
   * Adds a copy of the record at the position to `target` when it is new enough to be in memory; how many
   * bytes, else 0. Whether it is a record at all is for the caller to check.
   */
  recordInMemory(physicalOffset: number, target: ReplyBuffer): number {
    return this.#reading.recordInMemory(physicalOffset, target)
  }

  /** Store time of the message at the queue offset, ms; −1 when it is not there. */
  storeTimeOf(queue: Queue, offset: number): Promise<number> {
    return this.#reading.storeTimeOf(queue, offset)
  }

  /** The unit of a consume queue at the offset; null when there is no message. */
  unitAt(queue: Queue, offset: number): Promise<Unit | null> {
    return this.#reading.unitAt(queue, offset)
  }

  /** LOWER: first offset stored at or after `ms`; UPPER: last offset stored at or before it. Within [min, max]. */
  offsetByTime(queue: Queue, ms: number, boundary: TimeBoundary): Promise<number> {
    return this.#reading.offsetByTime(queue, ms, boundary)
  }

  /**
   * Records that carry the key and were stored in [beginMs, endMs]; at most `indexQueryMax`, and no
   * more once they have `bytesMax` bytes together.
   */
  queryKey(
    topic: string,
    key: string,
    max: number,
    beginMs: number,
    endMs: number,
    bytesMax = Infinity,
  ): Promise<KeyQueryResult> {
    return this.#reading.queryKey(topic, key, max, beginMs, endMs, bytesMax)
  }

  // ---- the rest --------------------------------------------------------------------------------

  /** Handles of a topic's queues, in order of their ids. */
  queuesOf(topic: string): Queue[] {
    return this.#queues.queuesOf(topic)
  }

  topics(): string[] {
    return this.#queues.topics()
  }

  /**
   * Removes a topic's consume queues; its records stay in the log until they expire. When the process
   * is killed before the next checkpoint, the queues are built again from the log: without those of
   * topics that `isKnownTopic` does not know.
   */
  async deleteTopic(topic: string): Promise<void> {
    await this.#queues.remove(topic)
    await this.#checkpointer.run()
  }

  facts(): StoreFacts {
    const { watermarks } = this
    const recovery = this.#recovery
    assert(recovery !== null, 'an open store has recovered')
    if (this.#earliestStoreTimestamp < 0) this.earliestStoreTime().catch(() => undefined)
    let queues = 0
    for (const _queue of this.#queues.all()) queues++
    return {
      dir: this.settings.dir,
      state: this.#log.state,
      writable: this.writable,
      flush: this.settings.flush,
      watermarks: { ...watermarks },
      minPhysicalOffset: this.#segments.first.from,
      maxPhysicalOffset: watermarks.written,
      dispatchBehindBytes: watermarks.confirmed - watermarks.dispatched,
      flushBehindBytes: watermarks.written - watermarks.flushed,
      earliestStoreTimestamp: this.#earliestStoreTimestamp,
      lastStoreTimestamp: this.#appender.lastStoreTimestamp,
      diskUsedRatio: this.#retention.usedRatio,
      diskTotalBytes: this.#retention.totalBytes,
      diskFreeBytes: this.#retention.freeBytes,
      forced: { ...this.#retention.forced },
      topics: this.#queues.topics().length,
      queues,
      recovery,
      badRecords: this.#reader.badRecords,
      lastBadOffset: this.#reader.lastBadOffset,
      firstBadOffset: this.#reader.firstBadOffset,
      writes: this.#log.counters.writes,
      flushes: this.#log.counters.flushes,
      flushMs: this.#log.counters.flushMs,
      flushMsMax: this.#log.counters.flushMsMax,
      writtenBytes: this.#log.counters.writtenBytes,
      tailBytes: this.#tail.memoryBytes,
    }
  }

  /** Store time of the oldest message, ms; −1 when there is none. Rejects with the disk's error. */
  async earliestStoreTime(): Promise<number> {
    const { from } = this.#segments.first
    if (this.#earliestStoreTimestamp >= 0 || from >= this.watermarks.written) {
      return this.#earliestStoreTimestamp
    }
    const ms = await this.#reader.storeTimeAt(from)
    if (from === this.#segments.first.from) this.#earliestStoreTimestamp = ms
    return ms
  }

  /** Deletes expired files now, whatever the hour. */
  cleanNow(): Promise<void> {
    return this.#retention.clean(true)
  }

  /** Puts the log on the disk up to now, and nothing else; false when that cannot be. */
  flushNow(): Promise<boolean> {
    return this.#log.flushAll()
  }

  /** Makes everything durable up to now, as the checkpoint does every few seconds. */
  checkpointNow(): Promise<boolean> {
    return this.#checkpointer.run()
  }

  /** Takes no more appends, puts everything on the disk, and leaves the directory clean. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    for (const stop of this.#timers) stop()
    this.#timers = []
    this.#log.refuse()
    let clean = false
    try {
      clean = await this.#log.flushAll()
      if (clean) clean = await this.#checkpointer.finish()
      if (clean) await this.#abort.clear()
      else
        this.#logger.error(
          'the store could not be closed cleanly; it will recover at its next start',
        )
    } catch (error) {
      this.#logger.error(
        'the store could not be closed cleanly; it will recover at its next start',
        {
          why: messageOf(error),
        },
      )
    }
    try {
      await this.#closeFiles()
    } catch (error) {
      this.#logger.warn('not all files of the store could be closed', { why: messageOf(error) })
    }
    await this.#lock.release()
  }

  async #closeFiles(): Promise<void> {
    await this.#retention.quiet()
    await this.#log.quiet()
    await this.#checkpointer.close()
    await this.#queues.quiet()
    await this.#index?.quiet()
    await this.#segments.close()
    await this.#files.closeAll()
  }
}
