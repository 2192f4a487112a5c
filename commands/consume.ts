import { Flags } from '@oclif/core'
import { MqError } from '../src/base/errors.ts'
import { BrokerCommand } from '../src/cli/broker-command.ts'
import { consumeAsGroup } from '../src/cli/group-consumer.ts'
import { broadcastFileOf } from '../src/cli/broadcast-file.ts'
import { argument, durationFlag, wholeFlag } from '../src/cli/flags.ts'
import { IdleTimer } from '../src/cli/idle-timer.ts'
import { MessageFormat } from '../src/cli/message-format.ts'
import { MessagePrinter } from '../src/cli/message-printer.ts'
import { parsePosition, parseSpan, type Span } from '../src/cli/position.ts'
import { readMerged } from '../src/cli/merged-reader.ts'
import { checkedSql } from '../src/cli/filter-view.ts'
import type { MqClient } from '../src/client/client.ts'

export default class Consume extends BrokerCommand<void> {
  static override summary = 'Read messages: by position, or as a member of a consumer group.'
  static override description = `Without --group, messages are read from --from to --to and nobody's progress changes. By default that
is what comes from now on; with --exit-at-end or --to it is everything from the start.
With --group, this is one member of the group: it shares the queues with the other members, begins
where the group left off, and reports its progress, also on Ctrl-C (exit 130). A group that is new
begins at --from; without it, as every RocketMQ client does, at the end of queues of which something
was deleted already, and at the start of all others.
Only messages are written to stdout: their bodies, a line each, unless --format or --output say
otherwise.`
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
    'offsets-file': Flags.string({
      summary: 'Where --broadcast keeps its progress, for several of one group on one machine.',
      helpValue: '<path>',
      dependsOn: ['broadcast'],
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

    await this.connect(flags, async ({ client }) => {
      const options = {
        topic: args.topic,
        tags: flags.filter,
        sql,
        exitAtEnd: flags['exit-at-end'],
        countMax: flags.count ?? null,
        signal: stop.signal,
      }
      const print = async (message: Parameters<MessagePrinter['print']>[0]) => {
        idle.restart()
        await printer.print(message)
      }
      if (flags.group === undefined) return this.#read(client, { ...options, span }, print)
      const servers = client.nameServers.addresses
      return consumeAsGroup(
        this.world,
        {
          ...options,
          nameServers: servers,
          group: flags.group,
          from: flags.from === undefined ? null : span.from,
          logger: this.logger,
          broadcastFile: flags.broadcast
            ? await broadcastFileOf(this.world.disk, flags.group, servers, flags['offsets-file'])
            : null,
        },
        print,
      )
    }).finally(() => {
      idle.stop()
    })
    if (printer.printed === 0) this.remark('no messages')
  }

  async #read(
    client: MqClient,
    options: Omit<Parameters<typeof readMerged>[1], 'onRetry'> & {
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
    let count = 0
    for await (const message of readMerged(client, { ...options, onRetry })) {
      await print(message)
      count += 1
      if (count === options.countMax) return
    }
  }
}

/** `--from` may be a span; `--to` replaces its end. Default: from now on, or all with --exit-at-end. */
function spanOf(
  from: string | undefined,
  to: string | undefined,
  exitAtEnd: boolean,
  nowMs: number,
): Span {
  const begin: Span =
    from === undefined
      ? { from: { kind: exitAtEnd || to !== undefined ? 'start' : 'end' }, to: null }
      : parseSpan(from, nowMs)
  return to === undefined ? begin : { from: begin.from, to: parsePosition(to, nowMs) }
}
