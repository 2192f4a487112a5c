import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { LatencyHistogram, loadHistograms } from '../../src/bench/histogram.ts'
import { PayloadPool } from '../../src/bench/payload.ts'
import { ProducerLoad } from '../../src/bench/producer-load.ts'
import type { PackedTally, ProducerLatency } from '../../src/bench/tally.ts'
import { NullDriver } from '../../src/drivers/null.ts'
import { startNullTarget } from '../../src/drivers/null-target.ts'
import { sleep } from '../../src/world/node-clock.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { openPreciseTimer } from '../../src/world/precise-timer.ts'
import { Proxy } from './a-proxy.ts'

beforeAll(loadHistograms)

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

const SLOTS = 4
const STALL_MS = 1_000
const RATE_HZ = 500

/** Two seconds of load over real sockets through a proxy that stalls once, in the middle of it. */
async function tallyOfStalled(model: 'closed' | 'open'): Promise<PackedTally> {
  const target = await startNullTarget(nodeWorld)
  const proxy = await Proxy.open(`127.0.0.1:${target.port}`)
  closing.push(() => {
    proxy.close()
    void target.close()
  })
  const pool = new PayloadPool({
    sizes: [{ sizeBytes: 100, weight: 1 }],
    count: 4,
    entropy: 1,
    seed: 1,
  })
  const timer = openPreciseTimer(() => {
    load.pump()
  })
  const load = new ProducerLoad(
    pool,
    { producer: 0, producers: 1, runId: 1, slots: SLOTS, sequence: true, checksum: true },
    (atNs) => {
      timer.wakeAt(atNs)
    },
  )
  const driver = new NullDriver(nodeWorld, proxy.address)
  const line = await driver.openProducer(
    {
      topics: ['T'],
      group: 'G',
      slots: SLOTS,
      timeoutMs: 30_000,
      kinds: [{ tag: null, properties: {} }],
      keyed: false,
      oneWay: false,
    },
    {
      onSettled: (slot, outcome) => {
        load.onSettled(slot, outcome)
      },
      onBroken: (why) => {
        load.onBroken(why)
      },
    },
  )
  closing.push(() => {
    line.close()
    timer.close()
  })
  const startNs = Number(nodeWorld.clock.monotonicNs())
  const shape = { kind: 'hold', rateHz: RATE_HZ } as const
  load.start(line, [
    {
      phase: 0,
      startNs,
      endNs: startNs + 60e9,
      load: model === 'closed' ? { model } : { model, shape, durationMs: 60_000 },
    },
  ])
  await sleep(nodeWorld.clock, 300)
  const before = load.totalAcked
  proxy.stall(STALL_MS)
  // Answers come in the order of sending: with so many, all that were due during the stall have theirs.
  const enough = model === 'open' ? RATE_HZ * (STALL_MS / 1000 + 0.2) : SLOTS * 2
  await expect.poll(() => load.totalAcked - before, { timeout: 40_000 }).toBeGreaterThan(enough)
  load.halt()
  await expect.poll(() => load.pending, { timeout: 10_000 }).toBe(0)
  const [tally] = load.takeTallies()
  if (tally === undefined) throw new Error('nothing was counted')
  return tally
}

function countAbove(tally: PackedTally, kind: ProducerLatency, share: number): number {
  const packed = tally.latency[kind]
  if (packed === undefined) return 0
  const histogram = LatencyHistogram.decode(packed)
  let below = 0
  for (let percent = 0; percent <= 1000; percent += 1) {
    if (histogram.atMs(percent / 10) < STALL_MS * share) below = percent
  }
  return Math.round(histogram.count * (1 - below / 1000))
}

describe('a target that stalls once for a second', { timeout: 60_000 }, () => {
  it('costs an open load the response time of every message that was due meanwhile', async () => {
    const tally = await tallyOfStalled('open')
    // Half of the messages of the stalled second waited for more than half of it.
    const waited = countAbove(tally, 'response', 0.5)
    const served = countAbove(tally, 'service', 0.5)
    expect(waited).toBeGreaterThanOrEqual(RATE_HZ * 0.4)
    expect(served).toBeLessThan(waited / 4)
    expect(tally.blocked).toBeGreaterThan(RATE_HZ * 0.4)
    expect(tally.scheduled).toBe(tally.sent + tally.unsent)
  })

  it('costs a closed load one slow answer a sender, which is why its latency is labelled', async () => {
    const tally = await tallyOfStalled('closed')
    expect(tally.latency.response).toBeUndefined()
    expect((tally.latency.service?.maxNs ?? 0) / 1e6).toBeGreaterThan(STALL_MS * 0.7)
    expect([tally.unsent, tally.scheduled]).toEqual([0, 0])
  })
})
