/** What one POP_MESSAGE has taken so far, from several queues: the body and fields of its answer. */
import { POP_PART_SEPARATOR } from '../../protocol/pop-handle.ts'
import { OutBuffer } from '../../remoting/out-buffer.ts'
import type { MessageFilter } from '../message-filter.ts'
import type { Topic } from '../topic.ts'

/** What is asked for, after all checks. */
export interface PopWish {
  readonly group: string
  readonly topic: Topic
  /** −1: any. */
  readonly queueId: number
  readonly messagesMax: number
  readonly invisibleMs: number
  readonly initMode: number
  readonly order: boolean
  readonly attemptId: string | null
  /** Of 100 takes from a topic with priorities, how many look at them. */
  readonly priorityFactor: number
  readonly filter: MessageFilter
}

/** One queue to look into. */
export interface PopSource {
  readonly topic: Topic
  readonly queueId: number
  /** Its messages have come before; they go out under their own topic. */
  readonly isRetry: boolean
}

/** Progress that counts once the checkpoint of the messages is on its place. */
export interface PendingProgress {
  readonly key: string
  readonly source: PopSource
  readonly epoch: number
  readonly nextOffset: number
}

export class Taken {
  readonly popMs: number
  readonly reviveQueueId: number
  readonly body = new OutBuffer()
  readonly pending: PendingProgress[] = []
  readonly #startOffsets: string[] = []
  readonly #messageOffsets: string[] = []
  readonly #times: string[] = []
  count = 0
  /** Messages that wait behind what was taken, and in queues that somebody else is at. */
  rest = 0
  /** End of the log behind the last checkpoint; 0 when there is none. */
  end = 0
  /** Losses of the log before the first checkpoint. */
  losses = 0
  /** Messages were passed over that the filter did not want, and there are more behind them. */
  advanced = false
  /** Queues that this take set free again: arrivals of its own making. */
  releases = 0
  /** Wall clock; when the first of the queues that order blocks is free. */
  freeMs = Infinity
  /** Why nothing could be taken from a queue. */
  fault: Error | null = null

  constructor(popMs: number, reviveQueueId: number) {
    this.popMs = popMs
    this.reviveQueueId = reviveQueueId
  }

  get startOffsets(): string {
    return this.#startOffsets.join(POP_PART_SEPARATOR)
  }

  get messageOffsets(): string {
    return this.#messageOffsets.join(POP_PART_SEPARATOR)
  }

  get times(): string {
    return this.#times.join(POP_PART_SEPARATOR)
  }

  note(startOffset: string, messageOffsets: string, times: string | null): void {
    this.#startOffsets.push(startOffset)
    this.#messageOffsets.push(messageOffsets)
    if (times !== null) this.#times.push(times)
  }
}
