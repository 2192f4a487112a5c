/**
 * The highest rate that keeps a promise. Rates are tried one after the other, each with a moment to
 * settle that counts nowhere and counters of its own: twice the last one while it holds, then the
 * middle between the highest that held and the lowest that did not. The rate that is found must
 * hold once more, with fresh counters, before it is called sustainable.
 *
 * A rate holds when every expression of the SLA does, no more than a thousandth of its messages
 * stayed unsent, and at least 99 % of it were acknowledged.
 */
import { lagSlope, latenciesOf, rowsBetween, totalsOf } from './phase-figures.ts'
import type { PhaseRunner } from './phase-runner.ts'
import type { Scenario } from './scenario-schema.ts'
import type { Series } from './series.ts'
import { type PlannedStage, TRIALS_MAX } from './stages.ts'
import { broken, parseThreshold, samplesNeeded } from './threshold.ts'

export interface Trial {
  readonly ratePerSecond: number
  readonly phase: string
  readonly pass: boolean
  readonly reasons: string[]
  readonly ackedPerSecond: number
  readonly p99Ms: number | null
  readonly lagSlopePerSecond: number | null
}

export interface SearchRecord {
  readonly sla: readonly string[]
  readonly trials: readonly Trial[]
  readonly sustainablePerSecond: number | null
  readonly failedPerSecond: number | null
  readonly text: string
}

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
const RESOLUTION = 0.05

/** What a search asks next: a pure state machine, so that its steps can be tested without a broker. */
export class Bisection {
  held: number | null = null
  failed: number | null = null
  readonly #from: number
  readonly #to: number
  readonly #resolution: number

  constructor(from: number, to: number, resolution: number) {
    this.#from = from
    this.#to = to
    this.#resolution = resolution
  }

  /** The next rate; null when the bracket is as narrow as it should be, or there is none to find. */
  next(): number | null {
    const { held, failed } = this
    if (held === null) {
      if (failed === null) return this.#from
      // Even the first rate failed: look below it, down to a hundredth.
      return failed / 2 >= this.#from / 100 ? failed / 2 : null
    }
    if (failed === null) return held >= this.#to ? null : Math.min(this.#to, held * 2)
    return failed / held <= 1 + this.#resolution ? null : Math.sqrt(held * failed)
  }

  tell(rate: number, pass: boolean): void {
    if (pass) this.held = Math.max(this.held ?? 0, rate)
    else this.failed = Math.min(this.failed ?? Number.POSITIVE_INFINITY, rate)
    // A rate that failed and then held below a lower failure: the lower failure stands.
    if (this.held !== null && this.failed !== null && this.held >= this.failed) this.held = null
  }
}

export class RateSearch {
  readonly #runner: PhaseRunner
  readonly #series: Series
  readonly #early: AbortSignal
  readonly #consumed: boolean
  readonly #lateMsMax: number
  #startNs = 0

  constructor(runner: PhaseRunner, series: Series, early: AbortSignal, scenario: Scenario) {
    this.#runner = runner
    this.#series = series
    this.#early = early
    this.#consumed = scenario.consumers.instances > 0
    this.#lateMsMax = scenario.validity.maxPacingError
  }

  async run(planned: PlannedStage, startNs: number): Promise<SearchRecord> {
    const { from = 1, to = 1, resolution = RESOLUTION, maxTrials = TRIALS_MAX } = planned.stage
    const sla = [planned.stage.sla ?? []].flat()
    const bisection = new Bisection(from, to, resolution)
    const trials: Trial[] = []
    this.#startNs = startNs
    let sustainable: number | null = null
    while (trials.length < maxTrials && !this.#early.aborted) {
      // The last trial belongs to the confirmation, however wide the bracket still is.
      const wanted = trials.length < maxTrials - 1 ? bisection.next() : null
      const rate = wanted ?? bisection.held
      if (rate === null) break
      const name = wanted === null ? `${planned.name} confirmed` : planned.name
      const trial = await this.#trial(planned, rate, sla, name)
      // What Ctrl-C or a lost broker cut short proves nothing.
      if (this.#isCut()) break
      trials.push(trial)
      if (wanted !== null) {
        bisection.tell(rate, trial.pass)
      } else if (trial.pass) {
        sustainable = rate
        break
      } else {
        bisection.tell(rate, false)
        bisection.held = lastHeldBelow(trials, rate)
      }
    }
    const { failed } = bisection
    return {
      sla,
      trials,
      sustainablePerSecond: sustainable,
      failedPerSecond: failed,
      text: textOf(trials, sustainable, failed, to),
    }
  }

  /** Long enough for the percentiles of the SLA, also at rates below the first. */
  #durationMs(wantedMs: number, rateHz: number, sla: readonly string[]): number {
    const needed = Math.max(...sla.map((expr) => samplesNeeded(parseThreshold(expr))))
    const neededMs = Math.ceil((needed * 1.02) / rateHz) * 1000
    return Math.max(wantedMs, Math.min(neededMs, wantedMs * LONGER_MAX))
  }

  #isCut(): boolean {
    return this.#early.aborted
  }

  async #trial(
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
    await this.#runner.until(endNs)
    this.#runner.cut()
    await this.#runner.until(endNs + COLLECT_NS)
    const index = record?.index ?? 0
    const startNs = record?.startNs ?? 0
    const trial = this.#judge(rateHz, phase, index, startNs, durationMs / 1000, sla)
    if (this.#consumed) await this.#untilRead(endNs + CATCH_UP_NS)
    this.#startNs = this.#runner.nextStartNs()
    return trial
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
  ): Trial {
    const sums = this.#series.phase(index)
    const from = (startNs - (this.#runner.program.startNs ?? startNs)) / 1e9
    const rows = rowsBetween(this.#series.rows(), from, from + seconds)
    const shape = { kind: 'hold', rateHz } as const
    const input = {
      sums,
      loads: [{ model: 'open', shape, durationMs: seconds * 1000 } as const],
      seconds,
      rows,
      pending: sums.sent - sums.acked - sums.failed,
      wireBytesSent: 0,
      consumerTroubles: {},
      nameOf: String,
      endToEndWhy: '',
    }
    const totals = totalsOf(input)
    const latency = latenciesOf(input)
    const slope = lagSlope(rows)
    const lag = { max: sums.lagMax, maxSeconds: sums.lagMsMax / 1000, slopePerSecond: slope }
    const reasons = broken(
      sla.map((expr) => parseThreshold(expr)),
      { totals, latency, lag },
    )
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
      p99Ms: latency.response?.p99Ms ?? null,
      lagSlopePerSecond: slope,
    }
  }
}

function lastHeldBelow(trials: readonly Trial[], rate: number): number | null {
  const held = trials.filter(({ pass, ratePerSecond }) => pass && ratePerSecond < rate)
  return held.length === 0 ? null : Math.max(...held.map(({ ratePerSecond }) => ratePerSecond))
}

function textOf(
  trials: readonly Trial[],
  sustainable: number | null,
  failed: number | null,
  to: number,
): string {
  const tried = `${trials.length} rates were tried`
  if (sustainable === null) return `no rate held and was confirmed; ${tried}`
  const rate = `${Math.round(sustainable)} messages a second hold`
  if (failed === null) return `${rate}, the highest that was asked for (${to}/s); ${tried}`
  const [first] = trials.filter(({ ratePerSecond, pass }) => !pass && ratePerSecond === failed)
  return `${rate}; ${Math.round(failed)} do not (${first?.reasons[0] ?? 'it failed'}); ${tried}`
}
