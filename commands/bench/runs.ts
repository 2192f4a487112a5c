import path from 'node:path'
import { RunStore } from '../../src/bench/run-store.ts'
import { MqctlCommand } from '../../src/cli/command.ts'
import { wholeFlag } from '../../src/cli/flags.ts'
import { renderTable } from '../../src/cli/table.ts'
import { dataHome } from '../../src/engine/directories.ts'
import { grouped, milliseconds } from '../../src/report/figures.ts'
import { parseResult } from '../../src/report/json.ts'

interface RunRow {
  readonly runId: string
  readonly startedAt: string
  readonly scenario: string
  readonly verdict: string
  readonly ackedPerSecond: number | null
  readonly p99Ms: number | null
  readonly file: string
}

interface RunList {
  readonly runs: readonly RunRow[]
}

export default class BenchRuns extends MqctlCommand<RunList> {
  static override summary = 'Runs that were kept, the newest first.'
  static override description = `Every run of bench is kept under the data directory until you delete it. The id, or the beginning of it,
names a run for bench report and bench compare.`
  static override flags = {
    limit: wholeFlag({ summary: 'At most so many.', default: 20, min: 1 }),
  }
  static override examples = ['<%= config.bin %> bench runs', '<%= config.bin %> bench runs --json']

  async run(): Promise<RunList> {
    const { flags } = await this.parse(BenchRuns)
    const store = new RunStore(path.join(dataHome(process.env), 'results'))
    const runs = store.runs
      .slice(0, flags.limit)
      .map(({ runId, file }) => rowOf(store, runId, file))
    return this.show(
      { runs },
      {
        rows: (list) => list.runs,
        text: (list, terminal) =>
          renderTable(
            terminal,
            ['RUN', 'STARTED', 'SCENARIO', 'VERDICT', 'ACKED/S', 'P99 MS'].map((head) => ({
              head,
            })),
            list.runs.map((run) => [
              run.runId,
              run.startedAt,
              run.scenario,
              run.verdict,
              run.ackedPerSecond === null ? '-' : grouped(run.ackedPerSecond),
              milliseconds(run.p99Ms),
            ]),
          ),
      },
    )
  }
}

function rowOf(store: RunStore, runId: string, file: string): RunRow {
  try {
    const { startedAt, scenario, verdict, totals, latency } = parseResult(
      store.text(file).text,
      file,
    )
    const shown = latency.response ?? latency.service
    return {
      runId,
      startedAt,
      scenario: scenario.name,
      verdict,
      ackedPerSecond: totals.rates.acked.meanPerSecond,
      p99Ms: shown?.p99Ms ?? null,
      file,
    }
  } catch {
    // A damaged file, or one of a newer version, is shown as such: the others are still of use.
    const none = { ackedPerSecond: null, p99Ms: null }
    return { runId, startedAt: '-', scenario: '-', verdict: 'unreadable', ...none, file }
  }
}
