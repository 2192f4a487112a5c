/**
 * Puts the ticks of all load processes together: one row a second, the sums of the window, and the
 * merged histograms. Whatever a process has told is kept, also when it dies in the next moment.
 */
import type { HostUsage } from '../host/usage.ts'
import { LatencyHistogram } from './histogram.ts'
import { LagBook, type LaneEnd, type LaneLag } from './lag-book.ts'
import { PhaseSums } from './phase-sums.ts'
import type { SeriesRow } from './result.ts'
import type { ConsumerTick, ProducerTick } from './role-messages.ts'

interface Row {
  /** From 1: seconds since the start of the window, at the row's end. */
  readonly t: number
  readonly phase: number | null
  offered: number
  sent: number
  acked: number
  failed: number
  received: number
  lag: number
  lagMs: number
  /** Null once the row is old enough that nothing comes for it any more; the figures below stay. */
  latency: LatencyHistogram | null
  p50Ms: number | null
  p99Ms: number | null
  maxMs: number | null
  host: SeriesRow['host']
  /** By address; absent without agents. */
  agents?: NonNullable<SeriesRow['agents']>
}

interface GroupBook {
  readonly lags: LagBook
  readonly receivedOf: Map<string, number>
}

/** From somewhere in a second to where its end is the nearest. */
const POLL_SHIFT_NS = 0.5e9

/** Rows that may still get ticks; older ones give their histogram (a third of a megabyte) back. */
const OPEN_ROWS = 5

export class Series {
  /** Messages behind when the window began. */
  lagAtStart = 0
  readonly #gridNs: number
  readonly #rows: Row[] = []
  readonly #phases = new Map<number, PhaseSums>()
  /** By group: how far it is behind, and what each of its members has received. */
  readonly #groups = new Map<number, GroupBook>()
  readonly #totalAckedOf = new Map<string, number>()
  /** By load process: acknowledged or received before the window. */
  readonly #before = new Map<string, number>()
  readonly #phaseAt: (atNs: number) => number | null
  #startNs: number

  /**
   * @param gridNs rows are whole seconds from here on the monotonic clock
   * @param phaseAt the phase of a moment
   * @param startNs before it no row is kept; infinite until `begin` says when
   */
  constructor(
    gridNs: number,
    phaseAt: (atNs: number) => number | null = () => 0,
    startNs: number = gridNs,
  ) {
    this.#gridNs = gridNs
    this.#phaseAt = phaseAt
    this.#startNs = startNs
  }

  /** The warm-up ends at this moment of the grid. */
  begin(startNs: number): void {
    this.#startNs = startNs
  }

  /** A moment in seconds from the start of the window, in which rows are counted. */
  secondsOf(atNs: number): number {
    return (atNs - this.#startNs) / 1e9
  }

  /** Sums by phase; made when first asked for. */
  phase(index: number): PhaseSums {
    let sums = this.#phases.get(index)
    if (sums === undefined) {
      sums = new PhaseSums()
      this.#phases.set(index, sums)
    }
    return sums
  }

  /** All phases together. */
  sums(): PhaseSums {
    const all = new PhaseSums()
    for (const sums of this.#phases.values()) all.add(sums)
    return all
  }

  /** Where the members of a group begin to read, until they tell it themselves. */
  expect(
    group: number,
    lanes: readonly { readonly lane: number; readonly offset: number }[],
    atNs: number,
  ): void {
    const positions = lanes.map(({ lane, offset }) => [lane, offset, offset, 0] as const)
    this.#group(group).lags.onPositions(positions, atNs, null)
  }

  onProducerTick(name: string, tick: ProducerTick): void {
    this.#totalAckedOf.set(name, tick.totalAcked)
    const row = this.#rowAt(tick.atNs)
    if (row === null) this.#before.set(name, tick.totalAcked)
    for (const tally of tick.tallies) {
      const shown = tally.latency.response === undefined ? 'service' : 'response'
      this.phase(tally.phase).addTally(tally, (kind, histogram) => {
        if (kind === shown) row?.latency?.add(histogram)
      })
      if (row === null) continue
      row.offered += tally.scheduled
      row.sent += tally.sent
      row.acked += tally.acked
      row.failed += tally.failed
    }
  }

  onConsumerTick(name: string, tick: ConsumerTick): void {
    const { lags, receivedOf } = this.#group(tick.groupIndex)
    receivedOf.set(name, tick.totalReceived)
    const row = this.#rowOf(tick)
    lags.onPositions(tick.lanes, tick.atNs, row === null ? null : row.t)
    const receivedIn = row ?? this.#knownRow(tick.atNs)
    for (const receipts of tick.receipts) {
      this.phase(receipts.phase).addReceipts(receipts)
      if (receivedIn !== null) receivedIn.received += receipts.received
    }
    // Of the members of a second the last to tell has the last word: then all that is known is of it.
    if (row === null) {
      if (tick.polled) return
      this.lagAtStart = this.lag
      this.#before.set(name, tick.totalReceived)
      return
    }
    row.lag = this.lag
    row.lagMs = Math.max(...[...this.#groups.values()].map((one) => one.lags.ageMs))
  }

  /** What a host did in the second that ends at `atNs`. @param agent its address; null for this host */
  onHostUsage(atNs: number, usage: HostUsage, agent: string | null = null): void {
    const row = this.#rowAt(atNs)
    if (row === null) return
    if (agent === null) row.host = hostRowOf(usage)
    else (row.agents ??= {})[agent] = hostRowOf(usage)
  }

  /** Acknowledged and received since the run began, warm-up included. */
  get totalAcked(): number {
    return sum(this.#totalAckedOf)
  }

  /** Acknowledged since the run began, as far as a producer has told. */
  ackedBy(name: string): number {
    return this.#totalAckedOf.get(name) ?? 0
  }

  /** Acknowledged since the window began, in phases that count and between them. */
  get windowAcked(): number {
    return this.totalAcked - this.#beforeOf(this.#totalAckedOf)
  }

  /** Received since the window began, by all groups together. */
  get windowReceived(): number {
    let before = 0
    for (const { receivedOf } of this.#groups.values()) before += this.#beforeOf(receivedOf)
    return this.totalReceived - before
  }

  #beforeOf(totals: ReadonlyMap<string, number>): number {
    let before = 0
    for (const name of totals.keys()) before += this.#before.get(name) ?? 0
    return before
  }

  /** Of all groups together: each receives every message. */
  get totalReceived(): number {
    let total = 0
    for (const { receivedOf } of this.#groups.values()) total += sum(receivedOf)
    return total
  }

  /** By the members of one group, as they have told so far. */
  receivedBy(group: number): number {
    return sum(this.#group(group).receivedOf)
  }

  /** Every group has received at least so many. */
  get leastReceived(): number {
    const each = [...this.#groups.values()].map(({ receivedOf }) => sum(receivedOf))
    return each.length === 0 ? 0 : Math.min(...each)
  }

  /** Messages by which the group is behind that is furthest behind. */
  get lag(): number {
    let most = 0
    for (const { lags } of this.#groups.values()) most = Math.max(most, lags.messages)
    return most
  }

  /** Messages by which one group is behind. */
  lagOf(group: number): number {
    return this.#group(group).lags.messages
  }

  #group(index: number): GroupBook {
    let group = this.#groups.get(index)
    if (group === undefined) {
      group = { lags: new LagBook(), receivedOf: new Map() }
      this.#groups.set(index, group)
    }
    return group
  }

  /** What the broker says of the ends of its queues while messages are being sent. */
  noteEnds(ends: readonly LaneEnd[], atNs: number): void {
    for (const { lags } of this.#groups.values()) lags.noteEnds(ends, atNs)
  }

  /** What the broker says of the ends of its queues while nothing is sent. */
  onEnds(ends: readonly LaneEnd[], atNs: number): void {
    for (const { lags } of this.#groups.values()) lags.onEnds(ends, atNs)
  }

  /** The lag of each queue in the eyes of a group, now and over the window. */
  laneLags(group = 0): LaneLag[] {
    return this.#group(group).lags.lanes()
  }

  /** The last whole second, for the live view; null before there is one. */
  get lastRow(): SeriesRow | null {
    return this.#rowResult(this.#rows.length - 1)
  }

  /** At most so many whole seconds, the newest last. */
  lastRows(count: number): SeriesRow[] {
    const from = Math.max(0, this.#rows.length - count)
    return this.#rows.slice(from).flatMap((_, index) => this.#rowResult(from + index) ?? [])
  }

  rows(): SeriesRow[] {
    return this.#rows.flatMap((_, index) => this.#rowResult(index) ?? [])
  }

  #rowResult(index: number): SeriesRow | null {
    const row = this.#rows[index]
    if (row === undefined) return null
    measure(row)
    const { latency: _, lagMs, ...figures } = row
    return { ...figures, lagSeconds: lagMs / 1000 }
  }

  /** A tick that was asked for belongs to the second that is not over yet, and behind the phases to none. */
  #rowOf({ atNs, polled }: ConsumerTick): Row | null {
    if (!polled) return this.#rowAt(atNs)
    return this.#phaseAt(atNs) === null ? null : this.#rowAt(atNs + POLL_SHIFT_NS)
  }

  /** Of a moment just behind the phases, where nothing begins any more, the row that there is. */
  #knownRow(atNs: number): Row | null {
    const seconds = (atNs - this.#startNs) / 1e9
    return this.#rows[Math.floor(seconds)] ?? this.#rows[Math.round(seconds) - 1] ?? null
  }

  /** The row of the second before a tick; ticks come a little after their second. Null in the warm-up. */
  #rowAt(atNs: number): Row | null {
    const second = Math.round((atNs - this.#gridNs) / 1e9) - 1
    const first = Math.round((this.#startNs - this.#gridNs) / 1e9)
    const index = second - first
    if (!(index >= 0)) return null
    while (this.#rows.length <= index) {
      const middleNs = this.#gridNs + (first + this.#rows.length + 0.5) * 1e9
      this.#rows.push({
        t: this.#rows.length + 1,
        phase: this.#phaseAt(middleNs),
        offered: 0,
        sent: 0,
        acked: 0,
        failed: 0,
        received: 0,
        lag: 0,
        lagMs: 0,
        latency: new LatencyHistogram(),
        p50Ms: null,
        p99Ms: null,
        maxMs: null,
        host: null,
      })
      this.#closeRow(this.#rows.length - 1 - OPEN_ROWS)
    }
    return this.#rows[index] ?? null
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
  row.p50Ms = latency.percentileMs(50)
  row.p99Ms = latency.percentileMs(99)
  row.maxMs = latency.maxMs
}

function hostRowOf(usage: HostUsage): NonNullable<SeriesRow['host']> {
  const links = usage.nics.filter((nic) => !nic.isLoopback)
  const loopbacks = usage.nics.filter((nic) => nic.isLoopback)
  return {
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
