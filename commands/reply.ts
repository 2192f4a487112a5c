import { Flags } from '@oclif/core'
import { BrokerCommand } from '../src/cli/broker-command.ts'
import { ExecCommand } from '../src/cli/exec-command.ts'
import { argument, durationFlag, wholeFlag } from '../src/cli/flags.ts'
import { ExitCode } from '../src/base/exit-codes.ts'
import { consumeAsGroup } from '../src/cli/group-consumer.ts'
import { IdleTimer } from '../src/cli/idle-timer.ts'
import { EXEC_GRACE_MS } from '../src/cli/message-handling.ts'
import { Replying } from '../src/cli/replying.ts'
import { Producer } from '../src/client/producer.ts'

/** For commands that were told to end, and the last report. */
const CLOSE_MS = 5_000

export default class Reply extends BrokerCommand<void> {
  static override summary = 'Answer requests by a command.'
  static override description = `One member of a consumer group runs the command for each request, its body on stdin and the rest in
MQCTL_* variables (see mqctl consume --help), without a shell; what it prints is the answer, byte for byte.
Exit code 0 sends it; with anything else, or without output, nobody is answered. Messages that are no
requests, and requests whose sender has stopped waiting, are left out. Ends on Ctrl-C (exit 130), after
--count requests or when nothing came for --idle; then the exit code is 1 when an answer failed.`
  static override args = { topic: argument({ description: 'The topic.', required: true }) }
  static override flags = {
    exec: Flags.string({
      summary: 'Run this for each request.',
      helpValue: '<command>',
      required: true,
    }),
    'exec-timeout': durationFlag({
      summary: 'A command that runs longer is ended and has failed.',
    }),
    group: Flags.string({
      char: 'g',
      summary: 'Consumer group; members share the requests.',
      default: 'MQCTL_REPLIER',
    }),
    parallel: wholeFlag({
      summary: 'Commands that run at once; default 1.',
      min: 1,
      max: 256,
    }),
    filter: Flags.string({
      summary: 'Only requests with one of these tags.',
      helpValue: "'A || B'",
      default: '*',
    }),
    count: wholeFlag({ char: 'c', summary: 'Stop after this many messages.', min: 1 }),
    idle: durationFlag({ summary: 'Stop when nothing came for this long.' }),
  }
  static override examples = [
    `<%= config.bin %> reply prices --exec 'node price.js'`,
    '<%= config.bin %> reply resize --exec "convert - -resize 100x100 -" --parallel 4',
  ]

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Reply)
    const signal = this.claimInterrupts()
    const stop = new AbortController()
    signal.addEventListener('abort', () => {
      stop.abort()
    })
    const execTimeoutMs = flags['exec-timeout'] ?? null
    const exec = new ExecCommand(flags.exec, {
      clock: this.world.clock,
      timeoutMs: execTimeoutMs,
      outputTo: 'result',
    })
    const idle = new IdleTimer(this.world.clock, flags.idle ?? null, stop)
    let stopGrace = () => {}
    stop.signal.addEventListener('abort', () => {
      stopGrace = this.world.clock.after(EXEC_GRACE_MS, () => {
        exec.stop()
      })
    })
    await this.connect(flags, async ({ client }) => {
      const producer = Producer.over(client, { sendTimeoutMs: flags.timeout })
      const replying = new Replying({
        clock: this.world.clock,
        exec,
        execTimeoutMs,
        producer,
        remark: (text) => {
          this.remark(text)
        },
      })
      await consumeAsGroup(
        this.world,
        {
          nameServers: client.nameServers.addresses,
          group: flags.group,
          topic: args.topic,
          tags: flags.filter,
          sql: null,
          broadcastFile: null,
          pop: null,
          from: null,
          exitAtEnd: false,
          countMax: flags.count ?? null,
          signal: stop.signal,
          logger: this.logger,
          parallel: flags.parallel ?? 1,
          retriesMax: null,
          retryLevel: () => 0,
          orderly: null,
          trace: false,
          closeTimeoutMs: EXEC_GRACE_MS + CLOSE_MS,
        },
        (message) => idle.during(() => replying.handle(message)),
      )
      await producer.close()
      const { answered, failed, leftOut } = replying.counts
      this.remark(`${answered} answered, ${failed} failed, ${leftOut} left out`)
      if (failed > 0) this.exitWith(ExitCode.failed)
    }).finally(() => {
      stopGrace()
      idle.stop()
      exec.close()
    })
  }
}
