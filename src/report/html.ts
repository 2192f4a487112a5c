/**
 * The report as one HTML page that needs nothing else: no script, no network, its only style sheet
 * named by its hash in the page's own content security policy. The verdict comes first, the
 * timelines share one axis, environment and scenario stand at the end. Light, dark and on paper.
 */
import { createHash } from 'node:crypto'
import { type BenchResult, type Trial, windowStartMs } from '../bench/result.ts'
import type { Latency } from '../bench/result-figures.ts'
import { bytesPerSecond, grouped, milliseconds, percent } from './figures.ts'
import { type Html, html, htmlList, htmlTable, nothing } from './html-text.ts'
import { styleSheet } from './html-style.ts'
import {
  headline,
  hostLines,
  isOneWay,
  limitLines,
  summaryLines,
  warningLines,
} from './sections.ts'
import { type Band, chart, secondTicks } from './svg-chart.ts'
import {
  latencyNotes,
  latencyTable,
  phaseTable,
  processNotes,
  processTable,
  queueTable,
  searchTable,
  thresholdTable,
} from './tables.ts'

/** A whole document with a final newline. */
export function htmlReport(result: BenchResult): string {
  const hash = createHash('sha256').update(styleSheet).digest('base64')
  const policy = `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`
  const title = headline(result)
  const good = result.verdict === 'ok' ? 'good' : 'bad'
  const style: Html = { markup: `<style>${styleSheet}</style>` }
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${policy}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="referrer" content="no-referrer" />
        <title>${title}</title>
        ${style}
      </head>
      <body>
        <header class="${good}">
          <h1>${title}</h1>
          ${reasonsOf(result)}
          <p class="sub">
            ${result.startedAt} · ${result.tool.name} ${result.tool.version} ·
            ${result.bottleneck.resource}: ${result.bottleneck.text}
          </p>
        </header>
        <main>
          ${section('Summary', [htmlList(summaryLines(result))])}
          ${section('Thresholds', [htmlTable(thresholdTable(result))])}
          ${section('Latency', [htmlTable(latencyTable(result)), notesOf(latencyNotes(result)), percentilePlot(result)])}
          ${section('Over time', timelines(result))}
          ${section('Rates that were tried', [htmlTable(searchTable(result)), rateLatencyCurve(result), resourceCurve(result)])}
          ${section('Phases', [htmlTable(phaseTable(result))])}
          ${section('What was the limit', [htmlList(limitLines(result)), warningsOf(result)])}
          ${section('Processes', [htmlTable(processTable(result)), notesOf(processNotes(result))])}
          ${section('Machine', [htmlList(hostLines(result))])}
          ${section('Queues', [htmlTable(queueTable(result))])}
          ${section('Environment', [json(result.environment)])}
          ${section('Scenario', [html`<p>${result.scenario.source}, hash ${result.scenario.hash}${result.scenario.overrides.map((one) => html`, <code>${one}</code>`)}</p>`, json(result.scenario.resolved)])}
        </main>
      </body>
    </html> `
  return page.markup
}

/** Nothing when all its parts are empty. */
function section(title: string, parts: readonly Html[]): Html {
  const filled = parts.filter(({ markup }) => markup !== '')
  return filled.length === 0
    ? nothing
    : html`<section>
        <h2>${title}</h2>
        ${filled}
      </section>`
}

function reasonsOf({ reasons }: BenchResult): Html {
  if (reasons.length === 0) return nothing
  return html`<ul class="reasons">
    ${reasons.map((reason) => html`<li>${reason}</li>`)}
  </ul>`
}

function notesOf(notes: readonly string[]): Html {
  return { markup: notes.map((note) => html`<p class="note">${note}</p>`.markup).join('') }
}

function warningsOf(result: BenchResult): Html {
  const warnings = warningLines(result)
  if (warnings.length === 0) return nothing
  const items = warnings.map(({ text, hint }) =>
    hint === null
      ? html`<li>${text}</li>`
      : html`<li>${text} <span class="note">${hint}</span></li>`,
  )
  return html`<ul class="warnings">
    ${items}
  </ul>`
}

function json(value: unknown): Html {
  return html`<details>
    <summary>JSON</summary>
    <pre>${JSON.stringify(value, null, 2)}</pre>
  </details>`
}

function timelines(result: BenchResult): Html[] {
  const { series } = result
  const last = series.at(-1)
  if (last === undefined || series.length < 2) return []
  const xs = series.map(({ t }) => t)
  const axis = { xs, xMin: 0, xMax: last.t, xTicks: secondTicks(last.t), bands: bandsOf(result) }
  const of = (read: (row: (typeof series)[number]) => number | null) => series.map(read)
  const host = (read: (host: Host) => number | null) =>
    series.map((row) => (row.host === null ? null : read(row.host)))
  const hasSchedule = series.some(({ offered }) => offered > 0)
  const perSecond = (value: number) => `${grouped(value)}/s`
  return [
    chart({
      ...axis,
      title: 'Rate, messages a second',
      format: perSecond,
      lines: [
        isOneWay(result)
          ? { name: 'sent, one way', values: of(({ sent }) => sent) }
          : { name: 'acknowledged', values: of(({ acked }) => acked) },
        { name: 'received', values: of(({ received }) => received) },
        ...(hasSchedule ? [{ name: 'due', values: of(({ offered }) => offered) }] : []),
        ...(series.some(({ failed }) => failed > 0)
          ? [{ name: 'failed', values: of(({ failed }) => failed) }]
          : []),
      ],
    }),
    chart({
      ...axis,
      title: `${hasSchedule ? 'Response' : 'Service'} time, ms, powers of ten`,
      format: (value) => milliseconds(value),
      log: true,
      lines: [
        { name: 'p50', values: of(({ p50Ms }) => p50Ms) },
        { name: 'p99', values: of(({ p99Ms }) => p99Ms) },
        { name: 'max', values: of(({ maxMs }) => maxMs) },
      ],
    }),
    chart({
      ...axis,
      title: 'Lag of the consumers, messages',
      format: grouped,
      yMax: 10,
      lines: [{ name: 'messages', values: of(({ lag }) => lag) }],
    }),
    chart({
      ...axis,
      title: 'Lag of the consumers, seconds',
      format: (value) => `${Number(value.toPrecision(3))} s`,
      lines: [{ name: 'seconds', values: of(({ lagSeconds }) => lagSeconds) }],
    }),
    chart({
      ...axis,
      title: 'CPU of the host',
      format: percent,
      yMax: 1,
      lines: [
        { name: 'busy', values: host(({ cpuBusy }) => cpuBusy) },
        { name: 'waiting for I/O', values: host(({ iowait }) => iowait) },
        { name: 'steal', values: host(({ steal }) => steal) },
      ],
    }),
    chart({
      ...axis,
      title: 'Memory that is available',
      format: gigabytes,
      lines: [{ name: 'available', values: host(({ availableBytes }) => availableBytes) }],
    }),
    chart({
      ...axis,
      title: 'Disk: written',
      format: bytesPerSecond,
      lines: [{ name: 'written', values: host(({ diskWrittenBytesPerSecond: bytes }) => bytes) }],
    }),
    chart({
      ...axis,
      title: 'Disk: busy',
      format: percent,
      yMax: 1,
      lines: [{ name: 'busy', values: host(({ diskUtilisation }) => diskUtilisation) }],
    }),
    chart({
      ...axis,
      title: 'Network',
      format: bytesPerSecond,
      lines: [
        { name: 'out', values: host(({ nicTxBytesPerSecond }) => nicTxBytesPerSecond) },
        { name: 'in', values: host(({ nicRxBytesPerSecond }) => nicRxBytesPerSecond) },
        { name: 'loopback', values: host(({ loopbackBytesPerSecond: bytes }) => bytes) },
      ],
    }),
    ...agentTimelines(result, axis),
  ]
}

/** The hosts of agents, a line each; what none of them tells has no chart. */
function agentTimelines({ series, hosts }: BenchResult, axis: Axis): Html[] {
  const agents = [...new Set(series.flatMap((row) => Object.keys(row.agents ?? {})))]
  const nameOf = (address: string) => {
    const { label, roles = [] } = hosts.find(({ agent }) => agent === address) ?? {}
    const name = label === undefined ? address : `${label}, ${address}`
    return roles.length === 0 ? name : `${name} (${roles.join(', ')})`
  }
  const plot = (
    title: string,
    format: (value: number) => string,
    read: (host: Host) => number | null,
    yMax?: number,
  ): Html[] => {
    const lines = agents.map((address) => ({
      name: nameOf(address),
      values: series.map((row) => {
        const host = row.agents?.[address]
        return host === undefined ? null : read(host)
      }),
    }))
    const isTold = lines.some(({ values }) => values.some((value) => value !== null))
    const scale = yMax === undefined ? {} : { yMax }
    return isTold ? [chart({ ...axis, title, format, lines, ...scale })] : []
  }
  const sent = 'Network out of the agents’ hosts, loopback left out'
  const taken = 'Network into the agents’ hosts, loopback left out'
  return [
    ...plot('CPU of the agents’ hosts', percent, ({ cpuBusy }) => cpuBusy, 1),
    ...plot('Memory available on the agents’ hosts', gigabytes, ({ availableBytes: free }) => free),
    ...plot('Disk of the agents’ hosts: written', bytesPerSecond, (host) => {
      return host.diskWrittenBytesPerSecond
    }),
    ...plot('Disk of the agents’ hosts: busy', percent, (host) => host.diskUtilisation, 1),
    ...plot(sent, bytesPerSecond, ({ nicTxBytesPerSecond: bytes }) => bytes),
    ...plot(taken, bytesPerSecond, ({ nicRxBytesPerSecond: bytes }) => bytes),
  ]
}

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`

type Axis = Pick<Parameters<typeof chart>[0], 'xs' | 'xMin' | 'xMax' | 'xTicks' | 'bands'>

type Host = Exclude<BenchResult['series'][number]['host'], null>

/** Phases that count, in seconds from the start of the window. */
function bandsOf({ phases }: BenchResult): Band[] {
  const counted = phases.filter(({ excluded }) => excluded === null)
  const beginMs = windowStartMs(phases)
  if (counted.length < 2 || Number.isNaN(beginMs)) return []
  return counted.map(({ name, startedAt, durationMs }) => {
    const from = (Date.parse(startedAt) - beginMs) / 1000
    return { name, from, to: from + durationMs / 1000 }
  })
}

/** Latency by percentile, each nine as far from the last as the one before. */
function percentilePlot({ latency }: BenchResult): Html {
  const shown = [50, 90, 95, 99, 99.9, 99.99]
  const at = (percentile: number) => -Math.log10(1 - percentile / 100)
  const valuesOf = (one: Latency) => [
    one.p50Ms,
    one.p90Ms,
    one.p95Ms,
    one.p99Ms,
    one.p999Ms,
    one.p9999Ms,
  ]
  const lines = (
    [
      ['response', latency.response],
      ['service', latency.service],
      ['end to end', latency.endToEnd],
    ] as const
  ).flatMap(([name, one]) => (one === null ? [] : [{ name, values: valuesOf(one) }]))
  return chart({
    title: 'Latency by percentile, ms, powers of ten',
    format: (value) => milliseconds(value),
    log: true,
    lines,
    xs: shown.map(at),
    xMin: at(50),
    xMax: at(99.99) + 0.2,
    xTicks: shown.map((percentile) => [at(percentile), `p${percentile}`] as const),
  })
}

/** Rates that were tried, the lowest first. */
function trialsOf({ search, curve, balance }: BenchResult): Trial[] {
  const trials = search?.trials ?? curve?.steps ?? balance?.steps ?? []
  return [...trials].sort((a, b) => a.ratePerSecond - b.ratePerSecond)
}

function rateAxis(trials: readonly Trial[]) {
  const most = Math.max(...trials.map(({ ratePerSecond }) => ratePerSecond))
  return {
    xs: trials.map(({ ratePerSecond }) => ratePerSecond),
    xMin: 0,
    xMax: most * 1.05,
    xTicks: [0, 0.25, 0.5, 0.75, 1].map(
      (share) => [most * share, `${grouped(most * share)}/s`] as const,
    ),
  }
}

/** What latency each rate had, with the knee where one was looked for. */
function rateLatencyCurve(result: BenchResult): Html {
  const trials = trialsOf(result)
  if (trials.length < 2) return nothing
  const knee = result.curve?.knee ?? null
  return chart({
    ...rateAxis(trials),
    title: `Response time by rate, ms, powers of ten${knee === null ? '' : `; knee at ${grouped(knee.ratePerSecond)}/s`}`,
    format: (value) => milliseconds(value),
    log: true,
    dots: result.curve === null,
    lines: [
      { name: 'mean', values: trials.map(({ meanMs }) => meanMs) },
      { name: 'p50', values: trials.map(({ p50Ms }) => p50Ms) },
      { name: 'p99', values: trials.map(({ p99Ms }) => p99Ms) },
    ],
    bands: knee === null ? [] : [{ from: 0, to: knee.ratePerSecond, name: 'up to the knee' }],
  })
}

/** What each rate took of the machine. */
function resourceCurve(result: BenchResult): Html {
  const trials = trialsOf(result)
  if (trials.length < 2) return nothing
  const of = (name: keyof Trial['resources']) => trials.map(({ resources }) => resources[name])
  return chart({
    ...rateAxis(trials),
    title: 'Share of the machine by rate',
    format: percent,
    yMax: 1,
    dots: result.curve === null,
    lines: [
      { name: 'CPU', values: of('cpu') },
      { name: 'broker’s loop', values: of('broker') },
      { name: 'disk', values: of('disk') },
      { name: 'network', values: of('nic') },
    ],
  })
}
