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
import type { BrokerFacts, Driver, Durability, Lane, LaneOffsets } from '../drivers/driver.ts'
import { frameSizesOf } from '../drivers/frame-sizes.ts'
import { openDriver } from '../drivers/open-driver.ts'
import { type HostFacts, readHostFacts } from '../host/facts.ts'
import { openHostProbe } from '../host/host.ts'
import { HostSampler } from '../host/sampler.ts'
import type { HostSnapshot } from '../host/snapshot.ts'
import { usageBetween } from '../host/usage.ts'
import { checkBefore } from '../host/checks.ts'
import { hostComplaints } from '../host/tuning/tuning.ts'
import { sleep } from '../world/node-clock.ts'
import type { World } from '../world/world.ts'
import { Agents } from './agent/agents.ts'
import { clockErrorMs } from './agent-hosts.ts'
import { assembleResult } from './assemble.ts'
import { AGENT_START_DELAY_MS, type Ceiling, measureCeiling } from './ceiling.ts'
import { Crew } from './crew.ts'
import { drain } from './drain.ts'
import { loadHistograms } from './histogram.ts'
import { LoadProgram } from './load-program.ts'
import { NullTargetProcess } from './null-target-process.ts'
import { type PhaseRecord, PhaseRunner } from './phase-runner.ts'
import { type Plan, planOf } from './plan.ts'
import { frameInputOf, predict, type Prediction, predictionText } from './prediction.ts'
import { type BalanceRecord, runBalance } from './rate-balance.ts'
import { type CurveRecord, runCurve } from './rate-curve.ts'
import { RateSearch, type SearchRecord } from './rate-search.ts'
import { RateTrials } from './rate-trial.ts'
import type { BenchResult } from './result.ts'
import type { ProducerReport } from './role-messages.ts'
import type { BenchOptions, PhaseName, PhaseOfRun } from './run-record.ts'
import { meanSizeBytes } from './scenario-schema.ts'
import { Series } from './series.ts'
import {
  isTimed,
  isTried,
  plannedMs,
  plannedPeakHz,
  type PlannedStage,
  stagesOf,
  warmupLoad,
} from './stages.ts'
import { TargetWatch } from './target-watch.ts'

const START_DELAY_MS = 60
const PROGRESS_MS = 250
/** Seconds that a live view shows as bars. */
const RECENT_ROWS = 10
const DRAIN_POLL_MS = 50
/** How often the ends of queues are asked for, with so many lanes less often. */
const ENDS_MS = 1_000
const ENDS_PAUSED_MS = 200
const ENDS_LANE_MS = 10
const STORED_WAIT_MS = 2_000
/** Topics that are made or removed at once. */
const TOPICS_AT_ONCE = 32
const INTERRUPTED_DRAIN_MS = 1_000
/** How long topics and groups of a run that lost somebody are tried to be removed; the target may be gone. */
const CLEAN_MS_MAX = 5_000
/** A stored message is its body and about this much, for the estimate of the disk that is needed. */
const RECORD_EXTRA_BYTES = 250
const RATE_ESTIMATE_PER_SECOND = 250_000
const BYTES_ESTIMATE_PER_SECOND = 500e6

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
  #brokerPids: readonly number[] = []
  #plan: Plan | null = null
  /** Of the topics of this run, those that it has made. */
  readonly #created: string[] = []
  #steadyText: string | null = null
  #search: SearchRecord | null = null
  #curve: CurveRecord | null = null
  #balance: BalanceRecord | null = null
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
    await this.#clean()
    this.#driver.close()
  }

  /** What was made for this run is removed from brokers that go on without it; what the user named stays. */
  async #clean(): Promise<void> {
    if (this.#options.known.length > 0 || this.#plan === null) return
    const removed = this.#remove(this.#plan)
    // Something went away: perhaps an agent or a process of the load, perhaps the target.
    if (this.#lost.length === 0) await removed
    else await Promise.race([removed, sleep(this.#world.clock, CLEAN_MS_MAX)])
  }

  async #remove(plan: Plan): Promise<void> {
    if (this.#options.loaded.scenario.topics.name === null) {
      await forEach(this.#created, (topic) =>
        this.#driver.deleteTopic(topic).catch(() => undefined),
      )
    }
    for (const group of plan.groups) {
      await this.#driver.deleteGroup(group).catch(() => undefined)
    }
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
    this.#plan = plan
    await forEach(plan.topics, async (topic) => {
      const isNew = await this.#driver.createTopic(topic, scenario.topics.queues)
      if (isNew) this.#created.push(topic)
    })
    const isNew = this.#created.length === plan.topics.length
    if (scenario.consumers.instances > 0) {
      // A target that lets nobody make groups may make them itself; if not, the result says what was refused.
      await forEach(plan.groups, (group) => this.#driver.createGroup(group).catch(() => undefined))
    }
    const lanes = await this.#driver.lanes(plan.topics)
    const before = await this.#driver.offsets(lanes)
    const startAt = await this.#startAt(lanes, before)
    const watch = new TargetWatch(this.#driver, facts, this.#options.known)
    const hostFacts = readHostFacts(this.#diskPath(facts, watch))
    const durability = this.#durability(facts, hostFacts, watch)
    const warnings = [
      ...checkBefore(hostFacts, this.#needs(watch)),
      ...(await hostComplaints(clock, watch.brokers, hostFacts.disk?.path ?? null)),
    ]

    const prediction = this.#predict(plan, lanes, watch)
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
    const stopLooking = this.#watchEnds(lanes, () => series)

    const startDelayMs = agents?.carryLoad === true ? AGENT_START_DELAY_MS : START_DELAY_MS
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
    const startNs = await this.#warmUp(runner, series, beginNs, gridNs)
    series.begin(startNs)
    const begin = async () => {
      await agentsAreSampled
      await runner.until(startNs)
      const marks = await Promise.all([sampler.mark(), watch.mark(), agents?.markFirst()])
      this.#progress('measure', plannedMs(scenario), series)
      return marks
    }
    const [[firstSnapshot, firstMarks]] = await Promise.all([
      begin(),
      this.#runPhases(runner, crew, series, startNs),
    ])
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

    stopLooking()
    const lagAtEnd = plan.groups.map((_, group) => series.lagOf(group))
    const { windowReceived } = series
    const laneLags = plan.groups.map((_, group) => series.laneLags(group))
    this.#progress('drain', null, series)
    const drainFromMs = clock.monotonicMs()
    const producerReports = await crew.producerReports(scenario.producers.timeout + 10_000)
    const acked = sumAcked(producerReports, series)
    const { windowAcked } = series
    const drained = await this.#drain(crew, series, lanes, acked)
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
    })
    const growth = await this.#growth(lanes, before, acked)
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
      exclusive: isNew,
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
      lagAtEnd,
      laneLags,
      interrupted: interrupted.aborted,
      lost: this.#lost,
      warnings,
      steadyText: this.#steadyText,
      search: this.#search,
      curve: this.#curve,
      balance: this.#balance,
    })
  }

  async #openAgents(): Promise<Agents | null> {
    const { agents } = this.#options
    if (agents === undefined || agents === null) return null
    this.#agents = await Agents.open(this.#world, agents, (address, why, carriesLoad) => {
      // One that is only sampled is missed in the result; the load goes on.
      if (!carriesLoad) return
      this.#lost.push(`agent ${address}: ${why}`)
      this.#early.abort()
    })
    return this.#agents
  }

  async #sampleAgents(watch: TargetWatch, gridNs: number, series: () => Series): Promise<void> {
    const { interval, linkSpeed } = this.#options.loaded.scenario.metrics
    const elsewhere = watch.brokers.flatMap(({ address, isLocal }) => (isLocal ? [] : [address]))
    await this.#agents?.sample(
      { periodMs: interval, gridNs, linkBitsPerSecond: linkSpeed, brokers: elsewhere },
      (agent, atNs, usage) => {
        series().onHostUsage(atNs, usage, agent)
      },
    )
  }

  /** Load that counts nowhere; resolves a moment before it is over, with the moment. */
  async #warmUp(
    runner: PhaseRunner,
    series: Series,
    beginNs: number,
    gridNs: number,
  ): Promise<number> {
    const { scenario } = this.#options.loaded
    const { min, max, steady } = scenario.warmup
    runner.warmUp(beginNs, warmupLoad(scenario), 'it counts nowhere')
    this.#progress('warmup', steady === null ? min : null, series)
    if (steady === null) return gridNs
    await runner.until(gridNs)
    this.#steadyText = await runner.untilSteady(
      () => series,
      steady.slope,
      beginNs + Math.max(min, max) * 1e6,
    )
    return runner.nextStartNs()
  }

  /** All stages in order: those of known length without a gap, the others as long as they take. */
  async #runPhases(
    runner: PhaseRunner,
    crew: Crew,
    series: Series,
    firstNs: number,
  ): Promise<void> {
    const { scenario } = this.#options.loaded
    const stages = stagesOf(scenario)
    let startNs = firstNs
    for (let at = 0; at < stages.length && !this.#early.signal.aborted;) {
      const one = stages[at]
      if (one === undefined) return
      let next = at + 1
      if (isTried(one.stage)) {
        await this.#tryRates(one, runner, series, startNs)
      } else if (one.stage.until === 'drained') {
        const [record] = runner.schedule(startNs, [timed(one)], false)
        const drain = await this.#untilDrained(crew, series, startNs, record?.endNs ?? startNs)
        if (record !== undefined) record.drain = drain
      } else {
        while (next < stages.length && isTimed(stages[next] ?? one)) next += 1
        const isLast = next === stages.length
        const records = runner.schedule(startNs, stages.slice(at, next).map(timed), isLast)
        if (stages.length > 1) await this.#lookAtEdges(runner, records)
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

  /** What the host does in each of several phases, of which one may be full and the others not. */
  async #lookAtEdges(runner: PhaseRunner, records: readonly PhaseRecord[]): Promise<void> {
    const sampler = this.#sampler
    if (sampler === null) return
    let before: HostSnapshot | null = null
    for (const record of records) {
      await runner.until(record.startNs)
      before ??= await sampler.mark()
      await runner.until(record.endNs)
      if (this.#early.signal.aborted) return
      const after = await sampler.mark()
      record.usage = usageBetween(before, after)
      before = after
    }
  }

  async #tryRates(
    one: PlannedStage,
    runner: PhaseRunner,
    series: Series,
    startNs: number,
  ): Promise<void> {
    const sampler = this.#sampler
    if (sampler === null) return
    const tools = {
      runner,
      series,
      early: this.#early.signal,
      scenario: this.#options.loaded.scenario,
      look: () => sampler.mark(),
      clockErrorMs: () => clockErrorMs(this.#agents?.records ?? [], this.#crew?.processes ?? []),
      brokers: this.#brokerPids,
    }
    const trials = new RateTrials(tools, startNs)
    if (one.stage.shape === 'curve') this.#curve = await runCurve(trials, one)
    else if (one.stage.shape === 'balance') this.#balance = await runBalance(trials, one)
    else this.#search = await new RateSearch(trials).run(one)
  }

  /** Resolves when the consumers have everything, or at the end of the time. */
  async #untilDrained(
    crew: Crew,
    series: Series,
    startNs: number,
    endNs: number,
  ): Promise<NonNullable<PhaseRecord['drain']>> {
    const { clock } = this.#world
    const nowNs = () => Number(clock.monotonicNs())
    while (nowNs() < startNs) await sleep(clock, DRAIN_POLL_MS)
    while (nowNs() < endNs && !this.#early.signal.aborted) {
      crew.poll()
      await sleep(clock, DRAIN_POLL_MS)
      if (series.leastReceived >= series.totalAcked && series.lag === 0) {
        return { done: true, remaining: 0 }
      }
    }
    const remaining = Math.max(series.lag, series.totalAcked - series.leastReceived)
    return { done: false, remaining }
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
    this.#brokerPids = watch.brokers.flatMap(({ pid }) => (pid === null ? [] : [pid]))
    const ours = crew.processes.filter(({ host }) => host === null)
    for (const { pid } of [...ours, ...watch.brokers, ...this.#options.known]) {
      if (pid !== null) sampler.watch(pid)
    }
    sampler.watch(process.pid)
    return sampler
  }

  /** Before anything is sent; null for a target that keeps nothing. */
  #predict(plan: Plan, lanes: readonly Lane[], watch: TargetWatch): Prediction | null {
    const { scenario } = this.#options.loaded
    const [broker] = watch.brokers
    if (scenario.target.driver === 'null' || broker === undefined) return null
    const [[topic = ''], [group = '']] = [plan.topics, plan.groups]
    const prediction = predict({
      scenario,
      sizes: frameSizesOf(frameInputOf(scenario, { topic, group, broker: broker.name })),
      lanes: lanes.length,
      brokers: watch.brokers.length,
      machines: watch.machineCount,
      link: watch.link(scenario.metrics.linkSpeed),
    })
    this.#options.onPrediction?.(predictionText(prediction))
    return prediction
  }

  /** Where the brokers' data is on this host; null when it is elsewhere or unknown. */
  #diskPath(facts: readonly BrokerFacts[], watch: TargetWatch): string | null {
    if (this.#options.dataDir !== null) return this.#options.dataDir
    const local = watch.brokers.find((broker) => broker.isLocal)
    const settings = facts.find(({ address }) => address === local?.address)?.settings
    return settings?.['storePathCommitLog'] ?? settings?.['storePathRootDir'] ?? null
  }

  #durability(facts: readonly BrokerFacts[], host: HostFacts, watch: TargetWatch): Durability {
    const said = this.#driver.durability(facts)
    if (!watch.allLocal || host.disk?.fileSystem.isMemory !== true) return said
    return {
      profile: 'memory',
      acknowledged: `the message is in memory only: ${host.disk.path} is on ${host.disk.fileSystem.type ?? 'a memory file system'}, where an fsync protects nothing`,
      verifiedBy: 'broker',
    }
  }

  #needs(watch: TargetWatch) {
    const { scenario } = this.#options.loaded
    const seconds = (scenario.warmup.min + plannedMs(scenario)) / 1000
    const bytes = meanSizeBytes(scenario) + RECORD_EXTRA_BYTES
    const peakHz = plannedPeakHz(scenario) ?? RATE_ESTIMATE_PER_SECOND
    const perSecond = Math.min(peakHz, RATE_ESTIMATE_PER_SECOND, BYTES_ESTIMATE_PER_SECOND / bytes)
    const local = watch.allLocal
    const loadHere = this.#agents?.carryLoad !== true
    return {
      busyProcessCount:
        (loadHere ? scenario.producers.instances + scenario.consumers.instances : 0) +
        (local ? watch.brokers.length : 0),
      diskBytes: local ? seconds * perSecond * bytes : 0,
    }
  }

  /** Lets the consumers read on; true when they have reached the end of every lane. */
  async #drain(
    crew: Crew,
    series: Series,
    lanes: readonly Lane[],
    acked: number,
  ): Promise<boolean> {
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
      ends: () => this.#driver.offsets(lanes),
      isCut: () => this.#lost.length > 0,
    })
  }

  /**
   * Consumers that stand still, or whose requests are not answered, do not learn how their queues
   * grow: so the broker is asked, more often when they are to stand still.
   */
  #watchEnds(lanes: readonly Lane[], series: () => Series): () => void {
    const { load, consumers } = this.#options.loaded.scenario
    if (consumers.instances === 0) return () => undefined
    const isPaused = load.some((stage) => stage.consumers === 'paused')
    const { clock } = this.#world
    let asking = false
    const stop = clock.every(
      Math.max(isPaused ? ENDS_PAUSED_MS : ENDS_MS, lanes.length * ENDS_LANE_MS),
      () => {
        if (asking) return
        asking = true
        this.#driver
          .offsets(lanes)
          .then((ends) => {
            series().noteEnds(ends, Number(clock.monotonicNs()))
          })
          // It may be gone; the load processes say so.
          .catch(() => undefined)
          .finally(() => {
            asking = false
          })
      },
    )
    this.#stopLooking = stop
    return stop
  }

  /** How much each of the target's queues grew; null when it does not say. */
  async #growth(
    lanes: readonly Lane[],
    before: readonly LaneOffsets[],
    acked: number,
  ): Promise<number[] | null> {
    if (before.length === 0) return null
    const { clock } = this.#world
    const endMs = clock.monotonicMs() + STORED_WAIT_MS
    for (;;) {
      try {
        const after = await this.#driver.offsets(lanes)
        const growth = before.map(({ lane, endOffset }) => {
          const now = after.find((one) => one.lane === lane)
          return (now?.endOffset ?? endOffset) - endOffset
        })
        const stored = growth.reduce((sum, messages) => sum + messages, 0)
        // A broker may show a message in its queue a moment after it has acknowledged it.
        if (stored >= acked || clock.monotonicMs() > endMs) return growth
      } catch (error) {
        if (clock.monotonicMs() > endMs) {
          // Connections that stay open without an answer break nothing: this is where it shows.
          if (this.#lost.length === 0) {
            this.#lost.push(`the target does not answer any more: ${messageOf(error)}`)
          }
          return null
        }
      }
      await sleep(clock, DRAIN_POLL_MS)
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

/** A stage as the runner takes it. */
function timed({ name, repetition, load, stage }: PlannedStage) {
  const consumersPaused = stage.consumers === 'paused'
  return { name, repetition, load, durationMs: stage.for, consumersPaused }
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

/** Works on all, some at a time. */
async function forEach<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<unknown>,
): Promise<void> {
  for (let from = 0; from < items.length; from += TOPICS_AT_ONCE) {
    await Promise.all(items.slice(from, from + TOPICS_AT_ONCE).map(work))
  }
}
