/**
 * One run from beginning to end. The front door of this room: it takes a scenario and addresses,
 * and gives a result; where the brokers come from is the caller's business.
 *
 *   prepare   topic, lanes, offsets; the load processes start and connect
 *   ceiling   the same producers against a target that only acknowledges (a moment, optional)
 *   warm-up   load at full strength; nothing of it is counted
 *   window    everything counts
 *   drain     producers are quiet, consumers read to the end
 *   judge     integrity, validity, the bottleneck; the result
 *
 * Interrupted, or with the target gone, it goes on to the end from where it is, with what there is.
 */
import { randomBytes } from 'node:crypto'
import { messageOf } from '../base/errors.ts'
import type { Driver, Lane, LaneOffsets } from '../drivers/driver.ts'
import { openDriver } from '../drivers/open-driver.ts'
import { type HostFacts, readHostFacts } from '../host/facts.ts'
import { openHostProbe } from '../host/host.ts'
import { HostSampler } from '../host/sampler.ts'
import { checkBefore } from '../host/checks.ts'
import { hostComplaints } from '../host/tuning/tuning.ts'
import type { World } from '../world/world.ts'
import { Agents } from './agent/agents.ts'
import { checkAgents, checkThresholdHosts } from './agent-check.ts'
import { clockErrorMs } from './agent-hosts.ts'
import { assembleResult } from './assemble.ts'
import { AGENT_START_DELAY_MS, type Ceiling, measureCeiling } from './ceiling.ts'
import { Crew } from './crew.ts'
import { drain } from './drain.ts'
import { loadHistograms } from './histogram.ts'
import type { LaneEnd } from './lag-book.ts'
import { LoadProgram } from './load-program.ts'
import { NullTargetProcess } from './null-target-process.ts'
import { diskPathOf, durabilityOf, needsOf, predictionOf } from './outlook.ts'
import { PhaseRunner } from './phase-runner.ts'
import { planOf } from './plan.ts'
import { predictionText } from './prediction.ts'
import { QueueEnds } from './queue-ends.ts'
import type { BenchResult } from './result.ts'
import type { ProducerReport } from './role-messages.ts'
import type { BenchOptions, PhaseName, PhaseOfRun } from './run-record.ts'
import { RunStages } from './run-stages.ts'
import { RunTopics } from './run-topics.ts'
import { Series } from './series.ts'
import { plannedMs } from './stages.ts'
import { TargetWatch } from './target-watch.ts'

const START_DELAY_MS = 60
const PROGRESS_MS = 250
/** Seconds that a live view shows as bars. */
const RECENT_ROWS = 10
const INTERRUPTED_DRAIN_MS = 1_000

/** Runs it. Rejects with MqError when it could not begin: target unreachable, topic refused … */
export async function runBench(world: World, options: BenchOptions): Promise<BenchResult> {
  await loadHistograms()
  if (options.loaded.scenario.target.driver !== 'null' || options.endpoints.length > 0) {
    return runOn(world, options)
  }
  const target = await NullTargetProcess.start(world.clock)
  try {
    return await runOn(world, { ...options, endpoints: [target.address], ceiling: false })
  } finally {
    target.end()
  }
}

async function runOn(world: World, options: BenchOptions): Promise<BenchResult> {
  const run = new BenchRun(world, options)
  try {
    return await run.run()
  } finally {
    await run.close()
  }
}

class BenchRun {
  readonly #world: World
  readonly #options: BenchOptions
  readonly #driver: Driver
  readonly #runId = randomBytes(4)
  readonly #phases: PhaseOfRun[] = []
  readonly #lost: string[] = []
  #crew: Crew | null = null
  #agents: Agents | null = null
  #sampler: HostSampler | null = null
  #topics: RunTopics | null = null
  #stopProgress: () => void = () => undefined
  #stopLooking: () => void = () => undefined
  /** Aborted when the window must end early. */
  readonly #early = new AbortController()
  readonly #onInterrupt = () => {
    this.#early.abort()
  }

  constructor(world: World, options: BenchOptions) {
    this.#world = world
    this.#options = options
    const { target } = options.loaded.scenario
    this.#driver = openDriver(world, target.driver, options.endpoints)
    options.interrupted.addEventListener('abort', this.#onInterrupt)
    if (options.interrupted.aborted) this.#early.abort()
  }

  async close(): Promise<void> {
    this.#options.interrupted.removeEventListener('abort', this.#onInterrupt)
    this.#stopProgress()
    this.#stopLooking()
    this.#crew?.end()
    this.#agents?.close()
    await this.#sampler?.stop()
    // Brokers that were started for this run go away with all they have.
    if (this.#options.known.length === 0) {
      // Something went away: perhaps an agent or a process of the load, perhaps the target.
      await this.#topics?.remove(this.#world.clock, this.#lost.length > 0)
    }
    this.#driver.close()
  }

  async run(): Promise<BenchResult> {
    const { loaded, endpoints, interrupted } = this.#options
    const { scenario } = loaded
    const clock = this.#world.clock
    const startedMs = clock.wallMs()
    this.#progress('prepare', null, null)
    const agents = await this.#openAgents()
    const facts = await this.#driver.brokerFacts()
    const plan = planOf(scenario, endpoints, this.#runId)
    const watch = new TargetWatch(this.#driver, facts, this.#options.known)
    if (agents !== null) await checkAgents(agents, scenario, plan, watch)
    const hostFacts = readHostFacts(this.#options.dataDir ?? diskPathOf(facts, watch))
    checkThresholdHosts(agents, scenario, watch, hostFacts.name)
    this.#options.onBegin?.({ runId: plan.runId, startedMs })
    const topics = new RunTopics(this.#driver, scenario, plan)
    this.#topics = topics
    await topics.make()
    const lanes = await this.#driver.lanes(plan.topics)
    const ends = new QueueEnds(clock, this.#driver, lanes)
    const before = await ends.now()
    const startAt = await this.#startAt(lanes, before)
    const durability = durabilityOf(this.#driver, facts, hostFacts, watch)
    const loadHere = agents?.carryLoad !== true
    const warnings = [
      ...checkBefore(hostFacts, needsOf(scenario, watch, loadHere)),
      ...(await hostComplaints(clock, watch.brokers, hostFacts.disk?.path ?? null)),
    ]

    const prediction = predictionOf(scenario, plan, lanes.length, watch, durability)
    if (prediction !== null) this.#options.onPrediction?.(predictionText(prediction))
    let ceiling: Ceiling | null = null
    if (this.#options.ceiling && !interrupted.aborted) {
      this.#progress('ceiling', null, null)
      const places = agents?.placesOf(plan.producers.length) ?? []
      ceiling = await measureCeiling(clock, plan.producers, undefined, places)
    }

    this.#progress('prepare', null, null)
    const program = new LoadProgram()
    let series = new Series(Number.POSITIVE_INFINITY)
    const planned = plan.members(lanes, before, startAt)
    const members = agents === null ? planned : agents.place(planned)
    const crew = await Crew.gather(clock, members, {
      onTick: (name, tick) => {
        if (tick.kind === 'producer-tick') series.onProducerTick(name, tick)
        else series.onConsumerTick(name, tick)
      },
      onLost: (name, why) => {
        this.#lost.push(`${name}: ${why}`)
        this.#early.abort()
      },
    })
    this.#crew = crew
    agents?.followClocks((consumer, clocks) => {
      crew.tellClocks(consumer, clocks)
    })
    const sampler = this.#openSampler(hostFacts, watch, crew, () => series)
    this.#watchEnds(ends, () => series)

    const startDelayMs = loadHere ? START_DELAY_MS : AGENT_START_DELAY_MS
    const beginNs = Number(clock.monotonicNs()) + startDelayMs * 1e6
    const gridNs = beginNs + scenario.warmup.min * 1e6
    sampler.start(scenario.metrics.interval, gridNs / 1e6)
    const agentsAreSampled = this.#sampleAgents(watch, gridNs, () => series)
    const runner = new PhaseRunner(clock, crew, program, gridNs, this.#early.signal)
    const wallMsOf = wallClockOf(clock)
    series = new Series(gridNs, (atNs) => program.phaseAt(atNs), Number.POSITIVE_INFINITY)
    for (const { setup } of members) {
      if (setup.kind === 'consumer') series.expect(setup.groupIndex, setup.lanes, beginNs)
    }
    const stages = new RunStages({
      clock,
      scenario,
      crew,
      runner,
      series,
      sampler,
      lookThere: async () => agents?.look() ?? { brokers: [], all: new Map() },
      brokers: watch.pidsHere,
      loadIsHere: loadHere,
      clockErrorMs: () => clockErrorMs(agents?.records ?? [], crew.processes),
      early: this.#early.signal,
    })
    const { min, steady } = scenario.warmup
    this.#progress('warmup', steady === null ? min : null, series)
    const startNs = await stages.warmUp(beginNs, gridNs)
    series.begin(startNs)
    const begin = async () => {
      await agentsAreSampled
      await runner.until(startNs)
      const marks = await Promise.all([sampler.mark(), watch.mark(), agents?.markFirst()])
      this.#progress('measure', plannedMs(scenario), series)
      return marks
    }
    const [[firstSnapshot, firstMarks]] = await Promise.all([begin(), stages.run(startNs)])
    const endNs = Math.max(startNs, Math.min(runner.nowNs, program.endNs))
    runner.finish()
    const [lastSnapshot, lastMarks] = await Promise.all([
      sampler.mark(),
      watch.mark(),
      agents?.markLast(),
    ])
    const windowMs = Math.max(0, (endNs - startNs) / 1e6)
    for (const { startNs: fromNs, endNs: toNs, ...phase } of runner.phases) {
      if (toNs <= fromNs && phase.excluded === null) continue
      const durationMs = Math.max(0, (toNs - fromNs) / 1e6)
      this.#phases.push({ ...phase, startedMs: wallMsOf(fromNs), durationMs, startNs: fromNs })
    }

    this.#stopLooking()
    const lagAtEnd = plan.groups.map((_, group) => series.lagOf(group))
    const { windowReceived } = series
    const laneLags = plan.groups.map((_, group) => series.laneLags(group))
    this.#progress('drain', null, series)
    const drainFromMs = clock.monotonicMs()
    const producerReports = await crew.producerReports(scenario.producers.timeout + 10_000)
    const acked = sumAcked(producerReports, series)
    const { windowAcked } = series
    const drained = await this.#drain(crew, series, ends, acked)
    const drainMs = clock.monotonicMs() - drainFromMs
    this.#phases.push({
      name: 'drain',
      repetition: 1,
      index: null,
      load: { model: 'idle' },
      startNs: endNs,
      startedMs: wallMsOf(endNs),
      durationMs: drainMs,
      excluded: 'nothing is sent; consumers read to the end',
      drain: null,
      usage: null,
      agents: new Map(),
    })
    const growth = await this.#growth(ends, before, acked)
    if (growth !== null) series.onEnds(endsOf(before, growth), Number(clock.monotonicNs()))
    const laneRests = plan.groups.map((_, group) => series.laneLags(group))
    const consumerReports = await crew.consumerReports()
    await agents?.readClocks()
    await sampler.stop()
    this.#stopProgress()

    return assembleResult({
      options: this.#options,
      plan,
      driver: this.#driver,
      lanes,
      facts,
      hostFacts,
      durability,
      watch,
      exclusive: topics.areNew,
      ceiling,
      prediction,
      series,
      phases: this.#phases,
      startedMs,
      endedMs: clock.wallMs(),
      windowMs,
      windowAcked,
      windowReceived,
      firstSnapshot,
      lastSnapshot,
      firstMarks,
      lastMarks,
      samplerCores: sampler.cost().cores,
      processes: crew.processes,
      agents: agents?.records ?? [],
      producerReports,
      consumerReports,
      growth,
      drained,
      drainMs: drained ? drainMs : null,
      drainTookMs: drainMs,
      lagAtEnd,
      laneLags,
      laneRests,
      interrupted: interrupted.aborted,
      lost: this.#lost,
      warnings,
      steadyText: stages.steadyText,
      search: stages.search,
      curve: stages.curve,
      balance: stages.balance,
    })
  }

  async #openAgents(): Promise<Agents | null> {
    const { agents } = this.#options
    if (agents === undefined || agents === null) return null
    this.#agents = await Agents.open(this.#world, agents, (address, why, carriesLoad) => {
      // One that is only sampled is missed in the result, and the load goes on; but a balance is about what it tells.
      const { load } = this.#options.loaded.scenario
      if (!carriesLoad && !load.some(({ shape }) => shape === 'balance')) return
      this.#lost.push(`agent ${address}: ${why}`)
      this.#early.abort()
    })
    return this.#agents
  }

  async #sampleAgents(watch: TargetWatch, gridNs: number, series: () => Series): Promise<void> {
    const { interval, linkSpeed } = this.#options.loaded.scenario.metrics
    const brokers = watch.elsewhere
    await this.#agents?.sample(
      { periodMs: interval, gridNs, linkBitsPerSecond: linkSpeed, brokers },
      (agent, atNs, usage) => {
        series().onHostUsage(atNs, usage, agent)
      },
    )
  }

  /** By lane: the queue offset at which consumers begin. */
  async #startAt(lanes: readonly Lane[], before: readonly LaneOffsets[]): Promise<number[]> {
    const { startAt, instances } = this.#options.loaded.scenario.consumers
    if (instances === 0 || startAt === 'end') return before.map(({ endOffset }) => endOffset)
    if (startAt === 'beginning') return before.map(({ minOffset }) => minOffset)
    return this.#driver.offsetsAt(lanes, this.#world.clock.wallMs() - startAt)
  }

  #openSampler(
    hostFacts: HostFacts,
    watch: TargetWatch,
    crew: Crew,
    series: () => Series,
  ): HostSampler {
    const { clock } = this.#world
    const probe = openHostProbe(clock, {
      diskPath: hostFacts.disk?.path ?? null,
      networkOf: watch.networkOf,
      linkBitsPerSecond: this.#options.loaded.scenario.metrics.linkSpeed,
    })
    const sampler = new HostSampler(clock, probe, (usage) => {
      series().onHostUsage(Number(clock.monotonicNs()), usage)
    })
    this.#sampler = sampler
    const ours = crew.processes.filter(({ host }) => host === null)
    for (const pid of pidsOf([...ours, ...watch.brokers, ...this.#options.known])) {
      sampler.watch(pid)
    }
    sampler.watch(process.pid)
    return sampler
  }

  /** Lets the consumers read on; true when they have reached the end of every lane. */
  async #drain(crew: Crew, series: Series, ends: QueueEnds, acked: number): Promise<boolean> {
    const { scenario } = this.#options.loaded
    if (scenario.consumers.instances === 0) return true
    if (this.#lost.length > 0) return false
    return drain({
      clock: this.#world.clock,
      series,
      acked,
      timeoutMs: this.#options.interrupted.aborted ? INTERRUPTED_DRAIN_MS : scenario.drain.timeout,
      idleMs: scenario.drain.idle,
      poll: () => {
        crew.poll()
      },
      ends: () => ends.now(),
      isCut: () => this.#lost.length > 0,
    })
  }

  #watchEnds(ends: QueueEnds, series: () => Series): void {
    const { load, consumers } = this.#options.loaded.scenario
    if (consumers.instances === 0) return
    const isPaused = load.some((stage) => stage.consumers === 'paused')
    this.#stopLooking = ends.watch(isPaused, (seen, atNs) => {
      series().noteEnds(seen, atNs)
    })
  }

  /** How much each of the target's queues grew; null when it does not say. */
  async #growth(
    ends: QueueEnds,
    before: readonly LaneOffsets[],
    acked: number,
  ): Promise<number[] | null> {
    if (before.length === 0) return null
    try {
      return await ends.growth(before, acked)
    } catch (error) {
      // Connections that stay open without an answer break nothing: this is where it shows.
      if (this.#lost.length === 0) {
        this.#lost.push(`the target does not answer any more: ${messageOf(error)}`)
      }
      return null
    }
  }

  #progress(phase: PhaseName, totalMs: number | null, series: Series | null): void {
    const { clock } = this.#world
    const fromMs = clock.monotonicMs()
    const tell = () => {
      this.#options.onProgress({
        phase,
        elapsedMs: clock.monotonicMs() - fromMs,
        totalMs,
        row: series?.lastRow ?? null,
        recent: series?.lastRows(RECENT_ROWS) ?? [],
        totalAcked: series?.totalAcked ?? 0,
        totalReceived: series?.totalReceived ?? 0,
      })
    }
    this.#stopProgress()
    this.#stopProgress = clock.every(PROGRESS_MS, tell)
    tell()
  }
}

/** Of those whose process on this host is known. */
function pidsOf(processes: readonly { readonly pid: number | null }[]): number[] {
  return processes.flatMap(({ pid }) => (pid === null ? [] : [pid]))
}

/** Wall-clock time of a moment of the monotonic clock. */
function wallClockOf(clock: World['clock']): (atNs: number) => number {
  const [wallMs, nowNs] = [clock.wallMs(), Number(clock.monotonicNs())]
  return (atNs) => wallMs + (atNs - nowNs) / 1e6
}

/** Acknowledged in the whole run (of one-way messages, handed over); of a producer that died, what it last told. */
function sumAcked(reports: readonly (ProducerReport | null)[], series: Series): number {
  if (reports.includes(null)) return series.totalAcked
  return reports.reduce((sum, report) => sum + (report?.acked ?? 0) + (report?.unanswered ?? 0), 0)
}

/** Where queues end that have grown. */
function endsOf(before: readonly LaneOffsets[], growth: readonly number[]): LaneEnd[] {
  return before.map(({ lane, endOffset }, index) => ({
    lane,
    endOffset: endOffset + (growth[index] ?? 0),
  }))
}
