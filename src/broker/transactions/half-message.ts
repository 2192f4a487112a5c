/**
 * A half message: what a producer has sent and may still take back. It is an ordinary record of
 * RMQ_SYS_TRANS_HALF_TOPIC, queue 0, whose properties name its own topic and queue, so that no
 * consumer sees it; what is committed is a second record, in its own queue, with the same properties
 * but those two.
 *
 * A half that is checked is stored again behind the others, with one check more. Its properties then
 * name the offset that it had first: whoever ends any of its records ends the one transaction. (To
 * Apache TRAN_PREPARED_QUEUE_OFFSET means the same, and is written for some of the checked only.)
 * Source: apache/rocketmq broker/…/transaction/queue/{TransactionalMessageBridge,TransactionalMessageServiceImpl}.java,
 * broker/…/processor/EndTransactionProcessor.java.
 */
import { copyBytes } from '../../base/bytes.ts'
import { fitsI64, readI64 } from '../../base/i64.ts'
import { isText } from '../../protocol/header-scan.ts'
import { LastText } from '../../protocol/last-text.ts'
import { SystemTopic, faultOfTopic, isClosedToSend } from '../../protocol/names.ts'
import { PROPERTY_SEPARATOR, PropertyName } from '../../protocol/properties.ts'
import { PropertyNames, PropertyValues, copyPairs } from '../../protocol/property-names.ts'
import { RecordVerdict, RecordView } from '../../protocol/record.ts'
import { writeDecimal } from '../../protocol/send-answer.ts'
import { SysFlag } from '../../protocol/sys-flag.ts'
import type { AppendRequest } from '../../store/append.ts'
import type { Queue } from '../../store/queue.ts'
import { type Destination, fillFromRecord, withoutProperties } from '../delay/delayed-message.ts'

/** Halves and operations lie in this queue of their topics. */
export const HALF_QUEUE_ID = 0
const QUEUE_ID_MAX = 65_535
/** Longest immunity that is honoured; beyond it a half would outlive the log. */
const IMMUNITY_S_MAX = 30 * 24 * 3_600

const bookkeeping = new PropertyNames([
  PropertyName.realTopic,
  PropertyName.realQueueId,
  PropertyName.transactionId,
  PropertyName.transactionCheckTimes,
  PropertyName.transactionFirstOffset,
])

const itsOwnPlace = new PropertyNames([PropertyName.realTopic, PropertyName.realQueueId])

/** What is read of a half's properties, by its place in `marks`. */
const Mark = {
  producerGroup: 0,
  uniqueKey: 1,
  realTopic: 2,
  realQueueId: 3,
  immunity: 4,
  checks: 5,
  firstOffset: 6,
} as const
const marks = new PropertyValues([
  PropertyName.producerGroup,
  PropertyName.uniqKey,
  PropertyName.realTopic,
  PropertyName.realQueueId,
  PropertyName.checkImmunity,
  PropertyName.transactionCheckTimes,
  PropertyName.transactionFirstOffset,
])
const immunity = new PropertyValues([PropertyName.checkImmunity])
/** One half after another has the same group and topic as the one before. */
const lastGroup = new LastText()
const lastTopic = new LastText()

const HALF_TOPIC = Buffer.from(SystemTopic.transactionHalf)
const REAL_TOPIC = Buffer.from(`${PropertyName.realTopic}\u0001`)
const REAL_QUEUE_ID = Buffer.from(`\u0002${PropertyName.realQueueId}\u0001`)
const TRANSACTION_ID = Buffer.from(`${PropertyName.transactionId}\u0001`)

/** Where properties are put together, until the append that follows. */
let scratch = Buffer.alloc(0)

function roomFor(count: number): Buffer {
  if (scratch.length < count) scratch = Buffer.allocUnsafeSlow(count * 2)
  return scratch
}

const checkMarks: ReadonlySet<string> = new Set<string>([
  PropertyName.transactionCheckTimes,
  PropertyName.transactionFirstOffset,
])

/** The unique key that the scanned properties carry; empty when there is none. */
export function uniqueKeyIn({ scan, properties }: AppendRequest): string {
  if (scan.uniqKeyStart < 0) return ''
  return properties.toString('utf8', scan.uniqKeyStart, scan.uniqKeyEnd)
}

/**
 * Turns a request for its own queue into one for the half queue. Answers how long after its birth
 * nobody is to be asked about it, as its sender wishes; null when it does not say.
 */
export function prepare(append: AppendRequest, half: Queue): number | null {
  const { queue, properties, propertiesStart, propertiesEnd, scan } = append
  if (queue === null) return null
  const { uniqKeyStart, uniqKeyEnd } = scan
  // The pairs, its place and its id, which is among the pairs already.
  const target = roomFor(2 * (propertiesEnd - propertiesStart) + queue.topicBytes.length + 128)
  let at = copyPairs(properties, propertiesStart, propertiesEnd, bookkeeping, target, 0)
  immunity.find(target, 0, at)
  const immunityMs = immunityMsIn(immunity.text(0))
  at = copyBytes(REAL_TOPIC, 0, REAL_TOPIC.length, target, at)
  at = copyBytes(queue.topicBytes, 0, queue.topicBytes.length, target, at)
  at = copyBytes(REAL_QUEUE_ID, 0, REAL_QUEUE_ID.length, target, at)
  at = writeDecimal(target, queue.queueId, at)
  target[at++] = PROPERTY_SEPARATOR
  if (uniqKeyEnd > uniqKeyStart) {
    at = copyBytes(TRANSACTION_ID, 0, TRANSACTION_ID.length, target, at)
    at = copyBytes(properties, uniqKeyStart, uniqKeyEnd, target, at)
    target[at++] = PROPERTY_SEPARATOR
  }
  append.setProperties(target, 0, at)
  append.sysFlag &= ~SysFlag.transactionMask
  append.queue = half
  return immunityMs
}

/** One half message as it lies in the log; the bytes are kept. */
export class HalfMessage {
  readonly bytes: Buffer
  readonly view: RecordView
  readonly bornMs: number
  readonly producerGroup: string
  readonly hasUniqueKey: boolean
  /** The offset that it had first. */
  readonly root: number
  /** How often its producers were asked. */
  readonly checks: number
  /** How long after its birth it is not asked about, as its producer wishes; null when it does not say. */
  readonly immunityMs: number | null
  /** Where the message goes when it is committed; null when its properties do not say so. */
  readonly destination: Destination | null

  private constructor(bytes: Buffer, view: RecordView) {
    this.bytes = bytes
    this.view = view
    this.bornMs = fitsI64(bytes, 40) ? readI64(bytes, 40) : Number(bytes.readBigInt64BE(40))
    marks.find(bytes, view.propertiesStart, view.propertiesEnd)
    this.producerGroup = marks.has(Mark.producerGroup)
      ? lastGroup.read(bytes, marks.start(Mark.producerGroup), marks.end(Mark.producerGroup))
      : ''
    this.hasUniqueKey = marks.has(Mark.uniqueKey)
    const root = wholeNumber(marks.text(Mark.firstOffset), 15) ?? this.offset
    this.root = Math.min(root, this.offset)
    this.checks = wholeNumber(marks.text(Mark.checks), 9) ?? 0
    this.immunityMs = immunityMsIn(marks.text(Mark.immunity))
    this.destination = destinationIn(bytes)
  }

  /** Null when the bytes are no half message: any record may be named by who ends a transaction. */
  static of(bytes: Buffer, size: number = bytes.length): HalfMessage | null {
    const view = new RecordView()
    if (view.check(bytes, 0, size, false) !== RecordVerdict.ok) return null
    if (!isText(bytes, view.topicStart, view.topicEnd, HALF_TOPIC)) return null
    return view.queueId === HALF_QUEUE_ID ? new HalfMessage(bytes, view) : null
  }

  get offset(): number {
    return this.view.queueOffset
  }

  get uniqueKey(): string {
    const { bytes, view } = this
    marks.find(bytes, view.propertiesStart, view.propertiesEnd)
    return marks.text(Mark.uniqueKey) ?? ''
  }

  /** Fills a request with the message as consumers get it. */
  fillCommit(append: AppendRequest, queue: Queue, commitLogOffset: number): void {
    fillFromRecord(append, this.bytes, 0, this.view)
    const { properties, propertiesStart, propertiesEnd } = append
    const target = roomFor(propertiesEnd - propertiesStart + 1)
    const end = copyPairs(properties, propertiesStart, propertiesEnd, itsOwnPlace, target, 0)
    append.setProperties(target, 0, end)
    append.sysFlag = (append.sysFlag & ~SysFlag.transactionMask) | SysFlag.transactionCommit
    append.preparedTransactionOffset = commitLogOffset
    append.queue = queue
  }

  /** Fills a request with the half as it lies there, when there is no room for marks. */
  fillAsIs(append: AppendRequest, queue: Queue): void {
    fillFromRecord(append, this.bytes, 0, this.view)
    append.queue = queue
  }

  /** Fills a request with the same half once more, for the end of the half queue or another topic. */
  fillAgain(append: AppendRequest, queue: Queue, checks: number): void {
    fillFromRecord(append, this.bytes, 0, this.view)
    const own = withoutProperties(append, checkMarks)
    const properties = Buffer.from(
      `${own}${PropertyName.transactionCheckTimes}\u0001${checks}\u0002` +
        `${PropertyName.transactionFirstOffset}\u0001${this.root}\u0002`,
      'latin1',
    )
    append.setProperties(properties, 0, properties.length)
    append.queue = queue
  }
}

/** CHECK_IMMUNITY_TIME_IN_SECONDS in milliseconds; null when it is absent or no whole number. */
function immunityMsIn(text: string | null): number | null {
  const seconds = wholeNumber(text, 9)
  return seconds === null ? null : Math.min(seconds, IMMUNITY_S_MAX) * 1_000
}

/** Null when the text is absent or has other letters than digits, or more of them than allowed. */
function wholeNumber(text: string | null, digitsMax: number): number | null {
  if (text === null || text.length > digitsMax || !/^\d+$/.test(text)) return null
  return Number(text)
}

/** Where the half in `bytes` belongs, whose properties have just been looked through. */
function destinationIn(bytes: Buffer): Destination | null {
  if (!marks.has(Mark.realTopic)) return null
  const queueId = wholeNumber(marks.text(Mark.realQueueId), 5)
  if (queueId === null || queueId > QUEUE_ID_MAX) return null
  const topic = lastTopic.read(bytes, marks.start(Mark.realTopic), marks.end(Mark.realTopic))
  return faultOfTopic(topic) !== null || isClosedToSend(topic) ? null : { topic, queueId }
}
