import path from 'node:path'
import { Flags } from '@oclif/core'
import { formatBytes } from '../../src/base/units.ts'
import { readNotes } from '../../src/bench/run-notes.ts'
import { RunStore, type StoredRun } from '../../src/bench/run-store.ts'
import { MqctlCommand } from '../../src/cli/command.ts'
import { confirm } from '../../src/cli/confirm.ts'
import { durationFlag, wholeFlag } from '../../src/cli/flags.ts'
import { renderTable } from '../../src/cli/table.ts'
import { dataHome } from '../../src/engine/directories.ts'
import { type ProcessIdentity, isAlive } from '../../src/engine/process-identity.ts'
import { grouped, milliseconds } from '../../src/report/figures.ts'
import { parseResult } from '../../src/report/json.ts'

interface RunRow {
  readonly runId: string
  readonly startedAt: string
  readonly scenario: string
  /** Of the run; `running`, `unfinished` when it was killed before its end, or `unreadable`. */
  readonly verdict: string
  readonly ackedPerSecond: number | null
  readonly p99Ms: number | null
  readonly file: string
}

interface RunList {
  readonly runs: readonly RunRow[]
  /** With --prune: runs that were deleted, or would be with --dry-run. */
  readonly pruned?: { readonly runIds: readonly string[]; readonly bytes: number }
}

const KEPT = 50

export default class BenchRuns extends MqctlCommand<RunList> {
  static override summary = 'Runs that were kept, the newest first.'
  static override description = `Every run of bench is kept under the data directory until you delete it. The id, or the beginning of it,
names a run for bench report and bench compare. A run that was killed is shown as unfinished: its file has
a JSON line for each second until then. --prune deletes all but the newest, 50 unless --keep says otherwise.`
  static override flags = {
    limit: wholeFlag({ summary: 'At most so many.', default: 20, min: 1 }),
    prune: Flags.boolean({ summary: 'Delete old runs.' }),
    keep: wholeFlag({
      summary: 'With --prune: leave so many of the newest.',
      min: 0,
      dependsOn: ['prune'],
    }),
    'older-than': durationFlag({
      summary: 'With --prune: delete those that are older, as in 30d, and of the others none.',
      dependsOn: ['prune'],
    }),
    'dry-run': Flags.boolean({
      summary: 'With --prune: say what would be deleted, and delete nothing.',
      dependsOn: ['prune'],
    }),
    yes: Flags.boolean({ char: 'y', summary: 'Do not ask.', dependsOn: ['prune'] }),
  }
  static override examples = [
    '<%= config.bin %> bench runs',
    '<%= config.bin %> bench runs --json',
    '<%= config.bin %> bench runs --prune --older-than 30d --yes',
  ]

  async run(): Promise<RunList> {
    const { flags } = await this.parse(BenchRuns)
    const store = new RunStore(path.join(dataHome(process.env), 'results'))
    const pruned = flags.prune ? await this.#prune(store, flags) : null
    const runs = [
      ...store.runs.map((run) => ({ ...run, isFinished: true })),
      ...store.unfinished.map((run) => ({ ...run, isFinished: false })),
    ]
      .sort((a, b) => b.startedMs - a.startedMs)
      .slice(0, flags.limit)
      .map((run) => (run.isFinished ? rowOf(store, run) : rowOfNotes(run)))
    return this.show(pruned === null ? { runs } : { runs, pruned }, {
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
    })
  }

  async #prune(
    store: RunStore,
    flags: {
      readonly keep: number | undefined
      readonly 'older-than': number | undefined
      readonly 'dry-run': boolean
      readonly yes: boolean
    },
  ): Promise<{ runIds: string[]; bytes: number }> {
    const older = flags['older-than']
    const keep = flags.keep ?? (older === undefined ? KEPT : Number.POSITIVE_INFINITY)
    const beforeMs = older === undefined ? null : this.world.clock.wallMs() - older
    const doomed = store.beyond(keep, beforeMs, isRunning)
    const runIds = doomed.map(({ runId }) => runId)
    if (flags['dry-run']) {
      this.remark(`would delete ${doomed.length} runs: ${runIds.join(', ')}`)
      return { runIds, bytes: 0 }
    }
    if (doomed.length === 0) return { runIds, bytes: 0 }
    const question = `Delete ${doomed.length} of ${store.runs.length + store.unfinished.length} runs?`
    if (!flags.yes && !(await confirm(this.terminal, question))) return { runIds: [], bytes: 0 }
    let bytes = 0
    for (const run of doomed) bytes += store.remove(run)
    this.remark(`deleted ${doomed.length} runs, ${formatBytes(bytes)}`)
    return { runIds, bytes }
  }
}

function rowOfNotes(run: StoredRun): RunRow {
  const { runId, file } = run
  const beginning = readNotes(file)?.beginning
  return {
    runId,
    startedAt: beginning?.startedAt ?? '-',
    scenario: beginning?.scenario ?? '-',
    verdict: isRunning(run) ? 'running' : 'unfinished',
    ackedPerSecond: null,
    p99Ms: null,
    file,
  }
}

/** The bench that takes these notes is alive. */
function isRunning({ file }: StoredRun): boolean {
  const owner = readNotes(file)?.beginning.owner as Partial<ProcessIdentity> | undefined
  const { pid, startedAt = null } = owner ?? {}
  return typeof pid === 'number' && isAlive({ pid, startedAt })
}

function rowOf(store: RunStore, { runId, file }: StoredRun): RunRow {
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
