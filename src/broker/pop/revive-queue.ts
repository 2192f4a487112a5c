/**
 * One queue of the revive topic as it is read: checkpoints that have come and are not judged yet, in the
 * order in which they came, and what was acknowledged of them. Progress of the queue is that of its last
 * judged checkpoint; what is not judged is read again after a restart.
 */
import { ReviveTag } from '../../protocol/pop-names.ts'
import {
  type Ack,
  type Checkpoint,
  batchKey,
  decodeAck,
  decodeCheckpoint,
  indexInCheckpoint,
} from '../../protocol/pop-records.ts'
import { PropertyName, parseProperties } from '../../protocol/properties.ts'
import { RecordVerdict, RecordView } from '../../protocol/record.ts'
import type { Queue } from '../../store/queue.ts'
import type { Store } from '../../store/store.ts'
import { RunBuffer } from '../run-buffer.ts'
import type { TurnBudget } from '../turn-budget.ts'

const RUN_MESSAGES_MAX = 64
const RUN_BYTES_MAX = 256 * 1024
const KEPT_BYTES_MAX = 256 * 1024
/** Acknowledgements whose checkpoint has not come, kept for when the timer was behind. */
const EARLY_MAX = 10_000

/** A checkpoint that has come. */
export class OpenCheckpoint {
  readonly checkpoint: Checkpoint
  /** Where it stands in the revive topic. */
  readonly offset: number
  /** Bit i: the i-th message is acknowledged. */
  acked: number

  constructor(checkpoint: Checkpoint, offset: number) {
    this.checkpoint = checkpoint
    this.offset = offset
    this.acked = checkpoint.acked
  }

  ack(offsets: readonly number[]): void {
    for (const offset of offsets) {
      const index = indexInCheckpoint(this.checkpoint, offset)
      if (index >= 0) this.acked |= 1 << index
    }
  }

  /** Queue offsets of the messages that nobody acknowledged. */
  unacked(): number[] {
    const { startOffset, distances } = this.checkpoint
    return distances
      .filter((_, index) => (this.acked & (1 << index)) === 0)
      .map((distance) => startOffset + distance)
  }
}

export class ReviveQueue {
  readonly queue: Queue
  /** What is not judged yet, oldest first. */
  readonly open = new Map<string, OpenCheckpoint>()
  readonly #store: Store
  readonly #early = new Map<string, number[]>()
  readonly #run = new RunBuffer()
  readonly #view = new RecordView()
  #next: number
  #newestDueMs = 0

  /** @param next offset of the first record to read */
  constructor(store: Store, queue: Queue, next: number) {
    this.#store = store
    this.queue = queue
    this.#next = next
  }

  /** Behind the last record that was read. */
  get next(): number {
    return this.#next
  }

  /** The latest time for which one of the records that were read was due, ms since 1970. */
  get newestDueMs(): number {
    return this.#newestDueMs
  }

  /** Reads what has come, until `isFull` says so. Rejects with the disk's error. */
  async read(budget: TurnBudget, isFull: () => boolean): Promise<void> {
    const store = this.#store
    const { queue } = this
    while (this.#next < queue.maxOffset && !isFull()) {
      const first = Math.max(this.#next, queue.minOffset)
      const run = this.#run
      run.reuse(KEPT_BYTES_MAX)
      const outcome =
        store.pullNow(queue, first, RUN_MESSAGES_MAX, RUN_BYTES_MAX, null, run) ??
        (await store.pull(queue, first, RUN_MESSAGES_MAX, RUN_BYTES_MAX, null, run))
      if (outcome.nextBeginOffset <= first) throw new Error(`nothing at offset ${first}`)
      this.#takeRun(run)
      this.#next = outcome.nextBeginOffset
      if (budget.spent) await budget.nextTurn()
    }
  }

  /** Forgets acknowledgements that found no checkpoint: theirs was judged before. */
  forgetEarly(): void {
    this.#early.clear()
  }

  #takeRun({ bytes, length }: RunBuffer): void {
    const view = this.#view
    for (let at = 0; at < length; at += view.size) {
      if (view.check(bytes, at, length, false) !== RecordVerdict.ok) return
      const properties = parseProperties(
        bytes.toString('utf8', view.propertiesStart, view.propertiesEnd),
      )
      const dueMs = Number(properties[PropertyName.timerDeliverMs] ?? 0)
      if (dueMs > this.#newestDueMs) this.#newestDueMs = dueMs
      const body = bytes.subarray(view.bodyStart, view.bodyEnd)
      if (properties[PropertyName.tags] === ReviveTag.checkpoint) {
        this.#takeCheckpoint(decodeCheckpoint(body), view.queueOffset)
      } else this.#takeAck(decodeAck(body))
    }
  }

  /** One that comes twice, as after a crash, counts once. */
  #takeCheckpoint(checkpoint: Checkpoint | null, offset: number): void {
    if (checkpoint === null) return
    const key = batchKey(checkpoint)
    if (this.open.has(key)) return
    const opened = new OpenCheckpoint(checkpoint, offset)
    const early = this.#early.get(key)
    if (early !== undefined) {
      opened.ack(early)
      this.#early.delete(key)
    }
    this.open.set(key, opened)
  }

  #takeAck(ack: Ack | null): void {
    if (ack === null) return
    const key = batchKey(ack)
    const opened = this.open.get(key)
    if (opened !== undefined) {
      opened.ack(ack.offsets)
      return
    }
    if (this.#early.size >= EARLY_MAX) return
    const known = this.#early.get(key)
    if (known === undefined) this.#early.set(key, [...ack.offsets])
    else if (known.length < EARLY_MAX) known.push(...ack.offsets)
  }
}
