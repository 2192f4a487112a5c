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
import { SystemTopic, faultOfTopic, isClosedToSend } from '../../protocol/names.ts'
import { type Properties, PropertyName, parseProperties } from '../../protocol/properties.ts'
import { RecordVerdict, RecordView } from '../../protocol/record.ts'
import { SysFlag } from '../../protocol/sys-flag.ts'
import type { AppendRequest } from '../../store/append.ts'
import type { Queue } from '../../store/queue.ts'
import { fillFromRecord, withoutProperties } from '../delay/delayed-message.ts'

/** Halves and operations lie in this queue of their topics. */
export const HALF_QUEUE_ID = 0
const QUEUE_ID_MAX = 65_535
/** Longest immunity that is honoured; beyond it a half would outlive the log. */
const IMMUNITY_S_MAX = 30 * 24 * 3_600

const bookkeeping: ReadonlySet<string> = new Set<string>([
  PropertyName.realTopic,
  PropertyName.realQueueId,
  PropertyName.transactionId,
  PropertyName.transactionCheckTimes,
  PropertyName.transactionFirstOffset,
])

const itsOwnPlace: ReadonlySet<string> = new Set<string>([
  PropertyName.realTopic,
  PropertyName.realQueueId,
])

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
  const { queue } = append
  if (queue === null) return null
  const { scan } = append
  const id =
    scan.uniqKeyStart < 0
      ? ''
      : append.properties.toString('latin1', scan.uniqKeyStart, scan.uniqKeyEnd)
  const own = withoutProperties(append, bookkeeping)
  const properties = Buffer.from(
    `${own}${PropertyName.realTopic}\u0001${queue.topic}\u0002` +
      `${PropertyName.realQueueId}\u0001${queue.queueId}\u0002` +
      (id === '' ? '' : `${PropertyName.transactionId}\u0001${id}\u0002`),
    'latin1',
  )
  append.setProperties(properties, 0, properties.length)
  append.sysFlag &= ~SysFlag.transactionMask
  append.queue = half
  return own.includes(PropertyName.checkImmunity) ? immunityMsOf(parseProperties(own)) : null
}

/** One half message as it lies in the log; the bytes are kept. */
export class HalfMessage {
  readonly bytes: Buffer
  readonly view: RecordView
  readonly properties: Properties
  readonly bornMs: number

  private constructor(bytes: Buffer, view: RecordView) {
    this.bytes = bytes
    this.view = view
    this.properties = parseProperties(
      bytes.toString('utf8', view.propertiesStart, view.propertiesEnd),
    )
    this.bornMs = Number(bytes.readBigInt64BE(40))
  }

  /** Null when the bytes are no half message: any record may be named by who ends a transaction. */
  static of(bytes: Buffer): HalfMessage | null {
    const view = new RecordView()
    if (view.check(bytes, 0, bytes.length, false) !== RecordVerdict.ok) return null
    const topic = bytes.toString('utf8', view.topicStart, view.topicEnd)
    if (topic !== SystemTopic.transactionHalf || view.queueId !== HALF_QUEUE_ID) return null
    return new HalfMessage(bytes, view)
  }

  get offset(): number {
    return this.view.queueOffset
  }

  /** The offset that it had first. */
  get root(): number {
    const text = this.properties[PropertyName.transactionFirstOffset] ?? ''
    const root = /^\d{1,15}$/.test(text) ? Number(text) : this.offset
    return Math.min(root, this.offset)
  }

  get producerGroup(): string {
    return this.properties[PropertyName.producerGroup] ?? ''
  }

  get uniqueKey(): string {
    return this.properties[PropertyName.uniqKey] ?? ''
  }

  /** How often its producers were asked. */
  get checks(): number {
    const text = this.properties[PropertyName.transactionCheckTimes] ?? ''
    return /^\d{1,9}$/.test(text) ? Number(text) : 0
  }

  /** How long after its birth it is not asked about, as its producer wishes; null when it does not say. */
  get immunityMs(): number | null {
    return immunityMsOf(this.properties)
  }

  /** Where the message goes when it is committed; null when its properties do not say so. */
  get destination(): { readonly topic: string; readonly queueId: number } | null {
    const topic = this.properties[PropertyName.realTopic]
    const queueId = this.properties[PropertyName.realQueueId] ?? ''
    if (topic === undefined || faultOfTopic(topic) !== null || isClosedToSend(topic)) return null
    if (!/^\d{1,5}$/.test(queueId) || Number(queueId) > QUEUE_ID_MAX) return null
    return { topic, queueId: Number(queueId) }
  }

  /** Fills a request with the message as consumers get it. */
  fillCommit(append: AppendRequest, queue: Queue, commitLogOffset: number): void {
    fillFromRecord(append, this.bytes, 0, this.view)
    const properties = Buffer.from(withoutProperties(append, itsOwnPlace), 'latin1')
    append.setProperties(properties, 0, properties.length)
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
function immunityMsOf(properties: Properties): number | null {
  const text = properties[PropertyName.checkImmunity] ?? ''
  if (!/^\d{1,9}$/.test(text)) return null
  return Math.min(Number(text), IMMUNITY_S_MAX) * 1_000
}
