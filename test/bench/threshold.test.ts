import { describe, expect, it } from 'vitest'
import { withThresholds } from '../../src/bench/run-verdict.ts'
import { judgeThresholds, parseThreshold } from '../../src/bench/threshold.ts'
import { type NamedHost, checkThresholdHost } from '../../src/bench/threshold-host.ts'
import { junitReport } from '../../src/report/junit.ts'
import { aHost, aPhase, aProcess, aResult } from './a-result.ts'

const NO_CPU = { user: 0, system: 0, irq: 0, iowait: 0, steal: 0, idle: 1, busy: 0 }
const NO_ROW = {
  cpuBusy: null,
  iowait: null,
  steal: null,
  availableBytes: null,
  diskWrittenBytesPerSecond: null,
  diskUtilisation: null,
  nicTxBytesPerSecond: 0,
  nicRxBytesPerSecond: 0,
  loopbackBytesPerSecond: 0,
}

const rows = (acked: readonly number[]) =>
  acked.map((count, index) => ({
    t: index + 1,
    phase: 0,
    offered: 0,
    sent: count,
    acked: count,
    failed: 0,
    received: count,
    lag: 0,
    lagSeconds: 0,
    p50Ms: null,
    p99Ms: null,
    maxMs: null,
    host: null,
  }))

function judged(expression: string, result = aResult()) {
  const [one] = judgeThresholds(result, [parseThreshold(expression)])
  if (one === undefined) throw new Error('nothing was judged')
  return one
}

describe('a threshold', () => {
  it.each([
    ['service.p99 < 20ms', true],
    ['service.p99 < 5ms', false],
    ['service.p99 <= 5ms', true],
    ['rate.acked >= 10k/s', true],
    ['rate.acked > 10000/s', false],
    ['errors.rate == 0', true],
    ['errors.rate < 1%', true],
    ['integrity.lost == 0', true],
    ['broker.cpuPerMessage < 5us', true],
  ])('%s holds: %s', (expression, pass) => {
    expect(judged(expression).pass).toBe(pass)
  })

  it('never passes on what was not measured', () => {
    const one = judged('response.p99 < 1h')
    expect([one.pass, one.actual]).toEqual([false, null])
  })

  it('never passes on what nobody looked at', () => {
    const { integrity } = aResult()
    const blind = aResult({
      integrity: { ...integrity, duplicated: null, corrupted: null },
      phases: [aPhase({}, { lag: null })],
    })
    for (const expression of [
      'integrity.duplicated == 0',
      'integrity.corrupted == 0',
      'lag.max == 0',
      'lag.slope <= 0',
      'rate.received >= 0/s',
      'rate.received >= 0/s over 1s',
    ]) {
      expect(judged(expression, blind)).toMatchObject({ pass: false, actual: null })
    }
    const [ofPhase] = judgeThresholds(blind, [parseThreshold('lag.max == 0', 'measure')])
    expect(ofPhase?.pass).toBe(false)
    expect(judged('integrity.reordered == 0', blind).pass).toBe(true)
  })

  it('never passes on a percentile with too few samples above it', () => {
    expect(judged('service.p9999 < 1h').pass).toBe(false)
  })

  it('about a phase that never ran fails', () => {
    const threshold = parseThreshold('rate.acked >= 1/s', 'steady')
    expect(judgeThresholds(aResult(), [threshold])).toMatchObject([
      { phase: 'steady', pass: false, actual: null, why: 'the phase never ran' },
    ])
    const result = withThresholds(aResult(), [threshold])
    expect([result.verdict, result.exitCode]).toEqual(['threshold', 10])
    expect(result.reasons).toEqual([
      'rate.acked >= 1/s in steady: was no value (the phase never ran)',
    ])
  })

  it('over a window fails when any window of that length fails', () => {
    const result = aResult({ series: rows([100, 100, 10, 100, 100]) })
    expect(judged('rate.acked >= 50/s over 2s', result)).toMatchObject({ pass: true, actual: 55 })
    expect(judged('rate.acked >= 60/s over 2s', result)).toMatchObject({
      pass: false,
      why: 'the worst are the seconds 2 to 3 of the run',
    })
  })

  it('over a window longer than the phase cannot be judged, and fails', () => {
    expect(judged('rate.acked >= 1/s over 10s', aResult({ series: rows([5, 5]) })).pass).toBe(false)
  })

  it('lays no window over the gap between two phases', () => {
    const [first, second] = [rows([100, 100]), rows([100, 100])]
    const later = second.map((row) => ({ ...row, t: row.t + 5, phase: 1 }))
    const phases = [
      aPhase({ durationMs: 2000 }),
      aPhase({ startedAt: '2026-11-21T10:00:10.000Z', durationMs: 2000 }, { index: 1 }),
    ]
    const result = aResult({ phases, series: [...first, ...later] })
    expect(judged('rate.acked >= 1/s over 2s', result).pass).toBe(true)
    expect(judged('rate.acked >= 1/s over 3s', result).actual).toBeNull()
  })

  it('judges the seconds of a phase, not those in which its rate settled before it', () => {
    const moment = aPhase({ name: 'settle', durationMs: 2000, excluded: 'a moment' })
    const settle = { ...moment, figures: null }
    const tried = aPhase({ startedAt: later(settle.startedAt, 2), durationMs: 2000 })
    const series = rows([0, 0, 70, 80]).map((row) => ({ ...row, phase: row.t > 2 ? 0 : null }))
    const phases = [
      { ...settle, name: 'warm-up', startedAt: later(settle.startedAt, -3) },
      settle,
      tried,
    ]
    const result = aResult({ phases, series })
    expect(judged('rate.acked >= 75/s over 2s', result).actual).toBe(75)
  })

  it('of the whole run takes the worst lag of its phases', () => {
    const lag = { max: 900, maxSeconds: 3, slopePerSecond: -40 }
    const phases = [aPhase(), aPhase({ name: 'drain' }, { index: 1, lag })]
    const result = aResult({ phases })
    expect(judged('lag.max < 1000', result).actual).toBe(900)
    expect(judged('lag.seconds < 2s', result).pass).toBe(false)
    expect(judged('lag.slope <= 0', result).actual).toBe(1.5)
  })

  describe('about hosts', () => {
    const agent = '10.0.0.5:9890'
    const cpu = (busy: number) => ({ ...NO_CPU, idle: 1 - busy, busy })
    const here = aHost({ name: 'runner', roles: ['load'], cpu: cpu(0.95) })
    const there = aHost({ name: 'one', roles: ['broker'], agent, label: 'b 1', cpu: cpu(0.3) })
    const elsewhere = { name: 'broker-a', address: '10.0.0.5:10911', isLocal: false }
    const { environment } = aResult()
    const brokers = environment.brokers.map((broker) => ({ ...broker, ...elsewhere }))
    const seen = aResult({
      hosts: [here, there],
      environment: { ...environment, brokers },
      processes: [aProcess({ host: agent })],
    })

    it.each([
      ['host.cpu < 70%', 0.3],
      ['host[broker].cpu < 70%', 0.3],
      ['host[load].cpu < 70%', 0.95],
      ['host[here].cpu < 70%', 0.95],
      ['host[runner].cpu < 70%', 0.95],
      ['host[one].cpu < 70%', 0.3],
      ['host[b 1].cpu < 70%', 0.3],
      [`host[${agent}].cpu < 70%`, 0.3],
    ])('%s looks at the host that is meant', (expression, actual) => {
      expect(judged(expression, seen)).toMatchObject({ actual, pass: actual < 0.7 })
    })

    it('tells the one of several that is the worst, whichever way', () => {
      const second = { ...there, name: 'two', agent: '10.0.0.6:9890', label: 'b2', cpu: cpu(0.8) }
      const result = { ...seen, hosts: [here, there, second] }
      expect(judged('host.cpu < 70%', result)).toMatchObject({ actual: 0.8, why: 'at b2' })
      expect(judged('host.cpu > 50%', result)).toMatchObject({ actual: 0.3, why: 'at b 1' })
    })

    it('never pass on another host than the one that is meant', () => {
      const unseen = { ...seen, hosts: [{ ...here, cpu: cpu(0.1) }], processes: [aProcess({})] }
      expect(judged('host.cpu < 70%', unseen)).toMatchObject({
        actual: null,
        pass: false,
        why: 'a host of the brokers was not looked at',
      })
      expect(judged('host[other].cpu < 70%', seen).why).toContain('called other')
    })

    it.each(['host.cpu < 70%', 'host[broker].cpu < 70%', 'host[load].cpu < 99%'])(
      'never pass when a host that may be one of them was lost: %s',
      (expression) => {
        const hosts = [{ name: 'runner' }, { name: 'one' }, { name: 'two' }]
        const lost = { ...seen, environment: { ...seen.environment, hosts } }
        expect(judged(expression, lost)).toMatchObject({
          actual: null,
          pass: false,
          why: 'the agent of a host was lost, so nobody knows what all of them did',
        })
        // Of the others all is known.
        expect(judged('host[one].cpu < 70%', lost).pass).toBe(true)
        const all = { ...seen.environment, hosts: hosts.slice(1) }
        expect(judged(expression, { ...seen, environment: all }).actual).not.toBeNull()
      },
    )

    it('of one phase look at its seconds', () => {
      const row = { ...NO_ROW, cpuBusy: 0.9 }
      const series = rows([1, 1]).map((one) => ({ ...one, agents: { [agent]: row } }))
      const phases = [aPhase({ durationMs: 2000 })]
      const [one] = judgeThresholds({ ...seen, phases, series }, [
        parseThreshold('host.cpu < 70%', phases[0]?.name),
      ])
      expect(one).toMatchObject({ actual: 0.9, pass: false })
    })

    it('are refused beforehand when nobody looks at the host that is meant', () => {
      const check = (expression: string, hosts: readonly NamedHost[], unseen: number) => {
        checkThresholdHost(parseThreshold(expression), hosts, { all: 1, unseen })
      }
      expect(() => check('host.cpu < 70%', [here], 1)).toThrow('nobody looks at that')
      expect(() => check('host[x].cpu < 70%', [here, there], 0)).toThrow('no host of this run')
      expect(() => check('host.cpu < 70%', [here, there], 0)).not.toThrow()
      expect(() => check('host[here].cpu < 70%', [here], 1)).not.toThrow()
    })
  })

  it.each([
    ['fast', 'is no threshold'],
    ['service[load].p99 < 1s', 'only host.cpu is about a host'],
    ['response.p98 < 1ms', 'there is no metric response.p98'],
    ['response.p99 < 20', 'duration 20 has no unit'],
    ['errors.count < 1%', 'is no number'],
    ['rate.acked > 1/s over 2500ms', 'a window is whole seconds'],
    ['rate.acked > 1/s over 10', 'duration 10 has no unit'],
    ['response.p99 < 1ms over 10s', 'only rates are judged over windows'],
  ])('%s is refused', (expression, text) => {
    expect(() => parseThreshold(expression)).toThrow(text)
  })
})

function later(moment: string, seconds: number): string {
  return new Date(Date.parse(moment) + seconds * 1000).toISOString()
}

describe('the JUnit report', () => {
  it('has a case for each threshold, and escapes what it quotes', () => {
    const thresholds = judgeThresholds(aResult(), [
      parseThreshold('service.p99 < 1ms'),
      parseThreshold('integrity.lost == 0'),
    ])
    const scenario = { ...aResult().scenario, name: '</script>"&' }
    const xml = junitReport(aResult({ thresholds, scenario }))
    expect(xml).toContain('tests="5" failures="1" errors="0"')
    expect(xml).toContain('<failure message="was 5 ms"/>')
    expect(xml).toContain('name="service.p99 &lt; 1ms"')
    expect(xml).not.toContain('</script>"&')
  })

  it('calls what could not be judged an error, not a failure', () => {
    const xml = junitReport(aResult({ verdict: 'unreachable', reasons: ['broker-a is gone'] }))
    expect(xml).toContain('failures="0" errors="1"')
  })
})
