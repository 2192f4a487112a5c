import path from 'node:path'
import { type Comparison, type SavedResult, compareResults } from '../../src/bench/compare.ts'
import { RunStore } from '../../src/bench/run-store.ts'
import { MqctlCommand } from '../../src/cli/command.ts'
import { argument, shareFlag } from '../../src/cli/flags.ts'
import { renderTable } from '../../src/cli/table.ts'
import { dataHome } from '../../src/engine/directories.ts'
import { parseResult } from '../../src/report/json.ts'

const percent = (share: number | null) =>
  share === null ? '-' : `${share < 0 ? '' : '+'}${(share * 100).toFixed(1)} %`

export default class BenchCompare extends MqctlCommand<Comparison> {
  static override summary = 'Compare saved results: did it get slower?'
  static override description = `Each repetition of a phase is a sample; four a side are the least for a verdict. Regressed or improved
is said when interval, exact permutation test and size of the change agree, otherwise the samples cannot
tell and the verdict is inconclusive. Results of another scenario or machine are refused.
Exit code 0, 11 (regressed) or 14 (inconclusive).`
  static override args = {
    base: argument({
      description:
        'result.json, a directory with results in it or one level below, or a run of bench runs.',
      required: true,
    }),
    head: argument({ description: 'The same, of what is to be judged.', required: true }),
  }
  static override flags = {
    'min-effect': shareFlag({
      summary: 'The smallest change that matters.',
      default: 0.05,
      defaultHelp: async () => '5%',
    }),
  }
  static override examples = [
    '<%= config.bin %> bench compare main/ branch/',
    '<%= config.bin %> bench compare before.json after.json --min-effect 3% --json',
  ]

  async run(): Promise<Comparison> {
    const { args, flags } = await this.parse(BenchCompare)
    const comparison = compareResults(savedAt(args.base), savedAt(args.head), flags['min-effect'])
    this.exitWith(comparison.exitCode)
    for (const warning of comparison.warnings) this.warn(warning)
    return this.show(comparison, {
      rows: ({ changes }) => changes,
      text: ({ verdict, changes }, terminal) =>
        [
          verdict.toUpperCase(),
          '',
          renderTable(
            terminal,
            ['PHASE', 'METRIC', 'BASE', 'HEAD', 'CHANGE', '95 %', 'P', 'VERDICT', 'WHY'].map(
              (head) => ({ head }),
            ),
            changes.map((one) => [
              one.phase,
              one.primary ? one.metric : `(${one.metric})`,
              `${Number(one.base.mean.toPrecision(4))} (${one.base.n})`,
              `${Number(one.head.mean.toPrecision(4))} (${one.head.n})`,
              percent(one.change),
              one.low === null ? '-' : `${percent(one.low)} … ${percent(one.high)}`,
              one.p === null ? '-' : (one.pCorrected ?? one.p).toFixed(3),
              one.verdict,
              one.why,
            ]),
          ),
        ].join('\n'),
    })
  }
}

/** A file, a directory, or a run that was kept. */
function savedAt(place: string): SavedResult[] {
  const store = new RunStore(path.join(dataHome(process.env), 'results'))
  return store.texts(place).map(({ file, text }) => ({ file, result: parseResult(text, file) }))
}
