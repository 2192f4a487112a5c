/**
 * Is the head slower than the base? Runs both again and again, in pairs that lie next to each other
 * in time and in turned order, each run on brokers of its own, and judges the pairs.
 *
 * Two looks that are fixed beforehand: after `pairs` pairs, and after twice as many when those could
 * not tell; the chance of a false alarm is shared out between them. What comes out as a regression
 * must come out once more, from fresh runs with another seed, before it is called one.
 */
import { ExitCode } from '../base/exit-codes.ts'
import { MqError } from '../base/errors.ts'
import { type MetricPairs, judgeGate } from './gate-judge.ts'
import type { GateQualification } from './gate-result.ts'
import { type PlannedPair, gateOrder } from './gate-order.ts'
import {
  THRESHOLDS_ALPHA,
  brokenIn,
  judgeBroken,
  thresholdCount,
  withBroken,
} from './gate-thresholds.ts'
import type {
  GateLook,
  GatePair,
  GateResult,
  GateVerdict,
  JudgedMetric,
  JudgedThreshold,
  Side,
} from './gate-result.ts'
import type { BenchResult } from './result.ts'

/** One of the two things that are compared. */
export interface GateSide {
  /** As the user named it. */
  readonly name: string
  /** One run on fresh brokers, or on those that were named. */
  run(seed: number): Promise<BenchResult>
}

export interface GateOptions {
  readonly base: GateSide
  readonly head: GateSide
  /** Of the first look; the second has twice as many. At least 8. */
  readonly pairs: number
  /** Stop after the first look, whatever it says. */
  readonly oneLook: boolean
  /** Pairs of the base against itself, for the floor. */
  readonly draws: number
  /** The smallest change that matters, as a share. */
  readonly minEffect: number
  readonly seed: number
  /** Run a regression once more before it is called one. */
  readonly confirm: boolean
  readonly interrupted: AbortSignal
  readonly nowMs: () => number
  readonly onRun: (done: GateProgress) => void
}

export interface GateProgress {
  /** From 1. */
  readonly run: number
  /** Planned so far. */
  readonly runs: number
  readonly side: Side
  readonly same: boolean
  readonly result: BenchResult
}

interface Metric {
  readonly name: string
  readonly primary: (result: BenchResult) => boolean
  readonly higherIsBetter: boolean
  /** The smallest change that matters is at least this. */
  readonly minEffect: number
  readonly read: (result: BenchResult) => number | null
}

/** Tails are noisy: less than a tenth of them is no news. */
const TAIL_EFFECT_MIN = 0.1
const LATENCY = (result: BenchResult) => result.latency.response ?? result.latency.service

/** Of a schedule while it lasted: what no load runs in, as a drain at its end, is no time of it. */
function ackedPerSecond({ pacing, totals }: BenchResult): number {
  const { acked, offeredPerSecond } = totals.rates
  const isScheduled = pacing.model === 'open' && offeredPerSecond !== null && totals.scheduled > 0
  return isScheduled ? (totals.acked / totals.scheduled) * offeredPerSecond : acked.meanPerSecond
}

const metrics: readonly Metric[] = [
  {
    name: 'rate.acked',
    // By a schedule the offered rate is what was asked for; what is acknowledged of it is not.
    primary: () => true,
    higherIsBetter: true,
    minEffect: 0,
    read: ackedPerSecond,
  },
  {
    name: 'latency.p99',
    primary: () => true,
    higherIsBetter: false,
    minEffect: TAIL_EFFECT_MIN,
    read: (result) => LATENCY(result)?.p99Ms ?? null,
  },
  {
    name: 'broker.cpuPerMessage',
    primary: () => true,
    higherIsBetter: false,
    minEffect: 0,
    read: ({ efficiency }) => efficiency.brokerCpuUsPerMessage,
  },
  {
    name: 'latency.p50',
    primary: () => false,
    higherIsBetter: false,
    minEffect: 0,
    read: (result) => LATENCY(result)?.p50Ms ?? null,
  },
  {
    name: 'endToEnd.p99',
    primary: () => false,
    higherIsBetter: false,
    minEffect: TAIL_EFFECT_MIN,
    read: ({ latency }) => latency.endToEnd?.p99Ms ?? null,
  },
]

const ALPHA_FIRST = 0.03
const ALPHA_SECOND = 0.02
const ALPHA_ALONE = 0.05
/** A run that is invalid, by steal for instance, is repeated this often before the gate gives up. */
const INVALID_MAX = 2
/** How a broker answers that cannot write, and the share of such answers beyond which two runs compare nothing. */
const UNAVAILABLE = 'SERVICE_NOT_AVAILABLE'
const UNAVAILABLE_MAX = 0.01

/** Rejects with what the runs reject with: target unreachable, topic refused … */
export function runGate(options: GateOptions): Promise<GateResult> {
  return new Gate(options).run()
}

/**
 * Tries the gate on itself before it judges anything: a slow-down that was planted must be found, and
 * the base against itself must not be. A gate that fails either on this machine says `unqualified`,
 * exit 14, and judges nothing.
 *
 * @param slowed the base with its brokers slowed down by `share`
 */
export async function runQualifiedGate(
  options: GateOptions,
  slowed: GateSide,
  share: number,
): Promise<GateResult> {
  // One run of pairs each, as the gate's own first look; what is planted needs no confirmation.
  const trial = { ...options, oneLook: true, confirm: false }
  const planted = await runGate({ ...trial, head: slowed })
  const same = await runGate({ ...trial, head: options.base, seed: options.seed + 5000 })
  const qualified =
    planted.verdict === 'regressed' && (same.verdict === 'ok' || same.verdict === 'inconclusive')
  const qualification: GateQualification = {
    plantedShare: share,
    planted: verdictOfTrial(planted),
    same: verdictOfTrial(same),
    qualified,
  }
  if (qualified) return { ...(await runGate(options)), qualification }
  const broken = [planted, same].find(
    ({ verdict }) => verdict === 'interrupted' || verdict === 'stopped',
  )
  if (broken !== undefined) return { ...broken, qualification }
  const missed = planted.verdict === 'regressed' ? same : planted
  return {
    ...missed,
    qualification,
    verdict: 'unqualified',
    exitCode: ExitCode.inconclusive,
    reasons: [
      missed === planted
        ? `a planted slow-down of ${Math.round(share * 100)} % was called ${planted.verdict}: this machine is too noisy for so few pairs`
        : `the base against itself was called ${same.verdict}`,
    ],
  }
}

function verdictOfTrial({ verdict }: GateResult): GateQualification['planted'] {
  return verdict === 'unqualified' ? 'inconclusive' : verdict
}

interface Judgement {
  readonly metrics: readonly JudgedMetric[]
  readonly thresholds: readonly JudgedThreshold[]
  readonly verdict: GateVerdict
}

/** The gate cannot go on; what is known is in the result all the same. */
class Stopped extends Error {
  readonly exitCode: number

  constructor(reason: string, exitCode: number) {
    super(reason)
    this.exitCode = exitCode
  }
}

class Gate {
  readonly #options: GateOptions
  readonly #pairs: GatePair[] = []
  readonly #confirming: GatePair[] = []
  readonly #looks: GateLook[] = []
  readonly #firstOf = new Map<Side, BenchResult>()
  /** How many the scenario has. */
  #thresholds = 0
  #run = 0
  #planned = 0
  #startedMs = 0

  constructor(options: GateOptions) {
    this.#options = options
  }

  async run(): Promise<GateResult> {
    this.#startedMs = this.#options.nowMs()
    try {
      return await this.#judged()
    } catch (error) {
      if (!(error instanceof Stopped)) throw error
      const verdict = error.exitCode === ExitCode.interrupted ? 'interrupted' : 'stopped'
      const judged = this.#judge(this.#pairs, ALPHA_ALONE, THRESHOLDS_ALPHA)
      return this.#result(judged, null, verdict, error.exitCode, [error.message])
    }
  }

  async #judged(): Promise<GateResult> {
    const { pairs, draws, seed, oneLook, confirm } = this.#options
    await this.#runPairs(gateOrder(pairs, draws, seed), seed, this.#pairs)
    let judged = this.#look(oneLook ? ALPHA_ALONE : ALPHA_FIRST)
    if (judged.verdict === 'inconclusive' && !oneLook) {
      await this.#runPairs(gateOrder(pairs, 0, seed + 1), seed + 1000, this.#pairs)
      judged = this.#look(ALPHA_SECOND)
    }
    let confirmation: GateResult['confirmation'] = null
    let { verdict } = judged
    if (verdict === 'regressed' && confirm) {
      const again = gateOrder(pairs, draws, seed + 2)
      await this.#runPairs(again, seed + 2000, this.#confirming)
      confirmation = this.#judge(this.#confirming, ALPHA_ALONE, ALPHA_ALONE)
      if (!stillRegressed(judged, confirmation)) verdict = 'inconclusive'
    }
    const reasons = reasonsOf(judged, verdict, confirmation !== null)
    return this.#result(judged, confirmation, verdict, exitCodeOf(verdict), reasons)
  }

  #judge(pairs: readonly GatePair[], alpha: number, thresholdsAlpha: number): Judgement {
    const { metrics: judged, verdict } = judgeGate(this.#metricPairs(pairs), alpha)
    const thresholds = judgeBroken(pairs, this.#thresholds, thresholdsAlpha)
    return { metrics: judged, thresholds, verdict: withBroken(verdict, thresholds) }
  }

  #look(alpha: number): Judgement {
    const judged = this.#judge(this.#pairs, alpha, THRESHOLDS_ALPHA)
    const compared = this.#pairs.filter(({ same }) => !same)
    this.#looks.push({ pairs: compared.length, alpha, verdict: judged.verdict })
    return judged
  }

  async #runPairs(planned: readonly PlannedPair[], seed: number, into: GatePair[]): Promise<void> {
    this.#planned += planned.length * 2
    for (const [index, { same, first }] of planned.entries()) {
      // Both runs of a pair send the same bytes.
      const runs = new Map<Side, BenchResult>()
      const order: readonly Side[] = first === 'base' ? ['base', 'head'] : ['head', 'base']
      for (const side of order) runs.set(side, await this.#runOf(side, same, seed + index))
      const [base, head] = [runs.get('base'), runs.get('head')]
      if (base === undefined || head === undefined) continue
      // What one side alone refuses is what it does; a full disk is under both.
      if (isRefusing(base) && isRefusing(head)) {
        const why = `both runs of a pair measured refusals${failedText(base)}`
        throw new Stopped(why, ExitCode.invalid)
      }
      into.push({ same, first, base: told(base), head: told(head) })
    }
  }

  /** @param same also the head's place is taken by the base */
  async #runOf(side: Side, same: boolean, seed: number): Promise<BenchResult> {
    const { base, head, interrupted, onRun } = this.#options
    const thing = side === 'base' || same ? base : head
    this.#run += 1
    for (let attempt = 1; ; attempt += 1) {
      if (interrupted.aborted) throw new Stopped('interrupted', ExitCode.interrupted)
      const result = await thing.run(seed)
      onRun({ run: this.#run, runs: this.#planned, side, same, result })
      // That a threshold does not hold is news only when it holds on the other side.
      if (result.verdict === 'ok' || result.verdict === 'threshold') {
        this.#checkAlike(same ? 'base' : side, result)
        this.#thresholds = Math.max(this.#thresholds, thresholdCount(result))
        return result
      }
      const { verdict, exitCode, reasons } = result
      if (verdict === 'interrupted') throw new Stopped('interrupted', ExitCode.interrupted)
      if (verdict === 'invalid' && attempt < INVALID_MAX) continue
      const why = `${reasons[0] ?? ''}${failedText(result)}`
      throw new Stopped(`a run of ${thing.name} was ${verdict}: ${why}`, exitCode)
    }
  }

  /** Unlike promises cannot be ranked. Throws MqError CONFIG_INVALID. */
  #checkAlike(side: Side, result: BenchResult): void {
    if (!this.#firstOf.has(side)) this.#firstOf.set(side, result)
    const other = this.#firstOf.get(side === 'base' ? 'head' : 'base')
    if (other === undefined || other.durability.profile === result.durability.profile) return
    throw new MqError('CONFIG_INVALID', {
      where: this.#options[side].name,
      what: `an acknowledgement means ${result.durability.profile} there and ${other.durability.profile} on the other side`,
      hint: 'compare brokers that promise the same: see flushDiskType, and the disk of the data',
    })
  }

  #metricPairs(pairs: readonly GatePair[]): MetricPairs[] {
    const result = this.#firstOf.get('base')
    if (result === undefined) return []
    return metrics.flatMap((metric): MetricPairs[] => {
      const values = (same: boolean) =>
        pairs.flatMap((pair) => {
          const [base, head] = [pair.base.values[metric.name], pair.head.values[metric.name]]
          const known = pair.same === same && (base ?? 0) > 0 && (head ?? 0) > 0
          return known ? [{ base: base ?? 0, head: head ?? 0 }] : []
        })
      const compared = values(false)
      // A metric that only some runs have would be judged by those that happened to have it.
      if (compared.length < pairs.filter(({ same }) => !same).length) return []
      return [
        {
          metric: metric.name,
          primary: metric.primary(result),
          higherIsBetter: metric.higherIsBetter,
          minEffect: Math.max(metric.minEffect, this.#options.minEffect),
          pairs: compared,
          same: values(true),
        },
      ]
    })
  }

  #result(
    judged: Judgement,
    confirmation: GateResult['confirmation'],
    verdict: GateResult['verdict'],
    exitCode: number,
    reasons: readonly string[],
  ): GateResult {
    const { base, head, seed, minEffect, nowMs } = this.#options
    const [first, second] = [this.#firstOf.get('base'), this.#firstOf.get('head')]
    return {
      schemaVersion: 1,
      kind: 'gate',
      startedAt: new Date(this.#startedMs).toISOString(),
      endedAt: new Date(nowMs()).toISOString(),
      base: base.name,
      head: head.name,
      scenario: {
        name: first?.scenario.name ?? '',
        base: first?.scenario.hash ?? '',
        head: second?.scenario.hash ?? '',
      },
      machine: machineOf(first),
      durability: first?.durability.acknowledged ?? '',
      seed,
      minEffect,
      metrics: judged.metrics,
      thresholds: judged.thresholds,
      unmeasured: first === undefined ? [] : unmeasured(first, judged.metrics),
      looks: this.#looks,
      confirmation,
      pairs: [...this.#pairs, ...this.#confirming],
      qualification: null,
      verdict,
      exitCode,
      reasons,
    }
  }
}

/** Whether so much was refused by brokers that could not write that little else was measured. */
function isRefusing({ totals }: BenchResult): boolean {
  return (totals.errors[UNAVAILABLE] ?? 0) > totals.sent * UNAVAILABLE_MAX
}

/** What most messages that failed had for an answer, and what may be behind it; empty when none failed. */
function failedText({ totals }: BenchResult): string {
  const [worst] = Object.entries(totals.errors).sort(([, a], [, b]) => b - a)
  if (worst === undefined || totals.failed === 0) return ''
  const [name] = worst
  const hint =
    name === UNAVAILABLE
      ? '; is the disk of its brokers full? Free some space, or name another with XDG_DATA_HOME'
      : ''
  return `: ${totals.failed} of ${totals.sent} messages failed, most with ${name}${hint}`
}

function told(result: BenchResult): GatePair['base'] {
  const values = Object.fromEntries(metrics.map(({ name, read }) => [name, read(result)]))
  return { runId: result.runId, values, broken: brokenIn(result) }
}

function unmeasured(result: BenchResult, judged: readonly JudgedMetric[]): string[] {
  return metrics.flatMap(({ name, primary }) =>
    primary(result) && judged.every(({ metric }) => metric !== name) ? [name] : [],
  )
}

function machineOf(result: BenchResult | undefined): string {
  const [host] = result?.hosts ?? []
  return host === undefined ? '' : `${host.name}, ${host.cpuCount} cores`
}

/** Something that regressed did so again. */
function stillRegressed(before: Judgement, after: Judgement): boolean {
  return (
    before.metrics.some(
      ({ metric, primary, verdict }) =>
        primary &&
        verdict === 'regressed' &&
        after.metrics.some((one) => one.metric === metric && one.verdict === 'regressed'),
    ) ||
    before.thresholds.some(
      ({ threshold, verdict }) =>
        verdict === 'regressed' &&
        after.thresholds.some((one) => one.threshold === threshold && one.verdict === 'regressed'),
    )
  )
}

function reasonsOf(
  { metrics: judged, thresholds }: Judgement,
  verdict: GateVerdict,
  confirmed: boolean,
): string[] {
  if (verdict === 'ok' || verdict === 'improved') return []
  // What is certain is not hidden among what cannot be told.
  const isTold = (one: { verdict: GateVerdict }) =>
    one.verdict === 'regressed' || (one.verdict === 'inconclusive' && verdict !== 'regressed')
  const told = judged.filter((one) => one.primary && isTold(one))
  const reasons = told.map(({ metric, change, why }) => {
    const share = `${change < 0 ? '' : '+'}${(change * 100).toFixed(1)} %`
    return `${metric} ${share}: ${why}`
  })
  reasons.push(...thresholds.filter(isTold).map(({ threshold, why }) => `${threshold}: ${why}`))
  if (verdict === 'inconclusive' && confirmed) {
    reasons.push('a regression did not come again in the confirming runs')
  }
  return reasons
}

function exitCodeOf(verdict: GateVerdict): number {
  if (verdict === 'regressed') return ExitCode.regression
  return verdict === 'inconclusive' ? ExitCode.inconclusive : ExitCode.ok
}
