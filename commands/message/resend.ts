import { Flags } from '@oclif/core'
import { MqError } from '../../src/base/errors.ts'
import { ExitCode } from '../../src/base/exit-codes.ts'
import { BrokerCommand } from '../../src/cli/broker-command.ts'
import { argument } from '../../src/cli/flags.ts'
import type { Admin } from '../../src/client/admin.ts'
import { Producer, type SendReceipt } from '../../src/client/producer.ts'
import { resentMessage } from '../../src/client/resent-message.ts'

export interface MessageResendResult {
  readonly messageId: string
  readonly from: string
  /** A topic, or the member of a group that processes it. */
  readonly to: string
  readonly executed: boolean
  /** Of the new copy. */
  readonly receipt: SendReceipt | null
  /** What the member of the group answered: CR_SUCCESS, CR_LATER, CR_THROW_EXCEPTION … */
  readonly consumeResult: string | null
  readonly remark: string | null
}

export default class MessageResend extends BrokerCommand<MessageResendResult> {
  static override summary =
    'Send a stored message once more; shows the plan, does it with --execute.'
  static override description = `A copy with the same id goes to its topic (--to-topic: to another one), where every group gets it
again. With --group, nothing is stored: one connected member of that group processes the message at
once, and its answer is shown; progress and retries of the group stay as they are.`
  static override args = {
    id: argument({ description: 'Message id, or offset message id.', required: true }),
  }
  static override flags = {
    topic: Flags.string({ summary: 'Its topic; without it, all topics are searched for the id.' }),
    'to-topic': Flags.string({
      summary: 'Send it to this topic.',
      helpValue: '<topic>',
      exclusive: ['group'],
    }),
    group: Flags.string({ char: 'g', summary: 'Have a member of this group process it.' }),
    client: Flags.string({
      summary: 'Which member; see mqctl group get. Default: the first.',
      dependsOn: ['group'],
    }),
    execute: Flags.boolean({ summary: 'Do it; without this nothing is sent.' }),
  }
  static override examples = [
    '<%= config.bin %> message resend 7F0000010A2B18B4AAC2000000000000',
    '<%= config.bin %> message resend 7F0000010A2B18B4AAC2000000000000 --execute',
    '<%= config.bin %> message resend 7F0000010A2B18B4AAC2000000000000 --group audit --execute',
  ]

  async run(): Promise<MessageResendResult> {
    const { args, flags } = await this.parse(MessageResend)
    const result = await this.connect(flags, async (admin): Promise<MessageResendResult> => {
      const message = await admin.messages.get(args.id, flags.topic)
      const base = { messageId: message.messageId, from: message.topic, executed: flags.execute }
      const none = { receipt: null, consumeResult: null, remark: null }
      if (flags.group === undefined) {
        const copy = resentMessage(message, flags['to-topic'] ?? null)
        const receipt = flags.execute ? await sendOnce(admin, copy, flags.timeout) : null
        return { ...base, ...none, to: copy.topic, receipt }
      }
      const member = flags.client ?? (await firstMember(admin, flags.group))
      const to = `${flags.group} (${member})`
      if (!flags.execute) return { ...base, ...none, to }
      const answer = await admin.messages.consumeDirectly(message, flags.group, member)
      const { consumeResult, remark } = answer
      return { ...base, to, receipt: null, consumeResult, remark }
    })
    if (!flags.execute) this.remark('this is a plan; add --execute to do it')
    else if (result.consumeResult !== null && result.consumeResult !== 'CR_SUCCESS') {
      this.warn(`the member answered ${result.consumeResult}${remarkText(result.remark)}`)
      this.exitWith(ExitCode.failed)
    }
    return this.show(result, { rows: () => [result], text: resendText })
  }
}

async function sendOnce(
  admin: Admin,
  copy: ReturnType<typeof resentMessage>,
  timeoutMs: number,
): Promise<SendReceipt> {
  const producer = Producer.over(admin.client, { sendTimeoutMs: timeoutMs })
  try {
    return await producer.send(copy)
  } finally {
    await producer.close()
  }
}

async function firstMember(admin: Admin, group: string): Promise<string> {
  const member = (await admin.groups.connections(group))?.connections[0]?.clientId
  if (member !== undefined) return member
  throw new MqError('VALUE_INVALID', {
    what: `no member of ${group} is connected`,
    hint: 'start one, or send a copy to the topic without --group',
  })
}

function remarkText(remark: string | null): string {
  return remark === null || remark === '' ? '' : `: ${remark}`
}

function resendText(result: MessageResendResult): string {
  const { messageId, to, executed, receipt, consumeResult } = result
  if (!executed) return `would send ${messageId} to ${to}`
  if (receipt !== null) {
    return `sent ${messageId} to ${to}: ${receipt.broker}, queue ${receipt.queueId}, offset ${receipt.queueOffset}`
  }
  return `${to} processed ${messageId}: ${consumeResult ?? 'no answer'}`
}
