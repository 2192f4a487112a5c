/**
 * The read path of a pull: units of a consume queue → records of the log → one reply, undecoded.
 * Nothing here waits: when something is not in memory the scan stops and says what it misses.
 */
import { readI32 } from '../base/bytes.ts'
import { fitsI64, readI64 } from '../base/i64.ts'
import type { RecordView } from '../protocol/record.ts'
import { BatchPull } from './batch-pull.ts'
import type { BatchSearch } from './batch-search.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import { UnitCursor } from './consume-queues.ts'
import { CopyResult, type LogReader, type ReplyBuffer } from './log-reader.ts'
import type { RecordPlace } from './loose-records.ts'
import { HOLE_SIZE, type Queue, UNIT_BYTES } from './queue.ts'
import type { Segments } from './segments.ts'
import { SELECT_BYTES_MAX, SELECT_STEPS_MAX, stepsOf, unitsFor } from './select-limits.ts'
import { type TagCodes, TAGS_CODE_AT } from './tag-codes.ts'

/** The names of Apache's GetMessageStatus. */
export type PullStatus =
  | 'FOUND'
  | 'NO_MATCHED_MESSAGE'
  | 'MESSAGE_WAS_REMOVING'
  | 'OFFSET_FOUND_NULL'
  | 'OFFSET_OVERFLOW_BADLY'
  | 'OFFSET_OVERFLOW_ONE'
  | 'OFFSET_TOO_SMALL'
  | 'NO_MATCHED_LOGIC_QUEUE'
  | 'NO_MESSAGE_IN_QUEUE'

export interface PullOutcome {
  readonly status: PullStatus
  /** Where the next pull should begin. */
  readonly nextBeginOffset: number
  readonly minOffset: number
  readonly maxOffset: number
  /** Messages that were added to the reply, and their bytes. */
  readonly count: number
  readonly bytes: number
}

/** Says by its tag code whether a message is wanted. */
export interface TagTest {
  (tagsCode: number): boolean
  /** All codes that it says yes to, where that is known: then few units have to be asked about. */
  readonly codes?: TagCodes
}

/** Null wants all. */
export type Accept = TagTest | null

/**
 * Says by its record, which stands in `bytes` where `view` says, whether a message is wanted. The header
 * has been checked and the body has not: what is wanted is checked before it is handed out.
 */
export interface RecordTest {
  (bytes: Buffer, view: RecordView): boolean
  /** How much there is to do for a record, in steps like one comparison; 1 when it is not said. */
  readonly steps?: number
}

/** Null wants all. */
export type Select = RecordTest | null

/** Apache's table of answers for offsets outside of the queue; null when the offset is inside. */
function outsideOf(queue: Queue, offset: number): PullOutcome | null {
  const { minOffset, maxOffset } = queue
  const answer = (status: PullStatus, nextBeginOffset: number): PullOutcome => ({
    status,
    nextBeginOffset,
    minOffset,
    maxOffset,
    count: 0,
    bytes: 0,
  })
  if (maxOffset === 0) return answer('NO_MESSAGE_IN_QUEUE', 0)
  if (offset < minOffset) return answer('OFFSET_TOO_SMALL', minOffset)
  if (offset === maxOffset) return answer('OFFSET_OVERFLOW_ONE', offset)
  if (offset > maxOffset) return answer('OFFSET_OVERFLOW_BADLY', maxOffset)
  return null
}

/** Records that lie further apart than this are read one by one, and not with all that is between them. */
const SPARSE_BYTES = 32 * 1024

export class PullScan {
  /** After `scan` returned null: the queue offset whose unit is missing, or −1. */
  missingUnit = -1
  /** … or the record that is missing. */
  missingRecord = -1
  missingSize = 0
  /** … whose unit has this queue offset. */
  missingOffset = -1
  /** … or the queue offset whose unit does not lead to its record, and has to be looked into. */
  suspectUnit = -1
  readonly #queues: ConsumeQueues
  readonly #log: LogReader
  readonly #segments: Segments
  readonly #unitsMax: number
  readonly #cursor = new UnitCursor()
  readonly #batches: BatchPull

  constructor(
    queues: ConsumeQueues,
    log: LogReader,
    segments: Segments,
    unitsMax: number,
    batchSearch: BatchSearch,
  ) {
    this.#batches = new BatchPull(batchSearch, log, segments, unitsMax)
    this.#queues = queues
    this.#log = log
    this.#segments = segments
    this.#unitsMax = unitsMax
  }

  /**
   * Adds messages from `offset` on to `target`, up to `messagesMax` and `bytesMax`; the first one is
   * always added. Null when the disk is needed first: then `target` is as it was. With `partial`
   * what was found until then is answer enough; so is, when `accept` chooses, having come to units
   * that have to be read.
   */
  scan(
    queue: Queue,
    offset: number,
    messagesMax: number,
    bytesMax: number,
    accept: Accept,
    target: ReplyBuffer,
    partial: boolean,
    select: Select = null,
  ): PullOutcome | null {
    const outside = outsideOf(queue, offset)
    if (outside) return outside
    if (queue.units !== null) {
      const { units } = queue
      return this.#batches.scan(
        this,
        queue,
        units,
        offset,
        messagesMax,
        bytesMax,
        accept,
        target,
        partial,
        select,
      )
    }
    const cursor = this.#cursor
    const log = this.#log
    const { minOffset, maxOffset } = queue
    const logStart = this.#segments.first.from
    const lengthBefore = target.length
    const { badUnits } = queue
    const anyBad = badUnits.size > 0
    const codes = accept?.codes ?? null
    const unitsMax = unitsFor(select, this.#unitsMax)
    const last = Math.min(maxOffset, offset + Math.max(unitsMax, messagesMax))
    let next = offset
    let count = 0
    let bytes = 0
    let lookedInto = 0
    let steps = 0
    let removed = false
    let unitsLeft = 0
    this.missingUnit = this.missingRecord = this.suspectUnit = log.coldOffset = -1
    while (next < last) {
      if (unitsLeft === 0) {
        if (!this.#queues.locate(queue, next, cursor)) {
          this.missingUnit = next
          break
        }
        unitsLeft = cursor.count
      }
      if (codes !== null) {
        const passed = codes.unwanted(cursor.bytes, cursor.at, Math.min(unitsLeft, last - next))
        if (passed > 0) {
          next += passed
          cursor.at += passed * UNIT_BYTES
          unitsLeft -= passed
          continue
        }
      }
      const size = readI32(cursor.bytes, cursor.at + 8)
      if (size === HOLE_SIZE || (anyBad && badUnits.has(next))) {
        next++
      } else if (accept !== null && !accept(readI32(cursor.bytes, cursor.at + TAGS_CODE_AT))) {
        next++
      } else if (count > 0 && (count >= messagesMax || bytes + size > bytesMax)) {
        break
      } else {
        const physicalOffset = fitsI64(cursor.bytes, cursor.at)
          ? readI64(cursor.bytes, cursor.at)
          : -1
        if (physicalOffset >= 0 && physicalOffset < logStart) removed = true
        else {
          let found: CopyResult = CopyResult.ok
          let wanted = true
          if (select !== null) {
            found = log.look(physicalOffset, size, queue.queueId, next)
            if (found === CopyResult.ok) {
              lookedInto += size
              steps += stepsOf(select, size)
              wanted = select(log.seenBytes, log.seen)
            }
          }
          // Units that never left this process are trusted; others are checked against the record.
          if (found === CopyResult.ok && wanted) {
            found =
              cursor.own && log.copyFromTail(physicalOffset, size, target)
                ? CopyResult.ok
                : log.copyChecked(physicalOffset, size, queue.queueId, next, target)
          }
          if (found === CopyResult.absent) {
            this.missingRecord = physicalOffset
            this.missingSize = size
            this.missingOffset = next
            break
          }
          if (found === CopyResult.bad) {
            this.suspectUnit = next
            break
          }
          if (!wanted) {
            next++
            cursor.at += UNIT_BYTES
            unitsLeft--
            if (lookedInto >= SELECT_BYTES_MAX || steps >= SELECT_STEPS_MAX) break
            continue
          }
          count++
          bytes += size
        }
        next++
        if (steps >= SELECT_STEPS_MAX) break
      }
      cursor.at += UNIT_BYTES
      unitsLeft--
    }
    const stopped = this.missingUnit >= 0 || this.missingRecord >= 0 || this.suspectUnit >= 0
    // Behind records that were looked into and did not match, reading goes on from there.
    const advanced = count > 0 || (select !== null && next > offset)
    // Units are many more than records that match, and those of all pulls together may not fit into
    // memory: one that waited for all of its own, from its beginning on, would never have them.
    const enough = accept !== null && this.missingUnit >= 0 && next > offset
    if (stopped && !enough && !(partial && advanced)) {
      target.length = lengthBefore
      return null
    }
    if (log.coldOffset >= 0) log.readAhead(log.coldOffset)
    const status = count > 0 ? 'FOUND' : removed ? 'MESSAGE_WAS_REMOVING' : 'NO_MATCHED_MESSAGE'
    return { status, nextBeginOffset: next, minOffset, maxOffset, count, bytes }
  }

  /**
   * After `scan` missed a record, and `accept` chooses: the records that this pull will want from
   * queue offset `from` on, as far as their units are in memory, when they lie so far apart that
   * reading all between them costs more than reading each; else null.
   */
  sparse(
    queue: Queue,
    from: number,
    messagesMax: number,
    bytesMax: number,
    accept: Accept,
  ): RecordPlace[] | null {
    if (accept === null || queue.units !== null) return null
    const cursor = this.#cursor
    const places: RecordPlace[] = []
    const last = Math.min(queue.maxOffset, from + this.#unitsMax)
    const codes = accept.codes ?? null
    let bytes = 0
    let unitsLeft = 0
    for (let next = from; next < last && places.length < messagesMax;) {
      if (unitsLeft === 0) {
        if (!this.#queues.locate(queue, next, cursor)) break
        unitsLeft = cursor.count
      }
      let passed = 1
      const size = readI32(cursor.bytes, cursor.at + 8)
      if (size > 0 && accept(readI32(cursor.bytes, cursor.at + TAGS_CODE_AT))) {
        bytes += size
        if (bytes > bytesMax || !fitsI64(cursor.bytes, cursor.at)) break
        places.push([readI64(cursor.bytes, cursor.at), size])
      } else if (codes !== null) {
        // This one is not wanted, or is none.
        passed = Math.max(1, codes.unwanted(cursor.bytes, cursor.at, unitsLeft))
      }
      next += passed
      cursor.at += passed * UNIT_BYTES
      unitsLeft -= passed
    }
    const span = (places.at(-1)?.[0] ?? 0) - (places[0]?.[0] ?? 0)
    return places.length > 1 && span / (places.length - 1) > SPARSE_BYTES ? places : null
  }
}
