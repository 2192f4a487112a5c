/**
 * Gives back to the brokers what a member of a group could not process, so that it comes again later
 * through the group's retry topic, to this member or another, and is a dead letter after the last try.
 *
 *   ask its broker to take it back (CONSUMER_SEND_MSG_BACK)
 *     └── it does not: send the message to the group's retry topic, at any broker that has it
 *           └── nor does that: the caller keeps it
 *
 * The first way costs no body on the wire. The second one works while the message's own broker is
 * away, and tells the broker by the header which try this was.
 * Source: apache/rocketmq client/…/impl/consumer/DefaultMQPushConsumerImpl.java (sendMessageBack).
 */
import { messageOf } from '../base/errors.ts'
import { RequestCode } from '../protocol/codes.ts'
import { DELAY_LEVEL_MAX, FIRST_RETRY_LEVEL } from '../protocol/delay-levels.ts'
import { retryTopicOf } from '../protocol/names.ts'
import { PropertyName } from '../protocol/properties.ts'
import type { MqClient } from './client.ts'
import { Producer } from './producer.ts'
import type { ReceivedMessage } from './received-message.ts'
import { originalIdOf, originalTopicOf, resentMessage } from './resent-message.ts'

/** Instead of a delay level: no further try, the message is a dead letter now. */
export const DEAD_LETTER = -1

/** The group that the inner producer of Apache's clients has, too. */
const INNER_PRODUCER_GROUP = 'CLIENT_INNER_PRODUCER'
const INT_MAX = 0x7fff_ffff

export interface SendBackOptions {
  readonly group: string
  /** Tries after the first that brokers may make. */
  readonly retriesMax: number
  /**
   * Delay level of the next try, 1 … 18; 0: the broker's own, one level longer each time; −1: a dead
   * letter at once.
   */
  readonly levelOf: (message: ReceivedMessage) => number
}

export class SendBack {
  readonly #client: MqClient
  readonly #options: SendBackOptions
  #producer: Producer | null = null

  constructor(client: MqClient, options: SendBackOptions) {
    this.#client = client
    this.#options = options
  }

  /**
   * True once a broker has stored the message for another try, or as a dead letter.
   * @param level overrides the delay level that the options say. Never throws.
   */
  async send(message: ReceivedMessage, level: number | null = null): Promise<boolean> {
    const delayLevel = level ?? this.#options.levelOf(message)
    const { logger } = this.#client
    const id = message.messageId
    try {
      const { group, retriesMax } = this.#options
      await askToTakeBack(this.#client, message, { group, retriesMax, delayLevel })
      logger.info('message given back', { id })
      return true
    } catch (error) {
      logger.warn('broker does not take a failed message back', { id, why: messageOf(error) })
    }
    try {
      await this.#resend(message, delayLevel)
      logger.info('message sent to the retry topic', { id })
      return true
    } catch (error) {
      logger.warn('a failed message cannot be sent to the retry topic', {
        id,
        why: messageOf(error),
      })
      return false
    }
  }

  /** True once a broker has stored the message as a dead letter of the group, under the topic it was sent to. Never throws. */
  async bury(message: ReceivedMessage): Promise<boolean> {
    const id = message.messageId
    try {
      await this.#resend(message, DEAD_LETTER)
      this.#client.logger.info('message is a dead letter', { id })
      return true
    } catch (error) {
      const why = messageOf(error)
      this.#client.logger.warn('a message cannot be made a dead letter', { id, why })
      return false
    }
  }

  async close(): Promise<void> {
    await this.#producer?.close()
  }

  async #resend(message: ReceivedMessage, delayLevel: number): Promise<void> {
    const { group, retriesMax } = this.#options
    const copy = resentMessage(message, retryTopicOf(group))
    const tries = Math.min(INT_MAX, message.reconsumeTimes + 1)
    const level = delayLevel > 0 ? delayLevel : FIRST_RETRY_LEVEL + message.reconsumeTimes
    this.#producer ??= Producer.over(this.#client, { group: INNER_PRODUCER_GROUP })
    await this.#producer.send({
      ...copy,
      delayLevel: Math.min(DELAY_LEVEL_MAX, level),
      reconsumeTimes: tries,
      // A broker that gets more tries than may be makes a dead letter of it.
      maxReconsumeTimes: delayLevel < 0 ? 0 : retriesMax,
      properties: {
        ...copy.properties,
        [PropertyName.retryTopic]: originalTopicOf(message),
        [PropertyName.originMessageId]: originalIdOf(message),
      },
    })
  }
}

/**
 * Asks the broker of a stored message to let it come again to a group, with one try more. Throws MqError.
 * @param wish `delayLevel`: of the next try, as in `levelOf` of the options; `retriesMax` as there
 */
export async function askToTakeBack(
  client: MqClient,
  message: ReceivedMessage,
  wish: Pick<SendBackOptions, 'group' | 'retriesMax'> & { readonly delayLevel: number },
): Promise<void> {
  const { group, retriesMax, delayLevel } = wish
  await client.ask(
    client.masterOf(message.broker),
    RequestCode.CONSUMER_SEND_MSG_BACK,
    {
      group,
      offset: message.physicalOffset,
      delayLevel,
      originMsgId: message.offsetMessageId,
      originTopic: message.topic,
      unitMode: false,
      maxReconsumeTimes: retriesMax,
      bname: message.broker,
    },
    null,
    { group },
  )
}
