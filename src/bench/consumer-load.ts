/**
 * Reads lanes to their end and beyond, and looks at every message. Counts go to the phase of the
 * time of receipt; end-to-end latency goes to the phase in which the message was due.
 */
import type { ConsumerLine } from '../drivers/driver.ts'
import { LatencyHistogram } from './histogram.ts'
import { LoadProgram } from './load-program.ts'
import type { LanePosition, ProducerClocks } from './role-messages.ts'
import type { PackedReceipts } from './tally.ts'
import { xorshift } from './payload.ts'
import { ReceiptCheck, type ReceiptCheckOptions, type Receipts } from './receipt-check.ts'

export interface ConsumerLoadOptions extends ReceiptCheckOptions {
  /** Messages carry their identity; without it they are only counted. */
  readonly sequence: boolean
  /** Share of messages that cannot be worked on; none, unless said otherwise. */
  readonly failRate?: number
  readonly seed?: number
  /** Of producers on other hosts, as they stand at first. */
  readonly clocks?: ProducerClocks | null
}

interface PhaseReceipts {
  received: number
  receivedBytes: number
  readonly endToEnd: LatencyHistogram
}

export class ConsumerLoad {
  readonly program = new LoadProgram()
  totalReceived = 0
  /** By outcome: requests that failed and were repeated. */
  readonly troubles = new Map<number, number>()
  broken: string | null = null
  /** Of producers on other hosts, as they stand now; null when all are on this one. */
  clocks: ProducerClocks | null
  /** By producer: how far its clock was behind when the phases were handed out, by which it keeps to them. */
  readonly #phasesAheadNs: readonly number[]
  readonly #options: ConsumerLoadOptions
  readonly #check: ReceiptCheck
  /** Lanes that this consumer reads. */
  readonly #mine: readonly number[]
  /** By lane: where this consumer is, and the lane's end when the broker last answered. */
  readonly #position: Float64Array
  readonly #endOffset: Float64Array
  /** By lane: when the last message from it was sent; 0 when there was none. */
  readonly #lastSentNs: Float64Array
  readonly #byPhase = new Map<number, PhaseReceipts>()
  readonly #random: () => number
  #line: ConsumerLine | null = null

  constructor(
    options: ConsumerLoadOptions,
    mine: readonly { readonly lane: number; readonly offset: number }[],
  ) {
    this.#options = options
    this.clocks = options.clocks ?? null
    this.#phasesAheadNs = this.clocks?.aheadNs ?? []
    this.#check = new ReceiptCheck(options)
    this.#random = xorshift(options.seed ?? 1)
    this.#mine = mine.map(({ lane }) => lane)
    this.#position = new Float64Array(options.lanes)
    this.#endOffset = new Float64Array(options.lanes)
    for (const { lane, offset } of mine) this.onProgress(lane, offset, offset)
    this.#lastSentNs = new Float64Array(options.lanes)
  }

  start(line: ConsumerLine): void {
    this.#line = line
    line.start()
  }

  /** Whether the next message can be worked on. */
  accepts(): boolean {
    return this.#random() / 0x1_0000_0000 >= (this.#options.failRate ?? 0)
  }

  onMessage(lane: number, _queueOffset: number, bytes: Buffer, start: number, end: number): void {
    const nowNs = this.#line?.nowNs ?? 0
    this.totalReceived += 1
    const now = this.program.phaseAt(nowNs)
    if (now !== null) {
      const receipts = this.#of(now)
      receipts.received += 1
      receipts.receivedBytes += end - start
    }
    if (!this.#options.sequence) return
    this.#check.onMessage(lane, bytes, start, end)
    const { sentNs: saidNs, producer } = this.#check
    if (saidNs === 0) return
    const { clocks } = this
    const sentNs = clocks === null ? saidNs : saidNs + (clocks.aheadNs[producer] ?? 0)
    this.#lastSentNs[lane] = sentNs
    const due = this.program.phaseAt(saidNs + (this.#phasesAheadNs[producer] ?? 0))
    if (due === null) return
    const tookNs = nowNs - sentNs
    // Two clocks agree no better than they were read: so little before its sending is no fault.
    const isWithin = clocks !== null && tookNs < 0 && -tookNs <= (clocks.toleranceNs[producer] ?? 0)
    this.#of(due).endToEnd.record(isWithin ? 0 : tookNs)
  }

  /** What was counted since the last call, by phase. */
  takeReceipts(): PackedReceipts[] {
    const packed: PackedReceipts[] = []
    for (const [phase, receipts] of this.#byPhase) {
      const { received, receivedBytes, endToEnd } = receipts
      if (received === 0 && endToEnd.count === 0) {
        endToEnd.destroy()
        this.#byPhase.delete(phase)
        continue
      }
      packed.push({
        phase,
        received,
        receivedBytes,
        endToEnd: endToEnd.count > 0 ? endToEnd.pack() : null,
      })
      receipts.received = 0
      receipts.receivedBytes = 0
      endToEnd.reset()
    }
    return packed
  }

  #of(phase: number): PhaseReceipts {
    let receipts = this.#byPhase.get(phase)
    if (receipts === undefined) {
      receipts = { received: 0, receivedBytes: 0, endToEnd: new LatencyHistogram() }
      this.#byPhase.set(phase, receipts)
    }
    return receipts
  }

  onProgress(lane: number, nextOffset: number, endOffset: number): void {
    this.#position[lane] = nextOffset
    this.#endOffset[lane] = endOffset
  }

  onTrouble(outcome: number): void {
    this.troubles.set(outcome, (this.troubles.get(outcome) ?? 0) + 1)
  }

  onBroken(why: string): void {
    this.broken ??= why
  }

  positions(): LanePosition[] {
    return this.#mine.map((lane) => [
      lane,
      this.#position[lane] ?? 0,
      this.#endOffset[lane] ?? 0,
      this.#lastSentNs[lane] ?? 0,
    ])
  }

  receipts(): Receipts {
    if (this.#options.sequence) return this.#check.receipts()
    return {
      received: this.totalReceived,
      duplicated: 0,
      reordered: 0,
      corrupted: 0,
      foreign: 0,
      misplaced: 0,
      damaged: [],
      seen: [],
    }
  }
}
