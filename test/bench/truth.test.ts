/**
 * The whole way of a message, from the schedule to the verdict, against a target whose behaviour is
 * known to the last message, in virtual time: what is reported must be the truth, within the three
 * digits of a histogram; what was planted must be found, and nothing where nothing was planted.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import { ConsumerLoad } from '../../src/bench/consumer-load.ts'
import { LatencyHistogram, loadHistograms } from '../../src/bench/histogram.ts'
import { judgeIntegrity } from '../../src/bench/integrity.ts'
import { LagBook } from '../../src/bench/lag-book.ts'
import type { Segment } from '../../src/bench/load-program.ts'
import { PayloadPool } from '../../src/bench/payload.ts'
import { ProducerLoad } from '../../src/bench/producer-load.ts'
import type { ProducerLatency } from '../../src/bench/tally.ts'
import type { ConsumerLine, ProducerLine } from '../../src/drivers/driver.ts'

beforeAll(loadHistograms)

const MS = 1e6
const LANES = 4
const RUN_ID = 77

/** Moments in order; nothing happens between them. */
class VirtualTime {
  nowNs = 0
  #order = 0
  readonly #events: { atNs: number; order: number; work: () => void }[] = []

  at(atNs: number, work: () => void): void {
    if (!Number.isFinite(atNs)) return
    const event = { atNs: Math.max(atNs, this.nowNs), order: this.#order++, work }
    let low = 0
    let high = this.#events.length
    while (low < high) {
      const middle = (low + high) >> 1
      const other = this.#events[middle]
      const isLater =
        other !== undefined &&
        (other.atNs > event.atNs || (other.atNs === event.atNs && other.order > event.order))
      if (isLater) low = middle + 1
      else high = middle
    }
    this.#events.splice(low, 0, event)
  }

  run(): void {
    // A load that never ends would run for ever in no time.
    let left = 2_000_000
    for (let event = this.#events.pop(); event !== undefined; event = this.#events.pop()) {
      this.nowNs = event.atNs
      left -= 1
      if (left === 0) throw new Error(`it never ends: ${this.nowNs}, ${this.#events.length} events`)
      event.work()
    }
  }
}

interface Stored {
  readonly body: Buffer
  /** Of the sender's slot. */
  readonly slot: number
}

/** Answers each message after what `serviceNs` says, stores it, and holds everything during its stalls. */
class KnownTarget implements ProducerLine {
  readonly lanes = Array.from({ length: LANES }, (_, queueId) => ({
    topic: 'T',
    broker: 'b',
    address: 'x:1',
    queueId,
  }))
  readonly sentBytes = 0
  readonly strayAnswers = 0
  readonly stored: Stored[][] = Array.from({ length: LANES }, () => [])
  readonly #time: VirtualTime
  readonly #answerAt: (arrivedNs: number, count: number) => number
  #count = 0
  settle: (slot: number) => void = () => undefined

  constructor(time: VirtualTime, answerAt: (arrivedNs: number, count: number) => number) {
    this.#time = time
    this.#answerAt = answerAt
  }

  get nowNs(): number {
    return this.#time.nowNs
  }

  send(slot: number, lane: number, body: Buffer, start: number, end: number): void {
    this.stored[lane]?.push({ body: Buffer.from(body.subarray(start, end)), slot })
    const atNs = this.#answerAt(this.nowNs, this.#count++)
    this.#time.at(atNs, () => {
      this.settle(slot)
    })
  }

  addToBatch(): void {
    throw new Error('no batches here')
  }

  sendBatch(): void {
    throw new Error('no batches here')
  }

  turn(work: () => void): void {
    work()
  }

  close(): void {
    // Nothing to close.
  }
}

function runLoad(
  segments: readonly Segment[],
  slots: number,
  answerAt: (arrivedNs: number, count: number) => number,
) {
  const time = new VirtualTime()
  const target = new KnownTarget(time, answerAt)
  const sizes = [{ sizeBytes: 100, weight: 1 }]
  const pool = new PayloadPool({ sizes, count: 16, entropy: 1, seed: 1 })
  const options = { producer: 0, producers: 1, runId: RUN_ID, slots }
  // One timer, as a load process has: a later wish replaces an earlier one.
  let wishNs = Number.POSITIVE_INFINITY
  const load = new ProducerLoad(pool, { ...options, sequence: true, checksum: true }, (atNs) => {
    wishNs = atNs
    time.at(atNs, () => {
      if (wishNs === atNs) load.pump()
    })
  })
  target.settle = (slot) => {
    load.onSettled(slot, 0)
  }
  load.program.isFinal = true
  load.start(target, segments)
  time.run()
  const [tally] = load.takeTallies()
  const histogram = (kind: ProducerLatency) => {
    const packed = tally?.latency[kind]
    if (packed === undefined) throw new Error(`no ${kind}`)
    return LatencyHistogram.decode(packed)
  }
  return { load, target, tally, histogram, time }
}

const open = (rateHz: number, seconds: number): Segment[] => {
  const shape = { kind: 'hold', rateHz } as const
  const load = { model: 'open', shape, durationMs: seconds * 1000 } as const
  return [{ phase: 0, startNs: 0, endNs: seconds * 1e9, load }]
}

const closed = (seconds: number): Segment[] => [
  { phase: 0, startNs: 0, endNs: seconds * 1e9, load: { model: 'closed' } },
]

/** The value at a percentile of a list, as a histogram counts: the smallest that so many do not exceed. */
function exactMs(valuesNs: readonly number[], percentile: number): number {
  const sorted = [...valuesNs].sort((a, b) => a - b)
  const index = Math.max(0, Math.ceil((percentile / 100) * sorted.length) - 1)
  return (sorted[index] ?? Number.NaN) / MS
}

/** Three digits: one part in a thousand, to both sides. */
function expectClose(seen: number, truth: number): void {
  expect(Math.abs(seen - truth)).toBeLessThanOrEqual(truth * 0.001 + 1e-6)
}

const PERCENTILES = [50, 90, 95, 99, 99.9, 99.99]

describe('a target that stands still for 3 s in a minute, and answers in 1 ms otherwise', () => {
  const STALL = { fromNs: 20e9, toNs: 23e9 }
  const answerAt = (arrivedNs: number) =>
    (arrivedNs >= STALL.fromNs && arrivedNs < STALL.toNs ? STALL.toNs : arrivedNs) + 1 * MS

  it('costs an open load what it cost every message that was due meanwhile', () => {
    const { histogram, tally } = runLoad(open(1000, 60), 4000, answerAt)
    const truth = Array.from({ length: 60_000 }, (_, k) => answerAt(k * MS) - k * MS)
    expect(tally).toMatchObject({ scheduled: 60_000, sent: 60_000, acked: 60_000, blocked: 0 })
    for (const percentile of PERCENTILES) {
      expectClose(histogram('response').atMs(percentile), exactMs(truth, percentile))
    }
    expectClose(histogram('response').atMs(99), 2402)
    expect(histogram('pacing').maxMs).toBe(0)
  })

  it('costs it the same when 80 senders are too few: who waits for a sender keeps its time', () => {
    const { histogram, tally } = runLoad(open(1000, 60), 80, answerAt)
    const { response, service } = { response: histogram('response'), service: histogram('service') }
    expect(tally).toMatchObject({ scheduled: 60_000, acked: 60_000 })
    // Behind the stall they go through 80 at a time, each a millisecond after the other.
    const late = [99, 99.9].map((percentile) => response.atMs(percentile))
    expect(late[0]).toBeGreaterThanOrEqual(2400)
    expect(late[0]).toBeLessThan(2450)
    expect(late[1]).toBeGreaterThanOrEqual(2940)
    // What the target itself saw of it: 80 messages.
    expect(service.atMs(99)).toBeCloseTo(1, 2)
    expect(tally?.blocked).toBeGreaterThan(2900)
  })

  it('is hidden by a closed load, whose latency therefore is called service time only', () => {
    const { histogram, tally } = runLoad(closed(60), 4, answerAt)
    expect(tally?.latency.response).toBeUndefined()
    expect(histogram('service').atMs(99.9)).toBeCloseTo(1, 2)
    expectClose(histogram('service').maxMs, 3001)
  })
})

describe('a target of known service times', () => {
  // 1, 2, 4 … 512 ms in a fixed order, each as often as the others.
  const serviceNs = (count: number) => 2 ** ((count * 7) % 10) * MS

  it('is measured rightly at every percentile', () => {
    const answerAt = (arrivedNs: number, count: number) => arrivedNs + serviceNs(count)
    const { histogram } = runLoad(open(500, 40), 4000, answerAt)
    const truth = Array.from({ length: 20_000 }, (_, k) => serviceNs(k))
    const [service, response] = [histogram('service'), histogram('response')]
    for (const percentile of PERCENTILES) {
      expectClose(service.atMs(percentile), exactMs(truth, percentile))
      expectClose(response.atMs(percentile), exactMs(truth, percentile))
    }
  })
})

describe('messages on their way to a consumer', () => {
  const MESSAGES = 8_000
  const SENDERS = 8

  /** A clean run of `MESSAGES`, its queues open to whatever a test does to them. */
  function aRun(plant: (lanes: Stored[][]) => void = () => undefined) {
    const { load, target } = runLoad(open(2000, MESSAGES / 2000), SENDERS, (ns) => ns + 0.2 * MS)
    expect(load.totalAcked).toBe(MESSAGES)
    plant(target.stored)
    const options = { runId: RUN_ID, producers: 1, sendersOfEach: SENDERS, lanes: LANES }
    const all = target.stored.map((_, lane) => ({ lane, offset: 0 }))
    const consumer = new ConsumerLoad({ ...options, checksum: true, sequence: true }, all)
    for (const [lane, messages] of target.stored.entries()) {
      for (const [offset, { body }] of messages.entries()) {
        consumer.onMessage(lane, offset, body, 0, body.length)
      }
    }
    const verdict = judgeIntegrity({
      ledgers: [load.packedLedger()],
      acked: load.totalAcked,
      failed: load.totalFailed,
      pending: load.pending,
      receipts: [consumer.receipts()],
      sequenced: true,
      stored: MESSAGES,
      exclusive: true,
      drained: true,
    })
    const { lost, duplicated, reordered, corrupted, foreign, misplaced } = verdict
    const found = { lost, duplicated, reordered, corrupted, foreign, misplaced }
    return { found, violations: verdict.violations, ranges: verdict.lostRanges }
  }

  const nothing = {
    lost: 0,
    duplicated: 0,
    reordered: 0,
    corrupted: 0,
    foreign: 0,
    misplaced: 0,
  }
  const take = (lanes: Stored[][], lane: number): Stored[] => lanes[lane] ?? []

  it('are all there when nothing was planted, and nothing is found', () => {
    const { found, violations } = aRun()
    expect([found, violations]).toEqual([nothing, []])
  })

  it('are found missing, each of them', () => {
    const { found, ranges } = aRun((lanes) => {
      take(lanes, 1).splice(100, 3)
      take(lanes, 2).splice(7, 1)
    })
    expect(found).toEqual({ ...nothing, lost: 4 })
    expect(ranges.reduce((sum, { from, to }) => sum + to - from + 1, 0)).toBe(4)
  })

  it('are found twice', () => {
    const { found } = aRun((lanes) => {
      const lane = take(lanes, 3)
      lane.splice(50, 0, ...lane.slice(49, 50))
      lane.push(...lane.slice(10, 12))
    })
    // What comes twice comes behind later ones of its sender as well; that is the same fault, told once.
    expect(found).toEqual({ ...nothing, duplicated: 3 })
  })

  it('are found behind a later one of the same sender', () => {
    const { found } = aRun((lanes) => {
      const lane = take(lanes, 0)
      const [first] = lane
      const next = lane.findIndex(({ slot }, index) => index > 0 && slot === first?.slot)
      const [later] = lane.splice(next, 1)
      if (later !== undefined) lane.unshift(later)
    })
    expect(found).toEqual({ ...nothing, reordered: 1 })
  })

  it('are found damaged, wherever the bit flipped, and missing only when nobody can tell which it was', () => {
    for (const at of [4, 9, 13, 20, 28, 60, 99]) {
      const { found } = aRun((lanes) => {
        const [one] = take(lanes, 2).slice(5)
        if (one !== undefined) one.body[at] = (one.body[at] ?? 0) ^ 0x10
      })
      expect((found.corrupted ?? 0) + (found.foreign ?? 0)).toBe(1)
      // Bytes 4 to 15 say of which run and producer it is, and which of its messages.
      expect(found.lost).toBe(at < 16 ? 1 : 0)
    }
  })

  it('are found in the wrong queue, and those of nobody', () => {
    const { found } = aRun((lanes) => {
      const [stray] = take(lanes, 0).splice(20, 1)
      if (stray !== undefined) take(lanes, 1).push(stray)
      take(lanes, 2).push({ body: Buffer.alloc(100, 1), slot: 0 })
    })
    expect([found.misplaced, found.foreign, found.duplicated]).toEqual([1, 1, 0])
  })

  it('wait for a slow consumer as long as it is slow, in messages and in seconds', () => {
    // 1,000 a second come to one queue and 250 are worked on: 750 more wait each second.
    const book = new LagBook()
    const line: { nowNs: number } = { nowNs: 0 }
    const options = { runId: RUN_ID, producers: 1, sendersOfEach: 1, lanes: 1, checksum: true }
    const consumer = new ConsumerLoad({ ...options, sequence: true }, [{ lane: 0, offset: 0 }])
    consumer.start({ ...line, start: () => undefined } as unknown as ConsumerLine)
    const { target } = runLoad([...open(1000, 8)], 1, (ns) => ns + 0.01 * MS)
    const messages = target.stored.flat().map(({ body }) => body)
    messages.sort((a, b) => a.readDoubleBE(16) - b.readDoubleBE(16))
    for (let second = 1; second <= 8; second += 1) {
      for (let read = (second - 1) * 250; read < second * 250; read += 1) {
        const body = messages[read]
        if (body === undefined) continue
        // All of them came to lane 0 of this consumer.
        consumer.onMessage(body.readUInt16BE(24), read, body, 0, body.length)
      }
      consumer.onProgress(0, second * 250, second * 1000)
      book.onPositions(consumer.positions(), second * 1e9, second)
    }
    expect(book.messages).toBe(8 * 750)
    const [lane] = book.lanes()
    expect(lane).toMatchObject({ atEnd: 6000, max: 6000 })
    expect(lane?.slopePerSecond).toBeCloseTo(750)
  })
})
