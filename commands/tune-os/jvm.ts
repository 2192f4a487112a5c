import { Flags } from '@oclif/core'
import { MqctlCommand } from '../../src/cli/command.ts'
import { sizeFlag, wholeFlag } from '../../src/cli/flags.ts'
import { formatBytes } from '../../src/base/units.ts'
import { NodeHostFiles } from '../../src/host/tuning/host-files.ts'
import { adviseJvm, type JvmAdvice } from '../../src/host/tuning/jvm.ts'
import { answer } from '../../src/host/tuning/request.ts'
import type { Report } from '../../src/host/tuning/report.ts'
import { reportText } from '../../src/host/tuning/report-text.ts'
import { usableMemoryHere } from '../../src/host/tuning/usable-memory.ts'

export default class TuneOsJvm extends MqctlCommand<JvmAdvice | Report> {
  static override summary =
    'JVM flags for a broker by memory and version, with reasons; or judge those of a process.'
  static override description =
    'With --pid or --flags it judges what is there (exit code as tune-os check); else it recommends.'
  static override flags = {
    memory: sizeFlag({
      summary: 'Memory that the broker may have; default: this host’s or its limit.',
    }),
    jdk: wholeFlag({ summary: 'Feature version of the JDK.', min: 8, max: 30, default: 17 }),
    gc: Flags.option({
      summary: 'Collector.',
      options: ['g1', 'zgc'] as const,
      default: 'g1' as const,
    })(),
    container: Flags.boolean({ summary: 'It runs in a container with this memory as its limit.' }),
    'store-pool': Flags.boolean({ summary: 'transientStorePoolEnable is on.' }),
    'log-dir': Flags.string({
      summary: 'Where the GC log goes.',
      default: '/var/log/rocketmq',
      helpValue: '<dir>',
    }),
    pid: wholeFlag({
      summary: 'Judge the flags of this JVM.',
      min: 1,
      exclusive: ['flags', 'memory'],
    }),
    flags: Flags.string({
      summary: 'Judge these flags for --jdk.',
      helpValue: '<flags>',
      exclusive: ['memory'],
    }),
  }
  static override examples = [
    '<%= config.bin %> tune-os jvm --memory 16GiB',
    '<%= config.bin %> tune-os jvm --memory 4GiB --container --jdk 21',
    '<%= config.bin %> tune-os jvm --pid 4711',
    '<%= config.bin %> tune-os jvm --flags "-Xms8g -Xmx8g -Xmn4g -XX:-UseBiasedLocking" --jdk 21',
  ]

  async run(): Promise<JvmAdvice | Report> {
    const { flags } = await this.parse(TuneOsJvm)
    if (flags.pid !== undefined || flags.flags !== undefined) return this.#judge(flags)
    const advice = adviseJvm({
      memoryBytes: flags.memory ?? usableMemoryHere(new NodeHostFiles()),
      jdk: flags.jdk,
      gc: flags.gc,
      container: flags.container,
      storePool: flags['store-pool'],
      logDirectory: flags['log-dir'],
    })
    return this.show(advice, {
      text: (_, terminal) => {
        const width = Math.max(...advice.flags.map(({ flag }) => Math.min(flag.length, 44)))
        return [
          `${formatBytes(advice.memoryBytes)}: heap ${formatBytes(advice.heapBytes)}, ${formatBytes(advice.restBytes)} for page cache and the rest; JDK ${advice.jdk}`,
          '',
          ...advice.flags.map(({ flag, why }) =>
            flag.length > width
              ? `${flag}\n${' '.repeat(width)}  ${terminal.out.dim(why)}`
              : `${flag.padEnd(width)}  ${terminal.out.dim(why)}`,
          ),
          '',
          `export JAVA_OPT_EXT="${advice.line}"`,
          '',
          ...advice.notes,
        ].join('\n')
      },
    })
  }

  async #judge(flags: {
    pid?: number | undefined
    flags?: string | undefined
    jdk: number
  }): Promise<Report> {
    const { report } = await answer(this.world.clock, {
      version: this.config.version,
      profile: 'jvm-broker',
      only: ['jvm', 'mem.heap-fit'],
      ...(flags.pid === undefined ? {} : { pid: flags.pid }),
      ...(flags.flags === undefined ? {} : { jvmFlags: flags.flags, jdk: String(flags.jdk) }),
    })
    this.exitWith(report.summary.exitCode)
    await this.show(report, {
      rows: () => report.results,
      text: (_, terminal) => reportText(report, terminal.out, this.verbose),
    })
    return report
  }
}
