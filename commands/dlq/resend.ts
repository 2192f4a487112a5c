import { Flags } from '@oclif/core'
import { messageOf } from '../../src/base/errors.ts'
import { ExitCode } from '../../src/base/exit-codes.ts'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { deadLetterFlags, isMeant, spanOfFlags } from '../../src/cli/dead-letter-flags.ts'
import { argument, wholeFlag } from '../../src/cli/flags.ts'
import { sendAll, type SendOutcome } from '../../src/cli/send-all.ts'
import type { Admin } from '../../src/client/admin.ts'
import { DeadLetterSender } from '../../src/client/dead-letter-sender.ts'
import { deadLetters, deadLettersSoFar, resurrected } from '../../src/client/dead-letters.ts'
import { GroupReturn } from '../../src/client/group-return.ts'
import type { OutgoingMessage } from '../../src/client/outgoing-message.ts'
import { Producer } from '../../src/client/producer.ts'
import { originalTopicOf, resentMessage } from '../../src/client/resent-message.ts'

export interface DlqResendResult {
  readonly group: string
  /** `group`: to it alone; else the topic, or `original`: each to its own topic. */
  readonly to: string
  readonly executed: boolean
  /** Dead letters that match. */
  readonly found: number
  readonly sent: number
  readonly failed: number
  readonly messageIds: readonly string[]
}

/** Sends under way at once. */
const WINDOW = 16
/** Ids in the result; a longer list would be larger than what it reports. */
const IDS_MAX = 100_000

export default class DlqResend extends BrokerCommand<DlqResendResult> {
  static override summary = 'Send dead letters again; shows the plan, and does it with --execute.'
  static override description = `They go to the group alone, through its retry topic, or with --to-original or --to-topic to a
topic, where every group gets them. A group that takes by POP has a retry topic for each topic: its
connected members show that, or what it has read before; --mode says it. They keep their ids; their tries count from the start. The dead
letters themselves stay where they are until they expire: sending them twice delivers them twice.`
  static override args = { group: argument({ description: 'The group.', required: true }) }
  static override flags = {
    ...deadLetterFlags,
    limit: wholeFlag({ summary: 'At most so many.', min: 1 }),
    'to-original': Flags.boolean({
      summary: 'To the topics that they were sent to first.',
      exclusive: ['to-topic'],
    }),
    'to-topic': Flags.string({ summary: 'To this topic.', helpValue: '<topic>' }),
    mode: Flags.option({
      options: ['pull', 'pop'] as const,
      summary: 'How the group consumes; found out when it is not given.',
      exclusive: ['to-original', 'to-topic'],
    })(),
    execute: Flags.boolean({ summary: 'Do it; without this nothing is sent.' }),
  }
  static override examples = [
    '<%= config.bin %> dlq resend audit',
    '<%= config.bin %> dlq resend audit --from @-1h --execute',
    '<%= config.bin %> dlq resend audit --id 7F0000010A2B18B4AAC2000000000000 --execute',
    '<%= config.bin %> dlq resend audit --to-topic repair --execute',
  ]

  async run(): Promise<DlqResendResult> {
    const { args, flags } = await this.parse(DlqResend)
    const { group } = args
    const { execute, id: ids, limit = Number.POSITIVE_INFINITY } = flags
    const span = spanOfFlags(flags, this.world.clock.wallMs())
    const messageIds: string[] = []
    let found = 0
    const chosen = async function* (
      admin: Admin,
      sender: DeadLetterSender | null,
    ): AsyncGenerator<OutgoingMessage> {
      const back = await GroupReturn.open(admin, group, flags.mode ?? null)
      for await (const message of deadLetters(admin, group, span)) {
        if (!isMeant(message, ids)) continue
        const origin = originalTopicOf(message)
        const to = flags['to-original'] ? origin : flags['to-topic']
        const copy =
          to === undefined
            ? resurrected(message, await back.topicFor(origin, execute))
            : resentMessage(message, to)
        found += 1
        if (messageIds.length < IDS_MAX) messageIds.push(message.messageId)
        yield sender?.note(copy, message) ?? copy
        if (found === limit) return
      }
    }
    let grown = 0
    const outcome = await this.connect(flags, async (admin) => {
      if (!execute) return count(chosen(admin, null))
      const before = await deadLettersSoFar(admin, group)
      const producer = Producer.over(admin.client, { sendTimeoutMs: flags.timeout })
      const sender = new DeadLetterSender(admin, producer, group)
      const sending = await this.#send(producer, sender, chosen(admin, sender))
      grown = (await deadLettersSoFar(admin, group)) - before - sender.strayCopies
      if (sender.givenBack > 0) {
        this.remark(
          `brokers keep no copies for ${group} while it consumes in order: ${sender.givenBack} were given back from where they are, as one try more; the first of them is a dead letter twice now`,
        )
      }
      return sending
    })
    const result: DlqResendResult = {
      group,
      to: flags['to-original'] ? 'original' : (flags['to-topic'] ?? 'group'),
      executed: execute,
      found,
      sent: outcome?.sent ?? 0,
      failed: outcome?.failed ?? 0,
      messageIds,
    }
    if (result.failed > 0) {
      this.warn(`${result.failed} failed, the first one: ${messageOf(outcome?.error)}`)
      this.exitWith(ExitCode.failed)
    }
    if (result.to === 'group' && result.sent > 0 && grown >= result.sent / 2) {
      this.warn(
        `the dead letters of ${group} grew by ${grown} meanwhile: do its members still fail?`,
      )
    }
    if (found === 0) this.remark(`no such dead letters of ${group}`)
    else if (!execute) this.remark('this is a plan; add --execute to do it')
    return this.show(result, { rows: () => [result], text: resendText })
  }

  async #send(
    producer: Producer,
    sender: DeadLetterSender,
    messages: AsyncIterable<OutgoingMessage>,
  ): Promise<SendOutcome> {
    try {
      const outcome = await sendAll(sender, messages, {
        clock: this.world.clock,
        signal: this.claimInterrupts(),
        window: WINDOW,
        rateHz: null,
        oneway: false,
        onProgress: () => undefined,
      })
      if (outcome.sourceError !== null) {
        if (outcome.sent > 0) this.warn(`${outcome.sent} were sent before this`)
        throw errorOf(outcome.sourceError)
      }
      if (outcome.sent === 0 && outcome.failed > 0) throw errorOf(outcome.error)
      return outcome
    } finally {
      await producer.close()
    }
  }
}

function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(messageOf(thrown))
}

async function count(messages: AsyncIterable<OutgoingMessage>): Promise<null> {
  for await (const _message of messages);
  return null
}

function resendText({ executed, found, sent, to }: DlqResendResult): string {
  const where =
    to === 'group'
      ? 'to the group alone'
      : to === 'original'
        ? 'to their original topics'
        : `to ${to}`
  const letters = (messages: number) => `${messages} dead ${messages === 1 ? 'letter' : 'letters'}`
  return executed ? `sent ${letters(sent)} ${where}` : `would send ${letters(found)} ${where}`
}
