/**
 * The store: where messages lie. One commit log takes every record in the order of arrival; a
 * consume queue per queue and a key index are built from it and can always be built again. Apache
 * RocketMQ's files, byte for byte: a directory can be handed to an Apache broker and back.
 *
 * The life of a message here: `append` encodes it into memory and gives it its offsets; at the end
 * of the turn the log writes once (commit-log.ts); what the policy confirms is dispatched to queues
 * and index (dispatcher.ts) and can be pulled (pull.ts). Callers watch `watermarks`: an append is
 * stored when `confirmed` has reached its `end`.
 *
 * What goes wrong with the disk shows as an AppendStatus and in `facts().state`; reads go on.
 */
import path from 'node:path'
import type { Logger } from '../base/logger.ts'
import { messageOf } from '../base/errors.ts'
import type { BatchReader } from '../protocol/batch-body.ts'
import { encodeHost } from '../protocol/host.ts'
import { javaHashOfBytes } from '../protocol/java-hash.ts'
import { PROPERTIES_BYTES_MAX, PropertyScan } from '../protocol/properties.ts'
import {
  BLANK_BYTES,
  encodeRecord,
  propertiesBytes,
  recordBytes,
  RETRY_TOPIC_BYTES_MAX,
} from '../protocol/record.ts'
import { isQueued } from '../protocol/sys-flag.ts'
import { assert } from '../base/assert.ts'
import type { Stop } from '../world/clock.ts'
import type { DiskLock } from '../world/disk.ts'
import type { World } from '../world/world.ts'
import { type AppendRequest, AppendResult, AppendStatus } from './append.ts'
import { ReadGate } from './block-cache.ts'
import { CheckpointFile } from './checkpoint.ts'
import { Checkpointer } from './checkpointer.ts'
import { CommitLog, type LogState } from './commit-log.ts'
import { ConsumeQueues, UnitCursor } from './consume-queues.ts'
import { Dispatcher } from './dispatcher.ts'
import { DispatchRing } from './dispatch-ring.ts'
import { DurableEnd } from './durable-end.ts'
import { keyHashOf } from './index-file.ts'
import { indexHashOf } from './log-scan.ts'
import { KeyIndex } from './key-index.ts'
import { LogReader, type ReplyBuffer } from './log-reader.ts'
import { AbortMark, takeLock } from './marks.ts'
import { OpenFiles } from './open-files.ts'
import type { StoreSettings } from './options.ts'
import { type Accept, type PullOutcome, PullScan, type Select } from './pull.ts'
import type { Queue } from './queue.ts'
import { recover, type RecoveryReport } from './recovery.ts'
import { type ForcedDeletions, Retention } from './retention.ts'
import { Segments } from './segments.ts'
import { tagsCodeOf } from './tags-code.ts'
import { Tail } from './tail.ts'
import { offsetByTime, type TimeBoundary, type Unit, unitAt } from './time-search.ts'
import { repairUnit } from './unit-repair.ts'
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

export interface KeyQueryResult {
  /** Whole records, oldest first. */
  readonly records: Buffer[]
  /** Newest record in the index. */
  readonly lastUpdateTimestamp: number
  readonly lastUpdatePhysicalOffset: number
}

const TICK_MS = 100
/** Whole record beyond the longest body: topic, properties and the fixed part. */
const RECORD_EXTRA_BYTES = 64 * 1024
/** Between two keys of a message. */
const SPACE = 0x20
/** Rounds of reading that one pull may need before it answers with what it has. */
const PULL_LOADS_MAX = 8
const PULL_ROUNDS_MAX = 64

interface Parts {
  readonly world: World
  readonly settings: StoreSettings
  readonly hooks: StoreHooks
  readonly logger: Logger
  readonly lock: DiskLock
}

export class Store {
  readonly watermarks = new Watermarks()
  readonly lastAppend = new AppendResult()
  readonly settings: StoreSettings
  readonly #world: World
  readonly #hooks: StoreHooks
  readonly #logger: Logger
  readonly #lock: DiskLock
  readonly #storeHost: Buffer
  readonly #confirm: ConfirmPolicy
  readonly #files: OpenFiles
  readonly #segments: Segments
  readonly #tail: Tail
  readonly #log: CommitLog
  readonly #ring: DispatchRing
  readonly #queues: ConsumeQueues
  readonly #index: KeyIndex | null
  readonly #dispatcher: Dispatcher
  readonly #reader: LogReader
  readonly #scan: PullScan
  readonly #checkpointer: Checkpointer
  readonly #retention: Retention
  readonly #abort: AbortMark
  readonly #batchScan = new PropertyScan()
  readonly #recordBytesMax: number
  #timers: Stop[] = []
  #recovery: RecoveryReport | null = null
  #storeTimestamp = 0
  #timeIsFresh = false
  #diskRefuses = false
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
    const host = encodeHost(settings.storeHost)
    assert(host !== null, 'the store host is an address with port')
    this.#storeHost = host
    this.#confirm = hooks.confirm ?? (settings.flush === 'sync' ? confirmFlushed : confirmWritten)
    this.#recordBytesMax = settings.messageBytesMax + RECORD_EXTRA_BYTES
    const gate = new ReadGate(settings.coldReadsMax)
    this.#files = new OpenFiles(disk, settings.openFilesMax)
    this.#segments = new Segments(disk, path.join(settings.dir, 'commitlog'), settings.segmentBytes)
    this.#tail = new Tail(settings.chunkBytes, settings.tailBytes)
    this.#ring = new DispatchRing(settings.pendingRecordsMax)
    this.#queues = new ConsumeQueues(settings, disk, clock, this.#files, gate, logger)
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
    this.#scan = new PullScan(this.#queues, this.#reader, this.#segments, settings.filterUnitsMax)
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
        this.#diskRefuses = refuse
        hooks.onAdvanced()
      },
      dropCached: (segment) => {
        this.#reader.forget(segment)
        this.#earliestStoreTimestamp = -1
      },
      unitPhysicalOffset: (queue, offset) => this.#physicalOffsetOf(queue, offset),
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
    this.#storeTimestamp = this.#dispatcher.lastStoreTimestamp = this.#recovery.lastStoreTimestamp
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
    return this.#log.state === 'writable' && !this.#diskRefuses
  }

  /**
   * Appends one message; on `ok`, `lastAppend` says where it went. It is stored when
   * `watermarks.confirmed` has reached `lastAppend.end`. Reads the request's ranges now and keeps
   * nothing of them.
   */
  append(request: AppendRequest): AppendStatus {
    const { queue } = request
    assert(queue !== null, 'a request names its queue')
    if (this.#diskRefuses && this.#log.state === 'writable') return AppendStatus.full
    request.topic = queue.topicBytes
    request.queueId = queue.queueId
    const size = recordBytes(request, this.#storeHost.length)
    if (!this.#isLegal(request, size)) return AppendStatus.illegal
    if (this.#ring.full(1)) return AppendStatus.busy
    const status = this.#log.reserve(size)
    if (status !== AppendStatus.ok) return status
    const result = this.lastAppend
    result.physicalOffset = this.watermarks.appended
    result.storeTimestamp = this.#now()
    result.count = 1
    result.queueOffset = this.#put(request, request.scan, queue, size)
    result.end = this.watermarks.appended
    return AppendStatus.ok
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
  ) {
    const { queue } = request
    assert(queue !== null, 'a request names its queue')
    if (this.#diskRefuses && this.#log.state === 'writable') return AppendStatus.full
    request.topic = queue.topicBytes
    request.queueId = queue.queueId
    let count = 0
    let total = 0
    for (batch.open(body, start, end); batch.next(); count++) {
      fillItem(request, batch, body)
      const size = recordBytes(request, this.#storeHost.length)
      if (!this.#isLegal(request, size)) return AppendStatus.illegal
      total += size
    }
    if (batch.fault !== null || count === 0) return AppendStatus.illegal
    if (end - start > this.settings.messageBytesMax) return AppendStatus.illegal
    if (this.#ring.full(count)) return AppendStatus.busy
    const status = this.#log.reserve(total)
    if (status !== AppendStatus.ok) return status
    const result = this.lastAppend
    result.physicalOffset = this.watermarks.appended
    result.storeTimestamp = this.#now()
    result.count = count
    let index = 0
    for (batch.open(body, start, end); batch.next(); index++) {
      fillItem(request, batch, body)
      this.#batchScan.scan(body, batch.propertiesStart, batch.propertiesEnd)
      result.physicalOffsets[index] = this.watermarks.appended
      const size = recordBytes(request, this.#storeHost.length)
      const queueOffset = this.#put(request, this.#batchScan, queue, size)
      if (index === 0) result.queueOffset = queueOffset
    }
    result.end = this.watermarks.appended
    return AppendStatus.ok
  }

  #isLegal(request: AppendRequest, size: number): boolean {
    return (
      request.bodyEnd - request.bodyStart <= this.settings.messageBytesMax &&
      size <= this.#recordBytesMax &&
      size + BLANK_BYTES <= this.settings.segmentBytes &&
      propertiesBytes(request) <= PROPERTIES_BYTES_MAX &&
      request.topic.length <= RETRY_TOPIC_BYTES_MAX &&
      Number.isSafeInteger(request.bornTimestamp) &&
      (request.flag | 0) === request.flag &&
      (request.sysFlag | 0) === request.sysFlag &&
      (request.reconsumeTimes | 0) === request.reconsumeTimes
    )
  }

  /** Encodes a record at the end of the log, for which there is room; returns its queue offset. */
  #put(request: AppendRequest, scan: PropertyScan, queue: Queue, size: number): number {
    const log = this.#log
    const physicalOffset = this.watermarks.appended
    const storeTimestamp = this.#storeTimestamp
    const queued = isQueued(request.sysFlag)
    const queueOffset = queued ? queue.nextOffset : 0
    const at = log.take(size)
    encodeRecord(
      log.bytes,
      at,
      request,
      this.#storeHost,
      queueOffset,
      physicalOffset,
      storeTimestamp,
    )
    log.commit(size)
    if (queued) queue.nextOffset = queueOffset + 1
    const tagsCode = tagsCodeOf(queue, request.properties, scan, storeTimestamp)
    const ring = this.#ring
    ring.push(queue, queued, physicalOffset, size, queueOffset, tagsCode, storeTimestamp)
    if (this.#index !== null) this.#pushKeys(request.properties, scan, queue.keySeed)
    return queueOffset
  }

  #pushKeys(bytes: Buffer, scan: PropertyScan, seed: number): void {
    if (scan.uniqKeyStart >= 0) {
      const hash = javaHashOfBytes(bytes, scan.uniqKeyStart, scan.uniqKeyEnd, seed)
      this.#ring.pushKey(keyHashOf(hash))
    }
    if (scan.keysStart < 0) return
    let start = scan.keysStart
    for (let i = start; i <= scan.keysEnd; i++) {
      if (i < scan.keysEnd && bytes[i] !== SPACE) continue
      if (i > start) this.#ring.pushKey(keyHashOf(javaHashOfBytes(bytes, start, i, seed)))
      start = i + 1
    }
  }

  /** Store time of this turn: the wall clock, but never before that of the record before. */
  #now(): number {
    if (!this.#timeIsFresh) {
      this.#timeIsFresh = true
      const nowMs = Math.floor(this.#world.clock.wallMs())
      if (nowMs > this.#storeTimestamp) this.#storeTimestamp = nowMs
      this.#world.clock.atEndOfTurn(this.#onEndOfTurn)
    }
    return this.#storeTimestamp
  }

  readonly #onEndOfTurn = () => {
    this.#timeIsFresh = false
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
    return this.#scan.scan(queue, offset, messagesMax, bytesMax, accept, target, true, select)
  }

  /**
   * The same, reading what is needed first. `target` is touched only in the turn in which the
   * promise resolves, and must not be shared with other replies until then. Rejects with the disk's error.
   */
  async pull(
    queue: Queue,
    offset: number,
    messagesMax: number,
    bytesMax: number,
    accept: Accept,
    target: ReplyBuffer,
    select: Select = null,
  ): Promise<PullOutcome> {
    const scan = this.#scan
    for (let round = 0; round < PULL_ROUNDS_MAX; round++) {
      const partial = round === 0 || round > PULL_LOADS_MAX
      const scanned = () =>
        scan.scan(queue, offset, messagesMax, bytesMax, accept, target, partial, select)
      let outcome = scanned()
      if (outcome) return outcome
      if (scan.missingRecord >= 0) {
        const places = scan.sparse(queue, scan.missingOffset, messagesMax, bytesMax, accept)
        if (places !== null) outcome = await this.#reader.withEach(places, scanned)
        if (outcome) return outcome
      }
      const { missingUnit, missingRecord, missingSize, suspectUnit } = scan
      if (suspectUnit >= 0) await this.#repair(queue, suspectUnit)
      else if (missingUnit >= 0) await this.#queues.readUnits(queue, missingUnit)
      else await this.#reader.load(missingRecord, missingSize)
    }
    const { minOffset, maxOffset } = queue
    const status = 'OFFSET_FOUND_NULL'
    return { status, nextBeginOffset: offset, minOffset, maxOffset, count: 0, bytes: 0 }
  }

  async #repair(queue: Queue, offset: number): Promise<void> {
    const parts = {
      queues: this.#queues,
      reader: this.#reader,
      segments: this.#segments,
      watermarks: this.watermarks,
    }
    await repairUnit(parts, queue, offset)
  }

  /** The whole, valid record at the position; null when there is none. */
  recordAt(physicalOffset: number): Promise<Buffer | null> {
    const { confirmed } = this.watermarks
    if (!Number.isSafeInteger(physicalOffset) || physicalOffset < 0) return Promise.resolve(null)
    return physicalOffset < confirmed
      ? this.#reader.recordAt(physicalOffset)
      : Promise.resolve(null)
  }

  /** Store time of the message at the queue offset, ms; −1 when it is not there. */
  async storeTimeOf(queue: Queue, offset: number): Promise<number> {
    const physicalOffset = await this.#physicalOffsetOf(queue, offset)
    return physicalOffset < 0 ? -1 : this.#reader.storeTimeAt(physicalOffset)
  }

  /** The unit of a consume queue at the offset; null when there is no message. */
  unitAt(queue: Queue, offset: number): Promise<Unit | null> {
    return unitAt(this.#queues, queue, offset, new UnitCursor())
  }

  /** LOWER: first offset stored at or after `ms`; UPPER: last offset stored at or before it. Within [min, max]. */
  offsetByTime(queue: Queue, ms: number, boundary: TimeBoundary): Promise<number> {
    return offsetByTime(this.#queues, this.#reader, this.#segments, queue, ms, boundary)
  }

  /**
   * Records that carry the key and were stored in [beginMs, endMs]; at most `indexQueryMax`, and no
   * more once they have `bytesMax` bytes together.
   */
  async queryKey(
    topic: string,
    key: string,
    max: number,
    beginMs: number,
    endMs: number,
    bytesMax = Infinity,
  ): Promise<KeyQueryResult> {
    const records: Buffer[] = []
    let bytes = 0
    const index = this.#index
    if (index !== null) {
      const hash = indexHashOf(topic, key)
      const limit = Math.min(max, this.settings.indexQueryMax)
      const offsets = await index.query(hash, limit, beginMs, endMs)
      for (const physicalOffset of offsets.sort((a, b) => a - b)) {
        const record = await this.recordAt(physicalOffset)
        if (record === null) continue
        bytes += record.length
        if (records.length > 0 && bytes > bytesMax) break
        records.push(record)
      }
    }
    const update = index?.lastUpdate
    return {
      records,
      lastUpdateTimestamp: update?.timestamp ?? 0,
      lastUpdatePhysicalOffset: update?.physicalOffset ?? 0,
    }
  }

  readonly #unitCursor = new UnitCursor()

  async #physicalOffsetOf(queue: Queue, offset: number): Promise<number> {
    const unit = await unitAt(this.#queues, queue, offset, this.#unitCursor)
    return unit?.physicalOffset ?? -1
  }

  // ---- the rest --------------------------------------------------------------------------------

  /** Handles of a topic's queues, in order of their ids. */
  queuesOf(topic: string): Queue[] {
    return this.#queues.queuesOf(topic)
  }

  topics(): string[] {
    return this.#queues.topics()
  }

  /** Removes a topic's consume queues; its records stay in the log until they expire. */
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
      lastStoreTimestamp: this.#storeTimestamp,
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

function fillItem(request: AppendRequest, batch: BatchReader, body: Buffer): void {
  request.flag = batch.flag
  request.body = request.properties = body
  request.bodyStart = batch.bodyStart
  request.bodyEnd = batch.bodyEnd
  request.propertiesStart = batch.propertiesStart
  request.propertiesEnd = batch.propertiesEnd
}
