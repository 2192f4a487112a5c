/** The records of a take on their way into its answer. */
import type { Logger } from '../../base/logger.ts'
import { formatPopHandle } from '../../protocol/pop-handle.ts'
import { retryFlagOf } from '../../protocol/pop-names.ts'
import { RecordVerdict, RecordView } from '../../protocol/record.ts'
import type { RunBuffer } from '../run-buffer.ts'
import { RetryRecordWriter } from './pop-record.ts'
import type { PopSource, PopWish, Taken } from './taken.ts'

export class TakenRecords {
  readonly #brokerName: string
  readonly #logger: Logger
  readonly #view = new RecordView()
  readonly #writer = new RetryRecordWriter()

  constructor(brokerName: string, logger: Logger) {
    this.#brokerName = brokerName
    this.#logger = logger
  }

  /** Queue offsets of the records that were read. */
  offsetsIn({ bytes, length }: RunBuffer): number[] {
    const offsets: number[] = []
    const view = this.#view
    for (let at = 0; at < length; at += view.size) {
      if (view.check(bytes, at, length, false) !== RecordVerdict.ok) break
      offsets.push(view.queueOffset)
    }
    return offsets
  }

  /**
   * Adds the records that were read to the answer: as they are, those of a retry topic under the topic
   * that was asked for. `startOffset`: where the reading of their queue began.
   */
  add(
    wish: PopWish,
    taken: Taken,
    source: PopSource,
    startOffset: number,
    { bytes, length }: RunBuffer,
  ): void {
    if (!source.isRetry) {
      taken.body.append(bytes.subarray(0, length))
      return
    }
    const { queueId, topic } = source
    const view = this.#view
    for (let at = 0; at < length; at += view.size) {
      if (view.check(bytes, at, length, false) !== RecordVerdict.ok) break
      const handle = formatPopHandle({
        startOffset,
        popMs: taken.popMs,
        invisibleMs: wish.invisibleMs,
        reviveQueueId: taken.reviveQueueId,
        retryFlag: retryFlagOf(topic.name),
        brokerName: this.#brokerName,
        queueId,
        messageOffset: view.queueOffset,
      })
      const { bytes: name } = wish.topic
      if (this.#writer.write(taken.body, bytes, at, view, name, handle)) continue
      // It stays out of the answer, comes again like any other, and is a dead letter in the end.
      this.#logger.error('a message has no room for its handle among its properties', {
        topic: topic.name,
        queueId,
        offset: view.queueOffset,
      })
    }
  }
}
