import { beforeAll, describe, expect, it } from 'vitest'
import { LatencyHistogram, loadHistograms } from '../../src/bench/histogram.ts'
import type { Load } from '../../src/bench/load-program.ts'
import { lagAt, lagOf, latenciesOf } from '../../src/bench/phase-figures.ts'
import type { ConsumerTick, ProducerTick } from '../../src/bench/role-messages.ts'
import { Series } from '../../src/bench/series.ts'

beforeAll(loadHistograms)

const START_NS = 5e9

function aTick(second: number, acked: number, latencyMs = 1): ProducerTick {
  const histogram = new LatencyHistogram()
  for (let index = 0; index < acked; index += 1) histogram.record(latencyMs * 1e6)
  return {
    kind: 'producer-tick',
    // A tick comes a little after the second that it reports.
    atNs: START_NS + second * 1e9 + 8e6,
    tallies: [
      {
        phase: 0,
        scheduled: 0,
        sent: acked,
        sentBytes: 0,
        acked,
        failed: 0,
        unanswered: 0,
        unsent: 0,
        blocked: 0,
        errors: [],
        latency: acked === 0 ? {} : { service: histogram.pack() },
      },
    ],
    totalAcked: 0,
    pending: 0,
    broken: null,
  }
}

function aConsumerTick(second: number, changes: Partial<ConsumerTick>): ConsumerTick {
  return {
    kind: 'consumer-tick',
    groupIndex: 0,
    atNs: START_NS + second * 1e9,
    polled: false,
    receipts: [],
    totalReceived: 0,
    lanes: [],
    broken: null,
    ...changes,
  }
}

describe('the series', () => {
  it('adds the processes up, second by second', () => {
    const series = new Series(START_NS)
    series.onProducerTick('producer-1', aTick(1, 10, 1))
    series.onProducerTick('producer-2', aTick(1, 5, 3))
    series.onProducerTick('producer-1', aTick(2, 7, 2))
    const rows = series.rows()
    expect(rows.map(({ t, acked }) => [t, acked])).toEqual([
      [1, 15],
      [2, 7],
    ])
    expect(rows[0]?.maxMs).toBe(3)
    expect([series.sums().acked, series.sums().latency('service')?.count]).toEqual([22, 22])
  })

  it('gives a second no percentile above which too few messages lie', () => {
    const series = new Series(START_NS)
    series.onProducerTick('producer-1', aTick(1, 15))
    series.onProducerTick('producer-1', aTick(2, 999))
    series.onProducerTick('producer-1', aTick(3, 1000))
    const known = series.rows().map(({ p50Ms, p99Ms }) => [p50Ms !== null, p99Ms !== null])
    expect(known).toEqual([
      [false, false],
      [true, false],
      [true, true],
    ])
  })

  it('keeps the label of a closed load on figures of closed and open phases together', () => {
    const series = new Series(START_NS)
    series.onProducerTick('producer-1', aTick(1, 15))
    const open = { model: 'open', shape: { kind: 'hold', rateHz: 1 }, durationMs: 1000 } as const
    const labelOf = (loads: readonly Load[]) =>
      latenciesOf({
        sums: series.sums(),
        loads,
        seconds: 1,
        scheduledSeconds: 1,
        rows: [],
        pending: 0,
        wireBytesSent: 0,
        clockErrorMs: 0,
        consumerTroubles: {},
        nameOf: String,
        endToEndWhy: '',
      }).service?.label
    expect(labelOf([open])).not.toContain('service time only')
    expect(labelOf([{ model: 'closed' }])).toContain('service time only')
    expect(labelOf([{ model: 'closed' }, open])).toContain('service time only')
  })

  it('keeps the warm-up out of the rows', () => {
    const series = new Series(START_NS)
    series.onProducerTick('producer-1', { ...aTick(0, 0), atNs: START_NS - 1e9 })
    series.onConsumerTick('consumer-1', aConsumerTick(0, { totalReceived: 50 }))
    expect(series.rows()).toEqual([])
    expect(series.totalReceived).toBe(50)
  })

  it('counts what was carried in the window, also between its phases, and where in it a moment lies', () => {
    const series = new Series(START_NS, (atNs) => (atNs < START_NS + 2e9 ? null : 0))
    const told = (second: number, totalAcked: number) =>
      ({ ...aTick(second, 0), tallies: [], totalAcked }) satisfies ProducerTick
    for (const tick of [told(-1, 20), told(0, 100), told(1, 150), told(2, 230)]) {
      series.onProducerTick('producer-1', tick)
    }
    for (const [second, totalReceived] of [
      [0, 90],
      [2, 220],
    ] as const) {
      series.onConsumerTick('consumer-1', aConsumerTick(second, { totalReceived }))
    }
    expect([series.windowAcked, series.windowReceived]).toEqual([130, 130])
    expect(series.secondsOf(START_NS + 2e9)).toBe(2)
  })

  it('sums the lag of all consumers and remembers its most', () => {
    const series = new Series(START_NS)
    series.onConsumerTick('consumer-1', aConsumerTick(1, { lanes: [[0, 70, 100, 0]] }))
    series.onConsumerTick('consumer-2', aConsumerTick(1, { lanes: [[1, 8, 20, 0]] }))
    series.onConsumerTick('consumer-1', aConsumerTick(2, { lanes: [[0, 100, 100, 0]] }))
    expect(series.lag).toBe(12)
    expect(series.rows().map((row) => row.lag)).toEqual([42, 12])
    expect(lagOf(series.rows(), 0).max).toBe(42)
  })

  it('takes a queue to be as far behind as when its consumer told, not as when another tells', () => {
    const series = new Series(START_NS)
    const [one, two] = [
      (lastSentNs: number, end: number) => [0, 10, end, lastSentNs] as const,
      [1, 5, 5, START_NS] as const,
    ]
    series.onConsumerTick('consumer-1', aConsumerTick(1, { lanes: [one(START_NS + 0.9e9, 11)] }))
    series.onConsumerTick('consumer-2', aConsumerTick(2, { lanes: [two] }))
    expect(lagOf(series.rows(), 0).maxSeconds).toBeCloseTo(0.1)
  })

  it('is behind by the age of what it read last when it falls behind between two looks', () => {
    const series = new Series(START_NS)
    const at = (second: number, end: number) =>
      aConsumerTick(second, { lanes: [[0, 10, end, START_NS + 1.6e9] as const] })
    series.onConsumerTick('consumer-1', at(1, 10))
    series.onConsumerTick('consumer-1', at(2, 500))
    expect(series.rows().at(-1)?.lagSeconds).toBe(0.4)
  })

  it('leaves the last second of the window as it was when consumers are asked in the drain', () => {
    const series = new Series(START_NS, (atNs) => (atNs < START_NS + 2e9 ? 0 : null))
    const at = (second: number, position: number) => ({
      ...aConsumerTick(second, { lanes: [[0, position, 100, START_NS] as const] }),
      polled: !Number.isInteger(second),
    })
    for (const tick of [at(1, 60), at(1.05, 70), at(2, 90), at(2.05, 100)]) {
      series.onConsumerTick('consumer-1', tick)
    }
    expect(series.rows().map(({ lag }) => lag)).toEqual([40, 10])
  })

  it('counts what consumers tell when they are asked just behind the window to its last second', () => {
    const series = new Series(START_NS, (atNs) => (atNs < START_NS + 1e9 ? 0 : null))
    series.onProducerTick('producer-1', aTick(1, 10))
    const receipts = [{ phase: 0, received: 10, receivedBytes: 5000, endToEnd: null }]
    const asked = { ...aConsumerTick(1, { receipts }), atNs: START_NS + 1.05e9, polled: true }
    series.onConsumerTick('consumer-1', asked)
    expect(series.rows().map(({ t, received }) => [t, received])).toEqual([[1, 10]])
  })

  it('knows how far consumers were behind when the window began', () => {
    const series = new Series(START_NS)
    series.onConsumerTick('consumer-1', aConsumerTick(0, { lanes: [[0, 3, 10, 0]] }))
    series.onConsumerTick('consumer-1', aConsumerTick(1, { lanes: [[0, 9, 10, 0]] }))
    const rows = series.rows()
    const { lagAtStart } = series
    expect([lagAt(rows, 0, lagAtStart), lagAt(rows, 1, lagAtStart)]).toEqual([7, 1])
  })

  it('follows each queue: lag, its most, and how fast it grows', () => {
    const series = new Series(START_NS)
    for (let second = 1; second <= 5; second += 1) {
      const lanes = [[0, 0, second * 100, 0] as const, [1, 40, 40, 0] as const]
      series.onConsumerTick('consumer-1', aConsumerTick(second, { lanes }))
    }
    const [growing, still] = series.laneLags()
    expect(growing).toMatchObject({ lane: 0, atEnd: 500, max: 500 })
    expect(growing?.slopePerSecond).toBeCloseTo(100, 6)
    expect(still).toMatchObject({ lane: 1, atEnd: 0, max: 0, maxMs: 0, slopePerSecond: 0 })
  })

  it('believes the broker about the end of a queue that its consumer does not ask for', () => {
    const series = new Series(START_NS)
    const lanes = [[0, 10, 10, START_NS] as const]
    series.onConsumerTick('consumer-1', aConsumerTick(1, { lanes }))
    series.onEnds([{ lane: 0, endOffset: 500 }], START_NS + 1.5e9)
    series.onConsumerTick('consumer-1', aConsumerTick(3, { lanes }))
    const [, , row] = series.rows()
    expect([row?.lag, row?.lagSeconds]).toEqual([490, 1.5])
  })

  it('counts an end of the broker’s with the next news of a consumer at work, not against older news', () => {
    const series = new Series(START_NS)
    series.onConsumerTick('consumer-1', aConsumerTick(1, { lanes: [[0, 10, 10, START_NS]] }))
    series.noteEnds([{ lane: 0, endOffset: 500 }], START_NS + 1.8e9)
    expect(series.lag).toBe(0)
    series.onConsumerTick('consumer-1', aConsumerTick(2, { lanes: [[0, 600, 600, START_NS]] }))
    expect(series.rows().map(({ lag, lagSeconds }) => [lag, lagSeconds])).toEqual([
      [0, 0],
      [0, 0],
    ])
  })

  it('sees a consumer fall behind whose requests are not answered, and one that tells nothing at all', () => {
    const series = new Series(START_NS)
    const still = { lanes: [[0, 10, 10, START_NS] as const] }
    series.onConsumerTick('consumer-1', aConsumerTick(1, still))
    series.noteEnds([{ lane: 0, endOffset: 500 }], START_NS + 1.5e9)
    series.onConsumerTick('consumer-1', aConsumerTick(3, still))
    expect(series.rows().at(-1)).toMatchObject({ lag: 490, lagSeconds: 1.5 })
    series.noteEnds([{ lane: 0, endOffset: 900 }], START_NS + 6e9)
    expect(series.lag).toBe(890)
  })

  it('does not call a queue old that was silent for long and gets one message', () => {
    const series = new Series(START_NS)
    const at = (second: number, end: number) =>
      aConsumerTick(second, { lanes: [[0, 10, end, START_NS] as const] })
    series.onConsumerTick('consumer-1', at(59, 10))
    series.onConsumerTick('consumer-1', at(60, 11))
    expect(series.rows().at(-1)?.lagSeconds).toBe(0)
  })

  it('keeps the figures of many minutes and not their histograms', () => {
    const series = new Series(START_NS)
    for (let second = 1; second <= 400; second += 1) {
      series.onProducerTick('producer-1', aTick(second, 2, second))
    }
    const rows = series.rows()
    expect(rows).toHaveLength(400)
    expect([rows[0]?.maxMs, rows[399]?.maxMs]).toEqual([1, 400])
    expect(series.sums().latency('service')?.count).toBe(800)
  })
})
