import hdr from 'hdr-histogram-js'
import { beforeAll, describe, expect, it } from 'vitest'
import type { GateResult } from '../../src/bench/gate-result.ts'
import { LatencyHistogram, loadHistograms } from '../../src/bench/histogram.ts'
import { gateMarkdown } from '../../src/report/gate.ts'
import { gateAnnotations, runAnnotations } from '../../src/report/github.ts'
import { csvReport } from '../../src/report/csv.ts'
import { hlogReport } from '../../src/report/hlog.ts'
import { htmlReport } from '../../src/report/html.ts'
import { gateJunitReport } from '../../src/report/junit.ts'
import { openmetricsReport } from '../../src/report/openmetrics.ts'
import { aHost, aPhase, aResult } from '../bench/a-result.ts'

beforeAll(loadHistograms)

/** A result with a real histogram of 1 ms … 1000 ms. */
function withHistogram() {
  const histogram = new LatencyHistogram()
  for (let ms = 1; ms <= 1000; ms += 1) histogram.record(ms * 1e6)
  const base = aResult()
  const service = base.latency.service
  if (service === null) throw new Error('the result has a service time')
  const packed = { ...service, histogram: histogram.pack().histogram, maxMs: 1000 }
  const latency = { ...base.latency, service: packed, endToEnd: null }
  return aResult({ latency, phases: [aPhase({ name: 'peak, one' }, { latency })] })
}

describe('the HdrHistogram log', () => {
  it('is read by the log reader of HdrHistogram, with every value', () => {
    const text = hlogReport(withHistogram())
    const reader = new hdr.HistogramLogReader(text)
    const tags: string[] = []
    for (let next = reader.nextIntervalHistogram(); next !== null;) {
      tags.push(next.tag)
      expect([next.totalCount, Math.round(next.getValueAtPercentile(99) / 1e6)]).toEqual([
        1000, 990,
      ])
      next = reader.nextIntervalHistogram()
    }
    expect(tags).toEqual(['service', 'service.peak_one'])
  })
})

describe('OpenMetrics', () => {
  const lines = (text: string) => text.trimEnd().split('\n')

  it('declares each family once and before its samples, and ends as it must', () => {
    const all = lines(openmetricsReport(withHistogram()))
    expect(all.at(-1)).toBe('# EOF')
    let family = ''
    const seen = new Set<string>()
    for (const line of all.slice(0, -1)) {
      const type = /^# TYPE (\S+) (gauge|summary|info)$/.exec(line)
      if (type !== null) {
        family = type[1] ?? ''
        expect(seen.has(family)).toBe(false)
        seen.add(family)
      } else if (!line.startsWith('# HELP ')) {
        const name = /^([a-z_]+)\{[^}]*\} -?[0-9.e+-]+$/.exec(line)?.[1] ?? line
        expect(name.replace(/_(info|count|sum)$/, '')).toBe(
          family.replace(/_(info|count|sum)$/, ''),
        )
      }
    }
    expect(new Set(all).size).toBe(all.length)
  })

  it('has no finding where nobody looked', () => {
    const base = aResult()
    const integrity = { ...base.integrity, corrupted: null, lost: null }
    const text = openmetricsReport(aResult({ integrity }))
    expect(text).toMatch(/mqctl_bench_integrity\{[^}]*kind="duplicated"\} 0/)
    expect(text).not.toMatch(/kind="(corrupted|lost)"/)
  })

  it('has seconds, leaves out what has no value, and takes a hostile name as text', () => {
    const result = withHistogram()
    const name = 'a"b\\c\nd'
    const text = openmetricsReport({ ...result, scenario: { ...result.scenario, name } })
    expect(text).toContain('scenario="a\\"b\\\\c\\nd"')
    expect(text).toMatch(/latency_seconds\{[^}]*kind="service",quantile="0.99"\} 0.005/)
    expect(text).not.toContain('quantile="0.9999"')
    expect(text).not.toContain('kind="response"')
  })
})

/** A run of two agents on one machine, which so have one name. */
function withAgents() {
  const own = aHost({ name: 'one' })
  const row = {
    ...{ t: 1, phase: 0, offered: 0, sent: 9, acked: 9, failed: 0, received: 9 },
    ...{ lag: 0, lagSeconds: 0, p50Ms: 1, p99Ms: 2, maxMs: 3, host: null },
  }
  const addresses = ['10.0.0.5:9890', '10.0.0.7:9890'] as const
  const host = {
    ...{ cpuBusy: 0.25, iowait: 0, steal: 0, availableBytes: 2e9, loopbackBytesPerSecond: 0 },
    ...{ diskWrittenBytesPerSecond: null, diskUtilisation: null },
    ...{ nicTxBytesPerSecond: 1_000, nicRxBytesPerSecond: 2_000 },
  }
  const agents = { [addresses[0]]: host, [addresses[1]]: { ...host, cpuBusy: 0.75 } }
  return aResult({
    hosts: [own, ...addresses.map((agent) => ({ ...own, agent, roles: ['load'] }))],
    series: [row, { ...row, t: row.t + 1, agents }],
  })
}

describe('the hosts of agents', () => {
  it('have rows of their own in the CSV, with nothing of the load to be counted twice', () => {
    const result = withAgents()
    const rows = csvReport(result)
      .trimEnd()
      .split('\r\n')
      .map((line) => line.split(','))
    const [head = []] = rows
    const of = (name: string) => rows.slice(1).map((cells) => cells[head.indexOf(name)])
    expect(new Set(rows.map((cells) => cells.length)).size).toBe(1)
    expect(of('host')).toEqual(['one', 'one', '10.0.0.5:9890', '10.0.0.7:9890'])
    expect(of('second').slice(1)).toEqual(['2', '2', '2'])
    expect(of('cpu_busy').slice(2)).toEqual(['0.25', '0.75'])
    expect(of('acked').slice(2)).toEqual(['', ''])
  })

  it('are told apart in OpenMetrics', () => {
    const series = openmetricsReport(withAgents())
      .split('\n')
      .filter((line) => line.startsWith('mqctl_bench_host_'))
      .map((line) => line.slice(0, line.lastIndexOf(' ')))
    expect(new Set(series).size).toBe(series.length)
    expect(series.filter((line) => line.includes('agent="10.0.0.7:9890"'))).not.toEqual([])
  })

  it('have their charts in the page, with what they did in the run', () => {
    const page = htmlReport(withAgents())
    expect(page).toContain('CPU of the agents’ hosts')
    expect(page).toContain('10.0.0.7:9890 (load)')
    expect(page).toContain('Memory available on the agents’ hosts')
    // None of them tells it.
    expect(page).not.toContain('Disk of the agents’ hosts')
  })
})

describe('annotations', () => {
  it('are none for a good run, and one for each reason of a bad one', () => {
    expect(runAnnotations(aResult())).toEqual([])
    const bad = aResult({ verdict: 'threshold', exitCode: 10, reasons: ['p99 < 1ms: was 5 ms'] })
    expect(runAnnotations(bad)).toEqual([
      '::error title=mqctl bench smoke%3A threshold::p99 < 1ms: was 5 ms',
    ])
  })

  it('never let a text begin a command of its own', () => {
    const reasons = ['100 % lost\n::set-output name=x::y']
    const [line] = runAnnotations(aResult({ verdict: 'integrity', reasons }))
    expect(line?.split('\n')).toHaveLength(1)
    expect(line).toContain('100 %25 lost%0A::set-output')
  })
})

const gate: GateResult = {
  schemaVersion: 1,
  kind: 'gate',
  startedAt: '2026-11-21T10:00:00.000Z',
  endedAt: '2026-11-21T10:05:00.000Z',
  base: 'self',
  head: 'a|b',
  scenario: { name: 'smoke', base: 'x', head: 'x' },
  machine: 'box, 2 cores',
  durability: 'the kernel has it',
  seed: 1,
  minEffect: 0.05,
  metrics: (['regressed', 'inconclusive', 'ok'] as const).map((verdict, index) => ({
    metric: `metric.${index}`,
    primary: true,
    higherIsBetter: true,
    pairs: 10,
    base: 100,
    head: 80,
    change: -0.2,
    low: -0.22,
    high: -0.18,
    medianChange: -0.2,
    p: 0.002,
    pCorrected: 0.004,
    floor: null,
    limit: 0.05,
    verdict,
    why: 'because',
    pairsNeeded: null,
  })),
  thresholds: [],
  unmeasured: [],
  looks: [],
  confirmation: null,
  pairs: [],
  qualification: null,
  verdict: 'regressed',
  exitCode: 11,
  reasons: ['metric.0 -20 %: because'],
}

describe('a gate in CI', () => {
  it('is a failure for what regressed, an error for what cannot be told, and never silent', () => {
    const xml = gateJunitReport(gate)
    expect(xml).toContain('tests="4" failures="1" errors="1"')
    expect(xml).toContain(
      'name="metric.0 is no worse"><failure message="regressed: -20.0 %, because"/>',
    )
    expect(xml).toContain('name="metric.1 is no worse"><error ')
    expect(gateAnnotations(gate)).toEqual([
      '::error title=mqctl bench gate smoke%3A regressed::metric.0 -20 %25: because',
    ])
    const unclear = { ...gate, verdict: 'inconclusive' as const, reasons: [] }
    expect(gateAnnotations(unclear)).toEqual([
      '::warning title=mqctl bench gate smoke%3A inconclusive::inconclusive',
    ])
    // What regressed and did not come again is no failure.
    expect(gateJunitReport(unclear)).toContain('tests="4" failures="0" errors="2"')
    expect(gateAnnotations({ ...gate, verdict: 'ok' })).toEqual([])
  })

  it('has a case for each threshold that some run broke', () => {
    const broken = {
      threshold: 'errors.rate <= 0.1%',
      pairs: 10,
      base: 0,
      head: 10,
      onlyHead: 10,
      onlyBase: 0,
      p: 0.001,
      verdict: 'regressed' as const,
      why: 'broken by 10 of 10 runs of the head and 0 of the base',
    }
    expect(gateJunitReport({ ...gate, thresholds: [broken] })).toContain(
      'name="errors.rate &lt;= 0.1% holds as often"><failure message="broken by 10 of 10 runs of the head and 0 of the base"/>',
    )
  })

  it('has its table in the step summary, with names as text', () => {
    expect(gateMarkdown(gate)).toContain('a\\|b against self')
    expect(gateMarkdown(gate)).toContain('| metric.0 | 10 | 100 | 80 | -20.0 % |')
  })
})
