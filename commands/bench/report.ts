import path from 'node:path'
import { Flags } from '@oclif/core'
import { ResultDirectory } from '../../src/bench/result-directory.ts'
import type { BenchResult } from '../../src/bench/result.ts'
import { RunStore } from '../../src/bench/run-store.ts'
import { MqctlCommand } from '../../src/cli/command.ts'
import { argument } from '../../src/cli/flags.ts'
import { dataHome } from '../../src/engine/directories.ts'
import { csvReport } from '../../src/report/csv.ts'
import { hlogReport } from '../../src/report/hlog.ts'
import { htmlReport } from '../../src/report/html.ts'
import { jsonReport, parseResult } from '../../src/report/json.ts'
import { junitReport } from '../../src/report/junit.ts'
import { markdownReport } from '../../src/report/markdown.ts'
import { openmetricsReport } from '../../src/report/openmetrics.ts'
import { textReport } from '../../src/report/text.ts'

const formats = {
  text: (result: BenchResult) => `${textReport(result)}\n`,
  markdown: markdownReport,
  html: htmlReport,
  csv: csvReport,
  junit: junitReport,
  openmetrics: openmetricsReport,
  hlog: hlogReport,
  json: jsonReport,
} as const
type Format = keyof typeof formats

const formatNames = Object.keys(formats) as Format[]

export default class BenchReport extends MqctlCommand<BenchResult> {
  static override summary = 'Show a run again, in another form.'
  static override description = `RUN is an id from bench runs or the beginning of it, "latest", or a result.json. The HTML page needs
nothing else, no network and no script; CSV has a row for each second; hlog is an HdrHistogram log with the
full histograms; openmetrics is text for Prometheus.`
  static override args = {
    run: argument({ description: 'Which run.', default: 'latest' }),
  }
  static override flags = {
    format: Flags.option({
      char: 'f',
      summary: 'Form of the report.',
      options: formatNames,
      default: 'text' as const,
    })(),
    file: Flags.string({ summary: 'Write it there instead of to stdout.' }),
  }
  static override examples = [
    '<%= config.bin %> bench report',
    '<%= config.bin %> bench report 30a1b2c3 --format html --file run.html',
    '<%= config.bin %> bench report ./result.json --format markdown',
  ]

  async run(): Promise<BenchResult> {
    const { args, flags } = await this.parse(BenchReport)
    const store = new RunStore(path.join(dataHome(process.env), 'results'))
    const { file, text } = store.text(args.run)
    const result = parseResult(text, file)
    const report = formats[flags.format](result)
    if (flags.file === undefined) {
      return this.show(result, { text: () => report.replace(/\r?\n$/, '') })
    }
    const target = path.resolve(flags.file)
    new ResultDirectory(path.dirname(target)).write(path.basename(target), report)
    this.remark(`written to ${target}`)
    return this.forPrograms ? this.show(result, { text: () => '' }) : result
  }
}
