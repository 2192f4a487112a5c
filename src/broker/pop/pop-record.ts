/**
 * A message of a retry topic on its way to a consumer: as if it came from the topic that it was sent
 * to, with its handle as a property, because its own topic and offset are not in the answer's record
 * any more.
 * Source: apache/rocketmq broker/…/processor/PopMessageProcessor.java (popMsgFromQueue).
 */
import { encodeRecord, recordBytes, RecordParts, type RecordView } from '../../protocol/record.ts'
import { PROPERTIES_BYTES_MAX, PropertyName, PropertyScan } from '../../protocol/properties.ts'
import type { OutBuffer } from '../../remoting/out-buffer.ts'
import { fillParts, withoutProperties } from '../delay/delayed-message.ts'

/** A handle that a sender left there is none of this take. */
const handleProperty: ReadonlySet<string> = new Set<string>([PropertyName.popCheck])
/** What consumers can do without, where the handle needs the room. */
const dispensable: ReadonlySet<string> = new Set<string>([
  PropertyName.popCheck,
  PropertyName.firstPopTime,
  PropertyName.originGroup,
  PropertyName.wait,
  PropertyName.region,
  PropertyName.traceOn,
  PropertyName.cluster,
])

export class RetryRecordWriter {
  readonly #parts = new RecordParts()
  readonly #scan = new PropertyScan()

  /**
   * Adds the record in view, which stands at `start` of `bytes`, under another topic and with its handle.
   * False when its properties leave no room for that.
   */
  write(
    target: OutBuffer,
    bytes: Buffer,
    start: number,
    view: RecordView,
    topic: Buffer,
    handle: string,
  ): boolean {
    const parts = this.#parts
    fillParts(parts, bytes, start, view)
    parts.topic = topic
    parts.queueId = view.queueId
    parts.properties = bytes
    parts.propertiesStart = view.propertiesStart
    parts.propertiesEnd = view.propertiesEnd
    parts.suffix = Buffer.from(`${PropertyName.popCheck}\u0001${handle}\u0002`)
    this.#scan.scan(bytes, view.propertiesStart, view.propertiesEnd)
    if (this.#scan.popCheck) this.#leaveOut(handleProperty)
    if (!this.#hasRoom()) this.#leaveOut(dispensable)
    if (!this.#hasRoom()) return false
    const storeHost = bytes.subarray(view.storeHostAt, view.storeHostAt + view.storeHostBytes)
    const size = recordBytes(parts, storeHost.length)
    const at = target.reserve(size)
    const { queueOffset, physicalOffset, storeTimestamp } = view
    encodeRecord(target.bytes, at, parts, storeHost, queueOffset, physicalOffset, storeTimestamp)
    target.length = at + size
    return true
  }

  /** One byte more for the separator that may be missing. */
  #hasRoom(): boolean {
    const { propertiesStart, propertiesEnd, suffix } = this.#parts
    return propertiesEnd - propertiesStart + 1 + suffix.length <= PROPERTIES_BYTES_MAX
  }

  #leaveOut(names: ReadonlySet<string>): void {
    const parts = this.#parts
    parts.properties = Buffer.from(withoutProperties(parts, names), 'latin1')
    parts.propertiesStart = 0
    parts.propertiesEnd = parts.properties.length
  }
}
