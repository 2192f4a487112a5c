import path from 'node:path'
import { Flags } from '@oclif/core'
import { MqError } from '../src/base/errors.ts'
import { ExitCode } from '../src/base/exit-codes.ts'
import { BrokerCommand } from '../src/cli/broker-command.ts'
import {
  ExpectedMessages,
  type ExpectedReport,
  expectedText,
  nameKinds,
} from '../src/cli/expected-messages.ts'
import { argument, durationFlag, sizeFlag, wholeFlag } from '../src/cli/flags.ts'
import { ProgressLine } from '../src/cli/progress-line.ts'
import type { Terminal } from '../src/cli/terminal.ts'
import { Producer } from '../src/client/producer.ts'
import { dataHome } from '../src/engine/directories.ts'
import { type ThrowawayEngine, startThrowaway } from '../src/engine/throwaway.ts'
import { features } from '../src/verify/history.ts'
import type { Verdict } from '../src/verify/verdict.ts'
import { type VerdictPaint, plainPaint, verdictText } from '../src/verify/verdict-text.ts'
import {
  type VerifyOptions,
  type VerifyTarget,
  brokerSettings,
  verifyFeature,
  verifyHistory,
} from '../src/verify/verify.ts'

export interface Verified {
  readonly verdict: Verdict['verdict']
  readonly exitCode: number
  readonly results: readonly Verdict[]
}

interface Connecting {
  readonly namesrv?: readonly string[] | undefined
  readonly timeout: number
}

const KILLS = 2

export default class Verify extends BrokerCommand<Verified | ExpectedReport> {
  static override summary =
    'Put a feature to the test under load and kill -9, and judge what happened.'
  static override description = `Starts a broker of its own on free ports, beside anything that runs; with --namesrv it uses yours
and kills nothing. Each send, acknowledgement, delivery and decision is written down with its time, and
a checker judges the history: nothing acknowledged is lost, no order is broken, nothing comes early or
half, each message ends in one place. Exit code 0: valid, 12: violated, 14: it cannot be told.

With TOPIC and --expected nothing is run: the topic of a cluster is compared with what a file says should
be in it. Exit code 12: messages are missing, and were not sent again.`
  static override args = {
    topic: argument({ description: 'With --expected: the topic to look into.' }),
  }
  static override flags = {
    feature: Flags.option({
      summary: 'What is put to the test; repeatable. Default: all.',
      options: [...features, 'all'] as const,
      multiple: true,
      multipleNonGreedy: true,
    })(),
    expected: Flags.file({
      summary:
        'What should be in TOPIC: a JSON object a line as consume writes it, or a key a line.',
      helpValue: '<path>',
      exclusive: ['feature', 'kills', 'out', 'history'],
    }),
    by: Flags.option({
      summary:
        'What names a message of that file; default: its id if every line has one, else its key.',
      options: nameKinds,
      dependsOn: ['expected'],
    })(),
    resend: Flags.boolean({
      summary: 'Send what is missing; the file must hold whole messages.',
      dependsOn: ['expected'],
    }),
    history: Flags.file({
      summary: 'Judge this history again, which verify has kept; nothing is run.',
      helpValue: '<path>',
      exclusive: ['feature', 'kills', 'out'],
    }),
    messages: wholeFlag({
      summary: 'Sends that are to be acknowledged, for each feature.',
      min: 10,
      max: 5_000_000,
      default: 2_000,
    }),
    kills: wholeFlag({
      summary: `How often the broker is killed; default ${KILLS}, with --namesrv 0.`,
      max: 1_000,
    }),
    writers: wholeFlag({ summary: 'Senders at once.', min: 1, max: 256, default: 8 }),
    queues: wholeFlag({ summary: 'Queues of the topic.', min: 1, max: 64, default: 4 }),
    size: sizeFlag({
      summary: 'Bytes of a body.',
      default: 200,
      defaultHelp: async () => '200B',
    }),
    flush: Flags.option({
      summary: 'How the broker of the run flushes.',
      options: ['async', 'sync'] as const,
      default: 'async' as const,
      exclusive: ['namesrv'],
    })(),
    seed: wholeFlag({
      summary: 'What fails, waits or is rolled back; default: any.',
      max: 2 ** 31,
    }),
    patience: durationFlag({
      summary: 'How long to wait for what is missing while nothing comes.',
      default: 60_000,
      defaultHelp: async () => '60s',
    }),
    out: Flags.directory({
      summary: 'Keep the histories here; default: those that are not valid, in the data directory.',
    }),
  }
  static override examples = [
    '<%= config.bin %> verify',
    '<%= config.bin %> verify --feature order --kills 10 --messages 50000',
    '<%= config.bin %> verify --feature txn --namesrv mq1:9876',
    '<%= config.bin %> verify --history ./run/order.ndjson',
    '<%= config.bin %> verify orders --expected sent.ndjson --resend',
  ]

  async run(): Promise<Verified | ExpectedReport> {
    const { args, flags } = await this.parse(Verify)
    if ((args.topic === undefined) !== (flags.expected === undefined)) {
      throw new MqError('USAGE', { what: 'TOPIC and --expected belong together' })
    }
    if (args.topic !== undefined && flags.expected !== undefined) {
      const expected = await ExpectedMessages.read(flags.expected, flags.by)
      if (flags.resend && !expected.isWhole) {
        throw new MqError('USAGE', {
          what: `${flags.expected} holds names only: there is nothing to send again`,
        })
      }
      return this.#compare(expected, args.topic, flags)
    }
    if (flags.history !== undefined) {
      return this.#show([await verifyHistory(this.world, flags.history)], 0)
    }
    if (flags.namesrv !== undefined && (flags.kills ?? 0) > 0) {
      throw new MqError('USAGE', {
        what: 'with --namesrv the brokers are yours, and are not killed: leave out --kills',
      })
    }
    const chosen = flags.feature ?? ['all']
    const wanted = chosen.includes('all')
      ? features
      : features.filter((feature) => chosen.includes(feature))
    const directory = flags.out ?? path.join(dataHome(process.env), 'histories')
    await this.world.disk.makeDirectory(directory)
    const view = new ProgressLine(this.terminal, this.quiet || !this.terminal.stderrIsTty)
    const common: Omit<VerifyOptions, 'feature' | 'history'> = {
      messages: flags.messages,
      kills: flags.kills ?? (flags.namesrv === undefined ? KILLS : 0),
      writers: flags.writers,
      queues: flags.queues,
      sizeBytes: flags.size,
      seed: flags.seed ?? this.world.random.below(2 ** 31),
      patienceMs: flags.patience,
      requestTimeoutMs: flags.timeout,
      version: this.config.version,
      signal: this.claimInterrupts(),
      onProgress: (text) => {
        view.show(text, text, null)
      },
    }
    const verdicts: Verdict[] = []
    const runAll = async (target: VerifyTarget) => {
      for (const feature of wanted) {
        if (common.signal.aborted) break
        const history = path.join(directory, `${feature}.${process.pid}.ndjson`)
        const verdict = await verifyFeature(this.world, target, { ...common, feature, history })
        view.end()
        verdicts.push(await this.#keep(verdict, flags.out !== undefined))
      }
      return verdicts.some(({ verdict }) => verdict === 'violated')
    }
    try {
      if (flags.namesrv === undefined) await this.#onOwnEngine(flags.flush, runAll)
      else {
        const nameServers = flags.namesrv.join(';')
        await runAll({ nameServers, crash: null, broker: nameServers })
      }
    } finally {
      view.end()
    }
    return this.#show(verdicts, wanted.length - verdicts.length)
  }

  async #compare(
    expected: ExpectedMessages,
    topic: string,
    flags: Connecting & { readonly resend: boolean },
  ): Promise<ExpectedReport> {
    const resent = await this.connect(flags, async (admin) => {
      await expected.compare(admin, topic)
      if (!flags.resend) return 0
      const producer = Producer.over(admin.client, { sendTimeoutMs: flags.timeout })
      let sent = 0
      try {
        for await (const message of expected.missing(topic)) {
          await producer.send(message)
          sent += 1
        }
      } catch (error) {
        this.warn(`${sent} were sent again before this`)
        throw error
      } finally {
        await producer.close()
      }
      return sent
    })
    const report = expected.report(topic, resent)
    if (report.missing > 0 && !flags.resend) this.exitWith(ExitCode.integrity)
    await this.show(report, {
      rows: () => report.missingNames.map((name) => ({ name })),
      text: () => expectedText(report),
    })
    return report
  }

  async #onOwnEngine(
    flush: 'async' | 'sync',
    runAll: (target: VerifyTarget) => Promise<boolean>,
  ): Promise<void> {
    let engine: ThrowawayEngine | null = null
    let keep = false
    try {
      const started = await startThrowaway(this.world, {
        brokers: 1,
        flush,
        settings: brokerSettings,
        onRoleEnd: ({ name, how, expected }) => {
          if (!expected) this.warn(`${name} ended: ${how}`)
        },
      })
      engine = started
      const { status, dataDir } = started
      const broker = status.brokers[0]?.name ?? 'broker-a'
      keep = await runAll({
        nameServers: status.namesrv.join(';'),
        crash: () => started.crash(),
        broker,
      })
      if (keep) this.warn(`the broker's data is kept for a look: ${dataDir}`)
    } finally {
      await engine?.end(keep)
    }
  }

  /** A history of a valid run says nothing that the verdict does not. */
  async #keep(verdict: Verdict, wanted: boolean): Promise<Verdict> {
    if (wanted || verdict.verdict !== 'valid' || verdict.history === null) return verdict
    await this.world.disk.remove(verdict.history)
    return { ...verdict, history: null }
  }

  /** @param missing features that were wanted and have no verdict: the run was ended before */
  async #show(results: readonly Verdict[], missing: number): Promise<Verified> {
    const codes = [ExitCode.integrity, ExitCode.inconclusive] as const
    const worst = codes.find((code) => results.some((one) => one.exitCode === code))
    const exitCode = worst ?? (missing > 0 ? ExitCode.inconclusive : 0)
    const verdict =
      exitCode === ExitCode.integrity ? 'violated' : exitCode === 0 ? 'valid' : 'unknown'
    this.exitWith(exitCode)
    const verified = { verdict, exitCode, results } as const
    await this.show(verified, {
      rows: () => results,
      text: (_, terminal) => results.map((one) => verdictText(one, paintOf(terminal))).join('\n\n'),
    })
    return verified
  }
}

function paintOf({ out }: Terminal): VerdictPaint {
  return { ...plainPaint, good: out.green.bold, bad: out.red.bold, dim: out.dim }
}
