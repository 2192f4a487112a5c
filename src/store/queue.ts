/**
 * One queue of a topic: the counters that producers and consumers share, and the newest units of
 * its consume queue in memory. A handle is made once per queue and lives as long as the topic.
 */
import { javaHash } from '../protocol/java-hash.ts'
import type { Block } from './block-cache.ts'

/** One row of a consume queue: physicalOffset i64, size i32, tagsCode i64. */
export const UNIT_BYTES = 20
/** Size of a unit that stands for no message: before the queue's start, or where a record was lost. */
export const HOLE_SIZE = 0x7fffffff

/** A run of units in memory, all of one file. */
export class QueuePage {
  readonly bytes: Buffer
  /** Offset of the first unit. */
  readonly first: number
  /** Units that may stand here, up to the end of the file. */
  readonly capacity: number
  readonly madeMs: number
  count = 0
  /** Units that the kernel has. */
  written = 0
  readonly queue: Queue

  constructor(queue: Queue, bytes: Buffer, first: number, capacity: number, madeMs: number) {
    this.queue = queue
    this.bytes = bytes
    this.first = first
    this.capacity = capacity
    this.madeMs = madeMs
  }
}

/**
 * The form of the units of some queues: ordinary ones, or those of batch queues (batch-unit.ts).
 */
export interface UnitForm {
  /** Directory of the store that they lie in. */
  readonly dir: string
  /** The setting that says how long their files are. */
  readonly fileBytes: 'queueFileBytes' | 'batchQueueFileBytes'
  readonly unitBytes: number
  /** How many units at the start of the block are valid and point below `limit`. */
  readonly validUnits: (block: Buffer, limit: number) => number
}

export class Queue {
  readonly topic: string
  readonly topicBytes: Buffer
  readonly queueId: number
  /** Java hash of `topic#`, where hashes of index keys start. */
  readonly keySeed: number
  /** How long messages of this queue wait, for the queue of a delay level; 0 for all others. */
  readonly delayMs: number
  /** Offset that the next appended message gets. */
  nextOffset = 0
  /** Behind the last unit that consumers may see. */
  maxOffset = 0
  /** First offset whose message is still there. */
  minOffset = 0

  /** Behind the last unit that the kernel has. */
  writtenOffset = 0
  /** Offset of the first unit of the oldest and newest file; −1 when there is no file. */
  firstFileOffset = -1
  lastFileOffset = -1
  /** Newest units, oldest page first; empty when all were written and dropped. */
  readonly pages: QueuePage[] = []
  /** One write at a time; true when it succeeded. */
  writing: Promise<boolean> | null = null
  /** In the list of queues with units that were not written. */
  dirty = false
  dirtySinceMs = 0
  /** First offsets of files with bytes that were not synced. */
  readonly unsynced = new Set<number>()
  /** A file was made whose name was not synced. */
  unsyncedNames = false
  /** Already in the list of queues to wake in this turn. */
  waking = false
  deleted = false
  /** Older units that were read and are kept in memory, by the offset of their first. */
  readonly blocks = new Map<number, Block>()

  /** Offsets whose record is damaged: looked for once, then skipped. */
  readonly badUnits = new Set<number>()

  /**
   * Of a batch queue (batch-queue.ts): its units, counted one by one, one a record; null for all others.
   * The offsets of this queue count messages then, and pages, files and blocks are those of `units`.
   */
  readonly units: Queue | null

  constructor(topic: string, queueId: number, delayMs = 0, units: Queue | null = null) {
    this.topic = topic
    this.units = units
    this.topicBytes = Buffer.from(topic)
    this.queueId = queueId
    this.keySeed = javaHash(`${topic}#`)
    this.delayMs = delayMs
  }
}
