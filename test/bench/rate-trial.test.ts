/** One rate against a target of which it is known what it swallowed, without a broker and without waiting. */
import { beforeAll, describe, expect, it } from 'vitest'
import { LatencyHistogram, loadHistograms } from '../../src/bench/histogram.ts'
import type { PhaseRunner } from '../../src/bench/phase-runner.ts'
import { RateTrials } from '../../src/bench/rate-trial.ts'
import { readScenario } from '../../src/bench/scenario.ts'
import { Series } from '../../src/bench/series.ts'
import { stagesOf } from '../../src/bench/stages.ts'
import { Tally } from '../../src/bench/tally.ts'
import type { HostSnapshot } from '../../src/host/snapshot.ts'

beforeAll(loadHistograms)

const RATE = 1000
const SECONDS = 16
const MESSAGES = RATE * SECONDS

const snapshot: HostSnapshot = {
  atMs: 0,
  cpuCount: 2,
  cpu: null,
  load1: null,
  memory: null,
  disk: null,
  nics: [],
  processes: new Map(),
  unavailable: {},
}

interface Target {
  /** Answered, and read by the consumers, within 5 ms each; of 16,000. */
  readonly answered: number
  readonly received: number
  /** Due and never sent by the generator, beside the 16,000. */
  readonly unsent?: number
  /** Refused by the target, of the 16,000. */
  readonly failed?: number
  /** Answered so many seconds after the end of the phase, and as late. */
  readonly late?: { readonly messages: number; readonly afterSeconds: number }
}

/** Tries 1,000 a second for 16 s, beginning at second 2 behind a moment to settle. */
async function tryRate(
  sla: readonly string[],
  { answered, received, late, unsent = 0, failed = 0 }: Target,
) {
  const source = `version: 1\nname: x\nload: [{as: find, model: open, shape: search, from: ${RATE}/s, to: 2k/s, for: ${SECONDS}s, sla: ${JSON.stringify(sla)}}]`
  const { scenario } = readScenario(source, 'x.yaml')
  const [planned] = stagesOf(scenario)
  if (planned === undefined) throw new Error('no stage')
  const series = new Series(0)
  const time = { nowNs: 0 }
  const [startNs, endNs] = [2e9, (2 + SECONDS) * 1e9]
  const lateNs = endNs + (late?.afterSeconds ?? 0) * 1e9
  const events = [
    {
      atNs: endNs + 1e9,
      run: () => {
        const tally = new Tally(0, true)
        tally.scheduled = MESSAGES + unsent
        tally.unsent = unsent
        tally.failed = failed
        tally.sent = MESSAGES
        tally.acked = answered
        tally.sendDelay?.record(1e5, MESSAGES)
        tally.service.record(5e6, answered)
        tally.response?.record(5e6, answered)
        series.onProducerTick('producer', {
          kind: 'producer-tick',
          atNs: endNs + 1e9,
          tallies: [tally.pack()],
          totalAcked: answered,
          pending: MESSAGES - answered - failed,
          broken: null,
        })
        const endToEnd = new LatencyHistogram()
        endToEnd.record(5e6, received)
        series.onConsumerTick('consumer', {
          kind: 'consumer-tick',
          groupIndex: 0,
          atNs: endNs + 1e9,
          polled: false,
          receipts: [{ phase: 0, received, receivedBytes: 0, endToEnd: endToEnd.pack() }],
          totalReceived: received,
          lanes: [],
          broken: null,
        })
      },
    },
    {
      atNs: lateNs,
      run: () => {
        if (late === undefined) return
        const tally = new Tally(0, true)
        tally.acked = late.messages
        tally.response?.record(late.afterSeconds * 1e9, late.messages)
        series.onProducerTick('producer', {
          kind: 'producer-tick',
          atNs: lateNs,
          tallies: [tally.pack()],
          totalAcked: answered + late.messages,
          pending: 0,
          broken: null,
        })
      },
    },
  ]
  const record = { index: 0, startNs, endNs, usage: null }
  const runner = {
    get nowNs() {
      return time.nowNs
    },
    schedule: () => [{ ...record, index: null }, record],
    cut: () => undefined,
    nextStartNs: () => time.nowNs,
    until: (atNs: number) => {
      time.nowNs = Math.max(time.nowNs, atNs)
      while ((events[0]?.atNs ?? Number.POSITIVE_INFINITY) <= time.nowNs) events.shift()?.run()
      return Promise.resolve()
    },
  }
  const tools = {
    runner: runner as unknown as PhaseRunner,
    series,
    early: new AbortController().signal,
    scenario,
    look: () => Promise.resolve({ own: snapshot, there: [], agents: new Map() }),
    clockErrorMs: () => 0,
    brokers: null,
    loadIsHere: true,
  }
  const trial = await new RateTrials(tools, 0).run(planned, RATE, sla, 'find')
  return { ...trial, waitedSeconds: (time.nowNs - endNs) / 1e9 }
}

const all = { answered: MESSAGES, received: MESSAGES }

describe('a rate that is tried', () => {
  it('holds when all that was sent came back in time', async () => {
    const sla = ['response.p99 < 20ms', 'response.max < 20ms', 'endToEnd.max < 20ms']
    expect(await tryRate(sla, all)).toMatchObject({ pass: true, reasons: [] })
  })

  it.each(['response.max < 30s', 'sendDelay.max < 30s'])(
    'is not judged by what the generator itself did not send, nor waits for it: %s',
    async (promise) => {
      const trial = await tryRate([promise], { ...all, unsent: 1 })
      expect(trial).toMatchObject({ pass: true, reasons: [] })
      expect(trial.waitedSeconds).toBeLessThan(5)
    },
  )

  it('does not hold when something failed that a maximum asks about, and does not wait for it', async () => {
    const refused = { ...all, answered: MESSAGES - 1, failed: 1 }
    const trial = await tryRate(['response.max < 30s'], refused)
    expect(trial.reasons).toEqual(['response.max < 30s: 1 of 16000 messages were not acknowledged'])
    expect(trial.waitedSeconds).toBeLessThan(5)
  })

  it('does not hold when an eighth of it was received by nobody, however fast the rest came', async () => {
    const trial = await tryRate(['endToEnd.p99 < 100ms'], { ...all, received: MESSAGES - 2000 })
    expect(trial.reasons).toEqual([
      'endToEnd.p99 < 100ms: 2000 of 16000 messages were not received',
    ])
    expect(trial.pass).toBe(false)
  })

  it('does not hold when more than the percentile lets be had no answer', async () => {
    const few = { ...all, answered: MESSAGES - 72 }
    const trial = await tryRate(['response.p99 < 50ms', 'response.p999 < 50ms'], few)
    expect(trial.reasons).toEqual([
      'response.p999 < 50ms: 72 of 16000 messages were not acknowledged',
    ])
    // Sixteen are a thousandth of it.
    const fewer = { ...all, answered: MESSAGES - 16 }
    expect(await tryRate(['response.p999 < 50ms'], fewer)).toMatchObject({ pass: true })
    expect((await tryRate(['response.max < 50ms'], fewer)).reasons).toHaveLength(1)
    expect((await tryRate(['response.mean < 50ms'], few)).reasons).toHaveLength(1)
  })

  it('waits for answers as long as the promise lets them come', async () => {
    const late = { messages: 72, afterSeconds: 2.5 }
    const answered = MESSAGES - late.messages
    const slow = { ...all, answered, late }
    expect(await tryRate(['response.p999 < 3s'], slow)).toMatchObject({ pass: true })
    expect((await tryRate(['response.p999 < 2s'], slow)).pass).toBe(false)
  })
})
