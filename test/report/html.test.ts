import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { SeriesRow } from '../../src/bench/result.ts'
import { csvReport } from '../../src/report/csv.ts'
import { htmlReport } from '../../src/report/html.ts'
import { aPhase, aResult } from '../bench/a-result.ts'

const row = (t: number, changes: Partial<SeriesRow> = {}): SeriesRow => ({
  t,
  phase: 0,
  offered: 0,
  sent: 100,
  acked: 100 * t,
  failed: 0,
  received: 90 * t,
  lag: 10,
  lagSeconds: 0.1,
  p50Ms: 1,
  p99Ms: 5,
  maxMs: 9,
  host: null,
  ...changes,
})
const series = [1, 2, 3, 4].map((t) => row(t))

/** Text that would be markup, script, a style or a formula somewhere. */
const hostile = '</script></style><img src=x onerror=alert(1)>"\'&\u0000'

describe('the HTML report', () => {
  it('takes hostile names as text, wherever they stand', () => {
    const base = aResult()
    const result = aResult({
      verdict: 'threshold',
      reasons: [hostile],
      scenario: {
        ...base.scenario,
        name: hostile,
        overrides: [hostile],
        resolved: { [hostile]: hostile },
      },
      environment: { ...base.environment, target: { ...base.environment.target, topic: hostile } },
      phases: [aPhase({ name: hostile }), aPhase({ name: hostile }, { index: 1 })],
      bottleneck: { ...base.bottleneck, text: hostile, evidence: [hostile] },
      warnings: [{ check: hostile, text: hostile, hint: hostile }],
      processes: base.processes.map((process) => ({ ...process, name: hostile })),
      series,
    })
    const page = htmlReport(result)
    const tags = new Set([...page.matchAll(/<\/?([a-z0-9]+)/gi)].map(([, name]) => name))
    expect(
      [...tags].filter((name) => ['script', 'img', 'iframe', 'a', 'link'].includes(name ?? '')),
    ).toEqual([])
    expect(page.match(/<style>/g)).toHaveLength(1)
    expect(page).not.toMatch(/<[^>]*\son[a-z]+=/i)
    expect(page).not.toContain('\u0000')
  })

  it('allows nothing but its own style sheet, by hash', () => {
    const page = htmlReport(aResult({ series }))
    const style = /<style>([\s\S]*?)<\/style>/.exec(page)?.[1] ?? ''
    const hash = createHash('sha256').update(style).digest('base64')
    expect(page).toContain(`default-src &#39;none&#39;; style-src &#39;sha256-${hash}&#39;`)
    expect(page).not.toMatch(/\sstyle="|https?:\/\/|url\(/)
  })

  it('says the verdict first and draws every figure on one axis', () => {
    const page = htmlReport(aResult({ series }))
    expect(page.indexOf('OK · smoke')).toBeLessThan(page.indexOf('<main>'))
    const titles = [...page.matchAll(/<figcaption><b>([^<]*)/g)].map(([, title]) => title)
    expect(titles).toEqual([
      'Latency by percentile, ms, powers of ten',
      'Rate, messages a second',
      'Service time, ms, powers of ten',
      'Lag of the consumers, messages',
      'Lag of the consumers, seconds',
    ])
    expect(page).not.toContain('NaN')
  })

  it('draws what was sent of one-way messages, which nobody acknowledges', () => {
    const { totals } = aResult()
    const page = htmlReport(aResult({ series, totals: { ...totals, acked: 0, unanswered: 100 } }))
    expect(page).toMatch(/class="key k0"[^>]*>\s*sent, one way/)
    expect(page).not.toMatch(/class="key k0"[^>]*>\s*acknowledged/)
  })

  it('breaks sentences in tables into lines, and shows on paper what is folded on a screen', () => {
    const why = 'one of the reasons for which a threshold can fail'
    const found = { phase: null, repetition: 1, actual: 2, limit: 1, unit: 'ms', pass: false }
    const thresholds = [{ expression: 'response.p99 < 1ms', ...found, why }]
    const page = htmlReport(aResult({ thresholds }))
    expect(page).toMatch(/<td class="w">one of the reasons/)
    const paper = /@media print\{([\s\S]*)<\/style>/.exec(page)?.[1] ?? ''
    expect(paper).toContain('details::details-content{content-visibility:visible')
  })

  it('does without charts when there are no seconds to show', () => {
    expect(htmlReport(aResult())).not.toContain('Over time')
  })
})

describe('the CSV report', () => {
  it('has a row for each second, and is as wide everywhere', () => {
    const lines = csvReport(aResult({ series })).split('\r\n')
    expect(lines).toHaveLength(6)
    const widths = new Set(lines.slice(0, 5).map((line) => line.split(',').length))
    expect(widths.size).toBe(1)
    expect(lines[1]).toMatch(/^1,measure,0,100,100,0,90,10,0\.1,1,5,9,,/)
  })

  it('quotes what has a comma, and disarms what a spreadsheet would compute', () => {
    const phases = [aPhase({ name: '=1+1,"x"' })]
    expect(csvReport(aResult({ series, phases }))).toContain(`"'=1+1,""x"""`)
  })
})
