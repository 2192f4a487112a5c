import { describe, expect, it } from 'vitest'
import { MqError } from '../../src/base/errors.ts'
import { decimalBytes, grouped, milliseconds, percent } from '../../src/report/figures.ts'
import { jsonReport, parseResult } from '../../src/report/json.ts'
import { liveLine } from '../../src/report/live.ts'
import { markdownReport } from '../../src/report/markdown.ts'
import { textReport } from '../../src/report/text.ts'
import { aHost, aPhase, aProcess, aResult } from '../bench/a-result.ts'

describe('a phase that lasts until everything is read', () => {
  const text = (drain: { done: boolean; remaining: number }) => {
    const figures = { drain: { backlog: 200, ...drain } }
    return textReport(aResult({ phases: [aPhase({ name: 'drain', durationMs: 1_500 }, figures)] }))
  }

  it('says how fast it was read', () => {
    expect(text({ done: true, remaining: 0 })).toMatch(
      /^drain +phase drain: 200 messages behind; read to the end in 1\.5 s: [\d,]+ messages, 9,999 msg\/s$/m,
    )
  })

  it('says what was left when the time was over', () => {
    expect(text({ done: false, remaining: 12_000 })).toContain(
      'not read to the end in 1.5 s, 12,000 messages were left',
    )
  })
})

describe('figures', () => {
  it.each([
    [grouped(1_234_567.8), '1,234,568'],
    [grouped(999), '999'],
    [milliseconds(0.8423), '0.842'],
    [milliseconds(12.34), '12.3'],
    [milliseconds(1234), '1,234'],
    [milliseconds(null), '-'],
    [decimalBytes(999), '999 B'],
    [decimalBytes(1_210_000_000), '1.21 GB'],
    [percent(0.984), '98 %'],
    [percent(0.0234), '2.3 %'],
  ])('%s', (actual, expected) => {
    expect(actual).toBe(expected)
  })
})

describe('the text report', () => {
  const lineWith = (text: string, start: string) =>
    text.split('\n').find((line) => line.startsWith(start))

  it('begins with the verdict and fits on a page', () => {
    const lines = textReport(aResult()).split('\n')
    expect(lines[0]).toBe('OK · smoke · run 0badcafe · exit 0')
    expect(lines.length).toBeLessThan(45)
  })

  it('does not vouch for what nobody looked at', () => {
    const { integrity } = aResult()
    const text = (corrupted: number | null) =>
      lineWith(textReport(aResult({ integrity: { ...integrity, corrupted } })), 'integrity')
    expect(text(0)).toContain('nothing lost, duplicated, reordered or corrupted in')
    expect(text(null)).toContain('nothing lost, duplicated or reordered (without checksums')
  })

  it('says what was refused to the consumers, and how often', () => {
    const { totals } = aResult()
    const consumerTroubles = { SUBSCRIPTION_GROUP_NOT_EXIST: 1_234, PROCESSING_FAILED: 2 }
    const text = textReport(aResult({ totals: { ...totals, consumerTroubles } }))
    expect(text).toMatch(
      /^not read +requests of consumers that failed: 1,234 × SUBSCRIPTION_GROUP_NOT_EXIST$/m,
    )
  })

  it('gives the reasons right under a verdict that is not good', () => {
    const reasons = ['3 acknowledged messages were never received']
    const text = textReport(aResult({ verdict: 'integrity', exitCode: 12, reasons }))
    expect(text.split('\n').slice(0, 2)).toEqual([
      'INTEGRITY VIOLATED · smoke · run 0badcafe · exit 12',
      '  3 acknowledged messages were never received',
    ])
  })

  it('prints a percentile only when there is one, and says why not', () => {
    const text = textReport(aResult())
    expect(lineWith(text, 'service ')).toMatch(
      /0\.900 +2\.00 +2\.50 +5\.00 +12\.3 +1,2\d\d +100,000/,
    )
    expect(text).toContain('fewer than ten samples lie above')
    expect(text).not.toContain('p99.99')
  })

  it('labels closed-loop latency as service time', () => {
    expect(textReport(aResult())).toContain('service time only')
  })

  it('gives failures by code and in the denominator', () => {
    const { totals } = aResult()
    const errors = { SYSTEM_BUSY: 1200, TIMEOUT: 34 }
    const text = textReport(aResult({ totals: { ...totals, failed: 1234, errors } }))
    expect(lineWith(text, 'failed')).toBe(
      'failed       1,234 of 100,000 (SYSTEM_BUSY 1,200, TIMEOUT 34)',
    )
  })

  it('gives CPU, memory, garbage collection, disk and fsyncs of every process', () => {
    expect(lineWith(textReport(aResult()), 'broker-a')).toMatch(
      /0\.80 +0\.60 +0\.20 +0\.70 +150 MB +10 +20\.0 +0\.2 % +2\.00 +500 MB +20 × 0\.400 ms/,
    )
  })

  it('tells loopback from a link, and a link without a known speed from both', () => {
    const text = textReport(aResult())
    expect(lineWith(text, 'network')).toContain('lo (loopback)')
  })

  it('says why something is not there', () => {
    const why = 'n/a on darwin: there is no /proc/diskstats'
    const hosts = [aHost({ disk: null, unavailable: { disk: why } })]
    const processes = [aProcess({ gc: null, unavailable: { gc: 'n/a: another host' } })]
    const text = textReport(aResult({ hosts, processes }))
    expect(lineWith(text, 'disk')).toContain(why)
    expect(text).toContain('broker-a, gc: n/a: another host')
  })

  it('names the limit with its evidence, and what the generator could have done', () => {
    const text = textReport(aResult())
    expect(lineWith(text, 'limit')).toContain('latency-bound (medium confidence)')
    expect(lineWith(text, 'generator')).toContain('500,000 msg/s against the null target')
  })

  it('says what an acknowledgement meant', () => {
    expect(lineWith(textReport(aResult()), 'acknowledged')).toContain(
      'page-cache, read back from the broker',
    )
  })

  it('says how many messages could not be judged, and why', () => {
    const { integrity } = aResult()
    const open = { ...integrity, lost: null, unverified: 24, why: 'the consumers were stopped' }
    expect(lineWith(textReport(aResult({ integrity: open })), 'integrity')).toContain(
      '24 acknowledged messages could not be judged: the consumers were stopped',
    )
  })

  it('has no colour of its own', () => {
    expect(textReport(aResult())).not.toContain('\u001b')
  })
})

describe('the Markdown report', () => {
  it('takes a name for nothing but text', () => {
    const scenario = { ...aResult().scenario, name: '</h1><script>alert(1)</script>|x' }
    const text = markdownReport(aResult({ scenario }))
    expect(text).not.toContain('<script>')
    expect(text.split('\n')[0]).toContain('&lt;script&gt;alert(1)&lt;/script&gt;\\|x')
  })

  it('has tables with as many cells in each row as there are heads', () => {
    const rows = markdownReport(aResult())
      .split('\n\n')
      .filter((part) => part.startsWith('| '))
    expect(rows.length).toBeGreaterThanOrEqual(4)
    for (const part of rows) {
      const widths = part.split('\n').map((line) => line.split(/(?<!\\)\|/).length)
      expect(new Set(widths).size).toBe(1)
    }
  })
})

describe('a saved result', () => {
  it('is the same after being written and read', () => {
    const result = aResult()
    expect(parseResult(jsonReport(result), 'result.json')).toEqual(result)
  })

  it.each([
    ['is not JSON', 'hello'],
    ['is something else', '{"a":1}'],
    ['is of a newer schema', JSON.stringify({ ...aResult(), schemaVersion: 99 })],
    ['lacks a field', JSON.stringify({ ...aResult(), totals: undefined })],
  ])('that %s is refused with its file named', (_, text) => {
    expect(() => parseResult(text, 'old.json')).toThrow(MqError)
    expect(() => parseResult(text, 'old.json')).toThrow(/^old\.json: /)
  })
})

describe('the live line', () => {
  const state = {
    phase: 'measure',
    elapsedMs: 5000,
    totalMs: 10_000,
    totalAcked: 100,
    totalReceived: 90,
    row: {
      t: 5,
      phase: 0,
      offered: 0,
      sent: 95_000,
      acked: 94_321,
      failed: 7,
      received: 94_000,
      lag: 5,
      lagSeconds: 0,
      p50Ms: 1,
      p99Ms: 8.25,
      maxMs: 20,
      host: null,
    },
  }

  it('shows how far it is, the rates, the tail and what failed', () => {
    const line = liveLine(state, 200)
    expect(line).toContain('[========        ]  5/10 s')
    expect(line).toContain('94,321 msg/s out  94,000 in  p99 8.25 ms  7 failed')
  })

  it('is never wider than the terminal', () => {
    const recent = [1, 2, 3].map((t) => ({ ...state.row, t }))
    for (const width of [0, 1, 20, 60])
      expect(liveLine({ ...state, recent }, width).length).toBeLessThanOrEqual(width)
  })

  it('shows the last seconds as bars: rates and tails beside their most, CPU and disk beside all', () => {
    const host = {
      cpuBusy: 0.5,
      iowait: 0,
      steal: 0,
      availableBytes: null,
      diskWrittenBytesPerSecond: null,
      diskUtilisation: 0,
      nicTxBytesPerSecond: 0,
      nicRxBytesPerSecond: 0,
      loopbackBytesPerSecond: 0,
    }
    const row = { ...state.row, failed: 0, acked: 800, sent: 800, received: 800 }
    const recent = [
      { ...row, acked: 100, p99Ms: null, host: { ...host, cpuBusy: 1 } },
      { ...row, acked: 400, p99Ms: 8.25, host },
      row,
    ]
    expect(liveLine({ ...state, row, recent }, 200)).toContain(
      '800 msg/s out ▂▅█  800 in  p99 8.25 ms  ██  cpu 50 % █▅   disk 0 % ▁▁ ',
    )
  })

  it('shows what was sent of one-way messages, which nobody acknowledges', () => {
    const row = { ...state.row, acked: 0, sent: 500, p99Ms: null }
    expect(liveLine({ ...state, row }, 200)).toContain('500 msg/s out')
  })

  it('has no bar for a phase of unknown length', () => {
    expect(liveLine({ ...state, totalMs: null, row: null }, 80)).not.toContain('[')
  })
})
