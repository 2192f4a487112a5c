/**
 * `produce --txn`: sends each message as a transaction, with one decision for all. Those that stay
 * unknown are answered by a program when brokers ask: it gets the message as `--exec` has it
 * (`exec-command.ts`: no shell), and its exit code is the decision: 0 commit, 1 rollback, anything
 * else, also a program that cannot be run, unknown: the broker asks again.
 */
import { messageOf } from '../base/errors.ts'
import type { MqClient } from '../client/client.ts'
import type { OutgoingMessage } from '../client/outgoing-message.ts'
import type { ReceivedMessage } from '../client/received-message.ts'
import type { SendReceipt } from '../client/producer.ts'
import type { Tracer } from '../client/tracer.ts'
import type { TransactionAdmin } from '../client/transaction-admin.ts'
import {
  type TransactionDecision,
  TransactionProducer,
  type TransactionReceipt,
} from '../client/transaction-producer.ts'
import type { Stop } from '../world/clock.ts'
import type { ExecCommand } from './exec-command.ts'
import { Turnstile } from './turnstile.ts'

/** Not the group of other sends: brokers ask any producer of a group, and those know nothing. */
const DEFAULT_GROUP = 'MQCTL_TRANSACTIONS'

/** How often brokers are asked what is still open: others of the group may have answered. */
const LOOK_MS = 2_000

/** Programs that run at a time: brokers ask about thousands at once. */
const CHECKS_MAX = 8
/** Questions that wait for one; beyond them nothing is answered yet, and the broker asks again. */
const WAITING_MAX = 10_000

export interface TransactionalSenderOptions {
  /** Default `MQCTL_TRANSACTIONS`. */
  readonly group?: string
  readonly sendTimeoutMs: number
  readonly trace: boolean
  readonly decision: TransactionDecision
  /** Answers for messages that are not known here; null: nothing is known of them. */
  readonly checkExec: ExecCommand | null
  /** Told of each answer, and of what keeps the program from running. */
  readonly onRemark: (remark: string) => void
}

export class TransactionalSender {
  readonly #client: MqClient
  readonly #options: TransactionalSenderOptions
  readonly #producer: TransactionProducer
  /** Ids of messages that were sent here and are not decided. */
  readonly #open = new Set<string>()
  /** What brokers were answered when they asked. */
  readonly #answered = new Map<string, TransactionDecision>()
  readonly #checks = new Turnstile(CHECKS_MAX)
  #rolledBack = 0
  #onDecided: () => void = () => undefined

  constructor(client: MqClient, options: TransactionalSenderOptions) {
    this.#client = client
    this.#options = options
    this.#producer = TransactionProducer.over(client, {
      group: options.group ?? DEFAULT_GROUP,
      sendTimeoutMs: options.sendTimeoutMs,
      trace: options.trace,
      check: (message) => this.#check(message),
      onAnswered: (message, decision) => {
        options.onRemark(`${message.messageId}: asked by ${message.broker}, answered ${decision}`)
        if (decision === 'unknown') return
        this.#answered.set(message.messageId, decision)
        this.#open.delete(message.messageId)
        if (this.#open.size === 0) this.#onDecided()
      },
    })
  }

  async send(message: OutgoingMessage): Promise<TransactionReceipt> {
    const { decision } = this.#options
    const receipt = await this.#producer.sendTransaction(message, () => decision)
    if (!receipt.ended && !this.#answered.has(receipt.messageId)) this.#open.add(receipt.messageId)
    // Stored, but not for certain: rolled back, whatever was wished.
    if (receipt.decision !== decision) this.#rolledBack += 1
    return receipt
  }

  /** Messages that did not come to the decision that was wished for them. */
  get undoneCount(): number {
    return this.#rolledBack + (this.#options.decision === 'unknown' ? 0 : this.#open.size)
  }

  /** Messages of this sender that are neither committed nor rolled back. */
  get openCount(): number {
    return this.#open.size
  }

  /** Resolves when every message is decided, here or by others, or on the signal. */
  async whenDecided(admin: TransactionAdmin, signal: AbortSignal): Promise<void> {
    if (this.#open.size === 0 || signal.aborted) return
    let stopLooking: Stop = () => undefined
    await new Promise<void>((resolve) => {
      this.#onDecided = resolve
      signal.addEventListener('abort', () => {
        resolve()
      })
      const look = () => {
        stopLooking = this.#client.world.clock.after(LOOK_MS, () => {
          void this.#look(admin).then(() => {
            if (this.#open.size === 0) resolve()
            else if (!signal.aborted) look()
          })
        })
      }
      look()
    })
    stopLooking()
  }

  /** A receipt with what has become of its message since. */
  decided(receipt: SendReceipt): SendReceipt {
    const decision = this.#answered.get(receipt.messageId)
    if (decision === undefined) return receipt
    const decided: TransactionReceipt = { ...receipt, decision, ended: true }
    return decided
  }

  get tracer(): Tracer | null {
    return this.#producer.tracer
  }

  close(): Promise<void> {
    return this.#producer.close()
  }

  /** Forgets what brokers do not keep open any more. Never rejects. */
  async #look(admin: TransactionAdmin): Promise<void> {
    try {
      const asked = [...this.#open]
      const open = new Set((await admin.list()).map(({ messageId }) => messageId))
      for (const id of asked) {
        if (open.has(id) || !this.#open.delete(id)) continue
        this.#options.onRemark(`${id}: not open any more: ended by another producer, or put aside`)
      }
    } catch (error) {
      this.#client.logger.warn('open transactions cannot be listed', { why: messageOf(error) })
    }
  }

  async #check(message: ReceivedMessage): Promise<TransactionDecision> {
    const { checkExec, decision, onRemark } = this.#options
    // A decision that did not reach the broker stands.
    if (this.#open.has(message.messageId) && decision !== 'unknown') return decision
    if (checkExec === null) return 'unknown'
    if (this.#checks.waitingCount >= WAITING_MAX) return 'unknown'
    try {
      const { exitCode, stopped } = await this.#checks.through(() => checkExec.run(message))
      if (stopped) return 'unknown'
      return exitCode === 0 ? 'commit' : exitCode === 1 ? 'rollback' : 'unknown'
    } catch (error) {
      onRemark(messageOf(error))
      return 'unknown'
    }
  }
}
