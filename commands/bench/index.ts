import path from 'node:path'
import { Flags } from '@oclif/core'
import { ExitCode } from '../../src/base/exit-codes.ts'
import { MqError } from '../../src/base/errors.ts'
import type { AgentsOptions } from '../../src/bench/agent/agents.ts'
import { type AgentFlags, agentsOptions } from '../../src/bench/agent/agents-options.ts'
import { Catalogue, DEFAULT_SCENARIO } from '../../src/bench/catalogue.ts'
import { actionsPlace, appendSummary } from '../../src/bench/github-actions.ts'
import { overridesOf } from '../../src/bench/overrides.ts'
import { ResultDirectory } from '../../src/bench/result-directory.ts'
import type { RunNotes } from '../../src/bench/run-notes.ts'
import { RunStore } from '../../src/bench/run-store.ts'
import type { BenchResult } from '../../src/bench/result.ts'
import { type MatrixResult, type MatrixRun, matrixResult } from '../../src/bench/matrix-result.ts'
import { runBench } from '../../src/bench/run.ts'
import type { BenchOptions, Progress } from '../../src/bench/run-record.ts'
import type { LoadedCell, LoadedScenario, Override } from '../../src/bench/scenario.ts'
import { MqctlCommand } from '../../src/cli/command.ts'
import {
  type LabFlag,
  addressesFlag,
  agentFlags,
  argument,
  labFlag,
  pairFlag,
} from '../../src/cli/flags.ts'
import { ProgressLine } from '../../src/cli/progress-line.ts'
import { renderTable } from '../../src/cli/table.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import { dataHome } from '../../src/engine/directories.ts'
import { identityOf } from '../../src/engine/process-identity.ts'
import { type LabSite, LinkLab, labSiteOf } from '../../src/engine/link-lab.ts'
import { type ThrowawayEngine, processesOf, startThrowaway } from '../../src/engine/throwaway.ts'
import { csvReport } from '../../src/report/csv.ts'
import { runAnnotations } from '../../src/report/github.ts'
import { hlogReport } from '../../src/report/hlog.ts'
import { htmlReport } from '../../src/report/html.ts'
import { jsonReport } from '../../src/report/json.ts'
import { junitReport } from '../../src/report/junit.ts'
import { liveLine } from '../../src/report/live.ts'
import { markdownReport } from '../../src/report/markdown.ts'
import { matrixHeadline, matrixTable } from '../../src/report/matrix.ts'
import { openmetricsReport } from '../../src/report/openmetrics.ts'
import { type Paint, noPaint, textReport } from '../../src/report/text.ts'

export default class Bench extends MqctlCommand<BenchResult | MatrixResult | null> {
  static override summary = 'Run a pressure test and say what was the limit.'
  static override description = `Alone it starts a broker of its own on free ports, beside anything that runs, and puts 2 producers
with 80 synchronous senders each, 500-byte messages and 2 consumers on it. Every message is checked
for loss, duplicates, order and corruption. With --namesrv it tests any RocketMQ. A file with a
matrix is run in every combination; --json then gives a document of kind "matrix".`
  static override args = {
    scenario: argument({
      description: 'A scenario that ships with mqctl (see bench list), or a file.',
      default: DEFAULT_SCENARIO,
    }),
  }
  static override flags = {
    namesrv: addressesFlag({ summary: 'Test the brokers of these name servers.' }),
    duration: Flags.string({ summary: 'Length of the first stage of the load, as in 30s.' }),
    warmup: Flags.string({ summary: 'Load before the window, counted nowhere.' }),
    producers: Flags.string({ summary: 'Producer processes.' }),
    threads: Flags.string({ summary: 'Concurrent synchronous senders of each producer.' }),
    consumers: Flags.string({ summary: 'Consumer processes; 0 for none.' }),
    size: Flags.string({ summary: 'Bytes of a message body, as in 500B or 4KiB.' }),
    queues: Flags.string({ summary: 'Queues of the topic on each broker.' }),
    topic: Flags.string({ summary: 'Use this topic instead of one made for the run.' }),
    flush: Flags.option({
      summary: 'How the broker of the run flushes.',
      options: ['async', 'sync'] as const,
    })(),
    rate: Flags.string({
      summary: 'Send by a schedule at this rate, as in 5000/s, instead of as fast as answers come.',
    }),
    repeat: Flags.string({ summary: 'How often the whole load runs.' }),
    threshold: Flags.string({
      summary:
        'What must hold, as in "response.p99 < 20ms" or "host[load].cpu < 90%"; exit code 10 when it does not.',
      multiple: true,
    }),
    seed: Flags.string({ summary: 'Seed of the payload.' }),
    set: pairFlag({
      summary: 'Any key of the scenario, as in producers.timeout=5s.',
      multiple: true,
    }),
    ceiling: Flags.boolean({
      summary: 'Measure first what the producers can do at all.',
      default: true,
      allowNo: true,
    }),
    out: Flags.directory({
      summary:
        'Write the result there as JSON, text, Markdown, HTML, CSV, HdrHistogram log, OpenMetrics and JUnit XML.',
    }),
    keep: Flags.boolean({
      summary: 'Keep the result for bench runs, report and compare.',
      default: true,
      allowNo: true,
    }),
    lab: labFlag({
      summary:
        'Put broker and load on the two sides of a link of this speed, in network namespaces (Linux, root).',
    }),
    ...agentFlags,
    'data-dir': Flags.directory({ summary: 'Where the broker of the run keeps its messages.' }),
  }
  static override examples = [
    '<%= config.bin %> bench',
    '<%= config.bin %> bench --duration 30s --threads 160 --out ./run-1',
    '<%= config.bin %> bench smoke --json',
    '<%= config.bin %> bench latency-5k --threshold "response.p99 < 20ms"',
    '<%= config.bin %> bench --namesrv 10.0.0.5:9876 --size 1KiB',
    '<%= config.bin %> bench --lab link=1gbit',
    '<%= config.bin %> bench ./my.yaml --set consumers.instances=4',
    '<%= config.bin %> bench --namesrv 10.0.0.5:9876 --agent 10.0.0.7:9890,10.0.0.8:9890 --token-file ./token --agent-ca ./agents.pem',
  ]

  /** Of the run that goes on. */
  #notes: RunNotes | null = null

  async run(): Promise<BenchResult | MatrixResult | null> {
    const { args, flags } = await this.parse(Bench)
    const { lab: _, ...plain } = flags
    return this.runScenario(args.scenario, overridesOf(plain), flags)
  }

  /** Runs a scenario, or all of its matrix, and shows what came out. */
  protected async runScenario(
    name: string,
    overrides: readonly Override[],
    flags: RunFlags,
  ): Promise<BenchResult | MatrixResult | null> {
    const { lab: asked } = flags
    const catalogue = new Catalogue(path.join(this.config.root, 'scenarios'))
    const cells = catalogue.loadMatrix(name, overrides)
    if (cells !== null) {
      if (asked !== undefined) refuseLab('a matrix is many runs')
      for (const { loaded } of cells) await this.#agents(loaded, flags)
      return this.#runMatrix(cells, flags, this.claimInterrupts())
    }
    let loaded = catalogue.load(name, overrides)
    let site: LabSite | null = null
    let lab: string | null = null
    if (asked !== undefined) {
      const { groups } = loaded.scenario.consumers
      const { driver } = loaded.scenario.target
      if (driver !== 'embedded') refuseLab(`the target is ${driver}`)
      const inLab = { ...asked, groups: groups + asked.followers }
      loaded = catalogue.load(name, [...overrides, ...overridesOf({ lab: inLab })])
      lab = labText(asked, groups)
      site = labSiteOf(process.env)
      if (site === null) return this.#inLab(asked.linkBitsPerSecond)
    }
    const agents = await this.#agents(loaded, flags)
    const interrupted = this.claimInterrupts()
    const out = flags.out ?? loaded.scenario.output.dir
    const directory = out === null ? null : new ResultDirectory(out)
    const result = await this.#runOne(loaded, flags, interrupted, { site, lab, agents })
    const complete = this.#write(result, directory)
    this.tellActions(markdownReport(complete), runAnnotations(complete))
    if (flags.keep) this.#keep(complete)
    this.exitWith(complete.exitCode)
    return this.show(complete, {
      text: (shown, terminal) =>
        shown === null || 'runs' in shown ? '' : textReport(shown, paintOf(terminal)),
    })
  }

  /** In a job of GitHub Actions: the report as step summary, bad news as annotations (on stderr). */
  protected tellActions(markdown: string, annotations: readonly string[]): void {
    const { isActions, summaryFile } = actionsPlace(process.env)
    if (isActions) for (const line of annotations) process.stderr.write(`${line}\n`)
    if (summaryFile === null) return
    try {
      appendSummary(summaryFile, markdown)
    } catch (error) {
      if (!(error instanceof MqError)) throw error
      this.warn(error.message)
    }
  }

  /** Every combination, one after the other; a run that could not begin ends it. */
  async #runMatrix(
    cells: readonly LoadedCell[],
    flags: RunFlags,
    interrupted: AbortSignal,
  ): Promise<MatrixResult> {
    const parent = flags.out ?? cells[0]?.loaded.scenario.output.dir ?? null
    const digits = String(cells.length).length
    const directories = cells.map((_, index) =>
      parent === null
        ? null
        : new ResultDirectory(path.join(parent, String(index + 1).padStart(digits, '0'))),
    )
    const runs: MatrixRun[] = []
    for (const [index, { label, values, loaded }] of cells.entries()) {
      if (interrupted.aborted) break
      this.remark(`run ${index + 1} of ${cells.length}: ${label}`)
      const agents = await this.#agents(loaded, flags)
      const result = await this.#runOne(loaded, flags, interrupted, { agents })
      const complete = this.#write(result, directories[index] ?? null)
      this.tellActions(markdownReport(complete), runAnnotations(complete))
      if (flags.keep) this.#keep(complete)
      runs.push({ label, values: { ...values }, result: complete })
    }
    const matrix = matrixResult(runs, cells.length)
    this.exitWith(matrix.exitCode)
    const shown = await this.show(matrix, {
      rows: (all) => (all !== null && 'runs' in all ? all.runs : []),
      text: (all, terminal) => {
        if (all === null || !('runs' in all)) return ''
        const { heads, rows } = matrixTable(all)
        const columns = heads.map((head) => ({ head }))
        return `${matrixHeadline(all)}\n\n${renderTable(terminal, columns, rows)}`
      },
    })
    return shown as MatrixResult
  }

  async #runOne(
    loaded: LoadedScenario,
    flags: RunFlags,
    interrupted: AbortSignal,
    { site = null, lab = null, agents = null }: RunSite,
  ): Promise<BenchResult> {
    const { driver, endpoints } = loaded.scenario.target
    const view = new ProgressLine(this.terminal, this.quiet)
    const options = {
      loaded,
      endpoints,
      known: [],
      dataDir: null,
      toolVersion: this.config.version,
      ceiling: flags.ceiling,
      interrupted,
      agents,
      lab,
      onPrediction: (text: string) => {
        this.remark(`predicted: ${text}`)
      },
      onBegin: ({ runId, startedMs }: { readonly runId: string; readonly startedMs: number }) => {
        if (flags.keep) this.#notes = this.#beginNotes(loaded, runId, startedMs)
      },
      onProgress: (progress: Progress) => {
        const { phase, totalMs } = progress
        this.#notes?.note(progress.recent)
        view.show(phase, liveLine(progress, view.widthColumns), totalMs)
      },
    }
    try {
      return driver === 'embedded'
        ? await this.#onEmbedded(loaded, options, flags['data-dir'], site)
        : await runBench(this.world, options)
    } catch (error) {
      this.#notes?.remove()
      throw error
    } finally {
      view.end()
    }
  }

  /** For the case that this process is killed: what the run tells from second to second. */
  #beginNotes({ scenario }: LoadedScenario, runId: string, startedMs: number): RunNotes {
    return runStore().begin({
      runId,
      startedAt: new Date(startedMs).toISOString(),
      scenario: scenario.name,
      toolVersion: this.config.version,
      owner: identityOf(process.pid),
    })
  }

  /** Those of the flags and of the scenario; what is wrong with them is refused before anything begins. */
  async #agents({ scenario }: LoadedScenario, flags: RunFlags): Promise<AgentsOptions | null> {
    const agents = await agentsOptions(this.world, () => this.secureNet(), scenario, flags)
    if (agents !== null && flags.lab !== undefined) refuseLab('agents are on other hosts')
    return agents
  }

  /** Builds the laboratory and runs this command again on the load's side of it. */
  async #inLab(linkBitsPerSecond: number): Promise<null> {
    const interrupted = this.claimInterrupts()
    const lab = await LinkLab.build(this.world, { linkBitsPerSecond })
    try {
      this.exitWith(await lab.runAgain(process.argv.slice(1), interrupted))
    } finally {
      await lab.remove()
    }
    return null
  }

  async #onEmbedded(
    { scenario }: LoadedScenario,
    options: BenchOptions,
    parent: string | undefined,
    site: LabSite | null,
  ): Promise<BenchResult> {
    const { topology, durability } = scenario.target
    let engine: ThrowawayEngine | null = null
    let keep = false
    try {
      engine = await startThrowaway(this.world, {
        brokers: topology.masters,
        flush: durability === 'fsync' ? 'sync' : 'async',
        ...(parent === undefined ? {} : { parent }),
        ...(site === null ? {} : { site }),
        onRoleEnd: ({ name, how, expected }) => {
          if (!expected) this.warn(`${name} ended: ${how}`)
        },
      })
      const { namesrv } = engine.status
      const known = processesOf(engine.status)
      const { dataDir } = engine
      const result = await runBench(this.world, { ...options, endpoints: namesrv, known, dataDir })
      keep = result.verdict === 'unreachable' || result.verdict === 'integrity'
      if (keep) this.warn(`the broker's data is kept for a look: ${dataDir}`)
      return result
    } finally {
      await engine?.end(keep)
    }
  }

  /** Every run is kept; that it could not be is said, and is no fault of the run. */
  #keep(result: BenchResult): void {
    try {
      runStore().keep(result.runId, result.startedAt, jsonReport(result))
      this.#notes?.remove()
      this.remark(`kept: ${this.config.bin} bench report ${result.runId}`)
    } catch (error) {
      if (!(error instanceof MqError)) throw error
      this.warn(`the run was not kept: ${error.message}`)
    }
  }

  /** Writes what `--out` asks for; that it could not be is said, and the result is shown all the same. */
  #write(result: BenchResult, directory: ResultDirectory | null): BenchResult {
    if (directory === null) return result
    const artifacts = files.map(({ name, mediaType }) => ({
      path: directory.fileOf(name),
      mediaType,
    }))
    const complete = { ...result, artifacts }
    try {
      for (const { name, report } of files) directory.write(name, report(complete))
      this.remark(`written to ${directory.path}`)
      return complete
    } catch (error) {
      if (!(error instanceof MqError)) throw error
      this.warn(error.message)
      this.exitWith(ExitCode.failed)
      return result
    }
  }
}

function runStore(): RunStore {
  return new RunStore(path.join(dataHome(process.env), 'results'))
}

function refuseLab(why: string): never {
  throw new MqError('USAGE', { what: `--lab starts a broker of its own, and ${why}` })
}

/** What was built, and what stands in for what. */
function labText({ linkBitsPerSecond, followers }: LabFlag, groups: number): string {
  const link = `a link of ${linkBitsPerSecond / 1e6} Mbit/s each way between broker and load, both on this machine`
  if (followers === 0) return link
  const plural = (count: number, word: string) => `${count} ${word}${count === 1 ? '' : 's'}`
  return `${link}; ${groups + followers} consumer groups stand in for ${plural(followers, 'follower')} and ${plural(groups, 'group')} (a copy to a follower costs about what a delivery costs)`
}

/** Flags that bear on how it is run, not on the load. */
interface RunFlags extends AgentFlags {
  readonly ceiling: boolean
  readonly lab: LabFlag | undefined
  readonly out: string | undefined
  readonly keep: boolean
  readonly 'data-dir': string | undefined
}

/** Where it is run, beside this host. */
interface RunSite {
  readonly site?: LabSite | null
  readonly lab?: string | null
  readonly agents?: AgentsOptions | null
}

/** What `--out` writes. */
const files = [
  { name: 'result.json', mediaType: 'application/json', report: jsonReport },
  {
    name: 'report.txt',
    mediaType: 'text/plain',
    report: (result: BenchResult) => `${textReport(result)}\n`,
  },
  { name: 'report.md', mediaType: 'text/markdown', report: markdownReport },
  { name: 'report.html', mediaType: 'text/html', report: htmlReport },
  { name: 'series.csv', mediaType: 'text/csv', report: csvReport },
  { name: 'latency.hlog', mediaType: 'text/plain', report: hlogReport },
  {
    name: 'metrics.txt',
    mediaType: 'application/openmetrics-text; version=1.0.0',
    report: openmetricsReport,
  },
  { name: 'junit.xml', mediaType: 'application/xml', report: junitReport },
] as const

function paintOf({ out }: Terminal): Paint {
  return { ...noPaint, strong: out.bold, good: out.green.bold, bad: out.red.bold, dim: out.dim }
}
