/**
 * Taking messages in: checks, encoding at the end of the log in memory, offsets, and what the
 * dispatcher needs to know of a record. Nothing here waits: the log writes at the end of the turn.
 */
import { assert } from '../base/assert.ts'
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
import { isQueued, SysFlag } from '../protocol/sys-flag.ts'
import type { Clock } from '../world/clock.ts'
import { type AppendRequest, AppendResult, AppendStatus } from './append.ts'
import { innerProperties } from './batch-queue.ts'
import { BATCH_MESSAGES_MAX } from './batch-unit.ts'
import type { CommitLog } from './commit-log.ts'
import type { DispatchRing } from './dispatch-ring.ts'
import { keyHashOf } from './index-file.ts'
import type { StoreSettings } from './options.ts'
import type { Queue } from './queue.ts'
import { nextStoreTime } from './store-time.ts'
import { tagsCodeOf } from './tags-code.ts'
import type { Watermarks } from './watermarks.ts'

/** Whole record beyond the longest body: topic, properties and the fixed part. */
const RECORD_EXTRA_BYTES = 64 * 1024
/** Between two keys of a message. */
const SPACE = 0x20

export class Appender {
  readonly lastAppend = new AppendResult()
  /** The disk is too full to take more. */
  refuses = false
  /** Store time of the newest record, milliseconds since 1970. */
  lastStoreTimestamp = 0
  readonly #settings: StoreSettings
  readonly #log: CommitLog
  readonly #ring: DispatchRing
  readonly #watermarks: Watermarks
  readonly #clock: Clock
  readonly #storeHost: Buffer
  readonly #recordBytesMax: number
  readonly #batchScan = new PropertyScan()
  #timeIsFresh = false

  constructor(
    settings: StoreSettings,
    log: CommitLog,
    ring: DispatchRing,
    watermarks: Watermarks,
    clock: Clock,
  ) {
    this.#settings = settings
    this.#log = log
    this.#ring = ring
    this.#watermarks = watermarks
    this.#clock = clock
    const host = encodeHost(settings.storeHost)
    assert(host !== null, 'the store host is an address with port')
    this.#storeHost = host
    this.#recordBytesMax = settings.messageBytesMax + RECORD_EXTRA_BYTES
  }

  /**
   * Appends one message; on `ok`, `lastAppend` says where it went. It is stored when
   * `watermarks.confirmed` has reached `lastAppend.end`. Reads the request's ranges now and keeps
   * nothing of them.
   */
  append(request: AppendRequest): AppendStatus {
    const { queue } = request
    assert(queue !== null, 'a request names its queue')
    if (this.refuses && this.#log.state === 'writable') return AppendStatus.full
    request.topic = queue.topicBytes
    request.queueId = queue.queueId
    if (queue.units !== null) return this.#appendInner(request, queue)
    // Such a record has no place in another queue: it would be stored, and nobody could read it.
    if ((request.sysFlag & SysFlag.innerBatch) !== 0) return AppendStatus.illegal
    return this.#appendRecord(request, queue)
  }

  #appendRecord(request: AppendRequest, queue: Queue, messages = 1): AppendStatus {
    const size = recordBytes(request, this.#storeHost.length)
    if (!this.#isLegal(request, size)) return AppendStatus.illegal
    if (this.#ring.full(1)) return AppendStatus.busy
    const status = this.#log.reserve(size)
    if (status !== AppendStatus.ok) return status
    const result = this.lastAppend
    result.physicalOffset = this.#watermarks.appended
    result.storeTimestamp = this.#now(queue.delayMs > 0)
    result.count = 1
    result.queueOffset = this.#put(request, request.scan, queue, size, messages)
    result.end = this.#watermarks.appended
    return AppendStatus.ok
  }

  /** Appends a record to a batch queue: it says itself how many messages it holds and where they are. */
  #appendInner(request: AppendRequest, queue: Queue): AppendStatus {
    if (request.messages < 1 || request.messages > BATCH_MESSAGES_MAX) return AppendStatus.illegal
    const { suffix } = request
    request.suffix = Buffer.concat([suffix, innerProperties(queue.nextOffset, request.messages)])
    try {
      return this.#appendRecord(request, queue, request.messages)
    } finally {
      request.suffix = suffix
    }
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
    if (this.refuses && this.#log.state === 'writable') return AppendStatus.full
    request.topic = queue.topicBytes
    request.queueId = queue.queueId
    const { suffix } = request
    const isInner = queue.units !== null
    let count = 0
    let total = 0
    for (batch.open(body, start, end); batch.next(); count++) {
      fillItem(request, batch, body)
      if (isInner) request.suffix = withInner(suffix, queue.nextOffset + count)
      const size = recordBytes(request, this.#storeHost.length)
      if (!this.#isLegal(request, size)) {
        request.suffix = suffix
        return AppendStatus.illegal
      }
      total += size
    }
    request.suffix = suffix
    if (batch.fault !== null || count === 0) return AppendStatus.illegal
    if (end - start > this.#settings.messageBytesMax) return AppendStatus.illegal
    if (this.#ring.full(count)) return AppendStatus.busy
    const status = this.#log.reserve(total)
    if (status !== AppendStatus.ok) return status
    const result = this.lastAppend
    result.physicalOffset = this.#watermarks.appended
    result.storeTimestamp = this.#now()
    result.count = count
    let index = 0
    for (batch.open(body, start, end); batch.next(); index++) {
      fillItem(request, batch, body)
      this.#batchScan.scan(body, batch.propertiesStart, batch.propertiesEnd)
      result.physicalOffsets[index] = this.#watermarks.appended
      if (isInner) request.suffix = withInner(suffix, queue.nextOffset)
      const size = recordBytes(request, this.#storeHost.length)
      const queueOffset = this.#put(request, this.#batchScan, queue, size)
      if (index === 0) result.queueOffset = queueOffset
    }
    request.suffix = suffix
    result.end = this.#watermarks.appended
    return AppendStatus.ok
  }

  #isLegal(request: AppendRequest, size: number): boolean {
    return (
      (request.isStored ||
        (request.bodyEnd - request.bodyStart <= this.#settings.messageBytesMax &&
          size <= this.#recordBytesMax)) &&
      size + BLANK_BYTES <= this.#settings.segmentBytes &&
      propertiesBytes(request) <= PROPERTIES_BYTES_MAX &&
      request.topic.length <= RETRY_TOPIC_BYTES_MAX &&
      Number.isSafeInteger(request.bornTimestamp) &&
      (request.flag | 0) === request.flag &&
      (request.sysFlag | 0) === request.sysFlag &&
      (request.reconsumeTimes | 0) === request.reconsumeTimes
    )
  }

  /** Encodes a record at the end of the log, for which there is room; returns its queue offset. */
  #put(
    request: AppendRequest,
    scan: PropertyScan,
    queue: Queue,
    size: number,
    messages = 1,
  ): number {
    const log = this.#log
    const physicalOffset = this.#watermarks.appended
    const storeTimestamp = this.lastStoreTimestamp
    const queued = isQueued(request.sysFlag, queue.units !== null)
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
    if (queued) queue.nextOffset = queueOffset + messages
    const tagsCode = tagsCodeOf(queue, request.properties, scan, storeTimestamp)
    const ring = this.#ring
    ring.push(
      queue,
      queued ? messages : 0,
      physicalOffset,
      size,
      queueOffset,
      tagsCode,
      storeTimestamp,
    )
    if (this.#settings.index) this.#pushKeys(request.properties, scan, queue.keySeed)
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

  /**
   * Store time of this turn.
   * @param exact not that of the turn, which a message may be younger than: a delay counts from it
   */
  #now(exact = false): number {
    if (exact || !this.#timeIsFresh) {
      const nowMs = Math.floor(this.#clock.wallMs())
      this.lastStoreTimestamp = nextStoreTime(this.lastStoreTimestamp, nowMs)
    }
    if (!this.#timeIsFresh) {
      this.#timeIsFresh = true
      this.#clock.atEndOfTurn(this.#onEndOfTurn)
    }
    return this.lastStoreTimestamp
  }

  readonly #onEndOfTurn = () => {
    this.#timeIsFresh = false
  }
}

/** What the broker adds to a message of a batch queue that is a record by itself. */
function withInner(suffix: Buffer, base: number): Buffer {
  return Buffer.concat([suffix, innerProperties(base, 1)])
}

function fillItem(request: AppendRequest, batch: BatchReader, body: Buffer): void {
  request.flag = batch.flag
  request.body = request.properties = body
  request.bodyStart = batch.bodyStart
  request.bodyEnd = batch.bodyEnd
  request.propertiesStart = batch.propertiesStart
  request.propertiesEnd = batch.propertiesEnd
}
