/**
 * Sends messages as transactions: the broker keeps each where no consumer sees it until this
 * producer says whether it is to be delivered.
 *
 *     const producer = TransactionProducer.open(world, {
 *       nameServers: '127.0.0.1:9876', group: 'payments',
 *       check: async (message) => ((await isPaid(message.keys)) ? 'commit' : 'rollback'),
 *     })
 *     await producer.sendTransaction({ topic: 'paid', body: 'A-1' }, async () => {
 *       await pay('A-1')
 *       return 'commit'
 *     })
 *
 * When the local work fails with an error, or the decision does not reach the broker, the broker
 * asks: this producer, or any other of its group. `check` must therefore know the outcome of
 * messages that another process sent.
 * Source: apache/rocketmq client/…/producer/TransactionMQProducer.java,
 * client/…/impl/producer/DefaultMQProducerImpl.java (sendMessageInTransaction, checkTransactionState).
 */
import { MqError, messageOf } from '../base/errors.ts'
import { RequestCode } from '../protocol/codes.ts'
import { type Command, request } from '../protocol/command.ts'
import { physicalOffsetIn } from '../protocol/message-id.ts'
import { PropertyName } from '../protocol/properties.ts'
import { SysFlag } from '../protocol/sys-flag.ts'
import type { EndTransactionTrace } from '../protocol/trace-record.ts'
import type { World } from '../world/world.ts'
import { expectSuccess } from './answers.ts'
import { type ClientOptions, MqClient } from './client.ts'
import { type OutgoingMessage, illegal, keysText } from './outgoing-message.ts'
import { Producer, type ProducerOptions, type SendReceipt } from './producer.ts'
import { type ReceivedMessage, receivedMessages } from './received-message.ts'
import { DEFAULT_REGION, type Tracer } from './tracer.ts'

/** `unknown`: not decided yet; the broker asks again. */
export type TransactionDecision = 'commit' | 'rollback' | 'unknown'

/** What became of a message that the broker asks about. Throwing means unknown. */
export type TransactionCheck = (
  message: ReceivedMessage,
) => TransactionDecision | Promise<TransactionDecision>

export interface TransactionProducerOptions extends ProducerOptions {
  /** Brokers ask any live producer of the group: name one that only those share who can answer. */
  readonly group: string
  readonly check: TransactionCheck
  /** Told of each answer that was given to a broker. */
  readonly onAnswered?: (message: ReceivedMessage, decision: TransactionDecision) => void
}

export interface TransactionReceipt extends SendReceipt {
  readonly decision: TransactionDecision
  /** Whether the broker has taken the decision; if not, it will ask. */
  readonly ended: boolean
}

type Decided = Omit<EndTransactionTrace, 'kind' | 'timeMs' | 'group' | 'type' | 'transactionId'> & {
  readonly ended: boolean
}

const bits: Record<TransactionDecision, string> = {
  commit: String(SysFlag.transactionCommit),
  rollback: String(SysFlag.transactionRollback),
  unknown: '0',
}

/** Which half is meant, as fields of END_TRANSACTION. */
interface Place {
  readonly tranStateTableOffset: string | undefined
  readonly commitLogOffset: string | undefined
  readonly msgId: string
  readonly transactionId: string | undefined
  readonly fromTransactionCheck: 'true' | 'false'
}

export class TransactionProducer {
  readonly group: string
  readonly #client: MqClient
  readonly #ownsClient: boolean
  readonly #options: Omit<TransactionProducerOptions, keyof ClientOptions>
  readonly #producer: Producer

  private constructor(
    client: MqClient,
    ownsClient: boolean,
    options: Omit<TransactionProducerOptions, keyof ClientOptions>,
  ) {
    this.group = options.group
    this.#client = client
    this.#ownsClient = ownsClient
    this.#options = options
    this.#producer = Producer.over(client, {
      ...options,
      onRequest: async (command, address) => {
        await this.#answer(command, address)
        return null
      },
    })
  }

  static open(world: World, options: TransactionProducerOptions): TransactionProducer {
    const client = new MqClient(world, options)
    try {
      return new TransactionProducer(client, true, options)
    } catch (error) {
      client.close()
      throw error
    }
  }

  /** Over connections and routes that others use as well. */
  static over(
    client: MqClient,
    options: Omit<TransactionProducerOptions, keyof ClientOptions>,
  ): TransactionProducer {
    return new TransactionProducer(client, false, options)
  }

  /** Null: nothing is traced. */
  get tracer(): Tracer | null {
    return this.#producer.tracer
  }

  /**
   * Sends the first half, does the local work once it is stored, and tells the broker. Throws when
   * the half was not stored; the local work has not begun then. When the local work throws, the
   * outcome is unknown and the error is thrown on.
   */
  async sendTransaction(
    message: OutgoingMessage,
    localWork: (receipt: SendReceipt) => TransactionDecision | Promise<TransactionDecision>,
  ): Promise<TransactionReceipt> {
    const { delayLevel = 0, delayMs, deliverAtMs } = message
    if (delayLevel !== 0 || delayMs !== undefined || deliverAtMs !== undefined) {
      throw illegal('a transaction cannot be delayed', 'send it without a delay')
    }
    const receipt = await this.#producer.sendHalf(message)
    // Stored, but perhaps not for good: what is not certain must not be delivered.
    const decided = receipt.status === 'SEND_OK' ? localWork(receipt) : 'rollback'
    const decision = typeof decided === 'string' ? decided : await decided
    // The broker may have died meanwhile, and its name servers have forgotten it.
    const master = this.#client.routes.brokerAddress(receipt.broker)
    const ended = await this.#end(receipt.broker, master, decision, {
      tranStateTableOffset: String(receipt.queueOffset),
      commitLogOffset: String(physicalOffsetIn(receipt.offsetMessageId)),
      msgId: receipt.messageId,
      transactionId: receipt.messageId,
      fromTransactionCheck: 'false',
    })
    if (this.tracer !== null) {
      const { topic, tags = '' } = message
      this.#tellDecided({
        ...{ topic, tags, keys: keysText(message), messageId: receipt.messageId },
        ...{
          region: DEFAULT_REGION,
          storeHost: master ?? receipt.broker,
          decision,
          ended,
          asked: false,
        },
      })
    }
    return { ...receipt, decision, ended }
  }

  /** Says good-bye to the brokers; what is open is asked of others of the group. */
  async close(): Promise<void> {
    await this.#producer.close()
    if (this.#ownsClient) this.#client.close()
  }

  /** CHECK_TRANSACTION_STATE, when it is about a message of this group. */
  async #answer(command: Command, address: string): Promise<void> {
    if (command.code !== RequestCode.CHECK_TRANSACTION_STATE || command.body === null) return
    const broker = command.ext['bname'] ?? ''
    const [message] = receivedMessages(address, broker, command.body)
    if (message?.properties[PropertyName.producerGroup] !== this.group) return
    let decision: TransactionDecision = 'unknown'
    try {
      decision = await this.#options.check(message)
    } catch (error) {
      const why = messageOf(error)
      this.#client.logger.warn('check of a transaction failed', { id: message.messageId, why })
    }
    const { tranStateTableOffset, commitLogOffset, msgId, transactionId } = command.ext
    // A broker of RocketMQ 4 does not say its name.
    const master = this.#client.routes.brokerAddress(broker) ?? address
    const ended = await this.#end(broker, master, decision, {
      tranStateTableOffset,
      commitLogOffset,
      msgId: msgId ?? message.messageId,
      transactionId,
      fromTransactionCheck: 'true',
    })
    const { topic, tags, keys, messageId, properties } = message
    const region = properties[PropertyName.region] ?? DEFAULT_REGION
    this.#tellDecided({
      ...{ topic, tags, keys, messageId, region },
      ...{ storeHost: master, decision, ended, asked: true },
    })
    if (ended || decision === 'unknown') this.#options.onAnswered?.(message, decision)
  }

  /** A decision that was not taken is not one yet: the broker will ask. */
  #tellDecided({ ended, ...decided }: Decided): void {
    if (!ended && decided.decision !== 'unknown') return
    this.#producer.tracer?.add({
      kind: 'EndTransaction',
      timeMs: this.#client.world.clock.wallMs(),
      group: this.group,
      type: 'transaction',
      transactionId: decided.messageId,
      ...decided,
    })
  }

  /** False when nothing was decided or the broker did not take it. */
  async #end(
    broker: string,
    address: string | null,
    decision: TransactionDecision,
    place: Place,
  ): Promise<boolean> {
    if (decision === 'unknown') return false
    const command = request(RequestCode.END_TRANSACTION)
    command.extText = endFields(this.group, broker, decision, place)
    try {
      const master = address ?? this.#client.masterOf(broker)
      const { remoting, requestTimeoutMs } = this.#client
      const response = await remoting.invoke(master, command, requestTimeoutMs)
      expectSuccess(master, command.code, response)
      return true
    } catch (error) {
      if (!(error instanceof MqError)) throw error
      this.#client.logger.warn('decision on a transaction was not taken', {
        id: place.msgId,
        decision,
        why: error.message,
      })
      return false
    }
  }
}

/** The fields of END_TRANSACTION, written at once: every transaction has them. */
function endFields(
  group: string,
  broker: string,
  decision: TransactionDecision,
  { tranStateTableOffset, commitLogOffset, msgId, transactionId, fromTransactionCheck }: Place,
): string {
  let text =
    `{"bname":${quoted(broker)},"commitOrRollback":"${bits[decision]}"` +
    `,"fromTransactionCheck":"${fromTransactionCheck}","msgId":${quoted(msgId)}` +
    `,"producerGroup":${quoted(group)}`
  if (commitLogOffset !== undefined) text += `,"commitLogOffset":${quoted(commitLogOffset)}`
  if (tranStateTableOffset !== undefined) {
    text += `,"tranStateTableOffset":${quoted(tranStateTableOffset)}`
  }
  if (transactionId !== undefined) text += `,"transactionId":${quoted(transactionId)}`
  return `${text}}`
}

const plainText = /^[\w.:%|-]*$/

/** As JSON; most need no escapes. */
function quoted(text: string): string {
  return plainText.test(text) ? `"${text}"` : JSON.stringify(text)
}
