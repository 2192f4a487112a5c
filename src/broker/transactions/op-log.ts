/**
 * Operation records: which halves are done with, committed or not. One record names all that were
 * ended within some milliseconds, as offsets in the half queue, each with a comma behind it. Whoever
 * is told that a half has ended, and goes by the record alone, asks for it at once (`flush`).
 *
 * An operation record is needed as long as a half that it names lies behind the progress of the
 * half queue; `doneBefore` says up to where they are not.
 * Source: apache/rocketmq broker/…/transaction/queue/TransactionalMessageServiceImpl.java
 * (deletePrepareMessage), TransactionalOpBatchService.java.
 */
import { PropertyName } from '../../protocol/properties.ts'
import { AppendRequest, AppendStatus } from '../../store/append.ts'
import type { Queue } from '../../store/queue.ts'
import type { Store } from '../../store/store.ts'
import type { Clock } from '../../world/clock.ts'

/** Longest body; Apache's transactionOpMsgMaxSize. */
const OP_BODY_BYTES_MAX = 4_096
const TAG = 'd'
/**
 * How long what is pending waits for more, and how much of it does not; also how often it is tried again
 * while the log takes nothing. Apache waits three seconds (transactionOpBatchInterval).
 */
const PENDING_MS = 20
const PENDING_MAX = 256

interface Operation {
  readonly offset: number
  /** Highest offset that it names. */
  readonly highest: number
}

export interface OpLogParts {
  readonly store: Store
  readonly clock: Clock
  readonly queue: Queue
  readonly bornHost: Buffer
  readonly nextUniqueId: () => string
}

export class OpLog {
  readonly #parts: OpLogParts
  readonly #append = new AppendRequest()
  /** Records that are still needed, oldest first. */
  #operations: Operation[] = []
  #head = 0
  #pending: number[] = []
  #armed = false

  constructor(parts: OpLogParts) {
    this.#parts = parts
  }

  /** Halves that are ended and not written yet. */
  get pending(): number {
    return this.#pending.length
  }

  /** The half at this offset is done with. Written within some milliseconds. */
  note(halfOffset: number): void {
    this.#pending.push(halfOffset)
    if (this.#pending.length === PENDING_MAX) this.flush()
    else this.#flushSoon()
  }

  /** A record that was found in the queue. */
  found(offset: number, highest: number): void {
    this.#operations.push({ offset, highest })
  }

  /** Where reading has to begin after a restart, when the half queue is read from `halfOffset` on. */
  doneBefore(halfOffset: number): number {
    for (;;) {
      const oldest = this.#operations[this.#head]
      if (oldest === undefined) break
      if (oldest.highest >= halfOffset) {
        if (this.#head > 1_024) this.#operations.splice(0, this.#head)
        if (this.#head > 1_024) this.#head = 0
        return oldest.offset
      }
      this.#head++
    }
    this.#operations = []
    this.#head = 0
    return this.#parts.queue.nextOffset
  }

  /** The log lost its end: what is pending may name halves whose messages are gone. */
  onLost(): void {
    this.#pending = []
  }

  /** Forgets everything: it is read again. */
  clear(): void {
    this.#operations = []
    this.#head = 0
    this.#pending = []
  }

  #flushSoon(): void {
    if (this.#armed) return
    this.#armed = true
    this.#parts.clock.after(PENDING_MS, () => {
      this.#armed = false
      this.flush()
    })
  }

  /** Appends what is pending now. */
  flush(): void {
    while (this.#pending.length > 0) {
      let body = ''
      let highest = 0
      let count = 0
      for (const offset of this.#pending) {
        const text = `${offset},`
        if (body.length + text.length > OP_BODY_BYTES_MAX) break
        body += text
        highest = Math.max(highest, offset)
        count++
      }
      if (!this.#write(body, highest)) {
        this.#flushSoon()
        return
      }
      this.#pending.splice(0, count)
    }
  }

  #write(text: string, highest: number): boolean {
    const { store, clock, queue, bornHost, nextUniqueId } = this.#parts
    if (store.state === 'closed') return true
    const append = this.#append
    const body = Buffer.from(text)
    const properties = Buffer.from(
      `${PropertyName.tags}\u0001${TAG}\u0002${PropertyName.uniqKey}\u0001${nextUniqueId()}\u0002`,
    )
    append.queue = queue
    append.bornTimestamp = Math.floor(clock.wallMs())
    append.bornHost = bornHost
    append.body = body
    append.bodyStart = 0
    append.bodyEnd = body.length
    append.setProperties(properties, 0, properties.length)
    if (store.append(append) !== AppendStatus.ok) return false
    this.#operations.push({ offset: store.lastAppend.queueOffset, highest })
    return true
  }
}

/** The offsets that the body of an operation record names; older brokers wrote one without a comma. */
export function offsetsIn(body: string): number[] {
  return body
    .split(',')
    .filter((text) => /^\d{1,15}$/.test(text))
    .map(Number)
}
