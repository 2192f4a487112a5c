/**
 * The figures of a run in OpenMetrics text, for a push gateway or the text-file collector of a node
 * exporter: base units (seconds, bytes, ratios) in the names, one series for the whole and one for
 * each phase. What has no value is left out.
 */
import type { BenchResult } from '../bench/result.ts'
import type { Latency, PhaseFigures, Totals } from '../bench/result-figures.ts'

type Labels = Readonly<Record<string, string>>

interface Sample {
  readonly suffix: string
  readonly labels: Labels
  readonly value: number
}

class Exposition {
  readonly #families = new Map<string, { type: string; help: string; samples: Sample[] }>()

  add(
    name: string,
    type: 'gauge' | 'summary' | 'info',
    help: string,
    labels: Labels,
    value: number | null,
    suffix = '',
  ): void {
    if (value === null || !Number.isFinite(value)) return
    let family = this.#families.get(name)
    if (family === undefined) {
      family = { type, help, samples: [] }
      this.#families.set(name, family)
    }
    family.samples.push({ suffix, labels, value })
  }

  text(): string {
    const lines = [...this.#families].flatMap(([name, { type, help, samples }]) => [
      `# TYPE ${name} ${type}`,
      `# HELP ${name} ${escaped(help)}`,
      ...samples.map(
        ({ suffix, labels, value }) => `${name}${suffix}${labelText(labels)} ${String(value)}`,
      ),
    ])
    return [...lines, '# EOF', ''].join('\n')
  }
}

/** Text that ends with `# EOF` and a newline. */
export function openmetricsReport(result: BenchResult): string {
  const out = new Exposition()
  const run = { scenario: result.scenario.name, run: result.runId }
  const info = { ...run, verdict: result.verdict, hash: result.scenario.hash }
  const { tool, bottleneck } = result
  const details = { ...info, version: tool.version, bottleneck: bottleneck.resource }
  out.add('mqctl_bench', 'info', 'The run.', details, 1, '_info')
  const started = Date.parse(result.startedAt) / 1000
  out.add('mqctl_bench_started_seconds', 'gauge', 'When it began, Unix time.', run, started)
  out.add('mqctl_bench_exit_code', 'gauge', 'Exit code; 0 is good.', run, result.exitCode)
  figuresOf(out, { ...run, phase: '' }, result)
  for (const { name, repetition, figures } of result.phases) {
    if (figures === null) continue
    const phase = repetition > 1 ? `${name}#${repetition}` : name
    figuresOf(out, { ...run, phase }, figures)
  }
  for (const kind of ['lost', 'duplicated', 'reordered', 'corrupted', 'foreign'] as const) {
    const help = 'Messages that a check found; what could not be judged has no value.'
    out.add('mqctl_bench_integrity', 'gauge', help, { ...run, kind }, result.integrity[kind])
  }
  for (const { expression, phase, repetition, pass } of result.thresholds) {
    const labels = { ...run, expression, phase: phase ?? '', repetition: String(repetition) }
    out.add('mqctl_bench_threshold_holds', 'gauge', '1 when it holds.', labels, pass ? 1 : 0)
  }
  machineOf(out, run, result)
  return out.text()
}

function figuresOf(
  out: Exposition,
  labels: Labels,
  { totals, latency }: { totals: Totals; latency: PhaseFigures['latency'] },
): void {
  const counts = ['sent', 'acked', 'failed', 'unanswered', 'pending', 'received', 'unsent'] as const
  for (const outcome of counts) {
    const help = 'Messages by what became of them.'
    out.add('mqctl_bench_messages', 'gauge', help, { ...labels, outcome }, totals[outcome])
  }
  for (const [error, count] of Object.entries(totals.errors)) {
    out.add('mqctl_bench_errors', 'gauge', 'Failed sends by cause.', { ...labels, error }, count)
  }
  const { acked, received, offeredPerSecond } = totals.rates
  const rates = [
    ['acked', acked.meanPerSecond],
    ['received', received.meanPerSecond],
    ['offered', offeredPerSecond],
  ] as const
  for (const [kind, rate] of rates) {
    out.add('mqctl_bench_rate', 'gauge', 'Messages a second, mean.', { ...labels, kind }, rate)
  }
  for (const kind of ['response', 'service', 'sendDelay', 'endToEnd'] as const) {
    const one = latency[kind]
    if (one !== null) latencyOf(out, { ...labels, kind }, one)
  }
}

function latencyOf(out: Exposition, labels: Labels, latency: Latency): void {
  const name = 'mqctl_bench_latency_seconds'
  const help = 'Latency; a quantile stands here when ten samples lie above it.'
  const quantiles = [
    ['0.5', latency.p50Ms],
    ['0.9', latency.p90Ms],
    ['0.95', latency.p95Ms],
    ['0.99', latency.p99Ms],
    ['0.999', latency.p999Ms],
    ['0.9999', latency.p9999Ms],
  ] as const
  for (const [quantile, ms] of quantiles) {
    out.add(name, 'summary', help, { ...labels, quantile }, ms === null ? null : ms / 1000)
  }
  out.add(name, 'summary', help, labels, latency.count, '_count')
  out.add(name, 'summary', help, labels, (latency.meanMs * latency.count) / 1000, '_sum')
  const most = 'The largest latency.'
  out.add('mqctl_bench_latency_max_seconds', 'gauge', most, labels, latency.maxMs / 1000)
}

function machineOf(out: Exposition, run: Labels, { hosts, processes }: BenchResult): void {
  for (const { name, label, agent, cpu, memory, disk, nics } of hosts) {
    // Agents may share a machine, and so its name.
    const labels = { ...run, host: label ?? name, ...(agent === undefined ? {} : { agent }) }
    const cpuHelp = 'Share of all cores that was busy, 0 to 1.'
    out.add('mqctl_bench_host_cpu_ratio', 'gauge', cpuHelp, labels, cpu?.busy ?? null)
    const free = 'Memory that was available.'
    const bytes = memory?.availableBytes ?? null
    out.add('mqctl_bench_host_memory_available_bytes', 'gauge', free, labels, bytes)
    const diskHelp = 'Share of the time in which the disk was busy, 0 to 1.'
    out.add('mqctl_bench_host_disk_ratio', 'gauge', diskHelp, labels, disk?.utilisation ?? null)
    for (const nic of nics) {
      const name = 'mqctl_bench_host_network_bytes_per_second'
      const both = [
        ['out', nic.txBytesPerSecond],
        ['in', nic.rxBytesPerSecond],
      ] as const
      for (const [direction, rate] of both) {
        const of = { ...labels, interface: nic.name, direction }
        out.add(name, 'gauge', 'Bytes a second on an interface.', of, rate)
      }
    }
  }
  for (const { name, role, host, cores, rssBytes, gc } of processes) {
    const at = host === undefined ? {} : { agent: host }
    const labels = { ...run, process: name, role, ...at }
    out.add('mqctl_bench_process_cores', 'gauge', 'Cores that were busy.', labels, cores)
    out.add('mqctl_bench_process_resident_bytes', 'gauge', 'Memory.', labels, rssBytes)
    const gcHelp = 'Share of the time in garbage collection, 0 to 1.'
    out.add('mqctl_bench_process_gc_ratio', 'gauge', gcHelp, labels, gc?.share ?? null)
  }
}

function labelText(labels: Labels): string {
  return `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(',')}}`
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
