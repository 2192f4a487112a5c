/**
 * Reads the log from a position to its end, as recovery needs it: large reads, one ahead while the
 * last one is judged, every record checked as Apache checks it and put into queues and index.
 */
import type { Logger } from '../base/logger.ts'
import { MqError } from '../base/errors.ts'
import { fitsI64, readI64 } from '../base/i64.ts'
import { javaHash, javaHashOfBytes } from '../protocol/java-hash.ts'
import { PropertyScan } from '../protocol/properties.ts'
import {
  BLANK_BYTES,
  PHYSICAL_OFFSET_AT,
  RECORD_BYTES_MIN,
  RecordVerdict,
  RecordView,
} from '../protocol/record.ts'
import { BATCH_ITEM_BYTES_MIN } from '../protocol/batch-body.ts'
import { isQueued, SysFlag } from '../protocol/sys-flag.ts'
import { faultOfTopic } from '../protocol/names.ts'
import type { Clock } from '../world/clock.ts'
import type { DiskFile } from '../world/disk.ts'
import { readSpan } from '../world/disk.ts'
import { innerOf, isOfBatchQueue, restoreBatch } from './batch-queue.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import { keyHashOf } from './index-file.ts'
import { KeyBatch } from './key-batch.ts'
import type { KeyIndex } from './key-index.ts'
import type { OpenFiles } from './open-files.ts'
import { MESSAGE_BYTES_MAX, type StoreSettings } from './options.ts'
import type { Queue } from './queue.ts'
import type { BadRegion } from './recovery.ts'
import type { Segment, Segments } from './segments.ts'
import { nextStoreTime } from './store-time.ts'
import { tagsCodeOf } from './tags-code.ts'

const READ_BYTES_FIRST = 64 * 1024
const READ_BYTES_MAX = 4 * 1024 * 1024
const BAD_LISTED_MAX = 100
const HUNT_BYTES = 1024 * 1024
/** What both record magics start with. */
const MAGIC_START = Buffer.from([0xda, 0xa3, 0x20])
const SPACE = 0x20
const SECTOR_BYTES = 512

export interface LogScanParts {
  readonly settings: StoreSettings
  readonly segments: Segments
  readonly queues: ConsumeQueues
  readonly index: KeyIndex | null
  readonly files: OpenFiles
  readonly clock: Clock
  readonly logger: Logger
}

/** So many zeros in a row count as the end of what was written, or twice the longest record. */
const HUNT_ZEROS_BYTES = 8 * 1024 * 1024
const ZEROS = Buffer.alloc(HUNT_BYTES)
/** What has to be seen of a candidate to know whether it says that it stands where it stands. */
const HUNT_HEAD_BYTES = PHYSICAL_OFFSET_AT + 8
/** Queue offsets that may be missing in a log that an Apache broker wrote. */
const FOREIGN_GAP_MAX = 100_000
const QUEUE_ID_MAX = 100_000

/** What `#parse` came upon. */
type Stop = 'more' | 'blank' | 'bad' | 'anew'

/** How a scan treats what it finds. */
export interface ScanRules {
  /** Nothing below it is cut: what is damaged there is skipped, whatever stands behind it. */
  readonly durableEnd: number
  /** This store wrote the log: the offsets of a queue follow each other, and nothing stale lies behind. */
  readonly own: boolean
  /** The queues are known up to where the scan begins: a new one starts at 0. */
  readonly complete: boolean
  /** The log ends at `durableEnd`: what stands behind it is not looked at. */
  readonly closed: boolean
  /**
   * Records before it are in their queues, or of topics that were deleted since: they are checked, and
   * put into no queue. −1 when that is not known.
   */
  readonly queuedEnd: number
  /** The same for records of batch queues. */
  readonly batchQueuedEnd: number
  /** Records of topics that nobody knows any more get no queue before this position … */
  readonly goneEnd: number
  /** … nor when they were stored until then, ms. */
  readonly goneUntilMs: number
  /** Position of the last record that is in the index already; Infinity when there is no index. */
  readonly indexedTo: number
}

export class LogScan {
  records = 0
  lastStoreTimestamp = 0
  badCount = 0
  readonly bad: BadRegion[] = []
  readonly #parts: LogScanParts
  readonly #view = new RecordView()
  readonly #properties = new PropertyScan()
  /** Longest record that can be; carried over between two reads. */
  readonly #carryBytes: number
  #position = 0
  #durableEnd = 0
  #own = false
  #complete = false
  #indexedTo = -1
  #queuedEnd = -1
  #batchQueuedEnd = -1
  #goneEnd = -1
  #goneUntilMs = -1
  /** Log that was passed over as damaged: so many records may be missing in a queue. */
  #skippedBytes = 0
  /** Messages of batches whose topic has no batch queues any more: they took offsets, and have no units. */
  #skippedMessages = 0
  /** Queues that were met, by a hash of topic and queue id; a later one takes the place of an earlier one. */
  readonly #recent = new Array<Queue | null>(256).fill(null)
  readonly #keys = new KeyBatch()

  constructor(parts: LogScanParts) {
    this.#parts = parts
    // Not by the limit of now: there may be larger ones from a time with another. Pages that nobody
    // writes to cost no memory.
    this.#carryBytes = Math.min(parts.settings.segmentBytes, MESSAGE_BYTES_MAX + 128 * 1024)
  }

  /**
   * Dispatches every record from `from` on and returns where the log ends: below `durableEnd` never,
   * beyond it at the first place that is no record and has no valid record of this log behind it.
   * What is bad before that is damaged: it is passed over and named.
   *
   * A record counts when its size and magic are right, the checksum of its body is, it says of itself
   * that it stands where it stands, and its queue offset can follow. Zeros, older content and records
   * that stood elsewhere do not. A log that another broker wrote ends at its first bad place beyond
   * `durableEnd`, as that broker ends it: Apache leaves what it cut off in the file. Topics whose names
   * are not allowed here, and queue offsets that do not follow, are none: they stay where they are.
   * Throws STORE_DAMAGED at a record of another broker that is longer than any that can be read.
   */
  async run(from: number, rules: ScanRules): Promise<number> {
    const end = await this.#run(from, rules)
    this.#parts.index?.putAll(this.#keys)
    return end
  }

  async #run(from: number, rules: ScanRules): Promise<number> {
    const { segments } = this.#parts
    this.#position = from
    this.#durableEnd = rules.durableEnd
    this.#own = rules.own
    this.#complete = rules.complete
    this.#indexedTo = rules.indexedTo
    this.#queuedEnd = rules.queuedEnd
    this.#batchQueuedEnd = rules.batchQueuedEnd
    this.#goneEnd = rules.goneEnd
    this.#goneUntilMs = rules.goneUntilMs
    const hunts = rules.own && !rules.closed
    /** Start of a bad region behind which no record was accepted so far; −1 when there is none. */
    let badFrom = -1
    let why = ''
    for (;;) {
      const segment = segments.find(this.#position)
      if (segment === null) return badFrom < 0 ? this.#position : this.#endAt(badFrom, why)
      const start = this.#position
      const before = this.records
      const stop = await this.#scanSegment(segment)
      if (badFrom >= 0 && this.records > before) {
        this.#report(badFrom, start, why)
        badFrom = -1
      }
      if (stop === 'blank') {
        this.#position = segment.end
        continue
      }
      if (badFrom < 0) {
        badFrom = this.#position
        why = this.#fault
      }
      const below = this.#position < this.#durableEnd
      if (!below && !hunts) return this.#endAt(badFrom, why)
      const next = await this.#hunt(segment, this.#position)
      if (next < 0) return this.#endAt(badFrom, why)
      this.#skippedBytes += next - this.#position
      this.#position = next
    }
  }

  /** Where the log ends when nothing valid stands behind a bad region: never below the durable end. */
  #endAt(badFrom: number, why: string): number {
    if (badFrom >= this.#durableEnd) return badFrom
    this.#report(badFrom, this.#durableEnd, why)
    return this.#durableEnd
  }

  /** Store time of the segment's first record; −1 when there is no valid one. */
  static async firstStoreTimestamp(files: OpenFiles, segment: Segment): Promise<number> {
    const file = await files.acquire(segment.path)
    try {
      return RecordView.storeTimeOf(await readSpan(file, 0, 128), segment.from)
    } finally {
      files.release(segment.path, file)
    }
  }

  /** Reads on in the segment until a blank or a place that is no record; leaves `#position` there. */
  async #scanSegment(segment: Segment): Promise<Stop> {
    const { files } = this.#parts
    const file = await files.acquire(segment.path)
    try {
      return await this.#scanFile(segment, file)
    } finally {
      files.release(segment.path, file)
    }
  }

  async #scanFile(segment: Segment, file: DiskFile): Promise<Stop> {
    const carry = this.#carryBytes
    const readBytesMax = Math.min(READ_BYTES_MAX, segment.sizeBytes)
    let readBytes = Math.min(READ_BYTES_FIRST, readBytesMax)
    let at = this.#position - segment.from
    let bytes = Buffer.allocUnsafeSlow(carry + readBytesMax)
    let spare = Buffer.allocUnsafeSlow(carry + readBytesMax)
    let start = carry
    let reading = read(file, bytes, carry, Math.min(readBytes, segment.sizeBytes - at), at)
    for (;;) {
      const count = await reading
      at += count
      readBytes = Math.min(readBytes * 4, readBytesMax)
      const atEnd = count === 0 || at >= segment.sizeBytes
      const ahead = atEnd
        ? null
        : read(file, spare, carry, Math.min(readBytes, segment.sizeBytes - at), at)
      const end = carry + count
      const before = this.#position
      let stop = this.#parse(bytes, start, end, segment)
      while (stop === 'anew') {
        await this.#beginAnew()
        stop = this.#parse(bytes, start + (this.#position - before), end, segment)
      }
      if (stop !== 'more' || ahead === null) {
        await ahead
        return stop === 'more' ? 'bad' : stop
      }
      const rest = end - (start + (this.#position - before))
      if (rest > carry) {
        await ahead
        this.#refuseLong(bytes.subarray(end - rest, end))
        this.#fault = 'size'
        return 'bad'
      }
      bytes.copy(spare, carry - rest, end - rest, end)
      const filled = bytes
      bytes = spare
      spare = filled
      start = carry - rest
      reading = ahead
      await this.#relieve()
    }
  }

  /** What was wrong with the last place that is no record. */
  get fault(): string {
    return this.#fault
  }

  #fault = ''
  /** A queue that has records already and gets its first one again. */
  #anew: Queue | null = null
  /** … because its topic was made again with queues of the other kind. */
  #isOtherKind = false

  /** Dispatches the records in [start, end), which begins at `#position`. */
  #parse(bytes: Buffer, start: number, end: number, segment: Segment): Stop {
    const view = this.#view
    let at = start
    while (at < end) {
      const verdict = view.check(bytes, at, end, true)
      if (verdict === RecordVerdict.partial) {
        this.#fault = 'cut off'
        return view.size > segment.end - this.#position && end - at >= 8 ? 'bad' : 'more'
      }
      if (verdict === RecordVerdict.blank) {
        if (this.#position + view.size === segment.end) return 'blank'
        this.#fault = 'blank record of a wrong size'
        return 'bad'
      }
      if (verdict === RecordVerdict.bad) {
        this.#fault = view.fault
        return 'bad'
      }
      if (view.physicalOffset !== this.#position) {
        this.#fault = 'position'
        return 'bad'
      }
      if (!this.#dispatch(bytes)) return this.#anew === null ? 'bad' : 'anew'
      at += view.size
      this.#position += view.size
    }
    this.#fault = 'cut off'
    return 'more'
  }

  /**
   * Puts the record in view into its queue and the index; false when it is a leftover, or when its
   * queue has to begin anew (`#anew`).
   */
  #dispatch(bytes: Buffer): boolean {
    const view = this.#view
    const { queues, index } = this.#parts
    const queue = this.#queueOf(bytes)
    const units = queue?.units ?? null
    const inner = units === null ? null : innerOf(bytes, view.propertiesStart, view.propertiesEnd)
    const queued =
      isQueued(view.sysFlag, units !== null) && (units === null || inner?.base === view.queueOffset)
    const beyond = this.#position >= this.#durableEnd
    const isSettled = this.#isSettled(units !== null)
    // Apache's brokers have topics with names that none can have here, such as those with a point.
    const isAlien = queue === null && this.#own
    if (beyond && !isSettled && (isAlien || this.#isTorn(bytes))) return this.#isNo('torn')
    if (queue !== null && view.queueOffset === 0 && this.#isOfOtherKind(bytes, queue)) {
      this.#anew = queue
      this.#isOtherKind = true
      return false
    }
    const known = this.#complete && beyond
    if (queue !== null && queued && !isSettled && (known || queue.maxOffset > 0)) {
      // Behind: a leftover. Ahead: its own damage, or that of records before it that were skipped.
      const ahead = view.queueOffset - queue.maxOffset
      const leastBytes = units === null ? RECORD_BYTES_MIN : BATCH_ITEM_BYTES_MIN
      const skipped = Math.floor(this.#skippedBytes / leastBytes) + this.#skippedMessages
      const aheadMax = this.#own ? skipped : FOREIGN_GAP_MAX + skipped
      if (ahead < 0 && view.queueOffset === 0 && !known) {
        this.#anew = queue
        return false
      }
      if (ahead > aheadMax && !this.#own) return this.#passOver('queue offset')
      if (ahead > aheadMax || (ahead < 0 && beyond && this.#own)) return this.#isNo('queue offset')
      // Below the durable end it may be of a topic that was deleted since; or else it leaves a gap.
      if (ahead < 0) this.#skippedBytes += view.size
    }
    // Offsets that Apache's broker gave to what it has no unit for.
    if (units !== null && !queued) this.#skippedBytes += view.size
    else if (!queued && (view.sysFlag & SysFlag.innerBatch) !== 0) {
      const { propertiesStart, propertiesEnd } = view
      this.#skippedMessages += innerOf(bytes, propertiesStart, propertiesEnd)?.messages ?? 1
    }
    this.records++
    this.lastStoreTimestamp = nextStoreTime(this.lastStoreTimestamp, view.storeTimestamp)
    if (queue === null) return true
    const scan = this.#properties
    scan.scan(bytes, view.propertiesStart, view.propertiesEnd)
    if (queued && !isSettled) {
      const tags = tagsCodeOf(queue, bytes, scan, view.storeTimestamp)
      const { queueOffset, physicalOffset, size, storeTimestamp } = view
      if (units === null) queues.restore(queue, queueOffset, physicalOffset, size, tags)
      else if (inner !== null) {
        const unit = { ...inner, physicalOffset, size, tagsCode: tags, storeTimestamp }
        restoreBatch(queues, queue, units, unit)
      }
    }
    const rolledBack = (view.sysFlag & SysFlag.transactionMask) === SysFlag.transactionRollback
    if (index !== null && !rolledBack && view.physicalOffset > this.#indexedTo) {
      this.#putKeys(index, bytes, scan, queue.keySeed)
    }
    return true
  }

  /** The topic was deleted and made again: what the queue has is of the deleted one. */
  async #beginAnew(): Promise<void> {
    const queue = this.#anew
    if (queue === null) return
    this.#anew = null
    this.#recent.fill(null)
    const { queues } = this.#parts
    if (!this.#isOtherKind) return queues.removeQueue(queue)
    this.#isOtherKind = false
    await queues.remove(queue.topic)
    if (queue.units === null) queues.batchTopics.add(queue.topic)
  }

  /** Whether the first record of a queue is for the other kind of queue, and nobody else knows the kind. */
  #isOfOtherKind(bytes: Buffer, { topic, units }: Queue): boolean {
    return (
      this.#own &&
      isQueued(this.#view.sysFlag, true) &&
      this.#parts.queues.isBatchTopic(topic) === null &&
      isOfBatchQueue(bytes, this.#view) !== (units !== null)
    )
  }

  #isNo(fault: string): boolean {
    this.#fault = fault
    return false
  }

  /** Names the record in view as damaged, and goes on behind it. */
  #passOver(fault: string): boolean {
    this.#report(this.#position, this.#position + this.#view.size, fault)
    this.#skippedBytes += this.#view.size
    return true
  }

  /** A record as long as another broker may allow is none that a log should end at. */
  #refuseLong(head: Buffer): void {
    if (this.#own || RecordView.storeTimeOf(head, this.#position) < 0) return
    throw new MqError('STORE_DAMAGED', {
      path: this.#parts.settings.dir,
      what: `a record of ${head.readInt32BE(0)} bytes stands at byte ${this.#position} of the log, the longest that can be read has ${this.#carryBytes}`,
      hint: 'the broker that wrote it may have allowed longer messages; nothing was changed, and it can go on with the directory',
    })
  }

  /** Whether the record in view is in its queue already, or should be in none. */
  #isSettled(isBatch: boolean): boolean {
    return this.#position < (isBatch ? this.#batchQueuedEnd : this.#queuedEnd)
  }

  /**
   * Whether a sector of the record's properties was never written. Its checksum covers the body
   * only, so a write that was cut off inside the properties leaves a record that looks whole. Ours
   * end with 0x02, or at least with text.
   */
  #isTorn(bytes: Buffer): boolean {
    const { propertiesStart: start, propertiesEnd: end } = this.#view
    if (end === start) return false
    if (this.#own && bytes[end - 1] === 0) return true
    // Fewer than a sector cannot hold one: nearly all of them.
    for (let at = start; end - at >= SECTOR_BYTES;) {
      let stop = at
      while (stop < end && bytes[stop] === 0) stop++
      if (stop - at >= SECTOR_BYTES) return true
      at = bytes.indexOf(0, stop + 1)
      if (at < 0) return false
    }
    return false
  }

  #putKeys(index: KeyIndex, bytes: Buffer, scan: PropertyScan, seed: number): void {
    if (scan.uniqKeyStart >= 0) {
      this.#putKey(index, javaHashOfBytes(bytes, scan.uniqKeyStart, scan.uniqKeyEnd, seed))
    }
    if (scan.keysStart < 0) return
    let start = scan.keysStart
    for (let i = start; i <= scan.keysEnd; i++) {
      if (i < scan.keysEnd && bytes[i] !== SPACE) continue
      if (i > start) this.#putKey(index, javaHashOfBytes(bytes, start, i, seed))
      start = i + 1
    }
  }

  #putKey(index: KeyIndex, hash: number): void {
    const { physicalOffset, storeTimestamp } = this.#view
    this.#keys.add(keyHashOf(hash), physicalOffset, storeTimestamp)
    if (this.#keys.full) index.putAll(this.#keys)
  }

  /** The queue of the record in view; null when its topic can have no directory, or has none any more. */
  #queueOf(bytes: Buffer): Queue | null {
    const { topicStart, topicEnd, queueId } = this.#view
    const length = topicEnd - topicStart
    // Records of a few topics follow each other in any order: most are found by two of their bytes.
    const last = bytes[topicEnd - 1] ?? 0
    const hash = (Math.imul(last * 31 + (bytes[topicStart] ?? 0) + length, 37) + queueId) & 0xff
    const known = this.#recent[hash] ?? null
    if (known?.queueId === queueId && isTopic(bytes, topicStart, length, known.topicBytes)) {
      return known
    }
    const topic = bytes.toString('utf8', topicStart, topicEnd)
    const { queues } = this.#parts
    let queue = queues.peek(topic, queueId)
    if (queue === null && faultOfTopic(topic) === null && queueId >= 0 && queueId <= QUEUE_ID_MAX) {
      const isNew = queues.queuesOf(topic).length === 0
      if (this.#hasNoQueue(bytes, topic, isNew)) return null
      // A topic that was deleted since, or made just before the process died.
      const isUnknown = queues.isBatchTopic(topic) === null && isNew
      if (isUnknown && isOfBatchQueue(bytes, this.#view)) queues.batchTopics.add(topic)
      queue = queues.queue(topic, queueId)
    }
    this.#recent[hash] = queue
    return queue
  }

  /** Whether the record in view is a leftover of a topic that was deleted, which shall not come back. */
  #hasNoQueue(bytes: Buffer, topic: string, isNew: boolean): boolean {
    const { queues } = this.#parts
    if (this.#isSettled(queues.isBatchTopic(topic) ?? isOfBatchQueue(bytes, this.#view)))
      return true
    const isOld = this.#position < this.#goneEnd || this.#view.storeTimestamp <= this.#goneUntilMs
    return isOld && isNew && !queues.isKnownTopic(topic)
  }

  /** Lets queues and index catch up with their writes when too much waits. */
  async #relieve(): Promise<void> {
    const { queues, index } = this.#parts
    if (queues.congested) await queues.flushAll()
    if (index?.congested === true) await index.flushAll(false)
  }

  /**
   * The next place behind `from` where a valid record stands. Where there is none: below the durable
   * end the start of the next segment, beyond it −1.
   */
  async #hunt(segment: Segment, from: number): Promise<number> {
    const { segments } = this.#parts
    const claimed = await this.#claimedEnd(segment, from)
    const found = claimed >= 0 ? claimed : await this.#huntIn(segment, from + 1)
    if (found >= 0) return found
    for (let next = segments.find(segment.end); next; next = segments.find(next.end)) {
      if (next.from < this.#durableEnd) return next.from
      const further = await this.#huntIn(next, next.from)
      if (further >= 0) return further
    }
    return -1
  }

  /**
   * Where the bad record at `from` says that it ends, if a valid record or the blank that ends the
   * segment stands there, else −1; through several bad records when each says where it stands. Asked
   * first, so that what a message carries in its body is not taken for a record of the log.
   */
  async #claimedEnd(segment: Segment, from: number): Promise<number> {
    const { files } = this.#parts
    const file = await files.acquire(segment.path)
    try {
      for (let at = from; ;) {
        const head = await readSpan(file, at - segment.from, RECORD_BYTES_MIN)
        if (RecordView.storeTimeOf(head, at) < 0) return -1
        const size = head.readInt32BE(0)
        if (size < RECORD_BYTES_MIN || size > this.#carryBytes) return -1
        at += size
        if (at + BLANK_BYTES > segment.end) return -1
        if (await this.#isRecord(file, segment, at - segment.from)) return at
        const blank = await readSpan(file, at - segment.from, BLANK_BYTES)
        const verdict = this.#view.check(blank, 0, blank.length, false)
        if (verdict === RecordVerdict.blank && at + this.#view.size === segment.end) return at
      }
    } finally {
      files.release(segment.path, file)
    }
  }

  /** The first place in the segment, at `from` or behind it, where a valid record stands; −1 when there is none. */
  async #huntIn(segment: Segment, from: number): Promise<number> {
    const { files } = this.#parts
    const zerosMax = Math.max(HUNT_ZEROS_BYTES, 2 * this.#parts.settings.messageBytesMax)
    const file = await files.acquire(segment.path)
    try {
      let zeros = 0
      for (let base = from - segment.from; base < segment.sizeBytes; base += HUNT_BYTES) {
        const bytes = await readSpan(file, base, HUNT_BYTES + HUNT_HEAD_BYTES)
        const length = Math.min(bytes.length, HUNT_BYTES)
        if (ZEROS.compare(bytes, 0, length, 0, length) === 0) {
          zeros += HUNT_BYTES
          if (zeros >= zerosMax && segment.from + base >= this.#durableEnd) return -1
          continue
        }
        zeros = 0
        for (let hit = bytes.indexOf(MAGIC_START, 4); hit >= 0 && hit < HUNT_BYTES + 4;) {
          const at = hit - 4
          const position = segment.from + base + at
          if (saysItStandsAt(bytes, at, position)) {
            if (await this.#isRecord(file, segment, base + at)) return position
          }
          hit = bytes.indexOf(MAGIC_START, hit + 1)
        }
      }
    } finally {
      files.release(segment.path, file)
    }
    return -1
  }

  async #isRecord(file: DiskFile, segment: Segment, at: number): Promise<boolean> {
    const view = this.#view
    const head = await readSpan(file, at, Math.min(8, segment.sizeBytes - at))
    if (head.length < 8) return false
    const size = head.readInt32BE(0)
    if (size < 0 || size > Math.min(segment.sizeBytes - at, this.#carryBytes)) return false
    const bytes = await readSpan(file, at, size)
    return (
      view.check(bytes, 0, bytes.length, true) === RecordVerdict.ok &&
      view.physicalOffset === segment.from + at
    )
  }

  #report(physicalOffset: number, end: number, why: string): void {
    this.badCount++
    if (this.bad.length >= BAD_LISTED_MAX) return
    this.bad.push({ physicalOffset, bytes: end - physicalOffset, why })
  }
}

function isTopic(bytes: Buffer, start: number, length: number, topic: Buffer): boolean {
  if (topic.length !== length) return false
  for (let i = 0; i < length; i++) if (bytes[start + i] !== topic[i]) return false
  return true
}

/** Whether the field of a record that begins at `at` names `position` as its place in the log. */
function saysItStandsAt(bytes: Buffer, at: number, position: number): boolean {
  return (
    at + HUNT_HEAD_BYTES <= bytes.length &&
    fitsI64(bytes, at + PHYSICAL_OFFSET_AT) &&
    readI64(bytes, at + PHYSICAL_OFFSET_AT) === position
  )
}

function read(
  file: DiskFile,
  target: Buffer,
  start: number,
  length: number,
  position: number,
): Promise<number> {
  return new Promise((resolve, reject) => {
    file.read(target, start, start + length, position, (error, bytesRead) => {
      if (error) reject(error)
      else resolve(bytesRead)
    })
  })
}

/** The hash under which `topic#key` is found in the index. */
export function indexHashOf(topic: string, key: string): number {
  return keyHashOf(javaHash(`${topic}#${key}`))
}
