import { describe, expect, it } from 'vitest'
import { oneMessage, wireBytes } from '../../src/bench/capacity.ts'
import { diskBytesAt } from '../../src/bench/disk-cost.ts'
import {
  type Link,
  type PredictionMeasured,
  judgePrediction,
  predict,
  predictionText,
} from '../../src/bench/prediction.ts'
import { readScenario } from '../../src/bench/scenario.ts'
import { frameSizesOf } from '../../src/drivers/frame-sizes.ts'
import { aHost, aNic, aProcess } from './a-result.ts'

const plain = { kind: { tag: null, properties: {} }, weight: 1 }
const frames = { topic: 'T', group: 'G', broker: 'broker-a', kinds: [plain], keyed: false } as const
const sizes = frameSizesOf({ ...frames, mode: 'single' })
const gigabit: Link = { isLoopback: false, watchedAt: 'broker', bitsPerSecond: 1e9 }
const noLink: Link = { isLoopback: true, watchedAt: 'load', bitsPerSecond: null }

function predicted(link: Link, more = '') {
  const { scenario } = readScenario(`version: 1\nname: x\n${more}`, 'x.yaml')
  return predict({ scenario, sizes, lanes: 8, brokers: 1, machines: 1, link })
}

/** A run that carried exactly what was predicted, at these rates. */
function asPredicted(
  prediction: ReturnType<typeof predicted>,
  acked: number,
  received: number,
): PredictionMeasured {
  const carried = { acked, delivered: received, copied: 0 }
  const bytes = (way: 'in' | 'out') => wireBytes(prediction.cost, carried, way, 'counted')
  const span = { fromSeconds: 0, seconds: 10 }
  const diskEach = diskBytesAt(prediction.writing, acked, span)
  const isLoopback = prediction.link.isLoopback
  const nic = isLoopback
    ? aNic({ name: 'lo', isLoopback, txBytesPerSecond: bytes('in') + bytes('out') })
    : aNic({ txBytesPerSecond: bytes('out'), rxBytesPerSecond: bytes('in') })
  return {
    host: aHost({ nics: [nic] }),
    hosts: [aHost()],
    processes: [aProcess({ diskWrittenBytes: acked === 0 ? 0 : diskEach * acked * 10 })],
    acked: acked * 10,
    ackedPerSecond: acked,
    receivedPerSecond: received,
    sent: acked * 10,
    wireBytesSent: (sizes.sendHeadBytes + 500) * acked * 10,
    windowMs: 10_000,
    brokerAgeMs: null,
  }
}

describe('the prediction', () => {
  it('names the resource that is full first, with its ceiling', () => {
    const prediction = predicted(gigabit)
    expect(predictionText(prediction)).toMatch(/^nic-tx is full at \d+ msg\/s: a message costs/)
    expect(prediction.limits.map(({ resource }) => resource)).toEqual(['nic-tx', 'nic-rx'])
  })

  it('knows of no ceiling on a loopback, and says so', () => {
    expect(predicted(noLink).limits).toEqual([])
    expect(predictionText(predicted(noLink))).toContain('on the loopback no link can be full')
  })

  it('takes the disk into account when its speed is told', () => {
    const [first] = predicted(noLink, 'metrics: {diskSpeed: 10MB/s}').limits
    expect(first?.resource).toBe('disk-bandwidth')
  })

  it('counts a batch as one request, full in a closed load and as full as its wait allows in an open one', () => {
    const perRequest = (more: string) => {
      const { scenario } = readScenario(`version: 1\nname: x\n${more}`, 'x.yaml')
      return predict({ scenario, sizes, lanes: 8, brokers: 1, machines: 1, link: noLink }).flow
        .perRequest
    }
    const batch = (linger: string) =>
      `producers: {mode: batch, batch: {size: 16, linger: ${linger}}}`
    const open = (rate: number) => `load: [{model: open, rate: ${rate}/s}]`
    expect(perRequest('')).toBe(1)
    expect(perRequest(batch('0ms'))).toBe(16)
    expect(perRequest(`${batch('5ms')}\n${open(1000)}`)).toBeCloseTo(3.5)
    expect(perRequest(`${batch('5ms')}\n${open(100_000)}`)).toBe(16)
    expect(perRequest(`${batch('0ms')}\n${open(1000)}`)).toBe(1)
  })

  it('expects no answers to one-way messages', () => {
    const out = (mode: 'single' | 'one-way') => {
      const scenario = mode === 'single' ? '' : 'producers: {mode: one-way}\n'
      const input = readScenario(
        `version: 1\nname: x\n${scenario}consumers: {instances: 0}`,
        'x.yaml',
      )
      const flow = { sizes: frameSizesOf({ ...frames, mode }), lanes: 8, brokers: 1, machines: 1 }
      const { cost } = predict({ scenario: input.scenario, ...flow, link: gigabit })
      return cost.send.out.payloadBytes
    }
    expect([out('single') > 100, out('one-way')]).toEqual([true, 0])
  })

  it('has no error when the run cost what was predicted', () => {
    for (const link of [gigabit, noLink]) {
      const prediction = predicted(link)
      const { checks } = judgePrediction(prediction, asPredicted(prediction, 50_000, 50_000))
      expect(checks.length).toBe(link.isLoopback ? 3 : 4)
      for (const { error } of checks) expect(error).toBeCloseTo(0, 10)
    }
  })

  it('takes as many flushes as there were where answers wait for one', () => {
    const { scenario } = readScenario('version: 1\nname: x\n', 'x.yaml')
    const base = { scenario, sizes, lanes: 8, brokers: 1, machines: 1, link: noLink }
    const prediction = predict({ ...base, syncFlush: true })
    const { writing } = prediction
    const [acked, count] = [1_000, 4_000]
    const diskWrittenBytes =
      diskBytesAt({ ...writing, perFlush: 2.5 }, acked, { fromSeconds: 0, seconds: 10 }) *
      acked *
      10
    const fsync = { count, meanMs: 2, maxMs: 9 }
    const { checks } = judgePrediction(prediction, {
      ...asPredicted(prediction, acked, acked),
      processes: [aProcess({ diskWrittenBytes, fsync })],
    })
    expect(checks.find(({ what }) => what === 'written to disk')?.error).toBeCloseTo(0, 10)
  })

  it('leaves out the journal of the file system, and tells what the disk wrote beside the brokers', () => {
    const { scenario } = readScenario('version: 1\nname: x\n', 'x.yaml')
    const base = { scenario, sizes, lanes: 8, brokers: 1, machines: 1, link: noLink }
    const prediction = predict({ ...base, syncFlush: true })
    expect(predictionText(prediction)).toContain('on disk without the file system’s journal')
    const run = asPredicted(prediction, 100, 100)
    const [broker] = run.processes
    const device = (extraBytes: number, changes = {}) => {
      const { disk } = aHost()
      if (disk === null) throw new Error('a host without a disk')
      const writtenBytes = (broker?.diskWrittenBytes ?? 0) + extraBytes
      return aHost({ disk: { ...disk, writtenBytes, journalCommits: 1234 }, ...changes })
    }
    const beside = (measured: PredictionMeasured, of = prediction) =>
      judgePrediction(of, measured).beside
    const hosts = [device(8_000_000)]
    expect(beside({ ...run, hosts })).toEqual({
      bytesPerMessage: 8000,
      journalCommits: 1234,
      text: 'beside the brokers’ own bytes vda wrote 8,000 B a message, which nobody predicts: the journal of the file system, which committed 1,234 times, and other programs',
    })
    // Of brokers on two hosts, of one whose bytes nobody sees, and without a flush nothing is known.
    const two = [...hosts, device(0, { agent: '10.0.0.5:9890' })]
    const unseen = { ...run, hosts, processes: [aProcess({ diskWrittenBytes: null })] }
    const lazy = predicted(noLink)
    expect([
      beside({ ...run, hosts: two }),
      beside(unseen),
      beside({ ...run, hosts }, lazy),
    ]).toEqual([null, null, null])
  })

  it('sees the brokers’ traffic mirrored at the load’s interface', () => {
    const at = (watchedAt: Link['watchedAt']) => predicted({ ...gigabit, watchedAt })
    const measured = asPredicted(at('broker'), 1000, 1000)
    const errors = (watchedAt: Link['watchedAt']) =>
      judgePrediction(at(watchedAt), measured).checks.map(({ error }) => Math.abs(error) < 1e-9)
    expect(errors('broker')).toEqual([true, true, true, true])
    expect(errors('load')).toEqual([false, false, true, true])
  })

  it('holds a run whose consumers fell behind against what the link carried', () => {
    const prediction = predicted(gigabit, 'consumers: {instances: 2}')
    const { flow, cost } = prediction
    const even = judgePrediction(prediction, asPredicted(prediction, 60_000, 60_000))
    expect(even.carriedPerSecond).toBeCloseTo(60_000)
    const behind = judgePrediction(prediction, asPredicted(prediction, 60_000, 30_000))
    const share = (received: number) =>
      wireBytes(cost, { acked: 60_000, delivered: received, copied: 0 }, 'out', 'link') /
      wireBytes(cost, oneMessage(flow), 'out', 'link')
    expect(behind.carriedPerSecond).toBeCloseTo(share(30_000))
    expect(behind.carriedPerSecond).toBeLessThan(60_000)
  })

  it('says nothing of a run in which nothing was acknowledged', () => {
    const prediction = predicted(gigabit)
    const { checks, carriedPerSecond } = judgePrediction(prediction, asPredicted(prediction, 0, 0))
    expect([checks, carriedPerSecond]).toEqual([[], null])
  })
})
