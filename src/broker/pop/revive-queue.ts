/**
 * One queue of the revive topic as it is read: checkpoints that have come and are not judged yet, in the
 * order in which they came, and what was acknowledged of them. Progress of the queue is that of its last
 * judged checkpoint; what is not judged is read again after a restart.
 *
 * When too many are open no more are taken, but the queue is read on for the acknowledgements of those
 * that are: without these they could never be judged. What was passed over is read again later.
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
/** What was passed over is read again when of the checkpoints that may be open only this part still is. */
const GO_BACK_PART = 1 / 4

/** A checkpoint that has come. */
export class OpenCheckpoint {
  readonly checkpoint: Checkpoint
  /** Where it stands in the revive topic. */
  readonly offset: number
  /** Bit i: the i-th message is acknowledged. */
  acked: number
  /** Messages that are dealt with → the end of the log behind what was stored for them, 0 for nothing. */
  #placed: Map<number, number> | null = null

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

  /** Queue offsets of the messages that nobody acknowledged and that are not dealt with. */
  waiting(): number[] {
    const { startOffset, distances } = this.checkpoint
    return distances
      .filter((_, index) => (this.acked & (1 << index)) === 0)
      .map((distance) => startOffset + distance)
      .filter((offset) => this.#placed?.has(offset) !== true)
  }

  /** The message at the offset is dealt with once the log is on its place up to `end`; 0: at once. */
  place(offset: number, end: number): void {
    this.#placed ??= new Map()
    this.#placed.set(offset, end)
  }

  /** The end of the log behind all that was stored for it; 0 when nothing was. */
  get end(): number {
    return this.#placed === null ? 0 : Math.max(0, ...this.#placed.values())
  }

  /** The log lost what was appended from this position on: those messages wait again. */
  onLost(fromOffset: number): void {
    if (this.#placed === null) return
    for (const [offset, end] of this.#placed) if (end > fromOffset) this.#placed.delete(offset)
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
  readonly #openMax: number
  #next: number
  /** Offset of the first checkpoint that was passed over; −1 when none was. */
  #passedFrom = -1

  /**
   * @param next offset of the first record to read
   * @param openMax checkpoints that may be open at one time
   */
  constructor(store: Store, queue: Queue, next: number, openMax: number) {
    this.#store = store
    this.queue = queue
    this.#next = next
    this.#openMax = openMax
  }

  /** Behind the last record that was read. */
  get next(): number {
    return this.#next
  }

  /** Whether there is something to judge, or to read again. */
  get hasWork(): boolean {
    return this.open.size > 0 || this.#passedFrom >= 0
  }

  /** Whether the next read begins again at what was passed over: then it is not known what is settled. */
  goBack(): boolean {
    if (this.#passedFrom < 0 || this.open.size > this.#openMax * GO_BACK_PART) return false
    this.#next = this.#passedFrom
    this.#passedFrom = -1
    return true
  }

  /** Reads what has come, until `isStopped` says so. Rejects with the disk's error. */
  async read(budget: TurnBudget, isStopped: () => boolean): Promise<void> {
    const store = this.#store
    const { queue } = this
    while (this.#next < queue.maxOffset && !isStopped()) {
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
    // Of what was passed over that is not known yet.
    if (this.#passedFrom < 0) this.#early.clear()
  }

  /** The log lost what was appended from this position on. */
  onLost(fromOffset: number): void {
    for (const opened of this.open.values()) opened.onLost(fromOffset)
  }

  #takeRun({ bytes, length }: RunBuffer): void {
    const view = this.#view
    for (let at = 0; at < length; at += view.size) {
      if (view.check(bytes, at, length, false) !== RecordVerdict.ok) return
      const properties = parseProperties(
        bytes.toString('utf8', view.propertiesStart, view.propertiesEnd),
      )
      const body = bytes.subarray(view.bodyStart, view.bodyEnd)
      if (properties[PropertyName.tags] === ReviveTag.checkpoint) {
        this.#takeCheckpoint(decodeCheckpoint(body), view.queueOffset)
      } else this.#takeAck(decodeAck(body))
    }
  }

  /** One that comes twice, as after a crash, counts once. */
  #takeCheckpoint(checkpoint: Checkpoint | null, offset: number): void {
    if (checkpoint === null || this.#passedFrom >= 0) return
    const key = batchKey(checkpoint)
    if (this.open.has(key)) return
    if (this.open.size >= this.#openMax) {
      this.#passedFrom = offset
      return
    }
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
    // Behind what was passed over, it is read again.
    if (this.#early.size >= EARLY_MAX || this.#passedFrom >= 0) return
    const known = this.#early.get(key)
    if (known === undefined) this.#early.set(key, [...ack.offsets])
    else if (known.length < EARLY_MAX) known.push(...ack.offsets)
  }
}
