/** A topic as the broker works with it: its configuration, its queues' handles, and its counters. */
import {
  Perm,
  type TopicConfig,
  hasBatchQueues,
  topicConfigToJson,
} from '../protocol/bodies/topic-config.ts'
import { writeJson } from '../protocol/lenient-json.ts'
import { isRetryTopic } from '../protocol/names.ts'
import type { Queue } from '../store/queue.ts'
import { unservedAttribute } from './topic-rules.ts'

/** Gives the store's handle of one queue; the same one each time. */
export type OpenQueue = (topic: string, queueId: number) => Queue

export class Topic {
  readonly name: string
  /** The name as it stands in records. */
  readonly bytes: Buffer
  /** Messages stored since the broker started, and the bytes of their records. */
  puts = 0
  putBytes = 0
  /** For `BrokerStats`: whether the counters moved since they were last collected. */
  moved = false
  /** Set once; a deleted topic is never used again, a new one of the same name is another object. */
  deleted = false
  /** Messages that a group could not process come again through it. */
  readonly isRetry: boolean
  /** Why nobody may send to it or read it here; null for nearly all topics. */
  unserved: string | null
  /** What is sent together stays one record, and offsets count the messages in it. */
  isBatch: boolean
  readonly #openQueue: OpenQueue
  readonly #queues: (Queue | undefined)[] = []
  #config: TopicConfig
  #json: string | null = null

  constructor(config: TopicConfig, openQueue: OpenQueue) {
    this.name = config.topicName
    this.bytes = Buffer.from(config.topicName)
    this.isRetry = isRetryTopic(config.topicName)
    this.unserved = whyUnserved(config)
    this.isBatch = hasBatchQueues(config.attributes)
    this.#config = config
    this.#openQueue = openQueue
  }

  get config(): TopicConfig {
    return this.#config
  }

  get readQueueNums(): number {
    return this.#config.readQueueNums
  }

  get writeQueueNums(): number {
    return this.#config.writeQueueNums
  }

  /** Queues that exist for reading or for writing. */
  get queueNums(): number {
    return Math.max(this.#config.readQueueNums, this.#config.writeQueueNums)
  }

  get perm(): number {
    return this.#config.perm
  }

  get isReadable(): boolean {
    return (this.#config.perm & Perm.read) !== 0
  }

  get isWritable(): boolean {
    return (this.#config.perm & Perm.write) !== 0
  }

  get sysFlag(): number {
    return this.#config.topicSysFlag
  }

  get order(): boolean {
    return this.#config.order
  }

  get attributes(): Readonly<Record<string, string>> {
    return this.#config.attributes
  }

  /** The handle of a queue; `queueId` must be at least 0 and below `queueNums`. */
  queue(queueId: number): Queue {
    return this.#queues[queueId] ?? this.#open(queueId)
  }

  /** Replaces the configuration; the name stays. */
  change(config: TopicConfig): void {
    this.#config = { ...config, topicName: this.name }
    this.unserved = whyUnserved(config)
    this.isBatch = hasBatchQueues(config.attributes)
    this.#json = null
  }

  /** The configuration as JSON; `permMask` takes away what the broker as a whole does not permit. */
  json(permMask = -1): string {
    const { perm } = this.#config
    if ((perm & permMask) !== perm) {
      return writeJson(topicConfigToJson({ ...this.#config, perm: perm & permMask }))
    }
    this.#json ??= writeJson(topicConfigToJson(this.#config))
    return this.#json
  }

  #open(queueId: number): Queue {
    const queue = this.#openQueue(this.name, queueId)
    this.#queues[queueId] = queue
    return queue
  }
}

function whyUnserved({ topicName, attributes }: TopicConfig): string | null {
  const attribute = unservedAttribute(attributes)
  if (attribute === null) return null
  return `the topic[${topicName}] has ${attribute}, which this broker does not serve`
}
