/**
 * The stages of a run, one after the other: those of known length without a gap, the others (rates
 * that are tried, backlogs that are read) as long as they take.
 */
import type { HostSampler } from '../host/sampler.ts'
import type { HostSnapshot } from '../host/snapshot.ts'
import { usageBetween } from '../host/usage.ts'
import type { Clock } from '../world/clock.ts'
import { sleep } from '../world/node-clock.ts'
import type { Crew } from './crew.ts'
import type { AgentsLook } from './host-look.ts'
import type { PhaseRecord } from './phase-runner.ts'
import { type BalanceRecord, runBalance } from './rate-balance.ts'
import { type CurveRecord, runCurve } from './rate-curve.ts'
import { RateSearch, type SearchRecord } from './rate-search.ts'
import { RateTrials, type TrialTools } from './rate-trial.ts'
import { isTimed, isTried, type PlannedStage, stagesOf, warmupLoad } from './stages.ts'

const DRAIN_POLL_MS = 50

interface Parts extends Omit<TrialTools, 'look'> {
  readonly clock: Clock
  readonly crew: Crew
  readonly sampler: HostSampler
  /** What the agents' hosts did since it was asked before. */
  readonly lookThere: () => Promise<AgentsLook>
}

export class RunStages {
  /** How the warm-up ended, when it waited for a steady rate. */
  steadyText: string | null = null
  search: SearchRecord | null = null
  curve: CurveRecord | null = null
  balance: BalanceRecord | null = null
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Load that counts nowhere; resolves a moment before it is over, with the moment. */
  async warmUp(beginNs: number, gridNs: number): Promise<number> {
    const { runner, scenario, series } = this.#parts
    const { min, max, steady } = scenario.warmup
    runner.warmUp(beginNs, warmupLoad(scenario), 'it counts nowhere')
    if (steady === null) return gridNs
    await runner.until(gridNs)
    this.steadyText = await runner.untilSteady(
      () => series,
      steady.slope,
      beginNs + Math.max(min, max) * 1e6,
    )
    return runner.nextStartNs()
  }

  /** All stages in order, the first at a moment. */
  async run(firstNs: number): Promise<void> {
    const { early, runner, scenario } = this.#parts
    const stages = stagesOf(scenario)
    let startNs = firstNs
    for (let at = 0; at < stages.length && !early.aborted;) {
      const one = stages[at]
      if (one === undefined) return
      let next = at + 1
      if (isTried(one.stage)) {
        await this.#tryRates(one, startNs)
      } else if (one.stage.until === 'drained') {
        const [record] = runner.schedule(startNs, [timed(one)], false)
        const drain = await this.#untilDrained(startNs, record?.endNs ?? startNs)
        if (record !== undefined) record.drain = drain
      } else {
        while (next < stages.length && isTimed(stages[next] ?? one)) next += 1
        const isLast = next === stages.length
        const records = runner.schedule(startNs, stages.slice(at, next).map(timed), isLast)
        if (stages.length > 1) await this.#lookAtEdges(records)
        await runner.until(runner.program.endNs)
        if (isLast) return
      }
      at = next
      if (at === stages.length) return
      const following = stages[at]
      // A drain follows what it drains at once; behind a stage of unknown length comes a short gap.
      if (one.stage.until === undefined && !isTried(one.stage) && following !== undefined) {
        startNs = runner.program.endNs
      } else {
        runner.cut()
        startNs = runner.nextStartNs()
      }
    }
  }

  /** What the hosts do in each of several phases, of which one may be full and the others not. */
  async #lookAtEdges(records: readonly PhaseRecord[]): Promise<void> {
    const { early, runner, sampler, lookThere } = this.#parts
    const look = () => Promise.all([sampler.mark(), lookThere()])
    let before: HostSnapshot | null = null
    for (const record of records) {
      await runner.until(record.startNs)
      before ??= (await look())[0]
      await runner.until(record.endNs)
      if (early.aborted) return
      const [after, { all }] = await look()
      record.usage = usageBetween(before, after)
      record.agents = all
      before = after
    }
  }

  async #tryRates(one: PlannedStage, startNs: number): Promise<void> {
    const { sampler, lookThere, ...tools } = this.#parts
    const look = async () => {
      const [own, { brokers, all }] = await Promise.all([sampler.mark(), lookThere()])
      return { own, there: brokers, agents: all }
    }
    const trials = new RateTrials({ ...tools, look }, startNs)
    if (one.stage.shape === 'curve') this.curve = await runCurve(trials, one)
    else if (one.stage.shape === 'balance') this.balance = await runBalance(trials, one)
    else this.search = await new RateSearch(trials).run(one)
  }

  /** Resolves when the consumers have everything, or at the end of the time. */
  async #untilDrained(startNs: number, endNs: number): Promise<NonNullable<PhaseRecord['drain']>> {
    const { clock, crew, early, series } = this.#parts
    const nowNs = () => Number(clock.monotonicNs())
    while (nowNs() < startNs) await sleep(clock, DRAIN_POLL_MS)
    while (nowNs() < endNs && !early.aborted) {
      crew.poll()
      await sleep(clock, DRAIN_POLL_MS)
      if (series.leastReceived >= series.totalAcked && series.lag === 0) {
        return { done: true, remaining: 0 }
      }
    }
    const remaining = Math.max(series.lag, series.totalAcked - series.leastReceived)
    return { done: false, remaining }
  }
}

/** A stage as the runner takes it. */
function timed({ name, repetition, load, stage }: PlannedStage) {
  const consumersPaused = stage.consumers === 'paused'
  return { name, repetition, load, durationMs: stage.for, consumersPaused }
}
