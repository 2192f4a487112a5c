/**
 * What happens before a store serves: finds out how it was left, how far the log goes, and puts into
 * consume queues and index what they miss.
 *
 * 1. `mqctl.durable` says from where on the log has to be read (everything before it is on the disk
 *    with its queues and index), and below which end nothing may be cut. When it does not fit Apache's
 *    `checkpoint`, an Apache broker had the directory since, and the start is found Apache's way.
 * 2. Consume queues and index are opened up to that position; what lies behind it is taken away. When
 *    they are missing or do not add up, all is built again from the start of the log.
 * 3. The log is read from there: every whole, valid record that stands where it says is dispatched.
 *    At a bad record the next valid one is looked for: what lies between is damaged, is named, and
 *    stays. Only a tail behind which nothing valid stands, beyond the durable end, is torn: the log
 *    ends before it, and the bytes are zeroed.
 * 4. The log is synced, so that nothing is visible that a power cut could take away again.
 */
import path from 'node:path'
import { MqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Clock } from '../world/clock.ts'
import type { Disk, DiskFile } from '../world/disk.ts'
import { readSpan, syncFile } from '../world/disk.ts'
import { type CheckpointFile, type CheckpointValues, recoverFromMs } from './checkpoint.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import {
  type DurableEnd,
  type DurableRead,
  type DurableState,
  NO_QUEUES_SUM,
} from './durable-end.ts'
import type { KeyIndex } from './key-index.ts'
import { LogScan } from './log-scan.ts'
import type { AbortMark } from './marks.ts'
import type { OpenFiles } from './open-files.ts'
import type { StoreSettings } from './options.ts'
import { QueueLoader, zeroBehind } from './queue-loader.ts'
import type { Segment, Segments } from './segments.ts'
import { nextStoreTime } from './store-time.ts'

export interface BadRegion {
  readonly physicalOffset: number
  readonly bytes: number
  readonly why: string
}

export interface RecoveryReport {
  /** The store was closed before; nothing had to be repaired. */
  readonly clean: boolean
  /** Another broker had the directory since this one closed it, or always. */
  readonly foreign: boolean
  readonly logEnd: number
  /** Of the last record; ms, 0 when the log is empty. */
  readonly lastStoreTimestamp: number
  readonly scannedFrom: number
  readonly scannedBytes: number
  /** Records that were read and put into queues and index where they were missing. */
  readonly records: number
  readonly durationMs: number
  /** Bytes of a torn tail that were cut, and where; 0 and −1 when there was none. */
  readonly cutBytes: number
  readonly cutFrom: number
  /** Damaged places with valid records behind them, or below the durable end; the first hundred. */
  readonly bad: readonly BadRegion[]
  readonly badCount: number
  /** Why queues and index were built again from the whole log; null when they were not. */
  readonly rebuilt: string | null
  /** What is known to be on the disk from before the scan, for the next checkpoint to start from. */
  readonly state: DurableState
}

export interface RecoveryParts {
  readonly settings: StoreSettings
  readonly disk: Disk
  readonly clock: Clock
  readonly segments: Segments
  readonly queues: ConsumeQueues
  readonly index: KeyIndex | null
  readonly files: OpenFiles
  readonly checkpoint: CheckpointFile
  readonly durable: DurableEnd
  readonly abort: AbortMark
  readonly logger: Logger
}

const NO_CHECKPOINT: CheckpointValues = {
  physicMs: 0,
  logicsMs: 0,
  indexMs: 0,
  confirmedOffset: 0,
}

export async function recover(parts: RecoveryParts): Promise<RecoveryReport> {
  const { settings, disk, clock, segments, queues, index, files, logger } = parts
  const startMs = clock.monotonicMs()
  await disk.makeDirectory(segments.dir)
  await disk.makeDirectory(queues.dir)
  const durable = await parts.durable.read()
  if (parts.durable.damaged) {
    logger.warn('mqctl.durable is damaged and not used: how far the log was durable is not known')
  }
  const checkpoint = (await parts.checkpoint.read()) ?? NO_CHECKPOINT
  const aborted = await parts.abort.isThere()
  await segments.load()
  const own = durable !== null && isOwn(durable, checkpoint)
  const clean = !aborted && (own ? durable.state.clean : true)
  if (own) refuseMissingLog(settings.dir, segments, durable.state)
  const isNew = segments.list.length === 0
  if (isNew) await segments.makeFirst(0)
  const durableEnd = Math.min(durable?.state.durableEnd ?? 0, segments.last.end)

  // Where to start, and the queues up to there.
  const loader = new QueueLoader({ disk, queues, files, segments, logger })
  let rebuilt: string | null = null
  let from: number
  /** Another broker closed the store, and its queues end here: so its log goes at least as far. */
  let closedEnd = -1
  let queuedEnd = -1
  let batchQueuedEnd = -1
  if (own) {
    from = Math.max(segments.first.from, durable.state.dispatchedEnd)
    const { damaged } = await loader.load(from, !clean)
    if (damaged !== null) rebuilt = damaged
    else if (queues.sumOfMax !== durable.state.sumOfMax) rebuilt = 'consume queues are incomplete'
  } else {
    // What a clean stop left is complete: nothing is taken away, and only what it lacks is put. Nor is
    // anything behind a crash, before it is known where to start.
    const loaded = await loader.load(Infinity, false)
    const { damaged, endPhysicalOffset } = loaded
    const filesEnd = isNew ? 0 : segments.last.end
    if (clean && endPhysicalOffset > filesEnd) {
      if (isNew) await disk.remove(segments.first.path)
      throw endsEarly(settings.dir, filesEnd, endPhysicalOffset, 'there is no file of it')
    }
    const untilMs = recoverFromMs(checkpoint)
    const starts = clean
      ? await firstSegmentWhere(parts, (segment) => segment.from <= endPhysicalOffset)
      : await firstSegmentWhere(parts, (_segment, ms) => ms > 0 && ms <= untilMs)
    from = loaded.hasPlain ? starts.from : segments.first.from
    if (damaged !== null) rebuilt = damaged
    else if (!clean) rebuilt = (await loader.load(from, true)).damaged
    if (clean) closedEnd = endPhysicalOffset
    if (clean && loaded.hasPlain) queuedEnd = endPhysicalOffset
    if (clean && loaded.hasBatch) batchQueuedEnd = endPhysicalOffset
  }
  if (index !== null) {
    const position = own && rebuilt === null ? durable.state.index : null
    const complete = await index.load(clean, position, checkpoint.indexMs)
    if (!complete) rebuilt ??= 'the key index is incomplete'
  }
  if (rebuilt !== null) {
    if (closedEnd >= 0) {
      // What tells that all has to be built goes away now: should this start end early, the next one has to know.
      const end = await refuseEarlyEnd(parts, closedEnd)
      await parts.durable.write({
        clean: false,
        durableEnd: end,
        dispatchedEnd: end,
        sumOfMax: NO_QUEUES_SUM,
        checkpoint,
        index: { name: '', unitCount: 0 },
      })
    }
    logger.warn('consume queues and index are built again from the log', { why: rebuilt })
    from = segments.first.from
    // Units that point before the log stay: they carry the offsets of queues whose messages expired.
    await loader.load(from, true)
    await loader.removeDamaged()
    await index?.clear()
  }
  const state: DurableState = {
    clean: false,
    durableEnd,
    dispatchedEnd: from,
    sumOfMax: queues.sumOfMax,
    checkpoint,
    index: index?.position ?? { name: '', unitCount: 0 },
  }

  // The log from there on. One that was just made is not read: it would come back as large pages of
  // the kernel's cache, which count whole as written whenever a part of them is.
  const isEmpty = isNew && durableEnd === 0
  const scan = new LogScan({ settings, segments, queues, index, files, clock, logger })
  const rules = {
    durableEnd,
    own,
    complete: own && rebuilt === null,
    closed: own && clean,
    indexedTo: index?.endPhysicalOffset ?? Infinity,
    queuedEnd: rebuilt === null ? queuedEnd : -1,
    batchQueuedEnd: rebuilt === null ? batchQueuedEnd : -1,
    goneEnd: goneEnd(own, clean, rebuilt !== null, durable),
    goneUntilMs: own || clean ? -1 : recoverFromMs(checkpoint),
  }
  const logEnd = isEmpty ? from : await scan.run(from, rules)
  if (logEnd < closedEnd) throw endsEarly(settings.dir, logEnd, closedEnd, scan.fault)
  const cutBytes = isEmpty || (clean && own) ? 0 : await zeroTail(parts, logEnd)
  await removeSegmentsBehind(parts, logEnd)
  if (logEnd === segments.last.end) await segments.makeAfterLast()
  await syncLog(parts, Math.min(durableEnd, from), logEnd)

  const report: RecoveryReport = {
    clean,
    foreign: !own,
    logEnd,
    lastStoreTimestamp: lastStoreTime(own ? checkpoint.physicMs : 0, scan.lastStoreTimestamp),
    scannedFrom: from,
    scannedBytes: logEnd - from,
    records: scan.records,
    durationMs: clock.monotonicMs() - startMs,
    cutBytes,
    cutFrom: cutBytes > 0 ? logEnd : -1,
    bad: scan.bad,
    badCount: scan.badCount,
    rebuilt,
    state: { ...state, durableEnd: logEnd, ...untilCheckpoint(rules.goneEnd, from, logEnd) },
  }
  say(report, logger)
  return report
}

function isOwn(durable: DurableRead, checkpoint: CheckpointValues): boolean {
  return durable.checkpoints.some(
    (known) =>
      known.physicMs === checkpoint.physicMs &&
      known.logicsMs === checkpoint.logicsMs &&
      known.indexMs === checkpoint.indexMs,
  )
}

function refuseMissingLog(dir: string, segments: Segments, state: DurableState): void {
  const last = segments.list[segments.list.length - 1]
  if (state.durableEnd <= (last?.end ?? 0)) return
  throw new MqError('STORE_DAMAGED', {
    path: dir,
    what: `the log was on the disk up to byte ${state.durableEnd}, but its files end at ${last?.end ?? 0}`,
    hint: 'files of commitlog are missing: bring them back, or start with an empty directory',
  })
}

/** Of the last record: of the checkpoint when none was read. */
function lastStoreTime(checkpointMs: number, scannedMs: number): number {
  return scannedMs === 0 ? checkpointMs : nextStoreTime(checkpointMs, scannedMs)
}

/** Of a store that another broker closed: to cut its log there would lose what stands behind it. */
function endsEarly(dir: string, logEnd: number, end: number, fault: string): MqError {
  return new MqError('STORE_DAMAGED', {
    path: dir,
    what:
      `another broker closed it, its queues go on to byte ${end} of the log, ` +
      `and at byte ${logEnd} stands no valid record (${fault})`,
    hint:
      'the log was not cut: bring the files of commitlog back from a copy. Where none is missing (that ' +
      'broker itself cut its log after a power cut, and left such queues), or to give up what stands ' +
      'behind that byte, make an empty file named abort in the directory and start again',
  })
}

/**
 * Where the log ends: reads the whole log once and puts nothing anywhere, as queues are all that says how far it should go,
 * and must not be built again while it does not.
 */
async function refuseEarlyEnd(parts: RecoveryParts, closedEnd: number): Promise<number> {
  const { settings, segments } = parts
  const scan = new LogScan({ ...parts, index: null })
  const logEnd = await scan.run(segments.first.from, {
    durableEnd: 0,
    own: false,
    complete: false,
    closed: false,
    indexedTo: Infinity,
    queuedEnd: Infinity,
    batchQueuedEnd: Infinity,
    goneEnd: Infinity,
    goneUntilMs: -1,
  })
  if (logEnd < closedEnd) throw endsEarly(settings.dir, logEnd, closedEnd, scan.fault)
  return logEnd
}

/**
 * Up to where a topic that nobody knows is one that was deleted, and no new one: what another broker
 * closed, and our own log up to the last checkpoint, which comes later than a topic's configuration.
 */
function goneEnd(
  own: boolean,
  clean: boolean,
  isRebuilt: boolean,
  durable: DurableRead | null,
): number {
  if (!own) return clean ? Infinity : -1
  return isRebuilt ? (durable?.state.dispatchedEnd ?? -1) : -1
}

/**
 * What has to be known until the first checkpoint, should that never come: the next start then builds
 * all again, and leaves the same topics deleted. Nothing when `goneEnd` is not known, or no log was read.
 */
function untilCheckpoint(goneEnd: number, from: number, logEnd: number): Partial<DurableState> {
  if (goneEnd < 0 || from === logEnd) return {}
  return { dispatchedEnd: Math.min(goneEnd, logEnd), sumOfMax: NO_QUEUES_SUM }
}

/** The newest segment whose first record is valid and fits; the oldest one when there is none. */
async function firstSegmentWhere(
  parts: RecoveryParts,
  fits: (segment: Segment, storeTimestamp: number) => boolean,
): Promise<Segment> {
  const { segments } = parts
  for (let i = segments.list.length - 1; i > 0; i--) {
    const segment = segments.list[i]
    if (!segment) continue
    const ms = await LogScan.firstStoreTimestamp(parts.files, segment)
    if (ms >= 0 && fits(segment, ms)) return segment
  }
  return segments.first
}

/**
 * Makes everything behind the end zero, so that nothing stale can come back to life. Returns the
 * bytes that were not. The segment in use is short for a moment; it must be the last one then, so
 * those behind it go first.
 */
async function zeroTail(parts: RecoveryParts, logEnd: number): Promise<number> {
  const { segments, files } = parts
  const usedIn = new Map<Segment, number>()
  for (const segment of segments.list) {
    if (segment.end <= logEnd) continue
    const used = await withFile(files, segment, (file) =>
      usedBytes(segment, file, Math.max(0, logEnd - segment.from)),
    )
    usedIn.set(segment, used)
  }
  await removeSegmentsBehind(parts, logEnd)
  for (const segment of segments.list) {
    const start = Math.max(0, logEnd - segment.from)
    const used = usedIn.get(segment)
    if (used === undefined || (used === 0 && start === 0)) continue
    await withFile(files, segment, (file) => zeroBehind(file, start, segment.sizeBytes))
  }
  return [...usedIn.values()].reduce((sum, used) => sum + used, 0)
}

async function withFile<Result>(
  files: OpenFiles,
  segment: Segment,
  run: (file: DiskFile) => Promise<Result>,
): Promise<Result> {
  const file = await files.acquire(segment.path)
  try {
    return await run(file)
  } finally {
    files.release(segment.path, file)
  }
}

/** Segments that were made ahead go, so that the last one is the one that the log ends in. */
async function removeSegmentsBehind(parts: RecoveryParts, logEnd: number): Promise<void> {
  const { segments, files } = parts
  const behind = segments.list.filter((segment) => segment.from >= logEnd)
  if (behind.length === 0 || segments.list.length === 1) return
  for (const segment of behind) files.drop(segment.path)
  await segments.removeBehind(logEnd)
}

const LOOK_BYTES = 1024 * 1024
/** So many zeros in a row count as the end of what was written. */
const ZEROS_BYTES = 4 * LOOK_BYTES

/** Distance from `start` to the last byte that is not zero, looking until there is a long run of zeros. */
async function usedBytes(
  segment: Segment,
  file: Parameters<typeof readSpan>[0],
  start: number,
): Promise<number> {
  let used = 0
  for (
    let at = start;
    at < segment.sizeBytes && at - start - used < ZEROS_BYTES;
    at += LOOK_BYTES
  ) {
    const bytes = await readSpan(file, at, Math.min(LOOK_BYTES, segment.sizeBytes - at))
    for (let i = bytes.length - 1; i >= 0; i--) {
      if (bytes[i] === 0) continue
      used = at - start + i + 1
      break
    }
  }
  return used
}

async function syncLog(parts: RecoveryParts, from: number, logEnd: number): Promise<void> {
  const { segments, files } = parts
  for (const segment of segments.list) {
    if (segment.end <= from || segment.from >= logEnd) continue
    const file = await files.acquire(segment.path)
    try {
      await syncFile(file)
    } finally {
      files.release(segment.path, file)
    }
  }
  await parts.disk.syncDirectory(segments.dir)
  await parts.disk.syncDirectory(path.dirname(segments.dir))
}

function say(report: RecoveryReport, logger: Logger): void {
  for (const { physicalOffset, bytes, why } of report.bad) {
    logger.error('a damaged place in the log is skipped', { physicalOffset, bytes, why })
  }
  if (report.cutBytes > 0) {
    logger.warn('a torn tail of the log was cut', {
      physicalOffset: report.cutFrom,
      bytes: report.cutBytes,
    })
  }
  // A clean store, and a new one, are not worth a word.
  const isQuiet = report.clean && report.records === 0 && (!report.foreign || report.logEnd === 0)
  if (isQuiet) return
  logger.info('the store was recovered', {
    clean: report.clean,
    foreign: report.foreign,
    scannedFrom: report.scannedFrom,
    scannedBytes: report.scannedBytes,
    records: report.records,
    durationMs: Math.round(report.durationMs),
  })
}
