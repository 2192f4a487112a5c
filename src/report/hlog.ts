/**
 * The full histograms as an HdrHistogram log, version 1.3, which HdrHistogram's own tools and its
 * ports in other languages read: a line for each kind of latency in each phase, and one for all
 * phases together. Unit of the values: nanoseconds; of the maximum in the third column: milliseconds.
 *
 *   Tag=response.steady,0.000,30.000,12.345,HISTFAAAA…
 */
import type { BenchResult } from '../bench/result.ts'
import type { Latencies } from '../bench/result-figures.ts'

const kinds = ['response', 'service', 'sendDelay', 'endToEnd'] as const

/** Text with a final newline. */
export function hlogReport(result: BenchResult): string {
  const counted = result.phases.filter(({ figures }) => figures !== null)
  const beginMs = Date.parse(counted[0]?.startedAt ?? result.startedAt)
  const seconds = counted.reduce((sum, { durationMs }) => sum + durationMs, 0) / 1000
  const lines = [
    `#[mqctl bench ${oneLine(result.scenario.name)}, run ${result.runId}]`,
    '#[Histogram log format version 1.3]',
    `#[StartTime: ${(beginMs / 1000).toFixed(3)} (seconds since epoch), ${new Date(beginMs).toISOString()}]`,
    '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ...linesOf(result.latency, '', 0, seconds),
  ]
  for (const { name, repetition, startedAt, durationMs, figures } of counted) {
    if (figures === null) continue
    const from = (Date.parse(startedAt) - beginMs) / 1000
    const tag = `.${name}${repetition > 1 ? `#${repetition}` : ''}`
    lines.push(...linesOf(figures.latency, tag, from, durationMs / 1000))
  }
  return `${lines.join('\n')}\n`
}

function linesOf(latency: Latencies, suffix: string, from: number, seconds: number): string[] {
  return kinds.flatMap((kind) => {
    const one = latency[kind]
    if (one === null) return []
    // A tag ends at the first comma or space.
    const tag = `${kind}${suffix}`.replace(/[\s,]+/g, '_')
    const figures = [from.toFixed(3), seconds.toFixed(3), one.maxMs.toFixed(3)]
    return [`Tag=${tag},${figures.join(',')},${one.histogram}`]
  })
}

function oneLine(text: string): string {
  return text.replace(/[\r\n\]]+/g, ' ')
}
