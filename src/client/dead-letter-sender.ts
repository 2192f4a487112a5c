/**
 * Sends dead letters to their group alone, through its retry topic. A broker of Apache's makes a dead letter
 * at once of whatever is sent there while the group has locked queues, as it does when it consumes in order.
 * So where the first one came to lie is looked at; if it is among the dead, it and the others are given back
 * from where they were, as members do with what they could not process: that way is open. Their tries then
 * do not count from the start.
 * Source: apache/rocketmq broker/…/processor/SendMessageProcessor.java (handleRetryAndDLQ),
 * AbstractSendMessageProcessor.java (consumerSendMsgBack).
 */
import { MqError } from '../base/errors.ts'
import { isDlqTopic, retryTopicOf } from '../protocol/names.ts'
import type { Admin } from './admin.ts'
import type { OutgoingMessage } from './outgoing-message.ts'
import type { Producer, SendReceipt } from './producer.ts'
import type { ReceivedMessage } from './received-message.ts'
import { askToTakeBack } from './send-back.ts'

/** The shortest: a second. */
const DELAY_LEVEL = 1
const TRIES_MAX = 0x7fff_ffff

export class DeadLetterSender {
  readonly #admin: Pick<Admin, 'client' | 'messages'>
  readonly #producer: Pick<Producer, 'send'>
  readonly #group: string
  readonly #deadLetters = new WeakMap<OutgoingMessage, ReceivedMessage>()
  /** Whether the group's broker puts among the dead what is sent to it; null: nothing was sent yet. */
  #isClosed: Promise<boolean> | null = null
  /** Dead letters that were given back from where they lie. */
  givenBack = 0
  /** Copies that were found among the dead. */
  strayCopies = 0

  constructor(
    admin: Pick<Admin, 'client' | 'messages'>,
    producer: Pick<Producer, 'send'>,
    group: string,
  ) {
    this.#admin = admin
    this.#producer = producer
    this.#group = group
  }

  /** Of which dead letter a message is the copy. */
  note(copy: OutgoingMessage, deadLetter: ReceivedMessage): OutgoingMessage {
    if (copy.topic === retryTopicOf(this.#group)) this.#deadLetters.set(copy, deadLetter)
    return copy
  }

  /** The receipt of one that is given back names the place of the dead letter. Throws MqError. */
  async send(message: OutgoingMessage): Promise<SendReceipt> {
    const deadLetter = this.#deadLetters.get(message)
    if (deadLetter === undefined) return this.#producer.send(message)
    if (this.#isClosed !== null) {
      return (await this.#isClosed) ? this.#giveBack(deadLetter) : this.#producer.send(message)
    }
    const sending = this.#producer.send(message)
    const isClosed = sending.then(
      (receipt) => this.#isAmongTheDead(receipt),
      () => {
        this.#isClosed = null
        return false
      },
    )
    this.#isClosed = isClosed
    const receipt = await sending
    if (!(await isClosed)) return receipt
    this.strayCopies += 1
    return this.#giveBack(deadLetter)
  }

  /** False when nobody tells. */
  async #isAmongTheDead({ offsetMessageId }: SendReceipt): Promise<boolean> {
    try {
      return isDlqTopic((await this.#admin.messages.byOffsetId(offsetMessageId)).topic)
    } catch (error) {
      if (error instanceof MqError) return false
      throw error
    }
  }

  async #giveBack(deadLetter: ReceivedMessage): Promise<SendReceipt> {
    await askToTakeBack(this.#admin.client, deadLetter, {
      group: this.#group,
      delayLevel: DELAY_LEVEL,
      retriesMax: TRIES_MAX,
    })
    this.givenBack += 1
    const { messageId, offsetMessageId, broker, queueId, queueOffset } = deadLetter
    return { messageId, offsetMessageId, broker, queueId, queueOffset, status: 'SEND_OK' }
  }
}
