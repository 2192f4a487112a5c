import { Flags } from '@oclif/core'
import { MqError } from '../src/base/errors.ts'
import { BrokerCommand } from '../src/cli/broker-command.ts'
import { broadcastFileOf } from '../src/cli/broadcast-file.ts'
import { delayLevelFor, delayLevelsFor } from '../src/cli/delay.ts'
import { ExecCommand } from '../src/cli/exec-command.ts'
import { argument, durationFlag, wholeFlag } from '../src/cli/flags.ts'
import { consumeAsGroup, type GroupOutcome } from '../src/cli/group-consumer.ts'
import { IdleTimer } from '../src/cli/idle-timer.ts'
import { MessageFormat } from '../src/cli/message-format.ts'
import {
  EXEC_GRACE_MS,
  identities,
  MessageHandling,
  parseShare,
} from '../src/cli/message-handling.ts'
import { MessagePrinter } from '../src/cli/message-printer.ts'
import { parseSpan, type Span } from '../src/cli/position.ts'
import { type MissingMessages, checkReadable, readMerged } from '../src/cli/merged-reader.ts'
import { checkedSql } from '../src/cli/filter-view.ts'
import { SeenMessages } from '../src/cli/seen-messages.ts'
import type { Admin } from '../src/client/admin.ts'
import type { MqClient } from '../src/client/client.ts'

/** For commands that were told to end, and the last report. */
const CLOSE_MS = 5_000
/** Some 10 MB. */
const SEEN_MAX = 100_000

const shareFlag = Flags.custom<number>({
  helpValue: '<share>',
  parse: async (input) => parseShare(input),
})

export default class Consume extends BrokerCommand<void> {
  static override summary = 'Read messages: by position, or as a member of a consumer group.'
  static override description = `Without --group, messages are read from --from to --to and nobody's progress changes. By default that
is what comes from now on; with --exit-at-end or --to it is everything from the start.
With --group, this is one member of the group: it shares the queues with the other members, begins
where the group left off, and reports its progress, also on Ctrl-C (exit 130). A group that is new
begins at --from; without it, as every RocketMQ client does, at the end of queues of which something
was deleted already, and at the start of all others.
Only messages are written to stdout: their bodies, a line each, unless --format or --output say
otherwise.
With --exec, a command is run for each message instead: the body is its stdin, MQCTL_TOPIC,
MQCTL_MESSAGE_ID, MQCTL_KEYS, MQCTL_TAGS, MQCTL_PROPERTIES (JSON) and others are in its environment, and
no shell is involved. Exit code 0 means processed. Anything else gives the message back: it comes again
after 10 s, 30 s, 1 min … and is a dead letter after the last try (see mqctl dlq). Ctrl-C lets commands
that run come to their end.
With --mode pop, no queue belongs to anybody: each member takes messages from all of them, and what it
has in its hands comes to another one when it is not processed after --invisible. A member that hangs
holds up nothing else.
With --orderly, each queue is locked for one member of the group, which gets its messages one after the
other; a failed one comes again, after 1 s, 2 s, 4 s … 30 s, before the next one of its queue. --parallel
then is the number of queues that are worked at, at once.
Messages are delivered at least once. With --dedupe, one that was processed here before is left out,
by its keys or by the id that its sender gave it; messages without a key are all processed. What another
member of the group processed is not known here.`
  static override args = { topic: argument({ description: 'The topic.', required: true }) }
  static override flags = {
    output: Flags.option({
      char: 'o',
      summary: 'table: by --format; ndjson (or json): one object a line.',
      helpGroup: 'GLOBAL',
      options: ['table', 'json', 'ndjson'] as const,
    })(),
    group: Flags.string({ char: 'g', summary: 'Consume as a member of this group.' }),
    from: Flags.string({
      summary: 'Where to begin, or a span; a new group begins there. See mqctl help time.',
      helpValue: '<position>',
    }),
    to: Flags.string({
      summary: 'Where to stop; the default of --from is then start.',
      helpValue: '<position>',
      exclusive: ['group'],
    }),
    count: wholeFlag({ char: 'c', summary: 'Stop after this many messages.', min: 1 }),
    'exit-at-end': Flags.boolean({
      summary: 'Stop where the topic ended when reading began; --from is then start.',
    }),
    idle: durationFlag({ summary: 'Stop when nothing came for this long.' }),
    format: Flags.string({
      char: 'f',
      summary: 'How to write a message, as in "%d{iso} %k %v\\n"; see mqctl help formats.',
      helpValue: '<format>',
    }),
    filter: Flags.string({
      summary: 'Only messages with one of these tags.',
      helpValue: "'A || B'",
      default: '*',
    }),
    sql: Flags.string({
      summary: 'Only messages that an SQL92 expression describes; see mqctl filter explain.',
      helpValue: '"price > 10"',
      exclusive: ['filter'],
    }),
    broadcast: Flags.boolean({
      summary: 'Get all messages, shared with nobody; progress is kept on this machine.',
      dependsOn: ['group'],
    }),
    orderly: Flags.boolean({
      summary: 'Keep the order of each queue: a failed message comes again before the next one.',
      dependsOn: ['group'],
      exclusive: ['broadcast'],
    }),
    mode: Flags.option({
      summary: 'pull: queues are divided among the members; pop: each takes from all of them.',
      options: ['pull', 'pop'] as const,
      default: 'pull',
    })(),
    invisible: durationFlag({
      summary: '--mode pop: how long others do not get what this one took; default 1m.',
      dependsOn: ['group'],
    }),
    'offsets-file': Flags.string({
      summary: 'Where --broadcast keeps its progress, for several of one group on one machine.',
      helpValue: '<path>',
      dependsOn: ['broadcast'],
    }),
    exec: Flags.string({
      summary: 'Run this for each message; a command that fails means try again later.',
      helpValue: '<command>',
      dependsOn: ['group'],
      exclusive: ['format'],
      helpGroup: 'GROUP',
    }),
    'exec-timeout': durationFlag({
      summary: 'A command that runs longer is ended and has failed.',
      dependsOn: ['exec'],
      helpGroup: 'GROUP',
    }),
    parallel: wholeFlag({
      summary: 'Commands that run at once; default 1.',
      min: 1,
      max: 256,
      dependsOn: ['exec'],
      helpGroup: 'GROUP',
    }),
    dedupe: Flags.option({
      summary: 'Process a message once, though it comes twice: told by its key, or by its id.',
      options: identities,
      dependsOn: ['group'],
      helpGroup: 'GROUP',
    })(),
    'dedupe-file': Flags.string({
      summary: 'Remember what was processed here, for the next time.',
      helpValue: '<path>',
      dependsOn: ['dedupe'],
      helpGroup: 'GROUP',
    }),
    'dedupe-max': wholeFlag({
      summary: 'Messages to remember, the newest; default 100,000.',
      min: 1,
      max: 10_000_000,
      dependsOn: ['dedupe'],
      helpGroup: 'GROUP',
    }),
    trace: Flags.boolean({
      summary: 'Tell the trace topic of each try; see mqctl message trace.',
      dependsOn: ['group'],
      helpGroup: 'GROUP',
    }),
    'fail-rate': shareFlag({
      summary: 'Let this share of messages fail, as in 20%, to see retries at work.',
      dependsOn: ['group'],
      helpGroup: 'GROUP',
    }),
    retries: wholeFlag({
      summary:
        'Tries after the first, before a message is a dead letter; default 16, --orderly: endless.',
      max: 1_000_000,
      dependsOn: ['group'],
      helpGroup: 'GROUP',
    }),
    'retry-delay': durationFlag({
      summary:
        'Time before each further try, one of the brokers’ delay levels (--orderly: any); default: longer each time.',
      dependsOn: ['group'],
      helpGroup: 'GROUP',
    }),
  }
  static override examples = [
    '<%= config.bin %> consume orders --from start --exit-at-end',
    '<%= config.bin %> consume orders --group audit',
    `<%= config.bin %> consume orders --from @-1h --format '%d{iso} %k %v\\n'`,
    `<%= config.bin %> consume orders --from -10 --filter 'paid || refunded'`,
    `<%= config.bin %> consume orders --from start --sql "price > 10 and region = 'eu'"`,
    '<%= config.bin %> consume prices --group desk --broadcast',
    '<%= config.bin %> consume orders -o ndjson --exit-at-end | jq -r .body',
    `<%= config.bin %> consume orders -g billing --exec 'node bill.js' --parallel 4`,
    `<%= config.bin %> consume orders -g billing --mode pop --invisible 30s --exec 'node bill.js'`,
    `<%= config.bin %> consume orders -g workflow --orderly --exec 'node step.js'`,
  ]

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Consume)
    const compiled = MessageFormat.compile(flags.format ?? '%v\\n')
    const format = this.output === 'table' ? compiled : null
    if (format === null && flags.format !== undefined) {
      throw new MqError('USAGE', {
        what: `--format and --output ${this.output} exclude each other`,
      })
    }
    const pop = popOf(flags)
    const nowMs = this.world.clock.wallMs()
    const span = spanOf(flags.from, flags.to, flags['exit-at-end'], nowMs)
    const sql = flags.sql === undefined ? null : checkedSql(flags.sql)
    const signal = this.claimInterrupts()
    this.endWithReader()
    const stop = new AbortController()
    signal.addEventListener('abort', () => {
      stop.abort()
    })
    const printer = new MessagePrinter(format, stop.signal)
    const idle = new IdleTimer(this.world.clock, flags.idle ?? null, stop)
    const retryDelay = flags['retry-delay'] ?? null
    const exec =
      flags.exec === undefined
        ? null
        : new ExecCommand(flags.exec, {
            clock: this.world.clock,
            timeoutMs: flags['exec-timeout'] ?? null,
            outputTo: format === null ? 'stderr' : 'stdout',
          })
    const dedupe =
      flags.dedupe === undefined
        ? null
        : {
            by: flags.dedupe,
            seen: await SeenMessages.open(
              flags['dedupe-max'] ?? SEEN_MAX,
              flags['dedupe-file'] ?? null,
            ),
          }
    const handling = new MessageHandling({
      world: this.world,
      dedupe,
      exec,
      execTimeoutMs: flags['exec-timeout'] ?? null,
      failRate: flags['fail-rate'] ?? 0,
      print: (message) => printer.print(message),
      printsHandled: format === null,
      remark: (text) => {
        this.remark(text)
      },
      signal: stop.signal,
    })
    let outcome: GroupOutcome | null = null

    await this.connect(flags, async (admin) => {
      const { client } = admin
      const options = {
        topic: args.topic,
        tags: flags.filter,
        sql,
        exitAtEnd: flags['exit-at-end'],
        countMax: flags.count ?? null,
        signal: stop.signal,
      }
      if (flags.group === undefined) {
        return this.#read(client, { ...options, span }, async (message) => {
          idle.restart()
          await printer.print(message)
        })
      }
      const servers = client.nameServers.addresses
      if (flags['exit-at-end']) {
        const route = await client.routes.get(args.topic).catch(nullWhenMissing)
        if (route !== null) checkReadable(route)
      }
      return consumeAsGroup(
        this.world,
        {
          ...options,
          nameServers: servers,
          group: flags.group,
          from: flags.from === undefined ? null : span.from,
          logger: this.logger,
          parallel: flags.parallel ?? 1,
          retriesMax: flags.retries ?? null,
          retryLevel: await retryLevelOf(admin, args.topic, flags.orderly ? null : retryDelay, pop),
          orderly: flags.orderly ? { suspendMs: retryDelay } : null,
          pop,
          closeTimeoutMs: EXEC_GRACE_MS + CLOSE_MS,
          trace: flags.trace,
          broadcastFile: flags.broadcast
            ? await broadcastFileOf(this.world.disk, flags.group, servers, flags['offsets-file'])
            : null,
        },
        (message) => idle.during(() => handling.handle(message)),
      ).then((counts) => {
        outcome = counts
      })
    }).finally(async () => {
      idle.stop()
      handling.close()
      await dedupe?.seen.close()
    })
    this.#remarkOnOutcome(outcome, printer.printed, flags.orderly)
    if (handling.skipped > 0) {
      this.remark(`${handling.skipped} left out: the same had been processed before`)
    }
  }

  #remarkOnOutcome(outcome: GroupOutcome | null, printed: number, orderly: boolean): void {
    const { done, failed } = outcome ?? { done: printed, failed: 0 }
    this.remarkOnTraces(outcome?.traces ?? null)
    if (done + failed === 0) this.remark('no messages')
    else if (failed > 0) {
      const what = orderly ? 'times a try failed' : 'failed and given back'
      this.remark(`${done} processed, ${failed} ${what}`)
    }
  }

  async #read(
    client: MqClient,
    options: Omit<Parameters<typeof readMerged>[1], 'onRetry' | 'onMissing'> & {
      readonly countMax: number | null
    },
    print: (message: Parameters<MessagePrinter['print']>[0]) => Promise<void>,
  ): Promise<void> {
    if (options.span.from.kind === 'end' && !options.exitAtEnd) {
      this.remark('waiting for new messages; --from start reads what is there')
    }
    const onRetry = (error: MqError) => {
      this.remark(`${error.message}; trying again`)
    }
    const onMissing = ({ broker, queueId, offset, count: missing }: MissingMessages) => {
      const what = missing === 1 ? 'a message is' : `${missing} messages are`
      const place = `from offset ${offset} on of queue ${queueId} on ${broker}`
      this.warn(
        `${what} missing ${place}: damaged records are counted by mqctl status and named in the broker’s log`,
      )
    }
    let count = 0
    for await (const message of readMerged(client, { ...options, onRetry, onMissing })) {
      await print(message)
      count += 1
      if (count === options.countMax) return
    }
  }
}

/** A topic that a group waits for may come yet. */
function nullWhenMissing(error: unknown): null {
  if (error instanceof MqError && error.code === 'TOPIC_NOT_FOUND') return null
  throw error
}

/** Who takes by POP says the time itself, a level's all the same; else the broker knows its levels. */
async function retryLevelOf(
  admin: Admin,
  topic: string,
  delayMs: number | null,
  pop: object | null,
): Promise<(broker: string) => number> {
  const flag = '--retry-delay'
  if (delayMs === null) return () => 0
  if (pop === null) return delayLevelsFor(admin, topic, delayMs, flag)
  const level = delayLevelFor(delayMs, flag)
  return () => level
}

/** The shortest time out of sight: brokers keep it to the second. */
const INVISIBLE_MS_MIN = 1_000

/** Null: by pulling. Throws USAGE. */
function popOf(flags: {
  readonly mode: 'pull' | 'pop'
  readonly invisible?: number | undefined
  readonly group?: string | undefined
  readonly broadcast: boolean
  readonly orderly: boolean
  readonly trace: boolean
}): { readonly invisibleMs: number | null } | null {
  const what = faultOfMode(flags)
  if (what !== null) throw new MqError('USAGE', { what })
  return flags.mode === 'pop' ? { invisibleMs: flags.invisible ?? null } : null
}

function faultOfMode(flags: Parameters<typeof popOf>[0]): string | null {
  const { mode, invisible, group } = flags
  if (mode === 'pull') return invisible === undefined ? null : '--invisible goes with --mode pop'
  if (group === undefined) return '--mode pop needs --group: messages are taken for a group'
  if (flags.broadcast) return '--broadcast and --mode pop exclude each other'
  if (flags.orderly) return '--orderly and --mode pop exclude each other'
  if (flags.trace) return 'what is taken with --mode pop is not traced'
  if (invisible !== undefined && invisible < INVISIBLE_MS_MIN)
    return '--invisible must be 1s or more'
  return null
}

/** `--from` may be a span; `--to` replaces its end. Default: from now on, or all with --exit-at-end. */
function spanOf(
  from: string | undefined,
  to: string | undefined,
  exitAtEnd: boolean,
  nowMs: number,
): Span {
  const usual = exitAtEnd || to !== undefined ? 'start' : 'end'
  return parseSpan(from ?? usual, nowMs, to)
}
