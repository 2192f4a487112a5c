/**
 * The stories of messages: what their clients told the trace topic (`tracer.ts`, official clients with
 * enableMsgTrace), and where brokers have them.
 * Source: apache/rocketmq tools/…/command/message/QueryMsgTraceByIdSubCommand.java.
 */
import { MqError } from '../base/errors.ts'
import { SystemTopic } from '../protocol/names.ts'
import { decodeTraceRecords } from '../protocol/trace-record.ts'
import type { MessageAdmin } from './message-admin.ts'
import { type MessageStory, type Told, isAbout, storyOf } from './message-story.ts'
import type { ReceivedMessage } from './received-message.ts'

export interface StoryQuery {
  /** Where traces are; default RMQ_SYS_TRACE_TOPIC. */
  readonly traceTopic?: string
  /** The message's topic, when its producer did not tell. */
  readonly topic?: string
  /** Stories of a key: so many, the newest; default 20. */
  readonly limit?: number
}

const STORIES_MAX = 20
/** What a broker of Apache's answers at most to one query. */
const PAGE = 64
/** Trace messages of one message: some 6,000 records. */
const PAGES_MAX = 20

export class TraceAdmin {
  readonly #messages: MessageAdmin

  constructor(messages: MessageAdmin) {
    this.#messages = messages
  }

  /** By either id. Throws MESSAGE_NOT_FOUND when nobody told of it. */
  async story(id: string, query: StoryQuery = {}): Promise<MessageStory> {
    const byUniqueId = await this.#storyOf(id, query)
    if (byUniqueId !== null) return byUniqueId
    // Perhaps it is an offset id: the message at that place knows its own.
    const message = await this.#get(id, query.topic)
    const story =
      message === null || message.messageId === id
        ? null
        : await this.#storyOf(message.messageId, query)
    if (story !== null) return story
    throw new MqError('MESSAGE_NOT_FOUND', {
      what: `traces of ${id}`,
      hint: untraced(message !== null),
    })
  }

  /** Of messages with that key in a topic, the newest first. Throws MESSAGE_NOT_FOUND when nobody told of any. */
  async storiesOfKey(topic: string, key: string, query: StoryQuery = {}): Promise<MessageStory[]> {
    const limit = query.limit ?? STORIES_MAX
    const ids = new Set<string>()
    // Brokers know the topic, which who processed a message does not tell.
    const stored = await this.#unlessNoTopic(() => this.#messages.byKey(topic, key, { limit }))
    for (const { messageId } of stored) ids.add(messageId)
    for (const { record } of (await this.#told(key, query)).reverse()) {
      if (!('topic' in record) || record.topic !== topic) continue
      const keys = 'keys' in record ? record.keys.split(' ') : []
      if (keys.includes(key)) for (const id of record.messageId.split(',')) ids.add(id)
    }
    const stories: MessageStory[] = []
    for (const id of [...ids].slice(0, limit)) {
      const story = await this.#storyOf(id, { ...query, topic })
      if (story !== null) stories.push(story)
    }
    if (stories.length === 0) {
      throw new MqError('MESSAGE_NOT_FOUND', {
        what: `traces of key ${key} in ${topic}`,
        hint: untraced(stored.length > 0),
      })
    }
    return stories.sort((a, b) => startOf(b) - startOf(a))
  }

  async #storyOf(id: string, query: StoryQuery): Promise<MessageStory | null> {
    const told = (await this.#told(id, query)).filter(({ record }) => isAbout(record, id))
    if (told.length === 0) return null
    const topic = storyOf(id, told, []).topic ?? query.topic
    const stored =
      topic === undefined
        ? []
        : await this.#unlessNoTopic(() => this.#messages.byUniqueId(topic, id))
    return storyOf(id, told, stored)
  }

  /** What was told under a key, the oldest first. */
  async #told(key: string, { traceTopic = SystemTopic.trace }: StoryQuery): Promise<Told[]> {
    const found = new Map<string, ReceivedMessage>()
    let toMs: number | undefined
    for (let page = 0; page < PAGES_MAX; page++) {
      const until = toMs === undefined ? {} : { toMs }
      const some = await this.#unlessNoTopic(() =>
        this.#messages.byKey(traceTopic, key, { limit: PAGE, ...until }),
      )
      const knownCount = found.size
      for (const message of some) found.set(message.offsetMessageId, message)
      if (some.length < PAGE || found.size === knownCount) break
      toMs = some.at(-1)?.storeTimestamp
    }
    return [...found.values()]
      .sort((a, b) => a.storeTimestamp - b.storeTimestamp)
      .flatMap(({ body, bornHost }) =>
        decodeTraceRecords(body).records.map((record) => ({
          record,
          clientHost: hostOf(bornHost),
        })),
      )
  }

  async #get(id: string, topic: string | undefined): Promise<ReceivedMessage | null> {
    try {
      return await this.#messages.get(id, topic)
    } catch (error) {
      const code = error instanceof MqError ? error.code : null
      if (code === 'MESSAGE_NOT_FOUND' || code === 'TOPIC_NOT_FOUND') return null
      throw error
    }
  }

  /** Nothing when the topic does not exist: that of the traces comes with the first of them. */
  async #unlessNoTopic(ask: () => Promise<ReceivedMessage[]>): Promise<ReceivedMessage[]> {
    try {
      return await ask()
    } catch (error) {
      if (error instanceof MqError && error.code === 'TOPIC_NOT_FOUND') return []
      throw error
    }
  }
}

function startOf(story: MessageStory): number {
  return story.events[0]?.atMs ?? 0
}

/** Without the port: another connection of the same client had another one. */
function hostOf(address: string): string {
  return address.replace(/:\d+$/, '')
}

function untraced(isStored: boolean): string {
  const how = 'produce and consume with --trace, in Java with enableMsgTrace'
  return isStored
    ? `the message is there, but its clients told nothing: ${how}`
    : `check the id or the key; only messages that were traced have a story: ${how}`
}
