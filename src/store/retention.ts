/**
 * What goes when: full files of the log after `fileReservedHours`, at the hours of `deleteWhen`, or
 * at any hour when the disk is three quarters full; the oldest files before their time when it is
 * nearly full, but only as many as bring it below that mark again (Apache takes ten at once). At the
 * refuse mark appends are refused until use falls below the mark before it (hysteresis). What only
 * points to deleted log (consume queue and index files) follows.
 *
 * The disk is looked at every `cleanIntervalMs`, and as soon as so much was appended since then that
 * a mark may be reached: a small disk fills up between two looks, and on a disk without a byte left
 * neither consume queues nor a checkpoint can be written, without which nothing may be deleted.
 *
 * Only whole files go, oldest first, never the one being written, and only what is on the disk,
 * visible and checkpointed. The queues' first offsets move before the file is removed: a consumer
 * finds an offset that expired, never a record that is gone. What goes before its time is counted
 * (`forced`) and said as a warning.
 * Source: apache/rocketmq store/…/DefaultMessageStore.java (CleanCommitLogService,
 * CleanConsumeQueueService).
 */
import type { Logger } from '../base/logger.ts'
import { messageOf } from '../base/errors.ts'
import type { Clock } from '../world/clock.ts'
import type { Disk } from '../world/disk.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import type { KeyIndex } from './key-index.ts'
import type { OpenFiles } from './open-files.ts'
import type { StoreSettings } from './options.ts'
import type { Queue } from './queue.ts'
import type { Segment, Segments } from './segments.ts'
import type { Watermarks } from './watermarks.ts'

const HOUR_MS = 3_600_000

/** What was deleted before its time, since the store was opened, because the disk was nearly full. */
export interface ForcedDeletions {
  segments: number
  bytes: number
  /** Wall clock of the last one, ms; 0 when there was none. */
  lastMs: number
  /** The log was deleted up to here; 0 when there was none. */
  upTo: number
}

export interface RetentionParts {
  readonly settings: StoreSettings
  readonly disk: Disk
  readonly clock: Clock
  readonly segments: Segments
  readonly queues: ConsumeQueues
  readonly index: KeyIndex | null
  readonly files: OpenFiles
  readonly watermarks: Watermarks
  readonly onRefuse: (refuse: boolean) => void
  readonly dropCached: (segment: Segment) => void
  /** Position of the record that a unit points to; −1 for a hole. */
  readonly unitPhysicalOffset: (queue: Queue, offset: number) => Promise<number>
  /** The same as `correctMinOffset` for a batch queue. */
  readonly correctBatchMin: (queue: Queue, units: Queue, logStart: number) => Promise<void>
  /** Position up to which queues and index are on the disk, as the last checkpoint says. */
  readonly checkpointedEnd: () => number
  /** Makes a checkpoint; false when it cannot be made. */
  readonly makeCheckpoint: () => Promise<boolean>
  readonly logger: Logger
}

interface Victim {
  readonly segment: Segment
  readonly ageMs: number
  /** Its time has not come. */
  readonly early: boolean
}

export class Retention {
  /** Used share of the file system, 0 … 1; −1 until it was looked at. */
  usedRatio = -1
  totalBytes = 0
  freeBytes = 0
  readonly forced: ForcedDeletions = { segments: 0, bytes: 0, lastMs: 0, upTo: 0 }
  readonly #parts: RetentionParts
  #refusing = false
  #nextMs: number
  #running: Promise<void> | null = null
  /** Position from which on queues and index were cleaned. */
  #cleanedTo = 0
  #complainedMs = -Infinity
  /** The end of the log at which a mark may be reached. */
  #lookAt = Infinity
  /** The end of the log at which the refuse mark is reached if nobody else takes or gives room. */
  #refuseAt = Infinity

  constructor(parts: RetentionParts) {
    this.#parts = parts
    this.#nextMs = parts.clock.monotonicMs() + parts.settings.cleanIntervalMs
  }

  tick(): void {
    const nowMs = this.#parts.clock.monotonicMs()
    if (this.#running || nowMs < this.#nextMs) return
    this.#nextMs = nowMs + this.#parts.settings.cleanIntervalMs
    void this.clean(false)
  }

  /** The log ends at `appended`: looks at the disk now when a mark may have been reached. */
  appendedUpTo(appended: number): void {
    if (appended >= this.#refuseAt) this.#refuse(true, this.#parts.settings.diskRefusePercent)
    if (appended >= this.#lookAt) this.lookNow()
  }

  /** Does not wait for the next interval: the log found no room. */
  lookNow(): void {
    this.#lookAt = Infinity
    void this.clean(false)
  }

  /** One look: measures the disk and deletes what may go. `now` deletes expired files at any hour. */
  async clean(now: boolean): Promise<void> {
    while (this.#running) await this.#running
    this.#running = this.#clean(now)
      .catch((error: unknown) => {
        this.#complain(error)
      })
      .finally(() => {
        this.#running = null
      })
    await this.#running
  }

  async quiet(): Promise<void> {
    while (this.#running) await this.#running
  }

  /** Measures the disk and decides about refusing; deletes nothing. */
  async look(): Promise<void> {
    const { settings, disk, watermarks } = this.#parts
    const { appended } = watermarks
    const space = await disk.space(settings.dir)
    this.totalBytes = space.totalBytes
    this.freeBytes = space.freeBytes
    this.usedRatio = space.totalBytes > 0 ? 1 - space.freeBytes / space.totalBytes : 0
    const percent = this.usedRatio * 100
    if (percent >= settings.diskRefusePercent) this.#refuse(true, percent)
    else if (percent < settings.diskCleanForciblyPercent) this.#refuse(false, percent)

    const bytesTo = (mark: number): number => ((mark - percent) / 100) * space.totalBytes
    const toRefuse = bytesTo(settings.diskRefusePercent)
    const toClean = bytesTo(settings.diskCleanForciblyPercent)
    this.#refuseAt = appended + toRefuse
    // Between the marks ever sooner, should nothing have been deleted.
    this.#lookAt = appended + (toClean > 0 ? Math.min(toClean, toRefuse) : toRefuse / 4)
    if (toRefuse <= 0) this.#lookAt = Infinity
  }

  #refuse(refuse: boolean, percent: number): void {
    if (this.#refusing === refuse) return
    this.#refusing = refuse
    const { logger, onRefuse } = this.#parts
    const usedPercent = Math.round(percent)
    if (refuse) logger.error('the disk is full; messages are refused', { usedPercent })
    else logger.info('the disk has space again; messages are taken', { usedPercent })
    onRefuse(refuse)
  }

  async #clean(now: boolean): Promise<void> {
    await this.look()
    const { settings, segments, clock } = this.#parts
    for (;;) {
      const { first } = segments
      const percent = this.usedRatio * 100
      const atOnce = settings.cleanForcibly && percent >= settings.diskCleanForciblyPercent
      const hour = String(new Date(clock.wallMs()).getHours()).padStart(2, '0')
      const isTime = settings.deleteWhen.split(';').includes(hour)
      if (now || atOnce || isTime || percent >= settings.diskMaxUsedPercent) {
        await this.#deleteSegments(atOnce)
      }
      if (segments.first.from > this.#cleanedTo) await this.#cleanQueues(segments.first.from)
      if (segments.first === first) return
      // Whether messages are taken again should not wait for the next interval.
      await this.look()
      if (!atOnce) return
    }
  }

  async #deleteSegments(atOnce: boolean): Promise<void> {
    const { segments, clock, files, dropCached, logger } = this.#parts
    const { checkpointedEnd, makeCheckpoint } = this.#parts
    // What is not on the disk may not go, and appends that are refused bring no flush by themselves.
    if (atOnce) await makeCheckpoint()
    const victims = await this.#victims(atOnce)
    const last = victims[victims.length - 1]
    // Units must outlive their records: they carry the offsets of queues that have no newer message.
    if (last && last.segment.end > checkpointedEnd()) await makeCheckpoint()
    const safe = victims.filter(({ segment }) => segment.end <= checkpointedEnd())
    const end = safe[safe.length - 1]?.segment.end
    if (end === undefined) return
    await this.#moveMinimum(end)
    for (const { segment, ageMs, early } of safe) {
      if (segments.first !== segment || segments.list.length === 1) return
      dropCached(segment)
      await segments.removeFirst()
      // A read that was waiting may have opened it again meanwhile, and would keep its room.
      files.drop(segment.path)
      const facts = { physicalOffset: segment.from, ageHours: Math.floor(ageMs / HOUR_MS) }
      if (early) {
        this.forced.segments++
        this.forced.bytes += segment.sizeBytes
        this.forced.lastMs = clock.wallMs()
        this.forced.upTo = segment.end
        const usedPercent = Math.round(this.usedRatio * 100)
        logger.warn('the disk is nearly full: a segment of the log was deleted before its time', {
          ...facts,
          usedPercent,
        })
      } else logger.info('an old segment of the log was deleted', facts)
    }
  }

  /** The oldest segments that may go now: the expired ones, and `atOnce` as many as the disk needs. */
  async #victims(atOnce: boolean): Promise<Victim[]> {
    const { settings, segments, disk, clock, watermarks } = this.#parts
    // What is not on the disk, or not visible yet, cannot have expired.
    const safeEnd = Math.min(watermarks.flushed, watermarks.dispatched)
    const allowed = (this.totalBytes * settings.diskCleanForciblyPercent) / 100
    let used = this.totalBytes - this.freeBytes
    const victims: Victim[] = []
    for (const segment of segments.list.slice(0, -1)) {
      if (victims.length === settings.deleteFilesMax || segment.end > safeEnd) break
      const facts = await disk.facts(segment.path)
      const ageMs = clock.wallMs() - (facts?.modifiedMs ?? 0)
      const early = ageMs < settings.fileReservedHours * HOUR_MS
      if (early && !(atOnce && used >= allowed)) break
      victims.push({ segment, ageMs, early })
      used -= segment.sizeBytes
    }
    return victims
  }

  async #moveMinimum(logStart: number): Promise<void> {
    const { queues, unitPhysicalOffset, correctBatchMin } = this.#parts
    for (const queue of [...queues.all()]) {
      if (queue.deleted) continue
      if (queue.units !== null) await correctBatchMin(queue, queue.units, logStart)
      else await correctMinOffset(queue, logStart, unitPhysicalOffset)
    }
  }

  /** Removes files of queues and index that only point to what is no longer in the log. */
  async #cleanQueues(logStart: number): Promise<void> {
    const { queues, index } = this.#parts
    await this.#moveMinimum(logStart)
    await removeOldFiles(queues)
    if (queues.batchUnits !== null) await removeOldFiles(queues.batchUnits)
    await index?.removeBefore(logStart)
    this.#cleanedTo = logStart
  }

  #complain(error: unknown): void {
    const nowMs = this.#parts.clock.monotonicMs()
    if (nowMs - this.#complainedMs < 30_000) return
    this.#complainedMs = nowMs
    this.#parts.logger.error('old files could not be cleaned', { why: messageOf(error) })
  }
}

async function removeOldFiles(queues: ConsumeQueues): Promise<void> {
  for (const queue of [...queues.all()]) {
    while (
      !queue.deleted &&
      queue.firstFileOffset >= 0 &&
      queue.firstFileOffset < queue.lastFileOffset &&
      queue.firstFileOffset + queues.unitsPerFile <= queue.minOffset
    ) {
      await queues.removeFirstFile(queue)
    }
  }
}

/**
 * Sets `minOffset` to the first unit whose record lies at or behind `logStart`; to the end of the
 * queue when there is none, so that offsets go on where they were.
 */
export async function correctMinOffset(
  queue: Queue,
  logStart: number,
  unitPhysicalOffset: (queue: Queue, offset: number) => Promise<number>,
): Promise<void> {
  let low = queue.minOffset
  let high = queue.maxOffset
  /** The first unit at or behind `high` that is no hole. */
  let found = high
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    // A hole has no position of its own; the next unit that has one decides for it.
    let probe = middle
    let physicalOffset = await unitPhysicalOffset(queue, probe)
    while (physicalOffset < 0 && probe + 1 < high) {
      probe++
      physicalOffset = await unitPhysicalOffset(queue, probe)
    }
    if (physicalOffset >= logStart) {
      high = middle
      found = probe
    } else low = probe + 1
  }
  if (found > queue.minOffset) queue.minOffset = found
}
