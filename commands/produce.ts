import { resolve } from 'node:path'
import { Flags } from '@oclif/core'
import { MqError, messageOf } from '../src/base/errors.ts'
import { ExitCode } from '../src/base/exit-codes.ts'
import { formatCount, formatDurationMs } from '../src/base/units.ts'
import { BatchingSender } from '../src/cli/batching-sender.ts'
import { BrokerCommand } from '../src/cli/broker-command.ts'
import { checkBrokersHaveTimers, delayOf, delayOnBrokers, nearestHint } from '../src/cli/delay.ts'
import { ExecCommand } from '../src/cli/exec-command.ts'
import { argument, durationFlag, messageFlags, rateFlag, wholeFlag } from '../src/cli/flags.ts'
import { MessageFormat } from '../src/cli/message-format.ts'
import type { OutgoingMessage as Incoming } from '../src/cli/message-json.ts'
import { checkFiles, inputKinds, readsStdin } from '../src/cli/message-source.ts'
import { OutgoingFeed } from '../src/cli/outgoing-feed.ts'
import { ProgressLine } from '../src/cli/progress-line.ts'
import { RECEIPTS_MAX, sendAll, type SendOutcome } from '../src/cli/send-all.ts'
import { renderTable } from '../src/cli/table.ts'
import type { Terminal } from '../src/cli/terminal.ts'
import { parseTimeMs } from '../src/cli/time.ts'
import { TimerSender } from '../src/cli/timer-sender.ts'
import { TransactionalSender } from '../src/cli/transactional-sender.ts'
import type { Admin } from '../src/client/admin.ts'
import { responseCodeOf } from '../src/client/answers.ts'
import { bodyCompressor, compressionKinds } from '../src/client/body-compressor.ts'
import { OutboxSender } from '../src/client/outbox-sender.ts'
import type { Outbox } from '../src/client/outbox.ts'
import type { OutgoingMessage } from '../src/client/outgoing-message.ts'
import { Producer, type SendReceipt } from '../src/client/producer.ts'
import type { TransactionReceipt } from '../src/client/transaction-producer.ts'

export interface Produced {
  readonly topic: string
  readonly sent: number
  readonly failed: number
  /** Which message of the input failed first, counted from 1; null when none did. */
  readonly firstFailed: number | null
  readonly tookMs: number
  readonly messages: readonly (SendReceipt | TransactionReceipt)[]
  /** Receipts beyond the first 100,000. */
  readonly messagesOmitted?: number
}

/** Sends under way at once. */
const WINDOW = 64
const OUTBOX_TRIES = 10

const LISTED_MAX = 20

/** Progress is drawn this often. */
const REDRAW_MS = 200

export default class Produce extends BrokerCommand<Produced> {
  static override summary = 'Send messages: an argument, files, or stdin.'
  static override description = `Without BODY and --file, each line of stdin is a message: line ends (LF or CRLF) do not belong to
it, empty lines are left out, and no line at all is no message and no error. A --file is one message,
byte for byte, unless --input or --format says how to split it. What the broker acknowledges is printed; when a message fails, the
exit code is 1 (3 when nobody answered).`
  static override args = {
    topic: argument({ description: 'The topic.', required: true }),
    body: argument({ description: 'The message; stdin or --file when missing.' }),
  }
  static override flags = {
    file: Flags.string({
      summary: 'Read from this file; - is stdin; repeatable.',
      helpValue: '<path>',
      multiple: true,
      multipleNonGreedy: true,
    }),
    input: Flags.option({
      summary: 'How to split files and stdin.',
      options: inputKinds,
      exclusive: ['format'],
    })(),
    format: Flags.string({
      char: 'f',
      summary: 'Read fields by a format, as in "%k %v\\n"; see mqctl help formats.',
      helpValue: '<format>',
    }),
    ...messageFlags,
    priority: wholeFlag({
      summary: 'In a topic of type priority, consume --mode pop gets the largest number first.',
      max: 65_535,
      exclusive: ['order-key', 'queue', 'batch', 'delay', 'at', 'txn'],
    }),
    'order-key': Flags.string({ summary: 'Messages with the same key go to one queue, in order.' }),
    queue: wholeFlag({ summary: 'Send to this queue.', dependsOn: ['broker'], max: 65_535 }),
    broker: Flags.string({ summary: 'Send to this broker.', dependsOn: ['queue'] }),
    count: wholeFlag({
      char: 'c',
      summary: 'BODY: send it this many times; else: stop after this many.',
      min: 1,
    }),
    rate: rateFlag({ summary: 'At most this many, as in 100/s.' }),
    group: Flags.string({ char: 'g', summary: 'Producer group.' }),
    batch: wholeFlag({
      summary: 'Send so many messages at once: all of them are stored, or none.',
      min: 2,
      max: 10_000,
      exclusive: ['oneway', 'delay', 'delay-level', 'at', 'txn'],
    }),
    compress: Flags.option({
      summary: 'Compress bodies; older consumers understand zlib only.',
      options: compressionKinds,
    })(),
    trace: Flags.boolean({
      summary: 'Tell the trace topic what was sent; see mqctl message trace.',
      exclusive: ['oneway'],
    }),
    oneway: Flags.boolean({ summary: 'Do not wait for acknowledgements.' }),
    delay: durationFlag({
      summary:
        'Deliver after this time; a delay level (1s 5s 10s 30s 1m … 10m 20m 30m 1h 2h) is sent as such.',
      exclusive: ['delay-level', 'at'],
    }),
    'delay-level': wholeFlag({ summary: 'The same by RocketMQ’s 18 levels.', min: 1, max: 18 }),
    at: Flags.string({
      summary: 'Deliver at this time; see mqctl help time.',
      helpValue: '<time>',
    }),
    txn: Flags.option({
      summary: 'As a transaction that ends so; unknown: the broker asks.',
      options: ['commit', 'rollback', 'unknown'] as const,
      exclusive: ['oneway', 'delay', 'delay-level', 'at'],
    })(),
    outbox: Flags.string({
      summary:
        'Keep messages here until they are acknowledged; what a run leaves, the next one sends.',
      helpValue: '<directory>',
      exclusive: ['oneway', 'txn', 'batch'],
    }),
    'outbox-tries': wholeFlag({
      summary: 'Tries of a message before a run gives up; default 10, with growing pauses.',
      min: 1,
      max: 1_000_000,
      dependsOn: ['outbox'],
    }),
    'txn-check-exec': Flags.string({
      summary: 'Run this when the broker asks, until all is decided: exit 0 commit, 1 rollback.',
      helpValue: '<command>',
      dependsOn: ['txn'],
    }),
  }
  static override examples = [
    '<%= config.bin %> produce orders "hello" --key A-1 --tag paid -H source=web',
    '$ echo hi | <%= config.bin %> produce orders',
    `$ printf 'k1 v1\\nk2 v2\\n' | <%= config.bin %> produce orders --format '%k %v\\n'`,
    '<%= config.bin %> produce orders --file order.json --file other.json',
    '<%= config.bin %> produce orders --input ndjson < messages.ndjson',
    '<%= config.bin %> produce orders "tick" --count 1000 --rate 100/s',
    '<%= config.bin %> produce events --input ndjson --batch 100 --compress zstd < events.ndjson',
    '<%= config.bin %> produce orders "close it" --delay 30m',
    '<%= config.bin %> produce orders --outbox /var/spool/orders < orders.txt',
    '<%= config.bin %> produce paid A-1 --txn unknown --group payments --txn-check-exec ./is-paid',
  ]

  async run(): Promise<Produced> {
    const { args, flags } = await this.parse(Produce)
    const source = {
      body: args.body,
      files: flags.file ?? [],
      input: flags.input,
      format: flags.format === undefined ? null : MessageFormat.compile(flags.format),
    }
    if (args.body !== undefined && source.files.length > 0) {
      throw new MqError('USAGE', { what: 'BODY and --file are two sources for one message' })
    }
    const deliverAtMs =
      flags.at === undefined ? undefined : parseTimeMs(flags.at, this.world.clock.wallMs())
    const level = flags['delay-level']
    let delay = delayOf({ delayMs: flags.delay, level, deliverAtMs })
    const { broker, queue, oneway, rate = null } = flags
    const common = {
      topic: args.topic,
      ...(flags.priority === undefined ? {} : { priority: flags.priority }),
      ...(flags['order-key'] === undefined ? {} : { orderKey: flags['order-key'] }),
      ...(broker === undefined || queue === undefined
        ? {}
        : { queue: { brokerName: broker, queueId: queue } }),
    }
    const complete = (message: Incoming): OutgoingMessage => {
      const tags = message.tags ?? flags.tag
      return {
        ...common,
        ...delay,
        body: message.body,
        keys: [...message.keys, ...(flags.key ?? [])],
        properties: { ...message.properties, ...Object.fromEntries(flags.header ?? []) },
        ...(tags === undefined ? {} : { tags }),
      }
    }
    const checkExec =
      flags['txn-check-exec'] === undefined
        ? null
        : new ExecCommand(flags['txn-check-exec'], {
            clock: this.world.clock,
            timeoutMs: null,
            outputTo: 'stderr',
          })
    const feed = new OutgoingFeed({ source, count: flags.count ?? null, complete })
    await checkFiles(source.files)
    if (readsStdin(source) && this.terminal.stdinIsTty) {
      this.remark('reading messages from the terminal, a line each; Ctrl-D ends')
    }

    return this.connect(flags, async (admin) => {
      const { client } = admin
      if (level === undefined) delay = await delayOnBrokers(admin, args.topic, delay, flags.delay)
      const check = checkBrokersHaveTimers(admin, args.topic, delay, this.world.clock.wallMs())
      // Messages in an outbox are checked again when they are sent.
      await (flags.outbox === undefined ? check : check.catch(throwUnlessAway))
      const group = flags.group === undefined ? {} : { group: flags.group }
      const sending = {
        sendTimeoutMs: flags.timeout,
        trace: flags.trace,
        ...group,
        ...(flags.compress === undefined
          ? {}
          : { compressAboveBytes: 1, compressor: await bodyCompressor(flags.compress) }),
      }
      const transactions =
        flags.txn === undefined
          ? null
          : new TransactionalSender(client, {
              ...sending,
              decision: flags.txn,
              checkExec,
              onRemark: (remark) => {
                this.remark(remark)
              },
            })
      const producer = transactions ?? Producer.over(client, sending)
      const signal = this.claimInterrupts()
      const progress = new ProgressLine(this.terminal, this.quiet || !this.terminal.stderrIsTty)
      let drawnMs = Number.NEGATIVE_INFINITY
      const startMs = this.world.clock.monotonicMs()
      const { batch = 1 } = flags
      const ordered = flags['order-key'] !== undefined
      const { clock } = this.world
      const outbox = flags.outbox === undefined ? null : await this.#openOutbox(flags.outbox)
      const tries = flags['outbox-tries'] ?? OUTBOX_TRIES
      const sender = !(producer instanceof Producer)
        ? producer
        : outbox !== null
          ? new OutboxSender(new TimerSender(producer, admin, clock), outbox, {
              ...{ clock, tries, signal },
            })
          : batch > 1
            ? new BatchingSender(producer, { clock, size: batch, ordered })
            : producer
      if (outbox !== null && outbox.pendingCount > 0) {
        this.remark(`${formatCount(outbox.pendingCount)} of an earlier run are sent first`)
      }
      const outcome = await sendAll(sender, outbox === null ? feed : keptFirst(outbox, feed), {
        clock,
        takesAll: outbox !== null,
        signal,
        window: ordered ? batch : WINDOW * batch,
        rateHz: rate,
        oneway,
        onProgress: ({ sent, failed }) => {
          const nowMs = this.world.clock.monotonicMs()
          if (nowMs - drawnMs < REDRAW_MS) return
          drawnMs = nowMs
          const line = `${formatCount(sent)} sent, ${formatCount(failed)} failed`
          progress.show('sending', line, null)
        },
      })
      progress.end()
      if (outbox !== null) {
        await outbox.close()
        this.#remarkOnOutbox(outbox, flags.outbox ?? '')
      }
      if (transactions !== null) {
        if (checkExec !== null) await this.#untilDecided(transactions, admin, signal)
        if (transactions.openCount > 0) {
          const count = formatCount(transactions.openCount)
          this.remark(`${count} not decided yet: mqctl txn list shows what is open`)
        }
        if (transactions.undoneCount > 0) {
          const count = formatCount(transactions.undoneCount)
          this.warn(`${count} did not come to the decision ${flags.txn}; the output says which`)
          this.exitWith(ExitCode.failed)
        }
      }
      checkExec?.stop()
      await producer.close()
      checkExec?.close()
      this.remarkOnTraces(producer.tracer)
      if (!signal.aborted) this.#remarkOn(feed, outcome)
      if (responseCodeOf(outcome.error) !== null && delay.delayMs !== undefined) {
        const hint = nearestHint(delay.delayMs, '--delay')
        this.warn(`perhaps the broker has no delays but the levels: ${hint}`)
      }
      const receipts = outcome.receipts.map((one) => transactions?.decided(one) ?? one)
      if (outcome.gaveUp && outbox === null) {
        this.remark('with --outbox, what cannot be sent is kept and sent by the next run')
      }
      const final = { ...outcome, receipts }
      return this.#showOutcome(args.topic, final, this.world.clock.monotonicMs() - startMs)
    })
  }

  /** There is a program that answers: waits for the questions of brokers. */
  async #untilDecided(
    transactions: TransactionalSender,
    admin: Admin,
    signal: AbortSignal,
  ): Promise<void> {
    const { openCount } = transactions
    if (openCount === 0 || signal.aborted) return
    this.remark(`waiting for brokers to ask about ${formatCount(openCount)}; Ctrl-C ends`)
    await transactions.whenDecided(admin.transactions, signal)
  }

  /** Loaded only when it is asked for: most messages are sent without, and soon. */
  async #openOutbox(directory: string): Promise<Outbox> {
    const { Outbox } = await import('../src/client/outbox.ts')
    return Outbox.open(this.world, resolve(directory))
  }

  #remarkOnOutbox({ pendingCount }: Outbox, directory: string): void {
    if (pendingCount === 0) return
    const [stay, them] = pendingCount === 1 ? ['message stays', 'it'] : ['messages stay', 'them']
    this.warn(
      `${formatCount(pendingCount)} ${stay} in ${directory}; the next run with this --outbox sends ${them} first`,
    )
  }

  #remarkOn({ leftOut }: OutgoingFeed, { sent, failed, sourceError }: SendOutcome): void {
    if (leftOut > 0) {
      const noun = leftOut === 1 ? 'empty message' : 'empty messages'
      this.remark(`${formatCount(leftOut)} ${noun} left out: brokers take none without a body`)
    } else if (sent === 0 && failed === 0 && sourceError === null) {
      this.remark('there was nothing to send')
    }
  }

  #showOutcome(topic: string, outcome: SendOutcome, tookMs: number): Promise<Produced> {
    const { sent, failed, firstFailed, gaveUp, receipts, error, sourceError } = outcome
    if (sourceError !== null) throw afterSome(sourceError, sent)
    if (sent === 0 && failed > 0) throw error
    if (failed > 0) {
      const end = gaveUp ? '; the rest of the input was not read' : ''
      this.warn(
        `${failed} messages failed, the first one was number ${firstFailed} of the input: ${messageOf(error)}${end}`,
      )
      this.exitWith(ExitCode.failed)
    }
    const result = {
      topic,
      sent,
      failed,
      firstFailed,
      tookMs: Math.round(tookMs),
      messages: receipts,
      ...(sent > RECEIPTS_MAX ? { messagesOmitted: sent - RECEIPTS_MAX } : {}),
    }
    return this.show(result, { rows: () => receipts, text: producedText })
  }
}

/** Whom nobody answers now may answer later. */
function throwUnlessAway(error: unknown): void {
  if (!(error instanceof MqError && error.retry)) throw error
}

/** What an earlier run left, before what is new. */
async function* keptFirst(
  outbox: Outbox,
  feed: AsyncIterable<OutgoingMessage>,
): AsyncGenerator<OutgoingMessage> {
  yield* outbox.pending
  yield* feed
}

/** What was sent before the input went wrong is sent; the error says how much that was. */
function afterSome(error: unknown, sent: number): unknown {
  if (sent === 0 || !(error instanceof Error)) return error
  const what = `${error.message} (${sent} messages before it were sent)`
  const hint = error instanceof MqError ? error.hint : 'check the file that is named above'
  // Something was done: that is no longer a mistake in what was asked.
  return new MqError('INPUT_BROKEN', { what, hint })
}

function producedText(result: Produced, terminal: Terminal): string {
  const { topic, sent, tookMs, messages } = result
  const rate = sent > 1 && tookMs > 0 ? ` (${formatCount((sent * 1_000) / tookMs)}/s)` : ''
  const noun = sent === 1 ? 'message' : 'messages'
  const handle = messages.length === 1 ? messages[0]?.recallHandle : undefined
  const recall =
    handle === undefined ? '' : `\n\ntake it back with\n  mqctl message recall ${handle}`
  const head = `sent ${sent} ${noun} to ${topic} in ${formatDurationMs(tookMs)}${rate}`
  if (messages.length === 0 || messages.length > LISTED_MAX) return head
  const isTransaction = messages.some((row) => 'decision' in row)
  const table = renderTable(
    terminal,
    [
      { head: 'MESSAGE ID' },
      { head: 'BROKER' },
      { head: 'QUEUE', align: 'right' },
      { head: isTransaction ? 'HALF' : 'OFFSET', align: 'right' },
      { head: 'STATUS' },
      ...(isTransaction ? [{ head: 'TRANSACTION' }] : []),
    ],
    messages.map((row) => [
      ...[row.messageId, row.broker, row.queueId, row.queueOffset, row.status],
      ...('decision' in row ? [row.decision] : []),
    ]),
  )
  return `${head}\n\n${table}${recall}`
}
