/**
 * Transactions: a producer sends half a message, does its own work, and says whether the message
 * is to be delivered. Who never says is asked (`checker.ts`).
 *
 *   send with TRAN_MSG ──▶ half queue ── END_TRANSACTION commit ──▶ its own queue + operation record
 *                             │      └── END_TRANSACTION rollback ──▶ operation record
 *                             └── nobody says: checked, again and again, then put aside
 *
 * What is open is known in memory, two numbers a half. On the disk it follows from the two queues:
 * every half from the noted progress on that no operation record names is open. The progress is
 * noted in `config/consumerOffset.json` under the group CID_RMQ_SYS_TRANS, as Apache's broker does,
 * and never runs ahead of what is flushed.
 *
 * A transaction ends once: whoever comes second is refused, whichever of its records is named. Only
 * a broker that was killed between a committed message and its operation record does not know; it
 * looks for the committed message by its unique key before it asks or commits again.
 * Source: apache/rocketmq broker/…/processor/EndTransactionProcessor.java,
 * broker/…/transaction/queue/TransactionalMessageServiceImpl.java.
 */
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { Perm } from '../../protocol/bodies/topic-config.ts'
import { ResponseCode } from '../../protocol/codes.ts'
import { encodeHost } from '../../protocol/host.ts'
import { UniqueIdMaker } from '../../protocol/message-id.ts'
import { SystemTopic } from '../../protocol/names.ts'
import { PropertyName } from '../../protocol/properties.ts'
import { RecordVerdict, RecordView, decodeRecord } from '../../protocol/record.ts'
import { SysFlag } from '../../protocol/sys-flag.ts'
import { AppendRequest, AppendStatus } from '../../store/append.ts'
import type { Queue } from '../../store/queue.ts'
import type { Store } from '../../store/store.ts'
import { sleep } from '../../world/node-clock.ts'
import type { Stop } from '../../world/clock.ts'
import type { World } from '../../world/world.ts'
import type { ConsumerOffsets } from '../consumer-offsets.ts'
import { hideUntilDue } from '../delay/hiding.ts'
import type { BrokerSettings } from '../options.ts'
import { Refusal } from '../refusal.ts'
import { RunBuffer } from '../run-buffer.ts'
import type { BrokerStats } from '../stats.ts'
import type { TopicTable } from '../topics.ts'
import { HALF_QUEUE_ID, HalfMessage, prepare, uniqueKeyIn } from './half-message.ts'
import { OpLog, offsetsIn } from './op-log.ts'
import { OpenHalves } from './open-halves.ts'

/** Group under which the progress of both queues is noted. */
const TRANSACTION_GROUP = 'CID_RMQ_SYS_TRANS'
/** Halves that may be open at once: 16 bytes of payload each, some 50 MB in all. */
const OPEN_MAX = 1_000_000
/** END_TRANSACTION requests that may be under way at once. */
const ENDING_MAX = 65_536
const PROGRESS_MS = 1_000
const BUSY_MS = 20
/** How long an end waits for a log that is busy; then the next check finds the half open. */
const BUSY_MS_MAX = 3_000
/** Commits that are refused are told of at most so often. */
const COMPLAINT_MS = 30_000
/** Memory that is kept for halves that end: most are far smaller. */
const HELD_BYTES_MAX = 64 * 1024
const READ_MESSAGES = 64
const READ_BYTES = 1024 * 1024
const READ_AGAIN_MS = 500

export interface TransactionsParts {
  readonly world: World
  readonly settings: BrokerSettings
  readonly store: Store
  readonly topics: TopicTable
  readonly offsets: ConsumerOffsets
  readonly stats: BrokerStats
  readonly logger: Logger
}

/** What END_TRANSACTION says. */
export interface TransactionEnd {
  readonly producerGroup: string
  /** Where the half lies: in the half queue, and in the log. */
  readonly queueOffset: number
  readonly physicalOffset: number
  readonly decision: 'commit' | 'rollback'
  /** An answer to a question of the broker's, not said by the sender of its own accord. */
  readonly isAnswer: boolean
}

/** Progress that may be noted once the log is flushed up to `end`. */
interface Progress {
  readonly half: number
  readonly op: number
  readonly end: number
}

export class Transactions {
  readonly open: OpenHalves = new OpenHalves()
  readonly ops: OpLog
  readonly half: Queue
  readonly #op: Queue
  readonly #parts: TransactionsParts
  readonly #append = new AppendRequest()
  /** The half that ends right now. */
  readonly #held = new RunBuffer()
  /** Halves in front of it were there before this process: their end may have been lost. */
  #foundTo = 0
  #pendingProgress: Progress | null = null
  #ending = 0
  #complainedMs = -Infinity
  /** While the queues are read again; halves that come meanwhile. */
  #early: { offset: number; root: number; dueMs: number }[] | null = null
  /** Where the log was last cut off. */
  #lostFrom = 0
  #stopProgress: Stop = () => undefined
  #stopped = false

  private constructor(parts: TransactionsParts) {
    const { world, store, settings } = parts
    this.#parts = parts
    this.half = store.queue(SystemTopic.transactionHalf, HALF_QUEUE_ID)
    this.#op = store.queue(SystemTopic.transactionOp, HALF_QUEUE_ID)
    const bornHost = encodeHost(settings.advertisedAddress) ?? Buffer.alloc(8)
    const ids = new UniqueIdMaker(
      bornHost.subarray(0, -4),
      world.random.below(0x1_0000),
      world.random.below(0x1_0000_0000),
    )
    this.ops = new OpLog({
      store,
      clock: world.clock,
      queue: this.#op,
      bornHost,
      nextUniqueId: () => ids.next(world.clock.wallMs()),
    })
  }

  /** Finds out which halves are open. Rejects with the disk's error. */
  static async load(parts: TransactionsParts): Promise<Transactions> {
    const transactions = new Transactions(parts)
    await transactions.#read()
    transactions.#foundTo = transactions.half.nextOffset
    return transactions
  }

  /** Begins to note the progress. */
  start(): void {
    this.#stopProgress = this.#parts.world.clock.every(PROGRESS_MS, () => {
      this.noteProgress()
    })
  }

  /** Notes the progress a last time; resolves when the log is on the disk. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#stopProgress()
    this.ops.flush()
    this.noteProgress()
    if (await this.#parts.store.checkpointNow()) this.noteProgress()
  }

  /** Ends that are under way. */
  get count(): number {
    return this.#ending
  }

  /** Transaction id of the half that `prepare` appended last: its unique key. */
  preparedId: string | null = null

  /**
   * Appends a message, which is addressed to its own queue, as a half; `store.lastAppend` says where
   * it went. Throws a Refusal when transactions are switched off or too many are open.
   */
  prepare(append: AppendRequest): AppendStatus {
    const { settings, store, topics, stats } = this.#parts
    if (settings.rejectTransactionMessage) {
      throw new Refusal(
        ResponseCode.NO_PERMISSION,
        `the broker[${settings.advertisedAddress}] sending transaction message is forbidden`,
      )
    }
    if (this.open.size >= OPEN_MAX) throw busy('too many transactions are open')
    const immunityMs = prepare(append, this.half)
    this.preparedId = uniqueKeyIn(append)
    const status = store.append(append)
    if (status !== AppendStatus.ok) return status
    const { queueOffset, storeTimestamp, physicalOffset, end } = store.lastAppend
    const topic = topics.get(this.half.topic)
    if (topic !== null) stats.onPut(topic, 1, end - physicalOffset)
    const dueMs = storeTimestamp + (immunityMs ?? settings.transactionTimeOut)
    this.addOpen(queueOffset, queueOffset, dueMs)
    return status
  }

  /** A half at the end of its queue is open. */
  addOpen(offset: number, root: number, dueMs: number): void {
    if (this.#early === null) this.open.add(offset, root, dueMs)
    else this.#early.push({ offset, root, dueMs })
  }

  /** The half is done with, whatever became of it. */
  close(offset: number, root: number): void {
    this.open.close(offset, root)
    this.ops.note(offset)
  }

  /**
   * Commits or rolls back; resolves when that is appended, its operation record some milliseconds
   * later, or with it where nothing else would tell that it was committed. False: nothing but that record
   * tells what was decided; a committed message with a unique key can be found. Rejects with a Refusal: unknown or foreign half, ended before, too late, or busy.
   */
  async end(end: TransactionEnd): Promise<boolean> {
    const now = this.endNow(end)
    if (now !== null) return now
    if (this.#ending >= ENDING_MAX) throw busy('too many transactions end at once')
    this.#ending++
    try {
      return this.#isFound(end, await this.#end(end))
    } finally {
      this.#ending--
    }
  }

  /**
   * The same in this moment, where nothing has to be read or waited for: the usual case. Null where
   * something has, and nothing is done then. Throws a Refusal.
   */
  endNow(end: TransactionEnd): boolean | null {
    const held = this.#held
    held.reuse(HELD_BYTES_MAX)
    const size = this.#parts.store.recordInMemory(end.physicalOffset, held)
    if (size === 0 || this.#early !== null) return null
    const half = this.#checked(HalfMessage.of(held.bytes, size), end)
    if (half.root < this.#foundTo) return null
    const offset = this.open.current(half.root)
    if (offset === null) throw endedBefore()
    if (end.decision === 'commit' && this.#commit(half, end) !== AppendStatus.ok) return null
    this.close(offset, half.root)
    return this.#isFound(end, half)
  }

  /**
   * Whether a committed message could be found by its key. Where not, its operation record is stored with
   * it: a broker killed between the two would deliver it twice.
   */
  #isFound({ decision }: TransactionEnd, half: HalfMessage): boolean {
    if (decision === 'rollback') return false
    const isFound = half.hasUniqueKey && this.#parts.store.settings.index
    if (!isFound) this.ops.flush()
    return isFound
  }

  /** Whether a half that was found at the start has been committed before the broker was killed. */
  async wasCommitted(half: HalfMessage): Promise<boolean> {
    if (half.root >= this.#foundTo) return false
    const { destination, uniqueKey, bornMs } = half
    if (destination === null || uniqueKey === '') return false
    const { store } = this.#parts
    const from = Math.min(bornMs, half.view.storeTimestamp) - 60_000
    // A committed message with a delay lies in the topic of the levels first.
    for (const topic of [destination.topic, SystemTopic.schedule, SystemTopic.timer]) {
      const { records } = await store.queryKey(topic, uniqueKey, 64, from, Number.MAX_SAFE_INTEGER)
      for (const record of records) {
        const message = decodeRecord(record, 0, record.length, false)
        if (message?.properties[PropertyName.uniqKey] !== uniqueKey) continue
        if ((message.sysFlag & SysFlag.transactionMask) === SysFlag.transactionCommit) return true
      }
    }
    return false
  }

  /** Everything appended behind the position is gone: what is open is read again. */
  onLost(fromOffset: number): void {
    this.ops.onLost()
    this.#pendingProgress = null
    this.#lostFrom = fromOffset
    const isReading = this.#early !== null
    // What came before this is in the log, or lost: it is found by reading.
    this.#early = []
    if (!isReading) void this.#readAgain()
  }

  /** Notes how far the queues are done with, as far as that is on the disk. */
  noteProgress(): void {
    if (this.#early !== null) return
    const { store, offsets } = this.#parts
    const { flushed } = store.watermarks
    const pending = this.#pendingProgress
    if (pending !== null && pending.end <= flushed) {
      const moved: [Queue, number][] = [
        [this.half, pending.half],
        [this.#op, pending.op],
      ]
      for (const [queue, offset] of moved) {
        if (offset === this.#noted(queue)) continue
        offsets.commit(TRANSACTION_GROUP, queue.topic, HALF_QUEUE_ID, offset)
      }
      this.#pendingProgress = null
    }
    if (this.#pendingProgress !== null) return
    this.ops.flush()
    if (this.ops.pending > 0) return
    const half = this.open.first ?? this.half.nextOffset
    const end = store.watermarks.appended
    this.#pendingProgress = { half, op: this.ops.doneBefore(half), end }
  }

  /** Where the queue was done with, as far as that has been noted. */
  #noted({ topic }: Queue): number {
    return this.#parts.offsets.get(TRANSACTION_GROUP, topic, HALF_QUEUE_ID) ?? 0
  }

  async #end(end: TransactionEnd): Promise<HalfMessage> {
    const half = await this.#halfOf(end)
    if (half.root < this.#foundTo && (await this.wasCommitted(half))) {
      const offset = this.open.current(half.root)
      if (offset !== null) this.close(offset, half.root)
    }
    const { world } = this.#parts
    const deadlineMs = world.clock.monotonicMs() + BUSY_MS_MAX
    for (;;) {
      if (this.#early !== null) throw busy('what is open is being read again')
      const offset = this.open.current(half.root)
      if (offset === null) throw endedBefore()
      const status = end.decision === 'rollback' ? AppendStatus.ok : this.#commit(half, end)
      if (status === AppendStatus.ok) {
        this.close(offset, half.root)
        return half
      }
      if (status === AppendStatus.illegal) {
        throw new Refusal(ResponseCode.MESSAGE_ILLEGAL, 'the message cannot be stored in its topic')
      }
      if (status !== AppendStatus.busy || world.clock.monotonicMs() >= deadlineMs) {
        throw new Refusal(ResponseCode.SERVICE_NOT_AVAILABLE, 'Service not available now.')
      }
      await sleep(world.clock, BUSY_MS)
    }
  }

  /** The half that the request names, when it is the sender's. */
  async #halfOf(end: TransactionEnd): Promise<HalfMessage> {
    const record = await this.#parts.store.recordAt(end.physicalOffset)
    return this.#checked(record === null ? null : HalfMessage.of(record), end)
  }

  #checked(half: HalfMessage | null, end: TransactionEnd): HalfMessage {
    if (half === null) {
      throw new Refusal(
        ResponseCode.SYSTEM_ERROR,
        'Find prepared transaction message failed: there is no half message at that place',
      )
    }
    const { immunityMs } = half
    const ageMs = this.#parts.world.clock.wallMs() - half.bornMs
    if (!end.isAnswer && immunityMs !== null && ageMs > immunityMs) {
      throw new Refusal(
        ResponseCode.ILLEGAL_OPERATION,
        `the half message is older than its ${PropertyName.checkImmunity}: wait for the check`,
      )
    }
    if (half.producerGroup !== end.producerGroup) {
      throw new Refusal(ResponseCode.SYSTEM_ERROR, 'The producer group wrong')
    }
    if (half.offset !== end.queueOffset) {
      throw new Refusal(ResponseCode.SYSTEM_ERROR, 'The transaction state table offset wrong')
    }
    if (half.view.physicalOffset !== end.physicalOffset) {
      throw new Refusal(ResponseCode.SYSTEM_ERROR, 'The commit log offset wrong')
    }
    return half
  }

  #commit(half: HalfMessage, end: TransactionEnd): AppendStatus {
    const { store, topics, stats } = this.#parts
    const { destination } = half
    if (destination === null) return AppendStatus.illegal
    const { topic, queueId } = destination
    const append = this.#append
    half.fillCommit(append, store.queue(topic, queueId), end.physicalOffset)
    this.#hide(half, append)
    const status = store.append(append)
    if (status !== AppendStatus.ok) return status
    const { lastAppend } = store
    // A topic that was deleted since the half came is there again, as with Apache.
    const made = topics.ensure(topic, queueId + 1, Perm.readWrite)
    if (made !== null) stats.onPut(made, 1, lastAppend.end - lastAppend.physicalOffset)
    return status
  }

  /** A message that asks for a delay waits from now on. Throws a Refusal, which most producers never see. */
  #hide(half: HalfMessage, append: AppendRequest): void {
    const { store, world, settings, logger } = this.#parts
    try {
      const nowMs = world.clock.wallMs()
      hideUntilDue(append, settings, nowMs, (name, id) => store.queue(name, id))
    } catch (error) {
      const { uniqueKey: id, producerGroup: group, destination, offset: queueOffset } = half
      const fields = { id, group, topic: destination?.topic ?? '', queueOffset }
      const nowMs = world.clock.monotonicMs()
      if (nowMs - this.#complainedMs >= COMPLAINT_MS) {
        this.#complainedMs = nowMs
        const why = messageOf(error)
        logger.warn('a transaction that its producer committed stays open', { ...fields, why })
      }
      throw error
    }
  }

  /** Reads both queues from the noted progress on. */
  async #read(): Promise<void> {
    const { logger, settings } = this.#parts
    const halfFrom = this.#noted(this.half)
    const opFrom = this.#noted(this.#op)
    this.open.clear()
    this.ops.clear()
    const ended = new Set<number>()
    await this.#readQueue(this.#op, opFrom, (bytes, view) => {
      const named = offsetsIn(bytes.toString('latin1', view.bodyStart, view.bodyEnd))
      for (const offset of named) if (offset >= halfFrom) ended.add(offset)
      this.ops.found(view.queueOffset, Math.max(0, ...named))
    })
    const endedRoots = new Set<number>()
    await this.#readQueue(this.half, halfFrom, (bytes, view, at) => {
      const half = HalfMessage.of(bytes.subarray(at, at + view.size))
      if (half === null) return
      const { offset, root, immunityMs } = half
      if (ended.has(offset)) endedRoots.add(root)
      if (endedRoots.has(root)) {
        const before = this.open.current(root)
        if (before !== null) this.open.close(before, root)
        return
      }
      const fromMs = root === offset ? view.storeTimestamp : half.bornMs
      this.open.add(offset, root, fromMs + (immunityMs ?? settings.transactionTimeOut))
    })
    if (this.open.size > 0 || ended.size > 0) {
      logger.info('transactions read', { open: this.open.size, from: halfFrom, ended: ended.size })
    }
  }

  async #readQueue(
    queue: Queue,
    from: number,
    each: (bytes: Buffer, view: RecordView, at: number) => void,
  ): Promise<void> {
    const { store } = this.#parts
    const reply = new RunBuffer()
    const view = new RecordView()
    let next = Math.max(from, queue.minOffset)
    while (next < queue.maxOffset && !this.#stopped) {
      reply.reuse(READ_BYTES)
      const outcome = await store.pull(queue, next, READ_MESSAGES, READ_BYTES, null, reply)
      for (let at = 0; at < reply.length; at += view.size) {
        if (view.check(reply.bytes, at, reply.length, false) !== RecordVerdict.ok) break
        each(reply.bytes, view, at)
      }
      if (outcome.nextBeginOffset <= next) return
      next = outcome.nextBeginOffset
    }
  }

  async #readAgain(): Promise<void> {
    const { world, store, logger } = this.#parts
    while (!this.#stopped) {
      try {
        await sleep(world.clock, READ_AGAIN_MS)
        if (store.watermarks.dispatched < this.#lostFrom) continue
        const early = this.#early
        await this.#read()
        // Else the log lost its end once more meanwhile.
        if (this.#early === early) break
      } catch (error) {
        logger.error('transactions cannot be read; trying again', { why: messageOf(error) })
      }
    }
    const early = this.#early ?? []
    this.#early = null
    this.#foundTo = this.half.nextOffset
    for (const { offset, root, dueMs } of early) {
      if (!this.open.has(offset)) this.open.add(offset, root, dueMs)
    }
  }
}

function endedBefore(): Refusal {
  return new Refusal(
    ResponseCode.SYSTEM_ERROR,
    'the transaction has been committed, rolled back or put aside before',
  )
}

function busy(why: string): Refusal {
  return new Refusal(ResponseCode.SYSTEM_BUSY, `${why}, start flow control for a while`)
}
