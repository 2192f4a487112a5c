/**
 * One rate, tried for a while: a moment to settle that counts nowhere, then a phase with counters of
 * its own, and what the machine did meanwhile. Searches, curves and balances are made of these.
 */
import { usageBetween } from '../host/usage.ts'
import {
  type AgentsLook,
  type HostLook,
  type SeenHost,
  seenBetween,
  sharesOf,
} from './host-look.ts'
import { type Expected, brokenByMissing, isAwaited } from './missing-samples.ts'
import { lagAt, lagOf, latenciesOf, rowsBetween, totalsOf } from './phase-figures.ts'
import type { PhaseRunner } from './phase-runner.ts'
import type { Trial } from './result.ts'
import type { Scenario } from './scenario-schema.ts'
import type { Series } from './series.ts'
import type { PlannedStage } from './stages.ts'
import { broken, latencyLimitMs, parseThreshold, samplesNeeded } from './threshold.ts'

const SETTLE_MS = 2_000
/** Ticks of the last second, and answers to what was sent in it. */
const COLLECT_NS = 1.5e9
/** The longest wait for the consumers between two rates. */
const CATCH_UP_NS = 20e9
const POLL_NS = 250e6
/** A rate is tried at most so many times longer than asked for. */
const LONGER_MAX = 10
const UNSENT_MAX = 0.001
const ACKED_MIN = 0.99

export interface TrialTools {
  readonly runner: PhaseRunner
  readonly series: Series
  readonly early: AbortSignal
  readonly scenario: Scenario
  /** Looks at this host and at those of the agents now. */
  readonly look: () => Promise<HostLook & { readonly agents: AgentsLook['all'] }>
  /** How far apart the clocks of producers and consumers may be, up to now, milliseconds; null when nobody knows. */
  readonly clockErrorMs: () => number | null
  /** Processes of the brokers on this host; null when none runs here. */
  readonly brokers: readonly number[] | null
  /** Whether load runs on this host. */
  readonly loadIsHere: boolean
}

export class RateTrials {
  readonly #runner: PhaseRunner
  readonly #series: Series
  readonly #early: AbortSignal
  readonly #tools: TrialTools
  readonly #consumed: boolean
  readonly #lateMsMax: number
  #startNs: number

  constructor(tools: TrialTools, startNs: number) {
    this.#tools = tools
    this.#runner = tools.runner
    this.#series = tools.series
    this.#early = tools.early
    this.#consumed = tools.scenario.consumers.instances > 0
    this.#lateMsMax = tools.scenario.validity.maxPacingError
    this.#startNs = startNs
  }

  /** What Ctrl-C or a lost broker cut short proves nothing. */
  get isCut(): boolean {
    return this.#early.aborted
  }

  /** Long enough for the percentiles of the SLA, also at rates below the first. */
  #durationMs(wantedMs: number, rateHz: number, sla: readonly string[]): number {
    const needed = Math.max(...sla.map((expr) => samplesNeeded(parseThreshold(expr))))
    const neededMs = Math.ceil((needed * 1.02) / rateHz) * 1000
    return Math.max(wantedMs, Math.min(neededMs, wantedMs * LONGER_MAX))
  }

  /** Tries one rate; what does not hold of it stands in the reasons. */
  async run(
    planned: PlannedStage,
    rateHz: number,
    sla: readonly string[],
    name: string,
  ): Promise<Trial> {
    const shape = { kind: 'hold', rateHz } as const
    const durationMs = this.#durationMs(planned.stage.for, rateHz, sla)
    const settle = { model: 'open', shape, durationMs: SETTLE_MS } as const
    const load = { model: 'open', shape, durationMs } as const
    const phase = `${name} ${Number(rateHz.toPrecision(4))}/s`
    const { repetition } = planned
    const why = 'a moment to settle at a new rate'
    const [, record] = this.#runner.schedule(
      this.#startNs,
      [
        { name: 'settle', repetition, load: settle, durationMs: SETTLE_MS, excluded: why },
        { name: phase, repetition, load, durationMs },
      ],
      false,
    )
    const endNs = record?.endNs ?? this.#startNs
    await this.#runner.until(record?.startNs ?? endNs)
    const before = await this.#tools.look()
    await this.#runner.until(endNs)
    const after = await this.#tools.look()
    const { brokers, loadIsHere } = this.#tools
    const hosts = seenBetween(before, after, brokers, loadIsHere)
    if (record !== undefined) {
      record.usage = usageBetween(before.own, after.own)
      record.agents = after.agents
    }
    this.#runner.cut()
    const index = record?.index ?? 0
    await this.#untilKnown(index, endNs, rateHz, sla)
    const startNs = record?.startNs ?? 0
    const trial = this.#judge(rateHz, phase, index, startNs, durationMs / 1000, sla, hosts)
    if (this.#consumed) await this.#untilRead(endNs + CATCH_UP_NS)
    this.#startNs = this.#runner.nextStartNs()
    return trial
  }

  /** What has no answer yet, or was not received, may still come within the limit of a promise. */
  async #untilKnown(
    index: number,
    endNs: number,
    rateHz: number,
    sla: readonly string[],
  ): Promise<void> {
    const promised = sla.map((expr) => parseThreshold(expr))
    const limitMs = Math.max(0, ...promised.map(latencyLimitMs))
    const lastNs = endNs + COLLECT_NS + limitMs * 1e6
    await this.#runner.until(endNs + COLLECT_NS)
    const isOpen = () => isAwaited(promised, this.#expected(index, rateHz))
    while (isOpen() && this.#runner.nowNs < lastNs && !this.#early.aborted) {
      await this.#runner.until(Math.min(lastNs, this.#runner.nowNs + POLL_NS))
    }
  }

  #expected(index: number, rateHz: number): Expected {
    const { clockErrorMs, scenario } = this.#tools
    const { groups } = scenario.consumers
    // At both edges of the phase.
    const astray = Math.ceil((2 * rateHz * (clockErrorMs() ?? 0)) / 1000) * groups
    return { sums: this.#series.phase(index), groups, astray }
  }

  /** A rate that was too much leaves a backlog, and the next one must not pay for it. */
  async #untilRead(limitNs: number): Promise<void> {
    const series = this.#series
    const isRead = () => series.leastReceived >= series.totalAcked && series.lag === 0
    while (!isRead() && this.#runner.nowNs < limitNs && !this.#early.aborted) {
      await this.#runner.until(this.#runner.nowNs + POLL_NS)
    }
  }

  #judge(
    rateHz: number,
    phase: string,
    index: number,
    startNs: number,
    seconds: number,
    sla: readonly string[],
    hosts: readonly SeenHost[],
  ): Trial {
    const sums = this.#series.phase(index)
    const from = this.#series.secondsOf(startNs)
    const all = this.#series.rows()
    const rows = rowsBetween(all, from, from + seconds)
    const shape = { kind: 'hold', rateHz } as const
    const input = {
      sums,
      loads: [{ model: 'open', shape, durationMs: seconds * 1000 } as const],
      seconds,
      scheduledSeconds: seconds,
      rows,
      pending: sums.sent - sums.acked - sums.failed,
      wireBytesSent: 0,
      consumerTroubles: {},
      nameOf: String,
      endToEndWhy: '',
      clockErrorMs: this.#tools.clockErrorMs(),
    }
    const totals = totalsOf(input)
    const latency = latenciesOf(input)
    const lag = this.#consumed ? lagOf(rows, lagAt(all, from, this.#series.lagAtStart)) : null
    const promised = sla.map((expr) => parseThreshold(expr))
    const expected = this.#expected(index, rateHz)
    const reasons = promised.flatMap((one) => {
      const why = broken([one], { totals, latency, lag })
      // What has no latency is above every limit.
      return why.length > 0 ? why : (brokenByMissing(one, expected) ?? [])
    })
    if (sums.unsent > sums.scheduled * UNSENT_MAX) {
      reasons.push(`${sums.unsent} of ${sums.scheduled} messages were never sent`)
    }
    const ackedPerSecond = totals.rates.acked.meanPerSecond
    if (sums.acked < sums.scheduled * ACKED_MIN) {
      reasons.push(`only ${sums.acked} of ${sums.scheduled} messages were acknowledged`)
    }
    const lateMs = sums.latency('pacing')?.atMs(99) ?? 0
    if (reasons.length > 0 && lateMs > Math.max(this.#lateMsMax, 100 / rateHz)) {
      const late = `${Number(lateMs.toPrecision(3))} ms late at p99`
      reasons.push(`the generator itself was ${late}: it may not be the target's fault`)
    }
    return {
      ratePerSecond: rateHz,
      phase,
      pass: reasons.length === 0 && sums.acked > 0,
      reasons,
      ackedPerSecond,
      receivedPerSecond: totals.rates.received.meanPerSecond,
      meanMs: latency.response?.meanMs ?? null,
      p50Ms: latency.response?.p50Ms ?? null,
      p99Ms: latency.response?.p99Ms ?? null,
      lagSlopePerSecond: lag?.slopePerSecond ?? null,
      resources: sharesOf(hosts),
    }
  }
}
