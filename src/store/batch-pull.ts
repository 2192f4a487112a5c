/**
 * The read path of a pull from a batch queue (pull.ts is that of all others): whole records, each with
 * the messages it holds. A record of which a reader has some messages already is handed out once more,
 * as at Apache; clients take it apart.
 * Source: apache/rocketmq store/…/DefaultMessageStore.java (getMessage, isTheBatchFull).
 */
import { readI32 } from '../base/bytes.ts'
import { fitsI64, readI64 } from '../base/i64.ts'
import type { BatchSearch } from './batch-search.ts'
import { baseAt, messagesAt } from './batch-unit.ts'
import { UnitCursor } from './consume-queues.ts'
import { CopyResult, type LogReader, type ReplyBuffer } from './log-reader.ts'
import type { Accept, PullOutcome, Select } from './pull.ts'
import type { Queue } from './queue.ts'
import type { Segments } from './segments.ts'
import { SELECT_BYTES_MAX, SELECT_STEPS_MAX, stepsOf, unitsFor } from './select-limits.ts'

/** What a scan stopped at, because it has to be read first; as in PullScan. `missingUnit` counts units. */
interface Missing {
  missingUnit: number
  missingRecord: number
  missingSize: number
  missingOffset: number
  suspectUnit: number
}

export class BatchPull {
  readonly #search: BatchSearch
  readonly #log: LogReader
  readonly #segments: Segments
  readonly #unitsMax: number
  readonly #cursor = new UnitCursor()

  constructor(search: BatchSearch, log: LogReader, segments: Segments, unitsMax: number) {
    this.#search = search
    this.#log = log
    this.#segments = segments
    this.#unitsMax = unitsMax
  }

  /** As PullScan's; `offset` lies inside the queue. */
  scan(
    missing: Missing,
    queue: Queue,
    units: Queue,
    offset: number,
    messagesMax: number,
    bytesMax: number,
    accept: Accept,
    target: ReplyBuffer,
    partial: boolean,
    select: Select,
  ): PullOutcome | null {
    const { minOffset, maxOffset } = queue
    missing.missingUnit = missing.missingRecord = missing.suspectUnit = this.#log.coldOffset = -1
    let index = this.#search.find(units, offset)
    if (index < 0) {
      missing.missingUnit = Math.max(0, this.#search.missing)
      return null
    }
    const cursor = this.#cursor
    const log = this.#log
    const logStart = this.#segments.first.from
    const lengthBefore = target.length
    const reach = offset + Math.max(unitsFor(select, this.#unitsMax), messagesMax)
    let next = offset
    let count = 0
    let bytes = 0
    let lookedInto = 0
    let steps = 0
    let removed = false
    for (; index < units.maxOffset; index++) {
      if (!this.#search.locate(units, index, cursor)) {
        missing.missingUnit = index
        break
      }
      const { at } = cursor
      const size = readI32(cursor.bytes, at + 8)
      const base = baseAt(cursor.bytes, at)
      const messages = messagesAt(cursor.bytes, at)
      if (next > offset && base >= reach) break
      const isFull = count + messages > messagesMax || bytes + size > bytesMax
      if (count > 0 && isFull) break
      if (lookedInto >= SELECT_BYTES_MAX || steps >= SELECT_STEPS_MAX) break
      const physicalOffset = fitsI64(cursor.bytes, at) ? readI64(cursor.bytes, at) : -1
      const isWanted =
        !units.badUnits.has(index) && (accept?.(readI32(cursor.bytes, at + 16)) ?? true)
      if (isWanted && physicalOffset >= 0 && physicalOffset < logStart) removed = true
      else if (isWanted) {
        let found: CopyResult = CopyResult.ok
        let isSelected = true
        if (select !== null) {
          found = log.look(physicalOffset, size, queue.queueId, base)
          if (found === CopyResult.ok) {
            lookedInto += size
            steps += stepsOf(select, size)
            isSelected = select(log.seenBytes, log.seen)
          }
        }
        if (found === CopyResult.ok && isSelected) {
          found =
            cursor.own && log.copyFromTail(physicalOffset, size, target)
              ? CopyResult.ok
              : log.copyChecked(physicalOffset, size, queue.queueId, base, target)
        }
        if (found === CopyResult.absent) {
          missing.missingRecord = physicalOffset
          missing.missingSize = size
          missing.missingOffset = base
          break
        }
        if (found === CopyResult.bad) {
          missing.suspectUnit = index
          break
        }
        if (isSelected) {
          count += messages
          bytes += size
        }
      }
      next = base + messages
    }
    const stopped =
      missing.missingUnit >= 0 || missing.missingRecord >= 0 || missing.suspectUnit >= 0
    const advanced = count > 0 || (select !== null && next > offset)
    const enough = accept !== null && missing.missingUnit >= 0 && next > offset
    if (stopped && !enough && !(partial && advanced)) {
      target.length = lengthBefore
      return null
    }
    if (this.#log.coldOffset >= 0) this.#log.readAhead(this.#log.coldOffset)
    this.#search.remember(units, next, index)
    const status = count > 0 ? 'FOUND' : removed ? 'MESSAGE_WAS_REMOVING' : 'NO_MATCHED_MESSAGE'
    return { status, nextBeginOffset: next, minOffset, maxOffset, count, bytes }
  }
}
