import path from 'node:path'
import { Flags } from '@oclif/core'
import { ExitCode } from '../../src/base/exit-codes.ts'
import { MqError } from '../../src/base/errors.ts'
import { Catalogue, DEFAULT_SCENARIO } from '../../src/bench/catalogue.ts'
import {
  type GateProgress,
  type GateSide,
  runGate,
  runQualifiedGate,
} from '../../src/bench/gate.ts'
import type { GateResult } from '../../src/bench/gate-result.ts'
import { actionsPlace, appendSummary } from '../../src/bench/github-actions.ts'
import { ResultDirectory } from '../../src/bench/result-directory.ts'
import { PAIRS_MIN } from '../../src/bench/gate-judge.ts'
import { overridesOf } from '../../src/bench/overrides.ts'
import { runBench } from '../../src/bench/run.ts'
import type { BenchOptions } from '../../src/bench/run-record.ts'
import type { BenchResult } from '../../src/bench/result.ts'
import { type GateTarget, gateTarget } from '../../src/bench/gate-target.ts'
import { isTried } from '../../src/bench/stages.ts'
import { MqctlCommand } from '../../src/cli/command.ts'
import { argument, pairFlag, shareFlag, wholeFlag } from '../../src/cli/flags.ts'
import { renderTable } from '../../src/cli/table.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import { BrakeProcess } from '../../src/engine/brake.ts'
import { binOfBuild, startOtherBuild } from '../../src/engine/other-build.ts'
import { processesOf, startThrowaway } from '../../src/engine/throwaway.ts'
import { gateHeadline, gateMarkdown, gateNotes, gateTable } from '../../src/report/gate.ts'
import { gateAnnotations } from '../../src/report/github.ts'
import { gateJunitReport } from '../../src/report/junit.ts'

/** What --qualify plants: brokers that stand still for this share of the time. */
const PLANTED_SHARE = 0.3

type Flagged = Parameters<typeof overridesOf>[0]

interface AgentFlagged {
  readonly agent?: string | undefined
  readonly 'watch-agent'?: string | undefined
}

export default class BenchGate extends MqctlCommand<GateResult> {
  static override summary = 'Is HEAD slower than BASE? Runs both in turn and judges the pairs.'
  static override description = `BASE and HEAD are each one of: a build of mqctl (its directory), the name servers of brokers that run
(HOST:PORT), settings of the scenario (KEY=VALUE,KEY=VALUE), or "self", which is this build. The load always
comes from this build. Runs come in pairs in turned order; a change counts when an exact sign-flip test,
the interval and the size of the change agree and it comes again in confirming runs.
Exit code 0 (ok, improved), 11 (regressed), 14 (inconclusive), or that of a run that failed.`
  static override args = {
    base: argument({ description: 'What HEAD is measured against.', required: true }),
    head: argument({ description: 'What is judged.', required: true }),
    scenario: argument({
      description: 'A scenario from bench list, or a file.',
      default: DEFAULT_SCENARIO,
    }),
  }
  static override flags = {
    pairs: wholeFlag({
      summary: 'Pairs of the first look; as many again when they cannot tell.',
      min: PAIRS_MIN,
      max: 100,
      default: 10,
    }),
    'one-look': Flags.boolean({ summary: 'Do not run more pairs when the first cannot tell.' }),
    same: wholeFlag({
      summary: 'Pairs of BASE against itself, to learn what equal runs differ by.',
      min: 0,
      max: 50,
      default: 3,
    }),
    'min-effect': shareFlag({
      summary: 'The smallest change that matters; of tail latencies at least 10 %.',
      default: 0.05,
      defaultHelp: async () => '5%',
    }),
    confirm: Flags.boolean({
      summary: 'Run a regression once more before it is called one.',
      default: true,
      allowNo: true,
    }),
    qualify: Flags.boolean({
      summary:
        'Try the gate first on a slow-down that is planted and on nothing; unqualified is 14.',
    }),
    plant: shareFlag({
      summary: 'Let the brokers of HEAD stand still for this share of the time, to see it found.',
    }),
    out: Flags.directory({ summary: 'Write the result there as JSON, Markdown and JUnit XML.' }),
    seed: wholeFlag({ summary: 'Of the order and of the payload.', default: 1 }),
    duration: Flags.string({ summary: 'Length of the first stage of the load, as in 10s.' }),
    warmup: Flags.string({ summary: 'Load before it, counted nowhere.' }),
    rate: Flags.string({ summary: 'Send by a schedule at this rate, as in 5000/s.' }),
    set: pairFlag({ summary: 'Any key of the scenario, for both sides.', multiple: true }),
    // Known only to be refused with a reason.
    agent: Flags.string({ hidden: true }),
    'watch-agent': Flags.string({ hidden: true }),
  }
  static override examples = [
    '<%= config.bin %> bench gate ../main . --duration 10s',
    '<%= config.bin %> bench gate self producers.threads=160',
    '<%= config.bin %> bench gate 10.0.0.5:9876 10.0.0.6:9876 latency-5k --json',
  ]

  async run(): Promise<GateResult> {
    const { args, flags } = await this.parse(BenchGate)
    const directory = flags.out === undefined ? null : new ResultDirectory(flags.out)
    const interrupted = this.claimInterrupts()
    if (flags.qualify && flags.plant !== undefined) {
      throw new MqError('USAGE', {
        what: '--qualify plants a slow-down of its own: leave out --plant',
      })
    }
    const options = {
      base: this.#sideOf(args.base, args.scenario, flags, interrupted),
      head: this.#sideOf(args.head, args.scenario, flags, interrupted, flags.plant),
      pairs: flags.pairs,
      oneLook: flags['one-look'],
      draws: flags.same,
      minEffect: flags['min-effect'],
      seed: flags.seed,
      confirm: flags.confirm,
      interrupted,
      nowMs: () => this.world.clock.wallMs(),
      onRun: ({ run, runs, side, same, result: done }: GateProgress) => {
        const rate = Math.round(done.totals.rates.acked.meanPerSecond).toLocaleString('en-US')
        const which = same ? 'base again' : side
        this.remark(`run ${run} of ${runs}: ${which}, ${rate} msg/s, ${done.verdict}`)
      },
    }
    const slowed = flags.qualify
      ? this.#sideOf(args.base, args.scenario, flags, interrupted, PLANTED_SHARE)
      : null
    const result =
      slowed === null
        ? await runGate(options)
        : await runQualifiedGate(options, slowed, PLANTED_SHARE)
    this.#write(result, directory)
    this.exitWith(result.exitCode)
    return this.show(result, {
      rows: ({ metrics }) => metrics,
      text: (shown, terminal) => textOf(shown, terminal),
    })
  }

  /** What was asked for with --out, and what a job of GitHub Actions shows; that it failed is said. */
  #write(result: GateResult, directory: ResultDirectory | null): void {
    const { isActions, summaryFile } = actionsPlace(process.env)
    if (isActions) for (const line of gateAnnotations(result)) process.stderr.write(`${line}\n`)
    try {
      directory?.write('gate.json', `${JSON.stringify(result, null, 2)}\n`)
      directory?.write('gate.md', gateMarkdown(result))
      directory?.write('junit.xml', gateJunitReport(result))
      if (summaryFile !== null) appendSummary(summaryFile, gateMarkdown(result))
    } catch (error) {
      if (!(error instanceof MqError)) throw error
      this.warn(error.message)
      this.exitWith(ExitCode.failed)
    }
  }

  #sideOf(
    spec: string,
    scenario: string,
    flags: Omit<Flagged, 'seed'> & AgentFlagged,
    interrupted: AbortSignal,
    plant = 0,
  ): GateSide {
    const target = gateTarget(spec)
    if (plant > 0 && target.kind === 'brokers') {
      const what = `only brokers that the gate starts can be slowed down, and ${spec} runs already`
      throw new MqError('USAGE', { what })
    }
    if (target.kind === 'build') binOfBuild(target.place)
    const catalogue = new Catalogue(path.join(this.config.root, 'scenarios'))
    const common = overridesOf({
      duration: flags.duration,
      warmup: flags.warmup,
      rate: flags.rate,
      set: flags.set,
    })
    const load = (seed: number) =>
      catalogue.load(scenario, [
        ...common,
        ...target.overrides,
        { path: 'seed', value: String(seed), source: `--seed ${seed}` },
      ])
    // What is wrong with the scenario is said before anything runs.
    const { load: stages, metrics } = load(1).scenario
    const tried = stages.find(isTried)
    if (tried !== undefined) {
      throw new MqError('CONFIG_INVALID', {
        where: scenario,
        what: `a ${tried.shape} tries rates of its own in each run, and a gate compares runs of one load`,
        hint: 'take a scenario with a rate, or a closed one, as latency-5k or smoke',
      })
    }
    if (flags.agent !== undefined || flags['watch-agent'] !== undefined || metrics.hosts) {
      const what = 'a gate puts its load on this host, and most of its brokers as well'
      const how = 'leave out --agent, --watch-agent and metrics.hosts, or use bench compare'
      throw new MqError('USAGE', { what: `${what}: ${how} on runs with agents` })
    }
    return {
      name: spec,
      run: (seed) =>
        this.#runOn(
          target,
          {
            loaded: load(seed),
            endpoints: [],
            known: [],
            dataDir: null,
            toolVersion: this.config.version,
            ceiling: false,
            interrupted,
            onProgress: () => undefined,
          },
          plant,
        ),
    }
  }

  /** One run on brokers of its own, or on those that run. */
  async #runOn(target: GateTarget, options: BenchOptions, plant: number): Promise<BenchResult> {
    const { scenario } = options.loaded
    const { driver, endpoints, topology, durability } = scenario.target
    const brokers = topology.masters
    const flush = durability === 'fsync' ? ('sync' as const) : ('async' as const)
    if (target.kind === 'build') {
      const bin = binOfBuild(target.place)
      const build = await startOtherBuild(this.world, { bin, brokers, flush })
      try {
        const known = build.brokers.map((broker) => ({ ...broker, role: 'broker' as const }))
        const { namesrv, dataDir } = build
        const full = { ...options, endpoints: namesrv, known, dataDir }
        return await this.#runSlowed(full, plant)
      } finally {
        await build.end()
      }
    }
    if (driver !== 'embedded') return runBench(this.world, { ...options, endpoints })
    const engine = await startThrowaway(this.world, { brokers, flush })
    try {
      const { namesrv } = engine.status
      const known = processesOf(engine.status)
      const { dataDir } = engine
      return await this.#runSlowed({ ...options, endpoints: namesrv, known, dataDir }, plant)
    } finally {
      await engine.end(false)
    }
  }

  async #runSlowed(options: BenchOptions, plant: number): Promise<BenchResult> {
    if (plant === 0) return runBench(this.world, options)
    const pids = options.known.filter(({ role }) => role === 'broker').map(({ pid }) => pid)
    const brake = new BrakeProcess(pids, plant)
    try {
      return await runBench(this.world, options)
    } finally {
      await brake.release()
    }
  }
}

function textOf(result: GateResult, terminal: Terminal): string {
  const { heads, rows } = gateTable(result)
  const columns = heads.map((head) => ({ head }))
  return [
    gateHeadline(result),
    ...result.reasons.map((reason) => `  ${reason}`),
    '',
    renderTable(terminal, columns, rows),
    '',
    ...gateNotes(result),
  ].join('\n')
}
