/**
 * Sends a stream of messages with a bounded number under way, so that a pipe is neither one message
 * a round trip nor all of it in memory, and no large one waits behind so many that its time is over.
 * Messages of one order key go one after the other.
 */
import { orAborted } from '../base/abort.ts'
import { MqError } from '../base/errors.ts'
import type { OutgoingMessage } from '../client/outgoing-message.ts'
import { pauseOrAbort } from '../client/pause.ts'
import type { Producer, SendReceipt } from '../client/producer.ts'
import type { Clock } from '../world/clock.ts'

export interface SendAllOptions {
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Sends that may be under way at once; 1 keeps the order also across retries. */
  readonly window: number
  /** Messages a second; null: as fast as answers come. */
  readonly rateHz: number | null
  readonly oneway: boolean
  /** Go on to the end of the source though all fails: what fails is kept elsewhere. */
  readonly takesAll?: boolean
  /** Called after each message, in the order of answers. */
  readonly onProgress: (totals: SendTotals) => void
}

export interface SendTotals {
  readonly sent: number
  readonly failed: number
}

export interface SendOutcome extends SendTotals {
  /** In the order of the input; the first `RECEIPTS_MAX`. */
  readonly receipts: readonly SendReceipt[]
  /** The first failure, of `failed`. */
  readonly error: unknown
  /** Which message of the input failed first, counted from 1; null when none did. */
  readonly firstFailed: number | null
  /** Sending was given up after so many failures in a row, or with an outbox that is full; the rest of the input was not read. */
  readonly gaveUp: boolean
  /** Why the source of messages ended early; null when it did not. */
  readonly sourceError: unknown
}

/** Bytes of bodies that may be under way at once, save for one message that has more. */
const BYTES_UNDER_WAY_MAX = 16 * 1024 * 1024

/** Failures in a row, of messages that were each tried as often as the producer does, that end it. */
const FAILURES_IN_A_ROW_MAX = 256

/** A report of more than this would be larger than most of what it reports. */
export const RECEIPTS_MAX = 100_000

export async function sendAll(
  producer: Pick<Producer, 'send'> & Partial<Pick<Producer, 'sendOneway'>>,
  messages: AsyncIterable<OutgoingMessage>,
  options: SendAllOptions,
): Promise<SendOutcome> {
  const receipts: SendReceipt[] = []
  const underWay = new Set<Promise<void>>()
  const startMs = options.clock.monotonicMs()
  let bytesUnderWay = 0
  let index = 0
  let sent = 0
  let failed = 0
  let error: unknown = null
  let firstFailed: number | null = null
  let failedInARow = 0
  let gaveUp = false
  let sourceError: unknown = null
  let ended = false
  const hasGivenUp = () => gaveUp

  const send = async (message: OutgoingMessage, at: number) => {
    try {
      if (options.oneway && producer.sendOneway) await producer.sendOneway(message)
      else {
        const receipt = await producer.send(message)
        if (at < RECEIPTS_MAX) receipts[at] = receipt
      }
      sent += 1
      failedInARow = 0
    } catch (reason) {
      failed += 1
      failedInARow += 1
      firstFailed = Math.min(firstFailed ?? Infinity, at + 1)
      error ??= reason
      if (reason instanceof MqError && reason.code === 'OUTBOX_FULL') gaveUp = true
    }
    if (!ended) options.onProgress({ sent, failed })
  }

  // A source that is silent (a pipe, a terminal), a slow pace and brokers that are slow keep nobody from Ctrl-C.
  const { clock, signal } = options
  const iterator = messages[Symbol.asyncIterator]()
  try {
    for (;;) {
      const next = await orAborted(iterator.next(), signal)
      if (next === null || next.done === true) break
      const message = next.value
      if (options.rateHz !== null) {
        const dueMs = startMs + (index / options.rateHz) * 1_000
        const waitMs = dueMs - clock.monotonicMs()
        if (waitMs > 0) await pauseOrAbort(clock, waitMs, signal)
      }
      const bytes = Buffer.byteLength(message.body)
      while (!signal.aborted && underWay.size > 0 && bytesUnderWay + bytes > BYTES_UNDER_WAY_MAX) {
        await orAborted(Promise.race(underWay), signal)
      }
      if (signal.aborted) break
      bytesUnderWay += bytes
      const sending = send(message, index).finally(() => {
        underWay.delete(sending)
        bytesUnderWay -= bytes
      })
      underWay.add(sending)
      index += 1
      if (underWay.size >= options.window) await orAborted(Promise.race(underWay), signal)
      if (hasGivenUp()) break
      // The first failure of all means that the rest will hardly do better.
      if (options.takesAll === true) continue
      if (failed > 0 && sent === 0) break
      if (failedInARow >= FAILURES_IN_A_ROW_MAX) {
        gaveUp = true
        break
      }
    }
  } catch (reason) {
    sourceError = reason
  }
  // What has an answer to come is waited for; of what goes one way nobody hears in any case.
  const settled = Promise.all(underWay)
  const isOneway = options.oneway && producer.sendOneway !== undefined
  await (isOneway ? orAborted(settled, signal) : settled)
  ended = true
  const totals = { sent, failed, firstFailed, gaveUp }
  return { ...totals, receipts: receipts.filter(Boolean), error, sourceError }
}
