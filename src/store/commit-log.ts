/**
 * The one log. Records are encoded straight into the tail's chunks; at the end of a turn they go to
 * the kernel in one write; a flush loop of its own puts them on the disk. While a write is in
 * flight the next turn accumulates, which is all the batching there is.
 *
 *   reserve → (caller encodes) → take … commit → end of turn → write → written → [fdatasync → flushed]
 *
 * A segment ends with a blank record (i32 rest of the segment, i32 0xCBD43194); a run of records
 * that must stay together goes to the next segment as a whole.
 *
 * When a write fails, everything that the kernel does not have is dropped and was never there: the
 * owner hears it once (`onLost`) and gives the queue offsets back. The region that the failed write
 * may have touched is overwritten with zeros before anything new is appended, so that no stale
 * record can come back to life behind a shorter tail; that is also the probe which tells that the
 * disk takes bytes again. A failed fdatasync is final: the kernel may have dropped the pages and
 * marked them clean, so nothing is confirmed any more until a restart has read what is really there.
 */
import { assert } from '../base/assert.ts'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { BLANK_BYTES, MAGIC_BLANK } from '../protocol/record.ts'
import type { Clock, Stop } from '../world/clock.ts'
import { AppendStatus } from './append.ts'
import type { StoreSettings } from './options.ts'
import type { Segment, Segments } from './segments.ts'
import type { Chunk, Tail } from './tail.ts'
import type { Watermarks } from './watermarks.ts'

/** `writable`, or why not. `full` and `write-failed` heal by probing; the rest stays until restart. */
export type LogState = 'writable' | 'full' | 'write-failed' | 'flush-failed' | 'closed'

export interface LogHooks {
  /** `written` or `flushed` moved. */
  onMoved(): void
  /** The log fell back to `from`; what was appended behind it is gone. */
  onLost(from: number, error: Error): void
  /** The state changed. */
  onState(state: LogState): void
}

const PAGE_BYTES = 4096
const ZEROS_BYTES = 64 * 1024

export class CommitLog {
  state: LogState = 'writable'
  /** Set by `take`: where the caller encodes. */
  bytes: Buffer = Buffer.alloc(0)
  readonly segments: Segments
  readonly tail: Tail
  readonly watermarks: Watermarks
  /** Writes and flushes so far, what they carried, and the time that the flushes took. */
  readonly counters = { writes: 0, writtenBytes: 0, flushes: 0, flushMs: 0, flushMsMax: 0 }
  readonly #settings: StoreSettings
  readonly #clock: Clock
  readonly #hooks: LogHooks
  readonly #logger: Logger
  #chunk: Chunk | null = null
  #armed = false
  #writing = false
  #flushing = false
  #flushTarget = 0
  #inFlightChunk: Chunk | null = null
  #inFlightEnd = 0
  /** End of what a failed write may have touched, to be zeroed from `written` on. */
  #dirtyEnd = 0
  #losses = 0
  #lastFlushMs = 0
  /** Not before this time is another try made to make the next segment. */
  #prepareAgainMs = -Infinity
  #prepareStatus: AppendStatus = AppendStatus.busy
  #zeros: Buffer | null = null
  #timers: Stop[] = []
  #probe: Stop | null = null
  #waiting: (() => void)[] = []

  constructor(
    settings: StoreSettings,
    clock: Clock,
    segments: Segments,
    tail: Tail,
    watermarks: Watermarks,
    hooks: LogHooks,
    logger: Logger,
  ) {
    this.#settings = settings
    this.#clock = clock
    this.segments = segments
    this.tail = tail
    this.watermarks = watermarks
    this.#hooks = hooks
    this.#logger = logger
    this.#lastFlushMs = clock.monotonicMs()
  }

  /** Starts the background flush (ASYNC_FLUSH). The last segment must be open for writing. */
  start(): void {
    this.#timers.push(
      this.#clock.every(this.#settings.flushIntervalMs, () => {
        this.#flushInBackground()
      }),
    )
    this.#prepareWhenNear()
  }

  // ---- append ----------------------------------------------------------------------------------

  /**
   * Makes sure that `runBytes` of records can be appended together, going to the next segment when
   * they do not fit into this one. Follow with `take` and `commit` for each record.
   */
  reserve(runBytes: number): AppendStatus {
    if (this.state !== 'writable') return this.#refusal()
    const { watermarks, segments } = this
    const { appended } = watermarks
    if (appended - watermarks.written + runBytes > this.#settings.stagedBytesMax) {
      // A run longer than the limit may pass when nothing else waits.
      if (appended !== watermarks.written) return AppendStatus.busy
    }
    const room = segments.last.end - appended
    if (runBytes + BLANK_BYTES <= room) return AppendStatus.ok
    if (runBytes + BLANK_BYTES > segments.sizeBytes) return AppendStatus.illegal
    if (segments.next === null) {
      this.#prepare()
      return this.#prepareStatus
    }
    this.#endSegment(room)
    return AppendStatus.ok
  }

  /** The index in `bytes` where a record of `recordBytes` is to be encoded. */
  take(recordBytes: number): number {
    const position = this.watermarks.appended
    let chunk = this.#chunk
    // Room for a blank stays behind every record.
    if (
      chunk === null ||
      chunk.end - chunk.start + recordBytes + BLANK_BYTES > chunk.bytes.length
    ) {
      if (chunk) chunk.sealed = true
      chunk = this.tail.open(
        this.segments.last,
        position,
        recordBytes + BLANK_BYTES,
        this.watermarks.written,
      )
      this.#chunk = chunk
    }
    this.bytes = chunk.bytes
    return position - chunk.start
  }

  /** The record at the place given by `take` is complete. */
  commit(recordBytes: number): void {
    const chunk = this.#chunk
    assert(chunk !== null, 'take comes before commit')
    chunk.end += recordBytes
    chunk.next = chunk.end
    this.watermarks.appended = chunk.end
    this.#arm()
  }

  #refusal(): AppendStatus {
    switch (this.state) {
      case 'full':
        return AppendStatus.full
      case 'closed':
        return AppendStatus.closed
      default:
        return AppendStatus.failed
    }
  }

  /** Writes the blank record and goes on in the segment that was made ahead. */
  #endSegment(room: number): void {
    this.take(0)
    const chunk = this.#chunk
    assert(chunk !== null, 'take sets the chunk')
    const at = chunk.end - chunk.start
    chunk.bytes.writeInt32BE(room, at)
    chunk.bytes.writeInt32BE(MAGIC_BLANK, at + 4)
    chunk.end += BLANK_BYTES
    chunk.sealed = true
    const segment = this.segments.roll()
    assert(segment !== null, 'the next segment is there')
    chunk.next = segment.from
    this.watermarks.appended = segment.from
    this.#chunk = null
    this.#arm()
    this.#prepareWhenNear()
  }

  #arm(): void {
    if (this.#armed) return
    this.#armed = true
    this.#clock.atEndOfTurn(this.#onEndOfTurn)
  }

  readonly #onEndOfTurn = () => {
    this.#armed = false
    this.#prepareWhenNear()
    this.#write()
  }

  // ---- the next segment ------------------------------------------------------------------------

  #prepareWhenNear(): void {
    const { last } = this.segments
    if (this.watermarks.appended - last.from > last.sizeBytes / 2) this.#prepare()
  }

  #prepare(): void {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs < this.#prepareAgainMs) return
    this.#prepareStatus = AppendStatus.busy
    this.segments.prepareNext((error) => {
      this.#prepareAgainMs = nowMs + this.#settings.probeIntervalMs
      const full = (error as NodeJS.ErrnoException).code === 'ENOSPC'
      this.#prepareStatus = full ? AppendStatus.full : AppendStatus.failed
      this.#logger.error('the next segment could not be made', { why: messageOf(error) })
    })
  }

  // ---- write -----------------------------------------------------------------------------------

  #write(): void {
    const { watermarks } = this
    if (this.#writing || this.state === 'flush-failed') return
    if (watermarks.written === watermarks.appended || this.#dirtyEnd > 0) return
    const chunk = this.tail.find(watermarks.written)
    assert(chunk !== null, 'what was not written is in memory')
    const { segment } = chunk
    assert(segment.file !== null, 'a segment that is written is open')
    this.#writing = true
    this.#inFlightChunk = chunk
    this.#inFlightEnd = chunk.end
    this.counters.writes++
    this.counters.writtenBytes += chunk.end - watermarks.written
    segment.file.write(
      chunk.bytes,
      watermarks.written - chunk.start,
      chunk.end - chunk.start,
      watermarks.written - segment.from,
      this.#onWritten,
    )
  }

  readonly #onWritten = (error: Error | null) => {
    this.#writing = false
    const chunk = this.#inFlightChunk
    assert(chunk !== null, 'a write was in flight')
    this.#inFlightChunk = null
    if (error) {
      this.#lose(error)
      return
    }
    const end = this.#inFlightEnd
    this.watermarks.written = chunk.sealed && end === chunk.end ? chunk.next : end
    if (this.#settings.flush === 'sync') this.#flush()
    this.#hooks.onMoved()
    this.#write()
    this.#tellDone()
  }

  #lose(error: Error): void {
    const { watermarks, segments } = this
    const from = watermarks.written
    this.#dirtyEnd = this.#inFlightEnd
    while (segments.list.length > 1 && segments.last.from > from) segments.unroll()
    this.tail.rewind(from)
    this.#chunk = null
    this.#losses++
    watermarks.appended = from
    const full = (error as NodeJS.ErrnoException).code === 'ENOSPC'
    this.#logger.error('a write to the log failed; nothing of it was acknowledged', {
      physicalOffset: from,
      why: error.message,
    })
    this.#setState(full ? 'full' : 'write-failed')
    this.#hooks.onLost(from, error)
    this.#probeLater()
    this.#tellDone()
  }

  #probeLater(): void {
    this.#probe ??= this.#clock.every(this.#settings.probeIntervalMs, () => {
      this.#tryAgain()
    })
  }

  /** Zeroes what the failed write may have touched; when the disk takes it, the log goes on. */
  #tryAgain(): void {
    if (this.#writing || (this.state !== 'full' && this.state !== 'write-failed')) return
    const { written } = this.watermarks
    const segment = this.segments.find(written)
    assert(segment !== null && segment.file !== null, 'the segment being written is open')
    this.#writing = true
    this.#zero(segment, written, (error) => {
      this.#writing = false
      if (this.state === 'closed') {
        this.#tellDone()
        return
      }
      if (error) {
        this.#setState((error as NodeJS.ErrnoException).code === 'ENOSPC' ? 'full' : 'write-failed')
        return
      }
      this.#dirtyEnd = 0
      this.#probe?.()
      this.#probe = null
      this.#logger.info('the log takes messages again', { physicalOffset: written })
      this.#setState('writable')
    })
  }

  #zero(segment: Segment, from: number, done: (error: Error | null) => void): void {
    const end = Math.min(this.#dirtyEnd, segment.end)
    if (from >= end) {
      done(null)
      return
    }
    this.#zeros ??= Buffer.alloc(ZEROS_BYTES)
    const length = Math.min(end - from, this.#zeros.length)
    segment.file?.write(this.#zeros, 0, length, from - segment.from, (error) => {
      if (error) done(error)
      else this.#zero(segment, from + length, done)
    })
  }

  // ---- flush -----------------------------------------------------------------------------------

  #flushInBackground(): void {
    const { watermarks } = this
    const dirty = watermarks.written - watermarks.flushed
    if (dirty <= 0) return
    const sinceMs = this.#clock.monotonicMs() - this.#lastFlushMs
    if (
      dirty >= this.#settings.flushPagesMin * PAGE_BYTES ||
      sinceMs >= this.#settings.flushThoroughMs
    ) {
      this.#flush()
    }
  }

  /** Starts an fdatasync that covers everything written so far, unless one is running. */
  #flush(): void {
    const { watermarks } = this
    if (this.#flushing || this.state === 'flush-failed') return
    if (watermarks.written <= watermarks.flushed) return
    this.#flushing = true
    this.#flushTarget = watermarks.written
    this.#flushSegmentOf(watermarks.flushed)
  }

  /** Syncs the segment of `from`, then those behind it, up to the target. */
  #flushSegmentOf(from: number): void {
    const segment = this.segments.find(from)
    assert(segment !== null && segment.file !== null, 'a segment with unflushed bytes is open')
    this.counters.flushes++
    const startedMs = this.#clock.monotonicMs()
    segment.file.sync((error) => {
      const tookMs = this.#clock.monotonicMs() - startedMs
      this.counters.flushMs += tookMs
      this.counters.flushMsMax = Math.max(this.counters.flushMsMax, tookMs)
      if (error) {
        this.#flushing = false
        this.#logger.error('fdatasync of the log failed; nothing is acknowledged any more', {
          segment: segment.path,
          why: error.message,
        })
        this.#setState('flush-failed')
        this.#hooks.onMoved()
        this.#tellDone()
        return
      }
      if (segment.end < this.#flushTarget) this.#flushSegmentOf(segment.end)
      else this.#flushed()
    })
  }

  #flushed(): void {
    const { watermarks, segments } = this
    watermarks.flushed = this.#flushTarget
    this.#flushing = false
    this.#lastFlushMs = this.#clock.monotonicMs()
    this.#closeFullSegments()
    if (this.#settings.flush === 'sync' && watermarks.written > watermarks.flushed) this.#flush()
    assert(segments.last.file !== null, 'the last segment stays open')
    this.#hooks.onMoved()
    this.#tellDone()
  }

  #closeFullSegments(): void {
    const { watermarks, segments } = this
    for (const segment of segments.list) {
      if (segment.end > watermarks.flushed || segment === segments.last) return
      const { file } = segment
      if (file === null) continue
      segment.file = null
      file.close().catch(() => undefined)
    }
  }

  // ---- waiting and closing ---------------------------------------------------------------------

  /** Resolves once everything appended until now is on the disk; false when that cannot be. */
  async flushAll(): Promise<boolean> {
    const target = this.watermarks.appended
    const losses = this.#losses
    for (;;) {
      if (this.state === 'flush-failed' || this.#losses !== losses) return false
      if (this.watermarks.flushed >= target) return true
      this.#write()
      this.#flush()
      if (!this.#writing && !this.#flushing) return false
      await this.#nextDone()
    }
  }

  /** No append is taken any more; what is staged still goes to the disk. */
  refuse(): void {
    this.#setState('closed')
    for (const stop of this.#timers) stop()
    this.#timers = []
    this.#probe?.()
    this.#probe = null
  }

  /** Resolves when no write or flush is in flight, so that files can be closed. */
  async quiet(): Promise<void> {
    while (this.#writing || this.#flushing) {
      await this.#nextDone()
    }
  }

  /** Resolves when the next write or flush has ended. */
  #nextDone(): Promise<void> {
    return new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  #tellDone(): void {
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }

  #setState(state: LogState): void {
    if (this.state === state || this.state === 'flush-failed' || this.state === 'closed') return
    this.state = state
    this.#hooks.onState(state)
  }
}
