/**
 * A delayed message on its way into the topic of the delay levels and out of it again. While it
 * waits it is an ordinary record of SCHEDULE_TOPIC_XXXX whose properties name its own topic and
 * queue; what is delivered carries the same properties, so consumers see DELAY, REAL_TOPIC and
 * REAL_QID, as they do with Apache.
 * Source: apache/rocketmq broker/…/util/HookUtils.java (transformDelayLevelMessage),
 * broker/…/schedule/ScheduleMessageService.java (messageTimeUp).
 */
import { fitsI64, readI64 } from '../../base/i64.ts'
import { SystemTopic, faultOfTopic } from '../../protocol/names.ts'
import { PropertyName, parseProperties } from '../../protocol/properties.ts'
import type { RecordParts, RecordView } from '../../protocol/record.ts'
import type { AppendRequest } from '../../store/append.ts'
import type { Queue } from '../../store/queue.ts'

/** What a sender may not say for itself, or what a delay level overrides. */
const dropped: ReadonlySet<string> = new Set<string>([
  PropertyName.delay,
  PropertyName.realTopic,
  PropertyName.realQueueId,
  PropertyName.timerDelaySec,
  PropertyName.timerDelayMs,
  PropertyName.timerDeliverMs,
])

const QUEUE_ID_MAX = 65_535
const wholeNumber = /^-?\d{1,9}$/

/**
 * The level that the scanned properties ask for, at most the highest; 0 when they ask for none,
 * null when the value is no whole number.
 */
export function delayLevelIn(append: AppendRequest, levelMax: number): number | null {
  const { scan, properties } = append
  if (scan.delayStart < 0) return 0
  const text = properties.toString('latin1', scan.delayStart, scan.delayEnd).trim()
  if (!wholeNumber.test(text)) return null
  return Math.max(0, Math.min(levelMax, Number(text)))
}

/**
 * Turns a request for its own queue into one for the queue of its delay level.
 * @param openQueue gives the store's handle of a queue
 */
export function hide(
  append: AppendRequest,
  level: number,
  openQueue: (topic: string, queueId: number) => Queue,
): void {
  const { queue } = append
  if (queue === null) return
  const own = withoutProperties(append, dropped)
  const properties = Buffer.from(
    `${own}${PropertyName.delay}\u0001${level}\u0002` +
      `${PropertyName.realTopic}\u0001${queue.topic}\u0002` +
      `${PropertyName.realQueueId}\u0001${queue.queueId}\u0002`,
    'latin1',
  )
  append.setProperties(properties, 0, properties.length)
  append.queue = openQueue(SystemTopic.schedule, level - 1)
}

/** A dead letter does not wait: it loses what it says about delays. */
export function unhide(append: AppendRequest): void {
  const properties = Buffer.from(withoutProperties(append, dropped), 'latin1')
  append.setProperties(properties, 0, properties.length)
}

/** The properties but some, each closed by 0x02, one character a byte. */
export function withoutProperties(parts: RecordParts, names: ReadonlySet<string>): string {
  const { properties, propertiesStart, propertiesEnd } = parts
  const text = properties.toString('latin1', propertiesStart, propertiesEnd)
  let kept = ''
  // What is kept is taken in runs: most often that is one, or all of it.
  let runStart = 0
  let at = 0
  let separator = text.indexOf('\u0001')
  while (at < text.length) {
    const closed = text.indexOf('\u0002', at)
    const end = closed < 0 ? text.length : closed
    // Looked for on only when passed: pairs without one must not each search the rest.
    if (separator >= 0 && separator < at) separator = text.indexOf('\u0001', at)
    const isNamed = separator >= at && separator < end
    if (end === at || (isNamed && names.has(text.slice(at, separator)))) {
      kept += text.slice(runStart, at)
      runStart = end + 1
    }
    at = end + 1
  }
  if (runStart < text.length) kept += text.slice(runStart)
  return kept === '' || kept.endsWith('\u0002') ? kept : `${kept}\u0002`
}

export interface Destination {
  readonly topic: string
  readonly queueId: number
}

/** Where the delayed record in view belongs; null when its properties do not say so. */
export function destinationOf(bytes: Buffer, view: RecordView): Destination | null {
  const properties = parseProperties(
    bytes.toString('utf8', view.propertiesStart, view.propertiesEnd),
  )
  const topic = properties[PropertyName.realTopic]
  const queueId = properties[PropertyName.realQueueId] ?? ''
  if (topic === undefined || faultOfTopic(topic) !== null) return null
  if (topic === SystemTopic.schedule || topic === SystemTopic.transactionHalf) return null
  if (!/^\d{1,5}$/.test(queueId) || Number(queueId) > QUEUE_ID_MAX) return null
  return { topic, queueId: Number(queueId) }
}

/**
 * Fills a request with the record in view, which stands at `start`; the queue, body and properties of
 * the request are the caller's to change. The ranges stay in `bytes`. Only for requests that never
 * carry what a sender asks for: the limits of senders hold for them no longer.
 */
export function fillFromRecord(
  append: AppendRequest,
  bytes: Buffer,
  start: number,
  view: RecordView,
): void {
  fillParts(append, bytes, start, view)
  append.setProperties(bytes, view.propertiesStart, view.propertiesEnd)
  append.isStored = true
}

/** The same for the parts of a record, without topic, queue and properties. */
export function fillParts(
  parts: RecordParts,
  bytes: Buffer,
  start: number,
  view: RecordView,
): void {
  const reconsumeAt = view.storeHostAt + view.storeHostBytes
  parts.flag = bytes.readInt32BE(start + 16)
  parts.sysFlag = view.sysFlag
  parts.bornTimestamp = fitsI64(bytes, start + 40) ? readI64(bytes, start + 40) : 0
  parts.bornHost = bytes.subarray(view.bornHostAt, view.bornHostAt + view.bornHostBytes)
  parts.reconsumeTimes = bytes.readInt32BE(reconsumeAt)
  parts.preparedTransactionOffset = fitsI64(bytes, reconsumeAt + 4)
    ? readI64(bytes, reconsumeAt + 4)
    : 0
  parts.body = bytes
  parts.bodyStart = view.bodyStart
  parts.bodyEnd = view.bodyEnd
}
