/** What goes into an append and what comes out of it; both objects are made once and reused. */
import { PropertyScan } from '../protocol/properties.ts'
import { RecordParts } from '../protocol/record.ts'
import type { Queue } from './queue.ts'

/** The answer of an append. Everything but `ok` left no trace. */
export const AppendStatus = {
  /** Staged; it counts once `confirmed` has reached its end. */
  ok: 0,
  /** Too much is waiting for the disk: slow down and try again. */
  busy: 1,
  /** No space on the disk, or the refuse mark is reached. Goes on by itself when there is space. */
  full: 2,
  /** The disk failed. After a failed write it goes on when the disk does; after a failed flush never. */
  failed: 3,
  /** The store is closed or closing. */
  closed: 4,
  /** The message breaks a limit: body, properties, or whole record; or it is a batch that its queue cannot hold. */
  illegal: 5,
} as const
export type AppendStatus = (typeof AppendStatus)[keyof typeof AppendStatus]

/**
 * One message to append. `topic` and `queueId` are taken from `queue`. Set the properties with
 * `setProperties`, because tag and keys are taken from its scan; the suffix is not searched.
 */
export class AppendRequest extends RecordParts {
  queue: Queue | null = null
  readonly scan = new PropertyScan()
  /**
   * The message lies in the log already and is stored once more: the limits that it met when it was
   * accepted may be lower by now, so only those of the layout hold.
   */
  isStored = false
  /** Messages in the body, when it is a batch that stays one record (of a batch queue); else 1. */
  messages = 1

  setProperties(bytes: Buffer, start: number, end: number): void {
    this.properties = bytes
    this.propertiesStart = start
    this.propertiesEnd = end
    this.scan.scan(bytes, start, end)
  }
}

/** Where the last successful append went. Valid until the next append. */
export class AppendResult {
  /** Of the first record. */
  physicalOffset = 0
  /** Of the first record; the others of a batch follow one by one. */
  queueOffset = 0
  /** Behind the last record: it is stored when the watermark of the policy has reached this. */
  end = 0
  /** Milliseconds since 1970. */
  storeTimestamp = 0
  /** Records: of a batch that was taken apart, else 1. */
  count = 0
  /** Physical offsets of a batch's records, the first `count` entries. Only set by `appendBatch`. */
  readonly physicalOffsets: number[] = []
}
