/**
 * A message of a retry topic on its way to a consumer: as if it came from the topic that it was sent
 * to, with its handle as a property, because its own topic and offset are not in the answer's record
 * any more.
 * Source: apache/rocketmq broker/…/processor/PopMessageProcessor.java (popMsgFromQueue).
 */
import { encodeRecord, recordBytes, RecordParts, type RecordView } from '../../protocol/record.ts'
import { PropertyName } from '../../protocol/properties.ts'
import type { OutBuffer } from '../../remoting/out-buffer.ts'
import { fillParts } from '../delay/delayed-message.ts'

const HANDLE_PROPERTY = Buffer.from(`${PropertyName.popCheck}\u0001`)

export class RetryRecordWriter {
  readonly #parts = new RecordParts()

  /** Adds the record in view, which stands at `start` of `bytes`, under another topic and with its handle. */
  write(
    target: OutBuffer,
    bytes: Buffer,
    start: number,
    view: RecordView,
    topic: Buffer,
    handle: string,
  ): void {
    const parts = this.#parts
    fillParts(parts, bytes, start, view)
    parts.topic = topic
    parts.queueId = view.queueId
    parts.properties = bytes
    parts.propertiesStart = view.propertiesStart
    parts.propertiesEnd = view.propertiesEnd
    const properties = bytes.subarray(view.propertiesStart, view.propertiesEnd)
    parts.suffix = properties.includes(HANDLE_PROPERTY)
      ? Buffer.alloc(0)
      : Buffer.from(`${PropertyName.popCheck}\u0001${handle}\u0002`)
    const storeHost = bytes.subarray(view.storeHostAt, view.storeHostAt + view.storeHostBytes)
    const size = recordBytes(parts, storeHost.length)
    const at = target.reserve(size)
    const { queueOffset, physicalOffset, storeTimestamp } = view
    encodeRecord(target.bytes, at, parts, storeHost, queueOffset, physicalOffset, storeTimestamp)
    target.length = at + size
  }
}
