import { Flags } from '@oclif/core'
import { MqctlCommand } from '../src/cli/command.ts'
import { durationFlag, wholeFlag } from '../src/cli/flags.ts'
import { instanceArgument, stateDirectory } from '../src/cli/instances.ts'
import { logText } from '../src/cli/log-view.ts'
import { atLeast, followLogs, logLevels, readLogs, type LogLine } from '../src/engine/log-reader.ts'

export default class Logs extends MqctlCommand<void> {
  static override summary =
    'Logs of all roles in the order of time: pretty here, NDJSON when piped.'
  static override args = { name: instanceArgument() }
  static override flags = {
    follow: Flags.boolean({ char: 'f', summary: 'Go on as more is written; Ctrl-C ends.' }),
    tail: wholeFlag({ summary: 'Only the last lines.' }),
    since: durationFlag({ summary: 'Only what is younger than this.' }),
    level: Flags.option({
      summary: 'Only this level and above.',
      options: logLevels,
      default: 'debug' as const,
    })(),
    role: Flags.string({ summary: 'Only this role, as in broker-a.', helpValue: '<role>' }),
  }
  static override examples = [
    '<%= config.bin %> logs',
    '<%= config.bin %> logs -f --level warn',
    '<%= config.bin %> logs --since 10m --role broker-a | jq .msg',
  ]

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Logs)
    const stateDir = stateDirectory(args.name)
    const nowMs = this.world.clock.wallMs()
    const wanted = (line: LogLine) =>
      atLeast(line.level, flags.level) &&
      (flags.role === undefined || line.role === flags.role) &&
      (flags.since === undefined || line.timeMs >= nowMs - flags.since)
    const pretty = this.output === 'table' && this.terminal.stdoutIsTty
    const print = (line: LogLine) => {
      if (!wanted(line)) return
      process.stdout.write(`${pretty ? logText(line, this.terminal.out) : asJson(line)}\n`)
    }
    const lines = readLogs(stateDir).filter(wanted)
    const first = flags.tail === undefined ? 0 : Math.max(0, lines.length - flags.tail)
    lines.slice(first).forEach(print)
    if (!flags.follow) return
    this.endWithReader()
    await followLogs(this.world, stateDir, this.claimInterrupts(), print)
  }
}

/** A line that is not JSON (a crash of the runtime) becomes one. */
function asJson(line: LogLine): string {
  if (line.raw.startsWith('{')) return line.raw
  return JSON.stringify({ level: line.level, role: line.role, msg: line.text })
}
