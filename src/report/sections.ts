/**
 * What a report says, line by line; the tables stand in `tables.ts`. `text.ts`, `markdown.ts` and
 * `html.ts` only lay them out. Pure functions of a saved result.
 */
import type { BenchResult } from '../bench/result.ts'
import { bytesPerSecond, decimalBytes, grouped, milliseconds, percent } from './figures.ts'

/** One line: `ok · pressure-80x500 · 30a1b2c3`, then why when it is not ok. */
export function headline(result: BenchResult): string {
  const { name } = result.scenario
  const words: Readonly<Record<BenchResult['verdict'], string>> = {
    ok: 'OK',
    integrity: 'INTEGRITY VIOLATED',
    invalid: 'INVALID',
    unreachable: 'TARGET LOST',
    threshold: 'THRESHOLD FAILED',
    interrupted: 'INTERRUPTED',
  }
  return `${words[result.verdict]} · ${name} · run ${result.runId} · exit ${result.exitCode}`
}

/** Label and text of the lines at the top. */
export function summaryLines(result: BenchResult): [label: string, text: string][] {
  const { totals, durability, environment, client } = result
  const { acked, received, sent } = totals.rates
  const seconds = windowSeconds(result)
  const lines: [string, string][] = [
    isOneWay(result) && sent !== null
      ? ['sent', `${rateText(sent, totals.sent, seconds)}, one way: nobody acknowledges them`]
      : ['produced', rateText(acked, totals.acked, seconds)],
  ]
  if (result.lag.groups.length > 0) {
    const groups = result.lag.groups.length
    const each = groups > 1 ? `, by ${groups} groups together` : ''
    lines.push(['consumed', rateText(received, totals.received, seconds) + each])
  }
  lines.push(['failed', failedText(result)])
  const { pacing } = result
  if (pacing.error !== null) {
    const { offeredPerSecond } = totals.rates
    lines.push([
      'offered',
      `${offeredPerSecond === null ? '' : `${grouped(offeredPerSecond)} msg/s by the schedule, `}${grouped(totals.unsent)} never sent, ${grouped(totals.blocked)} sent late for want of a free sender`,
    ])
    lines.push([
      'pacing',
      `the generator was ${milliseconds(pacing.error.p50Ms)} ms late at p50, ${milliseconds(pacing.error.p99Ms)} ms at p99, ${milliseconds(pacing.error.maxMs)} ms at most`,
    ])
  }
  lines.push(['integrity', integrityText(result)])
  lines.push(['load', client.senders])
  lines.push([
    'acknowledged',
    `${durability.acknowledged} (${durability.profile}${durability.verifiedBy === 'broker' ? ', read back from the broker' : ''})`,
  ])
  if (result.search !== null) lines.push(['search', result.search.text])
  if (result.curve !== null) {
    lines.push(['curve', result.curve.text])
    if (result.curve.knee !== null) lines.push(['knee', result.curve.method])
  }
  if (result.balance !== null) lines.push(['balance', result.balance.text])
  if (result.thresholds.length > 0) {
    const passed = result.thresholds.filter(({ pass }) => pass).length
    lines.push(['thresholds', `${passed} of ${result.thresholds.length} hold`])
  }
  if (environment.lab !== null) lines.push(['laboratory', environment.lab])
  const versions = environment.brokers.map(
    (broker) =>
      `${broker.name} ${broker.address}${broker.version === null ? '' : ` ${broker.version}`}`,
  )
  if (versions.length > 0)
    lines.push([
      'target',
      `${versions.join(', ')}; ${topicsText(environment.target)}, ${environment.target.lanes} queues`,
    ])
  const refused = totals.consumerTroubles['PROCESSING_FAILED'] ?? 0
  if (refused > 0) lines.push(['retried', `${grouped(refused)} times a message was read again`])
  const troubles = Object.entries(totals.consumerTroubles)
    .filter(([name, count]) => name !== 'PROCESSING_FAILED' && count > 0)
    .map(([name, count]) => `${grouped(count)} × ${name}`)
  if (troubles.length > 0) {
    lines.push(['not read', `requests of consumers that failed: ${troubles.join(', ')}`])
  }
  for (const line of drainTexts(result)) lines.push(['drain', line])
  for (const group of result.lag.groups) {
    const isMany = result.phases.filter(({ excluded }) => excluded === null).length > 1
    const of = result.lag.groups.length > 1 ? `${group.name}: ` : ''
    lines.push(['lag', of + lagText(group, isMany)])
    const { skew, queues } = group
    const queueCount = Math.max(group.queueCount, queues.length)
    if (skew !== null && queueCount > 1 && group === result.lag.groups[0]) {
      const { fullest, maxToMean } = skew
      lines.push([
        'queues',
        `${queueCount}, the fullest (${fullest}) has ${maxToMean.toFixed(2)} × the mean`,
      ])
    }
  }
  return lines
}

/** Nobody acknowledged anything, and nobody was to. */
export function isOneWay({ totals }: BenchResult): boolean {
  return totals.unanswered > 0 && totals.acked === 0
}

function topicsText({ topic, topics }: BenchResult['environment']['target']): string {
  return topics > 1 ? `${grouped(topics)} topics from ${topic} on` : `topic ${topic}`
}

function lagText(group: BenchResult['lag']['groups'][number], isMany: boolean): string {
  const { atEnd, max, maxSeconds, slopePerSecond, drainMs } = group
  // The slope of several phases together says nothing: each has its own in the table.
  const verb = (slopePerSecond ?? 0) < 0 ? 'shrinking' : 'growing'
  const slope =
    slopePerSecond === null || isMany ? '' : `, ${verb} by ${grouped(Math.abs(slopePerSecond))}/s`
  const drained =
    drainMs === null
      ? 'never read to the end'
      : `read to the end ${milliseconds(drainMs)} ms after it`
  return `${grouped(atEnd)} messages at the end of the window, at most ${grouped(max)} (${maxSeconds.toFixed(1)} s)${slope}; ${drained}`
}

/** Of each phase that lasts until everything is read: how fast, and whether it was. */
function drainTexts({ phases, lag }: BenchResult): string[] {
  const groups = Math.max(1, lag.groups.length)
  return phases.flatMap(({ name, repetition, durationMs, figures }) => {
    if (figures === null || figures.drain === null) return []
    const { backlog, done, remaining } = figures.drain
    const phase = repetition > 1 ? `${name} #${repetition}` : name
    const of = groups > 1 ? ` by each of ${groups} groups` : ''
    const read = `${grouped(figures.totals.received / groups)} messages${of}, ${grouped(figures.totals.rates.received.meanPerSecond / groups)} msg/s`
    const seconds = `${(durationMs / 1000).toFixed(1)} s`
    const end = done
      ? `read to the end in ${seconds}`
      : `not read to the end in ${seconds}, ${grouped(remaining)} messages were left`
    return [`phase ${phase}: ${grouped(backlog)} messages behind; ${end}: ${read}`]
  })
}

function windowSeconds(result: BenchResult): number {
  const counted = result.phases.filter((phase) => phase.excluded === null)
  return counted.reduce((sum, { durationMs }) => sum + durationMs, 0) / 1000
}

function rateText(
  rate: BenchResult['totals']['rates']['acked'],
  count: number,
  seconds: number,
): string {
  const spread =
    rate.minPerSecond === null || rate.maxPerSecond === null
      ? ''
      : `; single seconds ${grouped(rate.minPerSecond)} … ${grouped(rate.maxPerSecond)}`
  return `${grouped(rate.meanPerSecond)} msg/s (${grouped(count)} in ${seconds.toFixed(1)} s${spread})`
}

function failedText({ totals }: BenchResult): string {
  const codes = Object.entries(totals.errors).map(([name, count]) => `${name} ${grouped(count)}`)
  const pending = totals.pending > 0 ? `, ${grouped(totals.pending)} without an answer` : ''
  return `${grouped(totals.failed)} of ${grouped(totals.sent)}${pending}${codes.length > 0 ? ` (${codes.join(', ')})` : ''}`
}

function integrityText(result: BenchResult): string {
  const { integrity, wholeRun } = result
  if (integrity.violations.length > 0) return integrity.violations.join('; ')
  const { stored, acked } = integrity.conservation
  const growth =
    stored === null ? '' : `; queues grew by ${grouped(stored)} for ${grouped(acked)} acknowledged`
  if (isOneWay(result) && integrity.unreceived !== null) {
    const { unreceived } = integrity
    const arrived = `${grouped(unreceived)} of ${grouped(wholeRun.sent)} one-way messages did not arrive${growth}`
    return `${arrived}; loss not judged: ${integrity.why ?? ''}`
  }
  if (integrity.why !== null) {
    const open =
      integrity.unverified > 0
        ? `${grouped(integrity.unverified)} acknowledged messages could not be judged: `
        : 'loss not judged: '
    return `${open}${integrity.why}${growth}`
  }
  const extra =
    integrity.unconfirmedStored > 0
      ? `; ${grouped(integrity.unconfirmedStored)} without acknowledgement were stored all the same`
      : ''
  const nothing =
    integrity.corrupted === null
      ? 'nothing lost, duplicated or reordered (without checksums nobody knows what is corrupted)'
      : 'nothing lost, duplicated, reordered or corrupted'
  return `${nothing} in ${grouped(wholeRun.received)} messages${growth}${extra}`
}

/** Label and text of the lines about the machine. */
export function hostLines(result: BenchResult): [label: string, text: string][] {
  const lines: [string, string][] = []
  for (const host of result.hosts) {
    const { cpu, memory, disk } = host
    if (result.hosts.length > 1) {
      const where = host.agent === undefined ? 'runs the bench' : `agent ${host.agent}`
      lines.push(['host', [`${host.label ?? host.name} (${where})`, ...host.roles].join(', ')])
    }
    lines.push([
      'cpu',
      cpu === null
        ? 'n/a'
        : `${percent(cpu.busy)} of ${host.cpuCount} cores busy: ${percent(cpu.user)} user, ${percent(cpu.system)} system, ${percent(cpu.irq)} interrupts, ${percent(cpu.steal)} steal; ${percent(cpu.iowait)} waiting for I/O`,
    ])
    if (memory !== null) {
      lines.push([
        'memory',
        `${decimalBytes(memory.availableBytes)} available of ${decimalBytes(memory.totalBytes)}, ${decimalBytes(memory.cachedBytes)} page cache${memory.dirtyBytes === null ? '' : `, ${decimalBytes(memory.dirtyBytes)} not yet written`}`,
      ])
    }
    lines.push([
      'disk',
      disk === null
        ? (host.unavailable['disk'] ?? 'n/a')
        : `${disk.device}: ${bytesPerSecond(disk.writtenBytesPerSecond)} written in ${grouped(disk.writesPerSecond)} writes/s, ${bytesPerSecond(disk.readBytesPerSecond)} read, busy ${percent(disk.utilisation)}${disk.flushes === null ? '' : `, ${grouped(disk.flushes)} flushes${disk.flushAwaitMs === null ? '' : ` of ${milliseconds(disk.flushAwaitMs)} ms`}`}`,
    ])
    const busy = host.nics.filter(
      (nic) =>
        nic.rxPacketsPerSecond +
          nic.txPacketsPerSecond +
          nic.rxBytesPerSecond +
          nic.txBytesPerSecond >
        0,
    )
    for (const nic of busy) {
      const link = nic.isLoopback
        ? 'loopback'
        : nic.linkBitsPerSecond === null
          ? 'link speed unknown'
          : `${percent(Math.max(nic.txShare ?? 0, nic.rxShare ?? 0))} of ${(nic.linkBitsPerSecond / 1e6).toFixed(0)} Mbit/s`
      lines.push([
        'network',
        `${nic.name} (${link}): out ${bytesPerSecond(nic.txBytesPerSecond)}, ${grouped(nic.txPacketsPerSecond)} packets/s; in ${bytesPerSecond(nic.rxBytesPerSecond)}, ${grouped(nic.rxPacketsPerSecond)} packets/s`,
      ])
    }
    lines.push(['sampling', `looking at all this took ${percent(host.samplerCores)} of a core`])
  }
  lines.push(...clockLines(result))
  return lines
}

/** How the clocks of agents stood to that of this host. */
function clockLines({ clock }: BenchResult): [label: string, text: string][] {
  const agents = clock.agents ?? []
  if (agents.length === 0) return []
  return [
    ['clocks', clock.method],
    ...agents.map(({ address, offsetMs, uncertaintyMs, errorMs, movedMs }): [string, string] => {
      const drift = movedMs === undefined ? '' : `, moved by ${movedMs.toFixed(3)} ms at most`
      const moved =
        errorMs === null
          ? 'not read again'
          : `known to ${errorMs.toFixed(3)} ms all through the run${drift}`
      const ahead = `${offsetMs.toFixed(3)} ms ± ${uncertaintyMs.toFixed(3)} ahead of this host`
      return ['', `agent ${address}: ${ahead}, ${moved}`]
    }),
  ]
}

/** What was the limit, and what the generator could have done. */
export function limitLines(result: BenchResult): [label: string, text: string][] {
  const { bottleneck, client, efficiency } = result
  const lines: [string, string][] = [
    ['limit', `${bottleneck.resource} (${bottleneck.confidence} confidence): ${bottleneck.text}`],
  ]
  for (const evidence of bottleneck.evidence) lines.push(['', evidence])
  const costs = [
    ['broker', efficiency.brokerCpuUsPerMessage],
    ['producers', client.producerCpuUsPerMessage],
    ['consumers', client.consumerCpuUsPerMessage],
  ] as const
  const known = costs.flatMap(([name, us]) => (us === null ? [] : [`${name} ${us.toFixed(2)} µs`]))
  if (known.length > 0)
    lines.push([
      'cost',
      `CPU a message: ${known.join(', ')}${efficiency.wireBytesPerMessage === null ? '' : `; ${grouped(efficiency.wireBytesPerMessage)} bytes on the wire`}`,
    ])
  lines.push(...predictionLines(result))
  if (client.ceiling !== null) {
    lines.push([
      'generator',
      `${grouped(client.ceiling.perSecond)} msg/s against the null target (${client.ceiling.producerCpuUsPerMessage.toFixed(2)} µs of CPU a message); this run reached ${percent(client.ceiling.share)} of it`,
    ])
  }
  return lines
}

/** What was said before the run, and how far off it was. */
function predictionLines({ prediction, bottleneck }: BenchResult): [string, string][] {
  if (prediction === null) return []
  const lines: [string, string][] = [['predicted', prediction.text]]
  const { ceilingPerSecond, carriedPerSecond } = prediction
  if (bottleneck.predictionError !== null && ceilingPerSecond !== null) {
    lines.push([
      '',
      `ceiling ${grouped(ceilingPerSecond)} msg/s, carried ${grouped(carriedPerSecond ?? 0)}: ${errorText(bottleneck.predictionError)}`,
    ])
  }
  const checks = prediction.checks.map(
    ({ what, predictedBytes, measuredBytes, error }) =>
      `${what} ${grouped(predictedBytes)} B, was ${grouped(measuredBytes)} (${errorText(error)})`,
  )
  if (checks.length > 0) lines.push(['', checks.join('; ')])
  if (prediction.beside !== null) lines.push(['', prediction.beside.text])
  return lines
}

/** How far a prediction was off: `1.2 % too high`. */
function errorText(error: number): string {
  const size = `${(Math.abs(error) * 100).toFixed(1)} %`
  if (size === '0.0 %') return 'exact'
  return `${size} too ${error > 0 ? 'high' : 'low'}`
}

/** Failed checks first, then what the machine gives to think about. */
export function warningLines(result: BenchResult): { text: string; hint: string | null }[] {
  return [
    ...result.validity
      .filter((check) => !check.ok)
      .map(({ text, limit, unit }) => ({
        text: `${text}${limit === null ? '' : ` (limit ${limitText(limit, unit)})`}`,
        hint: null,
      })),
    ...result.warnings.map(({ text, hint }) => ({ text, hint })),
  ]
}

function limitText(limit: number, unit: string): string {
  return unit === 'share' ? percent(limit) : `${Number(limit.toPrecision(3))} ${unit}`
}
