/** What agents tell is put together as if it had been counted on one host, on one clock. */
import { beforeAll, describe, expect, it } from 'vitest'
import type { AgentRecord } from '../../../src/bench/agent/agents.ts'
import { clockErrorMs, clockMovedMs, clockOf } from '../../../src/bench/agent-hosts.ts'
import { reportSchema } from '../../../src/bench/agent/messages.ts'
import { orderAhead, reportAhead } from '../../../src/bench/agent/moments.ts'
import { FrameReader, encodeFrame } from '../../../src/bench/agent/wire.ts'
import { ConsumerLoad } from '../../../src/bench/consumer-load.ts'
import { LatencyHistogram, loadHistograms } from '../../../src/bench/histogram.ts'
import { HEADER_BYTES, writeHeader } from '../../../src/bench/message.ts'
import { PhaseSums } from '../../../src/bench/phase-sums.ts'
import { xorshift } from '../../../src/bench/payload.ts'
import type { FromRole, ProducerTick } from '../../../src/bench/role-messages.ts'
import { Tally } from '../../../src/bench/tally.ts'

beforeAll(loadHistograms)

/** As it comes out of the connection. */
function sent(report: FromRole): FromRole {
  const values: unknown[] = []
  const reader = new FrameReader(1e8, (value) => values.push(value))
  reader.push(encodeFrame(report, 1e8))
  return reportSchema.parse(values[0])
}

describe('histograms of several hosts', () => {
  it('merged are the histogram of all values, whoever recorded them', () => {
    const random = xorshift(11)
    const whole = new LatencyHistogram()
    const sums = new PhaseSums()
    for (let host = 0; host < 4; host += 1) {
      const tally = new Tally(0, false)
      for (let index = 0; index < 20_000; index += 1) {
        // From 1 ns to 100 s, as many in each power of two.
        const ns = 2 ** ((random() % 3_600) / 100)
        tally.service.record(ns)
        whole.record(ns)
      }
      const tick: ProducerTick = {
        kind: 'producer-tick',
        atNs: 1,
        tallies: [tally.pack()],
        totalAcked: 0,
        pending: 0,
        broken: null,
      }
      const report = sent(tick)
      if (report.kind === 'producer-tick') {
        for (const one of report.tallies) sums.addTally(one)
      }
    }
    expect(sums.latency('service')?.summary()).toEqual(whole.summary())
  })
})

describe('moments of another clock', () => {
  const load = { model: 'closed' } as const
  const segments = [
    { phase: null, startNs: 100, endNs: 200, load },
    { phase: 0, startNs: 200, endNs: Number.POSITIVE_INFINITY, load },
  ]

  it('are moved in orders, and what has no end keeps none', () => {
    expect(orderAhead({ kind: 'start', gridNs: 150, segments }, 1_000)).toEqual({
      kind: 'start',
      gridNs: 1_150,
      segments: [
        { phase: null, startNs: 1_100, endNs: 1_200, load },
        { phase: 0, startNs: 1_200, endNs: Number.POSITIVE_INFINITY, load },
      ],
    })
  })

  it('are moved back in reports, and never stays never', () => {
    const tick = {
      kind: 'consumer-tick',
      groupIndex: 0,
      atNs: 5_000,
      receipts: [],
      totalReceived: 0,
      polled: false,
      broken: null,
    } as const
    const lanes = [[0, 1, 2, 4_000] as const, [1, 1, 2, 0] as const]
    expect(reportAhead({ ...tick, lanes }, -1_000)).toEqual({
      ...tick,
      atNs: 4_000,
      lanes: [
        [0, 1, 2, 3_000],
        [1, 1, 2, 0],
      ],
    })
  })
})

describe('a consumer whose producers are on other hosts', () => {
  /** A consumer of one producer, whose clock stands so to its own. */
  function aConsumer(aheadNs: number, toleranceNs: number) {
    const clocks = { aheadNs: [aheadNs], toleranceNs: [toleranceNs] }
    const ids = { runId: 7, producers: 1, sendersOfEach: 1, lanes: 1 }
    const load = new ConsumerLoad({ ...ids, checksum: false, sequence: true, clocks }, [
      { lane: 0, offset: 0 },
    ])
    const endNs = 10e9
    load.program.append([{ phase: 0, startNs: 0, endNs, load: { model: 'closed' } }])
    const still = () => undefined
    const line = { receivedBytes: 0, batches: 0, start: still, pause: still, resume: still }
    let count = 0
    return {
      take(sentNs: number, nowNs: number) {
        load.start({ ...line, nowNs, close: still })
        const body = Buffer.alloc(HEADER_BYTES)
        writeHeader(body, 0, 7, 0, 0, count, sentNs, 0)
        load.onMessage(0, count, body, 0, body.length)
        count += 1
      },
      reckon(ahead: number, tolerance: number) {
        load.clocks = { aheadNs: [ahead], toleranceNs: [tolerance] }
      },
      histogram() {
        const packed = load.takeReceipts()[0]?.endToEnd ?? null
        return packed === null ? null : LatencyHistogram.decode(packed)
      },
    }
  }

  /** End-to-end latencies of messages that were sent and received at these moments. */
  function received(aheadNs: number, toleranceNs: number, moments: readonly [number, number][]) {
    const load = aConsumer(aheadNs, toleranceNs)
    for (const [sentNs, nowNs] of moments) load.take(sentNs, nowNs)
    return load.histogram()
  }

  it('counts from their time on its own clock', () => {
    // Their clock is 5 s behind: sent at 1 s there is 6 s here.
    const histogram = received(5e9, 1e5, [[1e9, 6.002e9]])
    expect([histogram?.maxMs, histogram?.negative]).toEqual([2, 0])
  })

  it('takes a message as early as the clocks are apart for one without delay, and no earlier', () => {
    const histogram = received(5e9, 1e5, [
      [1e9, 6e9 - 0.9e5],
      [1e9, 6e9 - 1.1e5],
    ])
    expect([histogram?.count, histogram?.negative]).toEqual([2, 1])
    // How early it was is kept: in the end more may be known of the clocks.
    expect(histogram?.earlyNs).toBeCloseTo(1.1e5, 0)
  })

  it('reckons with what it is told of their drift', () => {
    const load = aConsumer(5e9, 1e5)
    load.take(1e9, 6e9 + 1e6)
    // Two milliseconds further behind now.
    load.reckon(5.002e9, 1e5)
    load.take(1e9, 6e9 + 3e6)
    const histogram = load.histogram()
    expect([histogram?.count, histogram?.negative, histogram?.maxMs]).toEqual([2, 0, 1])
  })

  it('counts to the phase in which the producer sent, however far the clocks have moved since it was told', () => {
    const load = aConsumer(5e9, 1e5)
    load.reckon(5.2e9, 1e5)
    // The phase ends at 10 s here: both keep to 5 s there.
    load.take(5e9 - 1e6, 10.2e9)
    load.take(5e9 + 1e6, 10.202e9)
    const histogram = load.histogram()
    expect([histogram?.count, histogram?.negative, histogram?.maxMs]).toEqual([1, 0, 1])
  })
})

describe('the clocks of a run', () => {
  const anAgent = (address: string, offsetNs: number, errorNs: number | null) =>
    ({ address, clock: { offsetNs, uncertaintyNs: 1e5, errorNs, movedNs: 2e6 } }) as AgentRecord
  const at = (host: string | null) => ({ name: 'x', role: 'producer', pid: 1, host }) as const

  it('are one when all of the load is on one host, here or there', () => {
    const agents = [anAgent('a:1', 7e9, 2e5), anAgent('b:1', 0, null)]
    expect([
      clockErrorMs([], [at(null), at(null)]),
      clockErrorMs(agents, [at('a:1'), at('a:1')]),
      clockOf(agents, [at('a:1')]).layout,
    ]).toEqual([0, 0, 'single'])
  })

  it('are as far apart as the two worst of those that carry load', () => {
    const agents = [anAgent('a:1', 7e9, 2e5), anAgent('b:1', -1e9, 3e5), anAgent('c:1', 0, 1e5)]
    const used = [at('a:1'), at('b:1'), at('c:1')]
    expect([clockErrorMs(agents, used), clockMovedMs(agents, used)]).toEqual([0.5, 4])
    expect(clockOf(agents, used)).toMatchObject({ layout: 'multi', uncertaintyMs: 0.5 })
  })

  it('are unknown when one that carries load was not read again', () => {
    const agents = [anAgent('a:1', 7e9, 2e5), anAgent('b:1', 0, null)]
    expect(clockErrorMs(agents, [at('a:1'), at('b:1')])).toBeNull()
  })
})
