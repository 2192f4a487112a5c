/**
 * What a message costs the disk at a rate: its record and its units, and its part of what is written
 * whatever the rate. Files are written in pages. One that was flushed is clean, and the next byte
 * into it makes it dirty, so the last page of a file is written once more with every flush of it.
 * Pure.
 *
 * The times are the broker's defaults (source: src/store/options.ts, checkpointer.ts, key-index.ts,
 * src/broker/options.ts); Apache's flush of the log goes by the same.
 */

const PAGE_BYTES = 4096
/** The log is put on the disk so often, if four pages wait; or else after the long time. */
const FLUSH_MS = 500
const FLUSH_BYTES_MIN = 4 * PAGE_BYTES
const FLUSH_MS_MAX = 10_000
/** Log, queues, index and the checkpoint itself, and the progress of groups. */
const CHECKPOINT_SECONDS = 5
/** Pages of a checkpoint: header and last units of the index, the checkpoint, the progress. */
const CHECKPOINT_PAGES = 4
/** Once a second how far the log is on the disk. */
const NOTE_PAGES_PER_SECOND = 1
/** The slot table of the index: with the first checkpoint after a minute. */
const SLOTS_SECONDS = 62.5
const SLOT_PAGES = (5_000_000 * 4) / PAGE_BYTES

/** How a load is written. */
export interface Writing {
  readonly recordBytes: number
  /** Of consume queue and key index. */
  readonly unitBytes: number
  readonly keysPerMessage: number
  /** Of all brokers. */
  readonly lanes: number
  readonly brokers: number
  /** Messages that one flush puts on the disk where answers wait for it; null where they do not. */
  readonly perFlush: number | null
}

/** The window of a run, in seconds of the broker's life; where that is not known, from 0 on. */
export interface WrittenSpan {
  readonly fromSeconds: number
  readonly seconds: number
}

/**
 * Bytes for each message.
 *
 * @param perSecond messages a second, all brokers together; above 0
 * @param span null: without the slot table of the index, which is written once a minute
 */
export function diskBytesAt(
  writing: Writing,
  perSecond: number,
  span: WrittenSpan | null = null,
): number {
  const { brokers, recordBytes, unitBytes } = writing
  const each = perSecond / brokers
  const pages =
    flushesPerSecond(writing, each) +
    (CHECKPOINT_PAGES + busyLanes(writing, each)) / CHECKPOINT_SECONDS +
    NOTE_PAGES_PER_SECOND +
    (span === null ? 0 : slotPagesPerSecond(writing, each, span))
  return recordBytes + unitBytes + (pages * PAGE_BYTES) / each
}

/** Flushes of one broker's log; a checkpoint flushes it as well. */
function flushesPerSecond({ recordBytes, perFlush }: Writing, each: number): number {
  if (perFlush !== null) return each / perFlush
  const perTick = (each * recordBytes * FLUSH_MS) / 1000
  const ticks = Math.ceil(FLUSH_BYTES_MIN / perTick)
  return 1000 / Math.min(FLUSH_MS_MAX, ticks * FLUSH_MS) + 1 / CHECKPOINT_SECONDS
}

/** Queues of one broker that get something between two checkpoints. */
function busyLanes({ lanes, brokers }: Writing, each: number): number {
  const ofBroker = lanes / brokers
  return ofBroker * (1 - Math.exp((-each * CHECKPOINT_SECONDS) / ofBroker))
}

/** Pages of the slot table that keys have touched since it was written last, over the window. */
function slotPagesPerSecond(
  { keysPerMessage }: Writing,
  each: number,
  { fromSeconds, seconds }: WrittenSpan,
): number {
  const times = (at: number) => Math.floor(at / SLOTS_SECONDS)
  const writes = times(fromSeconds + seconds) - times(fromSeconds)
  const touched = 1 - Math.exp((-each * keysPerMessage * SLOTS_SECONDS) / SLOT_PAGES)
  return (writes * SLOT_PAGES * touched) / seconds
}
