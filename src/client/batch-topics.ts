/**
 * Which topics keep what is sent together as one record (`queue.type=BatchCQ`), as their brokers say: each
 * is asked once a topic. Only there may a batch have an id of its own: Apache's brokers before 5.3.4 append
 * what is said of a batch to each of its messages, in any other topic too, and the last of two ids counts.
 * Source: apache/rocketmq store/…/MessageExtEncoder.java, issue 9416.
 */
import { decodeTopicConfig, hasBatchQueues } from '../protocol/bodies/topic-config.ts'
import { RequestCode, ResponseCode } from '../protocol/codes.ts'
import { request } from '../protocol/command.ts'
import { LenientJsonError } from '../protocol/lenient-json.ts'
import type { RemotingClient } from '../remoting/client.ts'

/** Answers that will be no others while the broker is what it is. */
const lastingAnswers: ReadonlySet<number> = new Set([
  ResponseCode.SUCCESS,
  ResponseCode.NO_PERMISSION,
  ResponseCode.REQUEST_CODE_NOT_SUPPORTED,
])

export class BatchTopics {
  readonly #remoting: RemotingClient
  readonly #asked = new Map<string, Promise<boolean>>()

  constructor(remoting: RemotingClient) {
    this.#remoting = remoting
  }

  /**
   * Whether the topic has batch queues at this broker; false when it refuses to say, or is too old to.
   * Rejects with MqError when there is no answer; the next one asks again.
   */
  has(address: string, topic: string, timeoutMs: number): Promise<boolean> {
    const key = `${address} ${topic}`
    const asked = this.#asked.get(key)
    if (asked !== undefined) return asked
    const forget = () => {
      this.#asked.delete(key)
    }
    const answer = this.#ask(address, topic, timeoutMs, forget)
    this.#asked.set(key, answer)
    answer.catch(forget)
    return answer
  }

  async #ask(
    address: string,
    topic: string,
    timeoutMs: number,
    forget: () => void,
  ): Promise<boolean> {
    const question = request(RequestCode.GET_TOPIC_CONFIG, { topic, lo: true })
    const response = await this.#remoting.invoke(address, question, timeoutMs)
    if (!lastingAnswers.has(response.code)) forget()
    if (response.code !== ResponseCode.SUCCESS) return false
    try {
      return hasBatchQueues(decodeTopicConfig(response.body).attributes)
    } catch (error) {
      if (error instanceof LenientJsonError) return false
      throw error
    }
  }
}
