/**
 * Reads a topic from one position to another, or on and on, without a group of its own: nobody's
 * progress changes.
 *
 *     const reader = await TopicReader.open(client, { topic, from: { kind: 'start' }, to: { kind: 'end' } })
 *     for await (const messages of reader) …
 *
 * Messages of one queue come in order; queues come as they answer.
 */
import { MqError, messageOf } from '../base/errors.ts'
import { type MessageQueue, messageQueueKey } from '../protocol/bodies/message-queue.ts'
import { tagsOf } from '../protocol/bodies/subscription-data.ts'
import { type GroupMember, type MqClient } from './client.ts'
import { inParallel } from './cluster-view.ts'
import { TOOLS_GROUP } from './group-admin.ts'
import { Pauses } from './pause.ts'
import { QueueAccess } from './queue-access.ts'
import { type QueuePosition, locate } from './queue-position.ts'
import type { ReceivedMessage } from './received-message.ts'

export interface TopicReaderOptions {
  readonly topic: string
  readonly from: QueuePosition
  /** Up to before this, as it is when the reader opens; null or nothing: on as messages come. */
  readonly to?: QueuePosition | null
  /** Tag expression, `*` by default. */
  readonly tags?: string
  /** SQL92 expression over properties, evaluated by the broker; instead of `tags`. */
  readonly sql?: string
  /** Only this broker. */
  readonly broker?: string
  /** Only these queues. */
  readonly queueIds?: readonly number[]
}

export interface ReadSpan {
  readonly queue: MessageQueue
  readonly from: number
  /** Null: open. */
  readonly to: number | null
}

const HOLD_MS = 15_000
const PAUSE_MS_MIN = 200
const PAUSE_MS_MAX = 3_000
/** Failures in a row after which reading a closed span gives up. */
const FAILURES_MAX = 3
const WIDTH = 16

export class TopicReader implements AsyncIterable<readonly ReceivedMessage[]> {
  readonly #client: MqClient
  readonly #access: QueueAccess
  readonly #options: TopicReaderOptions
  readonly #spans: ReadSpan[]
  readonly #tags: ReadonlySet<string>
  readonly #member: GroupMember
  readonly #pauses: Pauses
  /** Batches that wait for the reader, at most one a queue, with what lets their queue go on. */
  readonly #ready: { readonly messages: readonly ReceivedMessage[]; readonly goOn: () => void }[] =
    []
  #wake: () => void = () => undefined
  #running = 0
  #failure: Error | null = null
  #closed = false

  private constructor(client: MqClient, options: TopicReaderOptions, spans: ReadSpan[]) {
    this.#client = client
    this.#access = new QueueAccess(client)
    this.#pauses = new Pauses(client.world.clock)
    this.#options = options
    this.#spans = spans
    this.#tags = new Set(tagsOf(options.tags ?? '*'))
    this.#member = {
      producerGroup: null,
      consumerData: () => null,
      onRequest: () => null,
      onRouteChange: (topic) => {
        if (topic === options.topic) this.#addNewQueues()
      },
    }
  }

  /** Works out the positions in every queue. Throws TOPIC_NOT_FOUND, BROKER_UNREACHABLE. */
  static async open(client: MqClient, options: TopicReaderOptions): Promise<TopicReader> {
    const route = await client.routes.get(options.topic)
    const access = new QueueAccess(client)
    const queues = route.subscribeQueues.filter((queue) => isWanted(queue, options))
    if (queues.length === 0) {
      throw new MqError('USAGE', { what: `topic ${options.topic} has no such queue to read` })
    }
    const spans = await inParallel(queues, WIDTH, async (queue): Promise<ReadSpan> => {
      const from = await locate(access, queue, options.from)
      const to = options.to ? await locate(access, queue, options.to) : null
      return { queue, from: from.offset, to: to?.offset ?? null }
    })
    return new TopicReader(client, options, spans)
  }

  /** What will be read, queue by queue. */
  get spans(): readonly ReadSpan[] {
    return this.#spans
  }

  /** Messages in all closed spans together, filtered ones counted; null when one is open. */
  get messageCount(): number | null {
    let count = 0
    for (const span of this.#spans) {
      if (span.to === null) return null
      count += Math.max(0, span.to - span.from)
    }
    return count
  }

  /** Ends reading; what waits is dropped. */
  close(): void {
    this.#closed = true
    this.#client.leave(this.#member)
    this.#pauses.end()
    for (const batch of this.#ready.splice(0)) batch.goOn()
    this.#wake()
  }

  /** Can be walked once. Throws when a closed span cannot be read to its end. */
  async *[Symbol.asyncIterator](): AsyncGenerator<readonly ReceivedMessage[]> {
    this.#client.join(this.#member)
    try {
      for (const span of this.#spans) this.#start(span)
      while (!this.#isClosed()) {
        const batch = this.#ready.shift()
        if (batch !== undefined) {
          yield batch.messages
          batch.goOn()
          continue
        }
        if (this.#failure !== null) throw this.#failure
        if (this.#running === 0) return
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    } finally {
      this.close()
    }
  }

  /** Read through a call, since it changes while the iteration sleeps. */
  #isClosed(): boolean {
    return this.#closed
  }

  #start(span: ReadSpan): void {
    this.#running += 1
    this.#readQueue(span)
      .catch((error: unknown) => {
        this.#failure ??= error instanceof Error ? error : new Error(messageOf(error))
      })
      .finally(() => {
        this.#running -= 1
        this.#wake()
      })
  }

  async #readQueue(span: ReadSpan): Promise<void> {
    let offset = span.from
    let failures = 0
    while (!this.#isClosed() && (span.to === null || offset < span.to)) {
      try {
        const result = await this.#access.pull(span.queue, {
          group: TOOLS_GROUP,
          offset,
          tags: this.#options.tags ?? '*',
          sql: this.#options.sql ?? null,
          holdMs: span.to === null ? HOLD_MS : 0,
        })
        failures = 0
        await this.#hand(result.messages, span.to)
        // At the end of a queue whose tail was deleted, or cut off, there is nothing more to come.
        if (span.to !== null && result.status === 'none') return
        if (result.status === 'moved' && result.nextOffset === offset) await this.#pause(1)
        offset = result.nextOffset
      } catch (error) {
        failures += 1
        if (!(error instanceof MqError) || !error.retry) throw error
        if (span.to !== null && failures >= FAILURES_MAX) throw error
        this.#client.logger.warn('pull failed', { topic: this.#options.topic, why: error.message })
        await this.#pause(failures)
      }
    }
  }

  /** Resolves when the reader has taken the messages. */
  async #hand(messages: readonly ReceivedMessage[], to: number | null): Promise<void> {
    const wanted = messages.filter(
      (message) =>
        (to === null || message.queueOffset < to) &&
        (this.#tags.size === 0 || this.#tags.has(message.tags)),
    )
    if (wanted.length === 0 || this.#isClosed()) return
    await new Promise<void>((goOn) => {
      this.#ready.push({ messages: wanted, goOn })
      this.#wake()
    })
  }

  /** A topic that got more queues while it is read on and on. */
  #addNewQueues(): void {
    if (this.#options.to) return
    const known = new Set(this.#spans.map((span) => messageQueueKey(span.queue)))
    const queues = this.#client.routes.peek(this.#options.topic)?.subscribeQueues ?? []
    for (const queue of queues) {
      if (known.has(messageQueueKey(queue)) || !isWanted(queue, this.#options)) continue
      const span = { queue, from: 0, to: null }
      this.#spans.push(span)
      this.#start(span)
    }
  }

  #pause(failures: number): Promise<void> {
    const pauseMs = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** (failures - 1))
    return this.#pauses.pause(pauseMs)
  }
}

function isWanted(queue: MessageQueue, options: TopicReaderOptions): boolean {
  return (
    (options.broker === undefined || queue.brokerName === options.broker) &&
    (options.queueIds === undefined || options.queueIds.includes(queue.queueId))
  )
}
