/**
 * Reads the log from a position to its end, as recovery needs it: large reads, one ahead while the
 * last one is judged, every record checked as Apache checks it and put into queues and index.
 */
import type { Logger } from '../base/logger.ts'
import { javaHash, javaHashOfBytes } from '../protocol/java-hash.ts'
import { PropertyScan } from '../protocol/properties.ts'
import { RecordVerdict, RecordView } from '../protocol/record.ts'
import { isQueued, SysFlag } from '../protocol/sys-flag.ts'
import { faultOfTopic } from '../protocol/names.ts'
import type { Clock } from '../world/clock.ts'
import type { DiskFile } from '../world/disk.ts'
import { readSpan } from '../world/disk.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import { keyHashOf } from './index-file.ts'
import type { KeyIndex } from './key-index.ts'
import type { OpenFiles } from './open-files.ts'
import type { StoreSettings } from './options.ts'
import type { Queue } from './queue.ts'
import type { BadRegion } from './recovery.ts'
import type { Segment, Segments } from './segments.ts'
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

/** What `#parse` came upon. */
type Stop = 'more' | 'blank' | 'bad'

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
  #dense = false
  #indexedTo = -1
  #queue: Queue | null = null

  constructor(parts: LogScanParts) {
    this.#parts = parts
    this.#carryBytes = Math.min(
      parts.settings.segmentBytes,
      Math.max(parts.settings.messageBytesMax, 4 * 1024 * 1024) + 128 * 1024,
    )
  }

  /**
   * Dispatches every record from `from` on and returns where the log ends. Below `durableEnd` bad
   * places are skipped. With `dense`, a record beyond it whose queue offset does not follow is where
   * the log ends: a leftover. Records up to `indexedTo` are in the index already.
   */
  async run(from: number, durableEnd: number, dense: boolean, indexedTo: number): Promise<number> {
    const { segments } = this.#parts
    this.#position = from
    this.#durableEnd = durableEnd
    this.#dense = dense
    this.#indexedTo = indexedTo
    for (;;) {
      const segment = segments.find(this.#position)
      if (segment === null) return this.#position
      const stop = await this.#scanSegment(segment)
      if (stop === 'blank') {
        this.#position = segment.end
        continue
      }
      if (this.#position >= this.#durableEnd) return this.#position
      const next = await this.#hunt(segment, this.#position)
      this.#report(next)
      this.#position = next
    }
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
      const stop = this.#parse(bytes, start, end, segment)
      if (stop !== 'more' || ahead === null) {
        await ahead
        return stop === 'more' ? 'bad' : stop
      }
      const rest = end - (start + (this.#position - before))
      if (rest > carry) {
        await ahead
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

  #fault = ''

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
      if (!this.#dispatch(bytes)) return 'bad'
      at += view.size
      this.#position += view.size
    }
    this.#fault = 'cut off'
    return 'more'
  }

  /** Puts the record in view into its queue and the index; false when it is a leftover. */
  #dispatch(bytes: Buffer): boolean {
    const view = this.#view
    const { queues, index } = this.#parts
    const queue = this.#queueOf(bytes)
    const queued = isQueued(view.sysFlag)
    if (this.#position >= this.#durableEnd) {
      if (queue === null || this.#isTorn(bytes)) return this.#isNo('torn')
      if (queued && this.#dense && queue.maxOffset > 0 && view.queueOffset !== queue.maxOffset) {
        return this.#isNo('queue offset')
      }
    }
    this.records++
    if (view.storeTimestamp > this.lastStoreTimestamp) this.lastStoreTimestamp = view.storeTimestamp
    if (queue === null) return true
    const scan = this.#properties
    scan.scan(bytes, view.propertiesStart, view.propertiesEnd)
    if (queued) {
      const tags = tagsCodeOf(queue, bytes, scan, view.storeTimestamp)
      queues.restore(queue, view.queueOffset, view.physicalOffset, view.size, tags)
    }
    const rolledBack = (view.sysFlag & SysFlag.transactionMask) === SysFlag.transactionRollback
    if (index !== null && !rolledBack && view.physicalOffset > this.#indexedTo) {
      this.#putKeys(index, bytes, scan, queue.keySeed)
    }
    return true
  }

  #isNo(fault: string): boolean {
    this.#fault = fault
    return false
  }

  /**
   * Whether a sector of the record's properties was never written. Its checksum covers the body
   * only, so a write that was cut off inside the properties leaves a record that looks whole. Real
   * ones end with 0x02, or at least with text.
   */
  #isTorn(bytes: Buffer): boolean {
    const { propertiesStart: start, propertiesEnd: end } = this.#view
    if (end === start) return false
    if (bytes[end - 1] === 0) return true
    for (let at = bytes.indexOf(0, start); at >= 0 && at < end;) {
      let stop = at
      while (stop < end && bytes[stop] === 0) stop++
      if (stop - at >= SECTOR_BYTES) return true
      at = bytes.indexOf(0, stop)
    }
    return false
  }

  #putKeys(index: KeyIndex, bytes: Buffer, scan: PropertyScan, seed: number): void {
    const { physicalOffset, storeTimestamp } = this.#view
    if (scan.uniqKeyStart >= 0) {
      const hash = javaHashOfBytes(bytes, scan.uniqKeyStart, scan.uniqKeyEnd, seed)
      index.put(keyHashOf(hash), physicalOffset, storeTimestamp)
    }
    if (scan.keysStart < 0) return
    let start = scan.keysStart
    for (let i = start; i <= scan.keysEnd; i++) {
      if (i < scan.keysEnd && bytes[i] !== SPACE) continue
      if (i > start) {
        const hash = javaHashOfBytes(bytes, start, i, seed)
        index.put(keyHashOf(hash), physicalOffset, storeTimestamp)
      }
      start = i + 1
    }
  }

  /** The queue of the record in view; null when its topic is none that can have a directory. */
  #queueOf(bytes: Buffer): Queue | null {
    const { topicStart, topicEnd, queueId } = this.#view
    const last = this.#queue
    if (
      last?.queueId === queueId &&
      last.topicBytes.length === topicEnd - topicStart &&
      bytes.compare(last.topicBytes, 0, last.topicBytes.length, topicStart, topicEnd) === 0
    ) {
      return last
    }
    const topic = bytes.toString('utf8', topicStart, topicEnd)
    const { queues } = this.#parts
    let queue = queues.peek(topic, queueId)
    if (queue === null && faultOfTopic(topic) === null && queueId >= 0) {
      queue = queues.queue(topic, queueId)
    }
    this.#queue = queue
    return queue
  }

  /** Lets queues and index catch up with their writes when too much waits. */
  async #relieve(): Promise<void> {
    const { queues, index } = this.#parts
    if (queues.congested) await queues.flushAll()
    if (index?.congested === true) await index.flushAll(false)
  }

  /** The next place behind `from` where a valid record stands, or the start of the next segment, or the durable end. */
  async #hunt(segment: Segment, from: number): Promise<number> {
    const { files, segments } = this.#parts
    const file = await files.acquire(segment.path)
    try {
      const overlap = 12
      for (let base = from - segment.from + 1; base < segment.sizeBytes; base += HUNT_BYTES) {
        const bytes = await readSpan(file, base, HUNT_BYTES + overlap)
        for (let hit = bytes.indexOf(MAGIC_START); hit >= 0 && hit < HUNT_BYTES + 4;) {
          const candidate = base + hit - 4
          if (hit >= 4 && (await this.#isRecord(file, segment, candidate))) {
            return segment.from + candidate
          }
          hit = bytes.indexOf(MAGIC_START, hit + 1)
        }
      }
    } finally {
      files.release(segment.path, file)
    }
    return segments.last === segment ? this.#durableEnd : segment.end
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

  #report(end: number): void {
    this.badCount++
    if (this.bad.length >= BAD_LISTED_MAX) return
    this.bad.push({
      physicalOffset: this.#position,
      bytes: end - this.#position,
      why: this.#fault,
    })
  }
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
