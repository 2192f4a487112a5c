/**
 * What `produce` sends: the messages of its source, completed by the flags, repeated or cut short.
 * Lines without text are left out and counted: brokers take no message without a body, and an empty
 * line is the usual end of a file.
 */
import type { OutgoingMessage } from '../client/outgoing-message.ts'
import type { OutgoingMessage as Incoming } from './message-json.ts'
import { messagesFrom, type SourceOptions } from './message-source.ts'

export interface FeedOptions {
  readonly source: SourceOptions
  /** `--count`: how often an argument is sent, how many messages of another source; null: 1, all. */
  readonly count: number | null
  readonly complete: (message: Incoming) => OutgoingMessage
}

export class OutgoingFeed implements AsyncIterable<OutgoingMessage> {
  readonly #options: FeedOptions
  #leftOut = 0

  constructor(options: FeedOptions) {
    this.#options = options
  }

  /** Messages without a body so far. */
  get leftOut(): number {
    return this.#leftOut
  }

  /** Throws VALUE_INVALID with file and line, and what reading a file throws. */
  async *[Symbol.asyncIterator](): AsyncGenerator<OutgoingMessage> {
    const { source, count, complete } = this.#options
    const isArgument = source.body !== undefined
    const copies = isArgument ? (count ?? 1) : 1
    const limit = isArgument ? null : count
    let taken = 0
    for await (const message of messagesFrom(source)) {
      // An empty argument was meant: whoever sends it refuses it and says why.
      if (message.body.length === 0 && !isArgument) {
        this.#leftOut += 1
        continue
      }
      const completed = complete(message)
      for (let copy = 0; copy < copies; copy += 1) yield completed
      taken += 1
      if (taken === limit) return
    }
  }
}
