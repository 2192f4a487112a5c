/**
 * Puts the ticks of all load processes together: one row a second, the sums of the window, and the
 * merged histograms. Whatever a process has told is kept, also when it dies in the next moment.
 */
import type { HostUsage } from '../host/usage.ts'
import { LatencyHistogram } from './histogram.ts'
import type { SeriesRow } from './result.ts'
import type { ConsumerTick, ProducerTick } from './role-messages.ts'

interface Row {
  sent: number
  acked: number
  failed: number
  received: number
  lag: number
  /** Null once the row is old enough that nothing comes for it any more; the figures below stay. */
  latency: LatencyHistogram | null
  p50Ms: number | null
  p99Ms: number | null
  maxMs: number | null
  host: SeriesRow['host']
}

/** Rows that may still get ticks; older ones give their histogram (a quarter of a megabyte) back. */
const OPEN_ROWS = 5

export class Series {
  readonly service = new LatencyHistogram()
  readonly endToEnd = new LatencyHistogram()
  /** By outcome. */
  readonly errors = new Map<number, number>()
  sent = 0
  acked = 0
  failed = 0
  received = 0
  receivedBytes = 0
  lagMax = 0
  readonly #startNs: number
  readonly #rows: Row[] = []
  readonly #lagOf = new Map<string, number>()
  readonly #totalReceivedOf = new Map<string, number>()
  readonly #totalAckedOf = new Map<string, number>()

  /** @param startNs start of the window on the monotonic clock */
  constructor(startNs: number) {
    this.#startNs = startNs
  }

  onProducerTick(name: string, tick: ProducerTick): void {
    this.#totalAckedOf.set(name, tick.totalAcked)
    const { sent, acked, failed } = tick.counts
    this.sent += sent
    this.acked += acked
    this.failed += failed
    for (const [outcome, count] of tick.errors) {
      this.errors.set(outcome, (this.errors.get(outcome) ?? 0) + count)
    }
    const row = this.#rowAt(tick.atNs)
    if (row !== null) {
      row.sent += sent
      row.acked += acked
      row.failed += failed
    }
    if (tick.latency === null) return
    const latency = LatencyHistogram.decode(tick.latency)
    this.service.add(latency)
    row?.latency?.add(latency)
    latency.destroy()
  }

  onConsumerTick(name: string, tick: ConsumerTick): void {
    this.#totalReceivedOf.set(name, tick.totalReceived)
    this.#lagOf.set(name, tick.lag)
    this.received += tick.received
    this.receivedBytes += tick.receivedBytes
    const row = this.#rowAt(tick.atNs)
    if (row !== null) {
      row.received += tick.received
      row.lag = sum(this.#lagOf)
      this.lagMax = Math.max(this.lagMax, row.lag)
    }
    if (tick.latency === null) return
    const latency = LatencyHistogram.decode(tick.latency)
    this.endToEnd.add(latency)
    latency.destroy()
  }

  /** What the host did in the second that ends at `atNs`. */
  onHostUsage(atNs: number, usage: HostUsage): void {
    const row = this.#rowAt(atNs)
    if (row === null) return
    const links = usage.nics.filter((nic) => !nic.isLoopback)
    const loopbacks = usage.nics.filter((nic) => nic.isLoopback)
    row.host = {
      cpuBusy: usage.cpu?.busy ?? null,
      iowait: usage.cpu?.iowait ?? null,
      steal: usage.cpu?.steal ?? null,
      availableBytes: usage.memory?.availableBytes ?? null,
      diskWrittenBytesPerSecond: usage.disk?.writtenBytesPerSecond ?? null,
      diskUtilisation: usage.disk?.utilisation ?? null,
      nicTxBytesPerSecond: links.reduce((bytes, nic) => bytes + nic.txBytesPerSecond, 0),
      nicRxBytesPerSecond: links.reduce((bytes, nic) => bytes + nic.rxBytesPerSecond, 0),
      loopbackBytesPerSecond: loopbacks.reduce((bytes, nic) => bytes + nic.txBytesPerSecond, 0),
    }
  }

  /** Acknowledged and received since the run began, warm-up included. */
  get totalAcked(): number {
    return sum(this.#totalAckedOf)
  }

  get totalReceived(): number {
    return sum(this.#totalReceivedOf)
  }

  get lag(): number {
    return sum(this.#lagOf)
  }

  /** The last whole second, for the live view; null before there is one. */
  get lastRow(): SeriesRow | null {
    return this.#rowResult(this.#rows.length - 1)
  }

  rows(): SeriesRow[] {
    return this.#rows.flatMap((_, index) => this.#rowResult(index) ?? [])
  }

  #rowResult(index: number): SeriesRow | null {
    const row = this.#rows[index]
    if (row === undefined) return null
    measure(row)
    const { sent, acked, failed, received, lag, p50Ms, p99Ms, maxMs, host } = row
    return { t: index + 1, sent, acked, failed, received, lag, p50Ms, p99Ms, maxMs, host }
  }

  /** The row of the second before a tick; ticks come a little after their second. Null in the warm-up. */
  #rowAt(atNs: number): Row | null {
    const second = Math.round((atNs - this.#startNs) / 1e9) - 1
    if (second < 0) return null
    while (this.#rows.length <= second) {
      this.#rows.push({
        sent: 0,
        acked: 0,
        failed: 0,
        received: 0,
        lag: 0,
        latency: new LatencyHistogram(),
        p50Ms: null,
        p99Ms: null,
        maxMs: null,
        host: null,
      })
      this.#closeRow(this.#rows.length - 1 - OPEN_ROWS)
    }
    return this.#rows[second] ?? null
  }

  #closeRow(index: number): void {
    const row = this.#rows[index]
    if (row === undefined || row.latency === null) return
    measure(row)
    row.latency.destroy()
    row.latency = null
  }
}

function sum(values: ReadonlyMap<string, number>): number {
  let total = 0
  for (const value of values.values()) total += value
  return total
}

function measure(row: Row): void {
  const { latency } = row
  if (latency === null || latency.count === 0) return
  row.p50Ms = latency.atMs(50)
  row.p99Ms = latency.atMs(99)
  row.maxMs = latency.maxMs
}
