/**
 * Asks producers about halves that nobody has ended: every `transactionCheckInterval`, each half
 * that is older than `transactionTimeOut` (or the immunity that it asks for itself) is stored again
 * with one check more, and one live producer of its group, whichever, is asked. Its answer is an
 * END_TRANSACTION. After `transactionCheckMax` checks, or when the half is older than the log keeps
 * anything, it is put aside in TRANS_CHECK_MAX_TIME_TOPIC.
 *
 * A check counts also when no producer of the group is there, as with Apache. While all that are there have
 * too much unread it is put off to a later round, and does not count.
 * Source: apache/rocketmq broker/…/transaction/{TransactionalMessageCheckService,AbstractTransactionalMessageCheckListener}.java,
 * broker/…/transaction/queue/{TransactionalMessageServiceImpl,DefaultTransactionalMessageCheckListener}.java.
 */
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { Perm } from '../../protocol/bodies/topic-config.ts'
import { RequestCode } from '../../protocol/codes.ts'
import { request } from '../../protocol/command.ts'
import { encodeOffsetId } from '../../protocol/message-id.ts'
import { SystemTopic } from '../../protocol/names.ts'
import { encodeRecord, recordBytes } from '../../protocol/record.ts'
import type { Connection } from '../../remoting/connection.ts'
import { AppendRequest, AppendStatus } from '../../store/append.ts'
import type { Stop } from '../../world/clock.ts'
import { sleep } from '../../world/node-clock.ts'
import type { ClientRegistry } from '../clients.ts'
import type { Confirmations } from '../confirmations.ts'
import { TurnBudget } from '../turn-budget.ts'
import { HalfMessage } from './half-message.ts'
import type { Transactions, TransactionsParts } from './transactions.ts'

/** Halves that are stored again at once, before their producers are asked. */
const RUN_MAX = 64
/** Bytes that wait in a producer's connection; beyond it the round waits. Halves of as many bytes are asked about at once. */
const QUEUED_BYTES_MAX = 1024 * 1024
const QUEUED_WAIT_MS = 20
/** For how long a round waits for one producer in all: those of other groups wait meanwhile. */
const QUEUED_WAIT_MS_MAX = 1_000
/** A half that asks for a long immunity is stored again once so many came behind it: it must not hold up progress. */
const BEHIND_MAX = 100_000
const BEHIND_MS_MIN = 60_000

export interface CheckerParts extends TransactionsParts {
  readonly clients: ClientRegistry
  readonly confirmations: Confirmations
}

/** A half whose time has come, or which is stored again before its time. */
interface Due {
  readonly offset: number
  readonly isImmune: boolean
}

/** A half that was stored again, and where. */
interface Renewed {
  readonly half: HalfMessage
  readonly queueOffset: number
  readonly physicalOffset: number
  readonly end: number
}

export class Checker {
  readonly #parts: CheckerParts
  readonly #transactions: Transactions
  readonly #append = new AppendRequest()
  readonly #logger: Logger
  #running: Promise<void> | null = null
  #stopped = false
  #stopTimer: Stop = () => undefined
  /** Producers of a group are asked in turn. */
  #turn = 0
  /** How long was waited for producers since they last had little unread at a round's start, ms. */
  readonly #waitedMs = new Map<Connection, number>()

  constructor(parts: CheckerParts, transactions: Transactions) {
    this.#parts = parts
    this.#transactions = transactions
    this.#logger = parts.logger
  }

  start(): void {
    const { world, settings } = this.#parts
    if (this.#stopped) return
    this.#stopTimer = world.clock.after(settings.transactionCheckInterval, () => {
      void this.round().then(() => {
        this.start()
      })
    })
  }

  /** Resolves when no round is under way. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#stopTimer()
    await this.#running
  }

  /** Asks about everything that is due. Never rejects. */
  round(): Promise<void> {
    this.#running ??= this.#round()
      .catch((error: unknown) => {
        this.#logger.error('transactions cannot be checked', { why: messageOf(error) })
      })
      .finally(() => {
        this.#running = null
      })
    return this.#running
  }

  async #round(): Promise<void> {
    const { world } = this.#parts
    const { open, half } = this.#transactions
    const budget = new TurnBudget(world.clock)
    for (const connection of this.#waitedMs.keys()) {
      if (connection.isClosed || !isFull(connection)) this.#waitedMs.delete(connection)
    }
    const endOffset = half.maxOffset
    const nowMs = world.clock.wallMs()
    let due: Due[] = []
    for (const [offset, dueMs] of open.entries()) {
      if (offset >= endOffset || this.#stopped) break
      const isBehind = endOffset - offset > BEHIND_MAX && dueMs - nowMs > BEHIND_MS_MIN
      if (dueMs <= nowMs || isBehind) due.push({ offset, isImmune: dueMs > nowMs })
      if (due.length === RUN_MAX) {
        if (!(await this.#check(due))) return
        due = []
      }
      if (budget.spent) await budget.nextTurn()
    }
    await this.#check(due)
  }

  /** False when the log takes nothing more: the rest is for the next round. */
  async #check(due: readonly Due[]): Promise<boolean> {
    let renewed: Renewed[] = []
    let bytes = 0
    let goesOn = true
    for (const one of due) {
      let again: Renewed | null | false
      try {
        again = await this.#checkOne(one)
      } catch (error) {
        const fields = { queueOffset: one.offset, why: messageOf(error) }
        this.#logger.error('a half message cannot be checked; others are', fields)
        continue
      }
      if (again === false) {
        goesOn = false
        break
      }
      if (again === null || one.isImmune) continue
      renewed.push(again)
      bytes += again.half.bytes.length
      if (bytes < QUEUED_BYTES_MAX) continue
      await this.#askAbout(renewed)
      renewed = []
      bytes = 0
    }
    await this.#askAbout(renewed)
    return goesOn && !this.#stopped
  }

  /** Producers may answer at once, and the half must be found by then. */
  async #askAbout(renewed: readonly Renewed[]): Promise<void> {
    const last = renewed.at(-1)
    if (last === undefined || (await this.#parts.confirmations.wait(last.end)) !== null) return
    for (const one of renewed) this.#ask(one)
  }

  /** Null when there is nothing to ask, false when the log takes nothing now. Rejects with the disk's error. */
  async #checkOne({ offset, isImmune }: Due): Promise<Renewed | null | false> {
    const transactions = this.#transactions
    const half = await this.#halfAt(offset)
    if (half === null || !transactions.open.has(offset)) return null
    const wasCommitted = await transactions.wasCommitted(half)
    if (!transactions.open.has(offset)) return null
    if (wasCommitted) {
      transactions.close(offset, half.root)
      return null
    }
    if (this.#isOver(half)) return this.#putAside(half)
    if (isImmune) return this.#renew(half, true)
    const canAsk = await this.#canAsk(half.producerGroup)
    if (!transactions.open.has(offset)) return null
    if (canAsk) return this.#renew(half, false)
    // It must not hold up progress, and was not asked about.
    return transactions.half.maxOffset - offset > BEHIND_MAX ? this.#putOff(half) : null
  }

  /** Stored again, without a check more. Null, as nobody is to be asked; false when the log takes nothing now. */
  #putOff(half: HalfMessage): null | false {
    return this.#renew(half, true) === false ? false : null
  }

  /** False while all producers of the group have too much unread; a round waits a second for each at most. */
  async #canAsk(group: string): Promise<boolean> {
    const { clients, world } = this.#parts
    for (;;) {
      const connections = clients
        .producers(group)
        .map(({ connection }) => connection)
        .filter(({ isClosed }) => !isClosed)
      if (connections.length === 0 || connections.some((one) => !isFull(one))) return true
      if (this.#stopped || connections.every((one) => this.#isGivenUp(one))) return false
      await sleep(world.clock, QUEUED_WAIT_MS)
      for (const one of connections) {
        this.#waitedMs.set(one, (this.#waitedMs.get(one) ?? 0) + QUEUED_WAIT_MS)
      }
    }
  }

  async #halfAt(offset: number): Promise<HalfMessage | null> {
    const { store } = this.#parts
    const { open, half } = this.#transactions
    const unit = await store.unitAt(half, offset)
    const record = unit === null ? null : await store.recordAt(unit.physicalOffset)
    const found = record === null ? null : HalfMessage.of(record)
    if (found === null && offset < half.minOffset) {
      this.#logger.warn('half message expired before it was ended', { queueOffset: offset })
      open.closeOffset(offset)
    }
    return found
  }

  #isOver(half: HalfMessage): boolean {
    const { settings, store, world } = this.#parts
    const ageMs = world.clock.wallMs() - half.bornMs
    return (
      half.checks >= settings.transactionCheckMax ||
      ageMs > store.settings.fileReservedHours * 3_600_000
    )
  }

  /**
   * Stores the half behind the others, checked once more; puts it aside when it has no room for that.
   * False when the log takes nothing now.
   */
  #renew(half: HalfMessage, isImmune: boolean): Renewed | null | false {
    const { store, settings } = this.#parts
    const transactions = this.#transactions
    half.fillAgain(this.#append, transactions.half, half.checks + (isImmune ? 0 : 1))
    const status = store.append(this.#append)
    if (status === AppendStatus.illegal) return this.#putAside(half)
    if (status !== AppendStatus.ok) return false
    const { queueOffset, physicalOffset, end } = store.lastAppend
    const dueMs = half.bornMs + (half.immunityMs ?? settings.transactionTimeOut)
    transactions.addOpen(queueOffset, half.root, dueMs)
    return { half, queueOffset, physicalOffset, end }
  }

  /** The last check was in vain, or there can be none. False when the log takes nothing now. */
  #putAside(half: HalfMessage): null | false {
    const { store, topics } = this.#parts
    const topic = topics.ensure(SystemTopic.transactionCheckMax, 1, Perm.readWrite)
    if (topic === null) return null
    half.fillAgain(this.#append, topic.queue(0), half.checks)
    let status = store.append(this.#append)
    if (status === AppendStatus.illegal) {
      half.fillAsIs(this.#append, topic.queue(0))
      status = store.append(this.#append)
    }
    if (status !== AppendStatus.ok && status !== AppendStatus.illegal) return false
    this.#transactions.close(half.offset, half.root)
    const fields = {
      id: half.uniqueKey,
      group: half.producerGroup,
      topic: half.destination?.topic ?? '',
      checks: half.checks,
    }
    if (status === AppendStatus.ok) {
      this.#logger.warn('transaction put aside: nobody ended it', fields)
    } else this.#logger.error('transaction given up: it cannot be stored again', fields)
    return null
  }

  #ask({ half, queueOffset, physicalOffset }: Renewed): void {
    const connection = this.#producerOf(half.producerGroup)
    if (connection === null) {
      this.#logger.warn('no producer to ask about a transaction', {
        group: half.producerGroup,
        id: half.uniqueKey,
      })
      return
    }
    const { bytes, view } = half
    const storeHost = bytes.subarray(view.storeHostAt, view.storeHostAt + view.storeHostBytes)
    connection.oneway(
      request(
        RequestCode.CHECK_TRANSACTION_STATE,
        {
          topic: SystemTopic.transactionHalf,
          tranStateTableOffset: queueOffset,
          commitLogOffset: physicalOffset,
          msgId: half.uniqueKey,
          transactionId: half.uniqueKey,
          offsetMsgId: encodeOffsetId(storeHost, physicalOffset),
          bname: this.#parts.settings.brokerName,
        },
        this.#message(half, queueOffset, physicalOffset, storeHost),
      ),
    )
  }

  /** The next one of the group, one that has little unread if there is any; null when there is none. */
  #producerOf(group: string): Connection | null {
    const members = this.#parts.clients.producers(group)
    let full: Connection | null = null
    for (let i = 0; i < members.length; i++) {
      const connection = members[(this.#turn + i) % members.length]?.connection
      if (connection === undefined || connection.isClosed) continue
      full ??= connection
      if (isFull(connection)) continue
      this.#turn = (this.#turn + i + 1) % members.length
      return connection
    }
    return full
  }

  #isGivenUp(connection: Connection): boolean {
    return (this.#waitedMs.get(connection) ?? 0) >= QUEUED_WAIT_MS_MAX
  }

  /** The message as its producer knows it, in its own topic and queue. */
  #message(
    half: HalfMessage,
    queueOffset: number,
    physicalOffset: number,
    storeHost: Buffer,
  ): Buffer {
    const parts = this.#append
    half.fillAgain(parts, this.#transactions.half, half.checks + 1)
    parts.topic = Buffer.from(half.destination?.topic ?? SystemTopic.transactionHalf)
    parts.queueId = half.destination?.queueId ?? 0
    const body = Buffer.alloc(recordBytes(parts, storeHost.length))
    const { storeTimestamp } = half.view
    encodeRecord(body, 0, parts, storeHost, queueOffset, physicalOffset, storeTimestamp)
    return body
  }
}

/** More waits in the connection than a question should be put behind. */
function isFull(connection: Connection): boolean {
  return connection.unsentBytes > QUEUED_BYTES_MAX
}
