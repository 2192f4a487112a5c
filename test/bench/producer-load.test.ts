import { beforeAll, describe, expect, it } from 'vitest'
import { loadHistograms } from '../../src/bench/histogram.ts'
import { PayloadPool } from '../../src/bench/payload.ts'
import { ProducerLoad } from '../../src/bench/producer-load.ts'
import { LocalOutcome, type ProducerLine } from '../../src/drivers/driver.ts'

beforeAll(loadHistograms)

/** A line whose clock and answers the test holds in its hand. */
class HandLine implements ProducerLine {
  readonly lanes = [0, 1, 2].map((queueId) => ({ broker: 'b', address: 'x:1', queueId }))
  readonly sentBytes = 0
  readonly strayAnswers = 0
  nowNs = 0
  readonly sent: { slot: number; lane: number; sequence: number }[] = []

  send(slot: number, lane: number, body: Buffer, start: number): void {
    this.sent.push({ slot, lane, sequence: body.readUInt32BE(start + 12) })
  }

  turn(work: () => void): void {
    work()
  }

  close(): void {
    // Nothing to close.
  }
}

function aLoad(slots = 2) {
  const pool = new PayloadPool({ sizeBytes: 64, count: 2, entropy: 1, seed: 1 })
  const options = { producer: 0, runId: 1, slots, sequence: true, checksum: true }
  return { load: new ProducerLoad(pool, options), line: new HandLine() }
}

describe('closed load', () => {
  it('keeps one message of every sender under way, over all lanes in turn', () => {
    const { load, line } = aLoad()
    load.start(line, { startNs: 0, endNs: 1e9 })
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
    load.start(line, { startNs: 1000, endNs: 3000 })
    line.nowNs = 1500
    load.onSettled(0, 0)
    line.nowNs = 1700
    load.onSettled(0, 0)
    line.nowNs = 5000
    load.onSettled(0, 0)
    expect(load.counts).toEqual({ sent: 2, acked: 2, failed: 0 })
    expect([load.totalSent, load.totalAcked, load.pending]).toEqual([3, 3, 0])
    expect(load.interval.count).toBe(2)
  })

  it('measures from the turn of the sending to the turn of the answer', () => {
    const { load, line } = aLoad(1)
    load.start(line, { startNs: 0, endNs: 1e12 })
    line.nowNs = 2_000_000
    load.onSettled(0, 0)
    line.nowNs = 7_000_000
    load.onSettled(0, 0)
    expect([load.interval.summary()?.minMs, load.interval.maxMs]).toEqual([2, 5])
  })

  it('stops at the end of the window and leaves what is under way to settle', () => {
    const { load, line } = aLoad(2)
    load.start(line, { startNs: 0, endNs: 10 })
    line.nowNs = 20
    load.onSettled(0, 0)
    expect([load.halted, load.pending, line.sent.length]).toEqual([true, 1, 2])
  })

  it('keeps a failure out of the latencies, counts it by its outcome, and goes on', () => {
    const { load, line } = aLoad(1)
    load.start(line, { startNs: 0, endNs: 1e9 })
    load.onSettled(0, 2)
    expect(load.counts).toEqual({ sent: 2, acked: 0, failed: 1 })
    expect([...load.errors]).toEqual([[2, 1]])
    expect([load.interval.count, load.pending]).toEqual([0, 1])
  })

  it('sends nothing more when the line is broken, and lists what has no outcome', () => {
    const { load, line } = aLoad(2)
    load.start(line, { startNs: 0, endNs: 1e9 })
    load.onSettled(0, 0)
    load.onBroken('gone')
    load.onSettled(0, LocalOutcome.connectionLost)
    const ledger = load.packedLedger()
    expect([load.totalSent, load.totalAcked, load.totalFailed, load.pending]).toEqual([3, 1, 1, 1])
    expect([ledger.sent, [...ledger.unacknowledged].sort()]).toEqual([3, [1, 2]])
  })

  it('always satisfies sent = acknowledged + failed + pending', () => {
    const { load, line } = aLoad(5)
    load.start(line, { startNs: 0, endNs: 1e9 })
    for (let step = 0; step < 1000; step += 1) {
      load.onSettled(step % 5, step % 7 === 0 ? 2 : 0)
      expect(load.totalSent).toBe(load.totalAcked + load.totalFailed + load.pending)
    }
  })
})
