import { beforeAll, describe, expect, it } from 'vitest'
import { LatencyHistogram, loadHistograms } from '../../src/bench/histogram.ts'
import type { Segment } from '../../src/bench/load-program.ts'
import { PayloadPool } from '../../src/bench/payload.ts'
import { ProducerLoad } from '../../src/bench/producer-load.ts'
import { Schedule } from '../../src/bench/rate-shape.ts'
import type { ProducerLatency } from '../../src/bench/tally.ts'
import { LocalOutcome, type ProducerLine } from '../../src/drivers/driver.ts'

beforeAll(loadHistograms)

/** A line whose clock and answers the test holds in its hand. */
class HandLine implements ProducerLine {
  readonly lanes = [0, 1, 2].map((queueId) => ({
    topic: 'T',
    broker: 'b',
    address: 'x:1',
    queueId,
  }))
  readonly sentBytes = 0
  readonly strayAnswers = 0
  nowNs = 0
  readonly sent: { slot: number; lane: number; sequence: number }[] = []

  send(slot: number, lane: number, body: Buffer, start: number): void {
    this.sent.push({ slot, lane, sequence: body.readUInt32BE(start + 12) })
  }

  readonly batch: number[] = []
  readonly batches: { slot: number; lane: number; sequences: number[] }[] = []

  addToBatch(body: Buffer, start: number): void {
    this.batch.push(body.readUInt32BE(start + 12))
  }

  sendBatch(slot: number, lane: number): void {
    this.batches.push({ slot, lane, sequences: this.batch.splice(0) })
  }

  turn(work: () => void): void {
    work()
  }

  close(): void {
    // Nothing to close.
  }
}

/** Warm-up until `startNs`, then one phase of closed load. */
function closed(startNs: number, endNs: number): Segment[] {
  const load = { model: 'closed' } as const
  return [
    { phase: null, startNs: Number.NEGATIVE_INFINITY, endNs: startNs, load },
    { phase: 0, startNs, endNs, load },
  ]
}

/** One phase at a rate, from moment 0. */
function open(rateHz: number, seconds: number): Segment[] {
  const shape = { kind: 'hold', rateHz } as const
  const load = { model: 'open', shape, durationMs: seconds * 1000 } as const
  return [{ phase: 0, startNs: 0, endNs: seconds * 1e9, load }]
}

function latencyOf(load: ProducerLoad, kind: ProducerLatency) {
  const packed = load.takeTallies()[0]?.latency[kind]
  if (packed === undefined) return null
  const histogram = LatencyHistogram.decode(packed)
  const summary = histogram.summary()
  return { count: histogram.count, minMs: summary?.minMs, maxMs: histogram.maxMs }
}

function aLoad(slots = 2, changes: { batchSize?: number; lingerMs?: number } = {}) {
  const pool = new PayloadPool({
    sizes: [{ sizeBytes: 64, weight: 1 }],
    count: 2,
    entropy: 1,
    seed: 1,
  })
  const options = {
    producer: 0,
    producers: 1,
    runId: 1,
    slots,
    sequence: true,
    checksum: true,
    ...changes,
  }
  const wishes: number[] = []
  const load = new ProducerLoad(pool, options, (atNs) => {
    wishes.push(atNs)
  })
  return { load, line: new HandLine(), wishes }
}

describe('closed load', () => {
  it('keeps one message of every sender under way, over all lanes in turn', () => {
    const { load, line } = aLoad()
    load.start(line, closed(0, 1e9))
    load.onSettled(1, 0)
    load.onSettled(0, 0)
    expect(line.sent).toEqual([
      { slot: 0, lane: 0, sequence: 0 },
      { slot: 1, lane: 1, sequence: 1 },
      { slot: 1, lane: 2, sequence: 2 },
      { slot: 0, lane: 0, sequence: 3 },
    ])
    expect(load.pending).toBe(2)
  })

  it('counts a message to the phase in which it was sent, and the warm-up to nothing', () => {
    const { load, line } = aLoad(1)
    load.start(line, closed(1000, 3000))
    line.nowNs = 1500
    load.onSettled(0, 0)
    line.nowNs = 1700
    load.onSettled(0, 0)
    line.nowNs = 5000
    load.onSettled(0, 0)
    expect(load.takeTallies()).toMatchObject([{ phase: 0, sent: 2, acked: 2, failed: 0 }])
    expect([load.totalSent, load.totalAcked, load.pending]).toEqual([3, 3, 0])
  })

  it('measures from the turn of the sending to the turn of the answer', () => {
    const { load, line } = aLoad(1)
    load.start(line, closed(0, 1e12))
    line.nowNs = 2_000_000
    load.onSettled(0, 0)
    line.nowNs = 7_000_000
    load.onSettled(0, 0)
    expect(latencyOf(load, 'service')).toEqual({ count: 2, minMs: 2, maxMs: 5 })
  })

  it('goes on behind a gap whose end was not known', () => {
    const { load, line, wishes } = aLoad(1)
    const closedLoad = { model: 'closed' } as const
    load.start(line, [{ phase: 0, startNs: 0, endNs: 1e9, load: closedLoad }])
    line.nowNs = 1e9
    const idle = { model: 'idle' } as const
    load.extend([{ phase: null, startNs: 1e9, endNs: Number.POSITIVE_INFINITY, load: idle }])
    load.onSettled(0, 0)
    line.nowNs = 2e9
    load.extend([{ phase: 1, startNs: 3e9, endNs: 4e9, load: closedLoad }])
    expect(wishes.at(-1)).toBe(3e9)
    line.nowNs = 3e9
    load.pump()
    expect(line.sent).toHaveLength(2)
    expect(load.takeTallies().map(({ phase, sent }) => [phase, sent])).toContainEqual([1, 1])
  })

  it('stops at the end of the window and leaves what is under way to settle', () => {
    const { load, line } = aLoad(2)
    load.start(line, closed(0, 10))
    load.program.isFinal = true
    line.nowNs = 20
    load.onSettled(0, 0)
    expect([load.halted, load.pending, line.sent.length]).toEqual([true, 1, 2])
  })

  it('keeps a failure out of the latencies, counts it by its outcome, and goes on', () => {
    const { load, line } = aLoad(1)
    load.start(line, closed(0, 1e9))
    load.onSettled(0, 2)
    expect(load.takeTallies()).toMatchObject([
      { sent: 2, acked: 0, failed: 1, errors: [[2, 1]], latency: {} },
    ])
    expect(load.pending).toBe(1)
  })

  it('sends nothing more when the line is broken, and lists what has no outcome', () => {
    const { load, line } = aLoad(2)
    load.start(line, closed(0, 1e9))
    load.onSettled(0, 0)
    load.onBroken('gone')
    load.onSettled(0, LocalOutcome.connectionLost)
    const ledger = load.packedLedger()
    expect([load.totalSent, load.totalAcked, load.totalFailed, load.pending]).toEqual([3, 1, 1, 1])
    expect([ledger.sent, [...ledger.unacknowledged].sort()]).toEqual([3, [1, 2]])
  })

  it('always satisfies sent = acknowledged + failed + pending', () => {
    const { load, line } = aLoad(5)
    load.start(line, closed(0, 1e9))
    for (let step = 0; step < 1000; step += 1) {
      load.onSettled(step % 5, step % 7 === 0 ? 2 : 0)
      expect(load.totalSent).toBe(load.totalAcked + load.totalFailed + load.pending)
    }
  })
})

describe('open load', () => {
  it('sends a message when it is due, and says when it wants to be woken for the next', () => {
    const { load, line, wishes } = aLoad(8)
    load.start(line, open(1000, 1))
    expect([line.sent.length, wishes]).toEqual([1, [1e6]])
    line.nowNs = 1e6
    load.pump()
    expect([line.sent.length, wishes]).toEqual([2, [1e6, 2e6]])
  })

  it('counts response time from the moment a message was due, service time from its sending', () => {
    const { load, line } = aLoad(8)
    load.start(line, open(1000, 1))
    line.nowNs = 0.5e6
    load.onSettled(0, 0)
    line.nowNs = 1.3e6
    load.pump()
    line.nowNs = 1.7e6
    load.onSettled(0, 0)
    const [tally] = load.takeTallies()
    const maxMs = (kind: ProducerLatency) =>
      Number(((tally?.latency[kind]?.maxNs ?? 0) / 1e6).toFixed(3))
    expect([maxMs('response'), maxMs('service'), maxMs('pacing')]).toEqual([0.7, 0.5, 0.3])
  })

  it('shows a stall of the target in the response time of all that became due meanwhile', () => {
    const { load, line } = aLoad(1)
    load.start(line, open(1000, 1))
    line.nowNs = 200e6
    load.onSettled(0, 0)
    for (let settled = 1; settled <= 200; settled += 1) load.onSettled(0, 0)
    const [tally] = load.takeTallies()
    const of = (kind: ProducerLatency) => {
      const packed = tally?.latency[kind]
      return packed === undefined ? null : LatencyHistogram.decode(packed)
    }
    expect(of('response')?.atMs(50)).toBeGreaterThan(90)
    expect(of('service')?.atMs(50)).toBe(0)
    expect([tally?.blocked, of('pacing')?.count]).toEqual([200, 1])
  })

  it('counts what was due and never sent, so that scheduled = sent + unsent', () => {
    const { load, line } = aLoad(1)
    load.start(line, open(1000, 1))
    line.nowNs = 1e9
    load.program.isFinal = true
    load.onSettled(0, 0)
    expect(load.takeTallies()).toMatchObject([{ scheduled: 1000, sent: 1, unsent: 999 }])
    expect(load.halted).toBe(true)
  })

  it('takes what a sleeping generator did not send for its own pacing error', () => {
    const { load, line } = aLoad(8)
    load.start(line, open(1000, 1))
    line.nowNs = 1.5e9
    load.program.isFinal = true
    load.pump()
    const [tally] = load.takeTallies()
    const pacing = tally?.latency.pacing
    const count = pacing === undefined ? 0 : LatencyHistogram.decode(pacing).count
    expect([tally?.scheduled, tally?.unsent, count]).toEqual([1000, 999, 1000])
    expect((pacing?.maxNs ?? 0) / 1e9).toBeCloseTo(1.499, 2)
  })

  it('shares one schedule between producers without a gap or a double', () => {
    const due = [0, 1, 2].flatMap((producer) => {
      const timed = { shape: { kind: 'hold', rateHz: 300 }, durationMs: 1000 } as const
      const schedule = new Schedule(timed, 0, producer, 3)
      const times: number[] = []
      for (; Number.isFinite(schedule.nextNs); schedule.take()) times.push(schedule.nextNs)
      return times
    })
    due.sort((a, b) => a - b)
    expect(due).toHaveLength(300)
    expect(due.map((ns) => Math.round((ns * 300) / 1e9))).toEqual(due.map((_, k) => k))
  })

  it('goes from a closed phase to an open one and back', () => {
    const { load, line } = aLoad(2)
    const shape = { kind: 'hold', rateHz: 1000 } as const
    load.start(line, [
      { phase: 0, startNs: 0, endNs: 1e6, load: { model: 'closed' } },
      { phase: 1, startNs: 1e6, endNs: 3e6, load: { model: 'open', shape, durationMs: 2 } },
      { phase: 2, startNs: 3e6, endNs: 4e6, load: { model: 'closed' } },
    ])
    line.nowNs = 1e6
    load.onSettled(0, 0)
    load.onSettled(1, 0)
    line.nowNs = 2e6
    load.onSettled(0, 0)
    line.nowNs = 3e6
    load.onSettled(0, 0)
    const sent = load.takeTallies().map(({ phase, sent: count }) => [phase, count])
    expect(sent).toEqual([
      [0, 2],
      [1, 2],
      [2, 2],
    ])
  })
})

describe('a load of batches', () => {
  it('fills every request of a closed load, and gives each message its own number', () => {
    const { load, line } = aLoad(2, { batchSize: 3 })
    load.start(line, closed(0, 1e9))
    load.onSettled(0, 0)
    expect(line.batches).toEqual([
      { slot: 0, lane: 0, sequences: [0, 1, 2] },
      { slot: 1, lane: 1, sequences: [3, 4, 5] },
      { slot: 0, lane: 2, sequences: [6, 7, 8] },
    ])
    expect([load.totalSent, load.totalAcked, load.pending]).toEqual([9, 3, 6])
  })

  it('sends what is due together when nothing is to be waited for', () => {
    const { load, line } = aLoad(4, { batchSize: 3 })
    load.start(line, open(1000, 1))
    line.nowNs = 4e6
    load.pump()
    expect(line.batches.map(({ sequences }) => sequences)).toEqual([[0], [1, 2, 3], [4]])
  })

  it('waits for others as long as it may, and not longer', () => {
    const { load, line, wishes } = aLoad(4, { batchSize: 10, lingerMs: 2 })
    load.start(line, open(1000, 1))
    line.nowNs = 1e6
    load.pump()
    expect([line.batches, load.pending]).toEqual([[], 2])
    expect(wishes.at(-1)).toBe(2e6)
    line.nowNs = 2e6
    load.pump()
    expect(line.batches.map(({ sequences }) => sequences)).toEqual([[0, 1, 2]])
    line.nowNs = 5e6
    load.onSettled(line.batches[0]?.slot ?? 0, 0)
    const [tally] = load.takeTallies()
    const response = tally?.latency.response
    expect(response === undefined ? null : LatencyHistogram.decode(response).maxMs).toBe(5)
    expect([tally?.acked, tally?.latency.service === undefined]).toEqual([3, false])
  })

  it('sends what waits when the phase ends, and counts it to this phase', () => {
    const { load, line } = aLoad(4, { batchSize: 10, lingerMs: 100 })
    load.start(line, open(1000, 0.003))
    line.nowNs = 2.5e6
    load.pump()
    expect(line.batches).toEqual([])
    load.halt()
    expect(line.batches.map(({ sequences }) => sequences)).toEqual([[0, 1, 2]])
    expect(load.pendingByPhase()).toEqual([[0, 3]])
  })

  it('lists all messages of a request that failed', () => {
    const { load, line } = aLoad(1, { batchSize: 3 })
    load.start(line, closed(0, 1e9))
    load.onSettled(0, 2)
    load.halt()
    const [tally] = load.takeTallies()
    expect([tally?.failed, tally?.errors]).toEqual([3, [[2, 3]]])
    expect([...load.packedLedger().unacknowledged]).toEqual([0, 1, 2, 3, 4, 5])
  })
})

describe('a load of one-way messages', () => {
  it('counts what the network took, and calls none of it acknowledged or failed', () => {
    const { load, line } = aLoad(2)
    load.start(line, closed(0, 1e9))
    for (const slot of [0, 1]) load.onSettled(slot, LocalOutcome.unanswered)
    const [tally] = load.takeTallies()
    expect([tally?.sent, tally?.acked, tally?.failed, tally?.unanswered]).toEqual([4, 0, 0, 2])
    expect(tally?.latency).toEqual({})
    expect(load.totalSent).toBe(load.totalUnanswered + load.pending)
  })
})
