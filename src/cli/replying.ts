/** `reply --exec`: what becomes of one message that may be a request. */
import { messageOf } from '../base/errors.ts'
import { formatDurationMs } from '../base/units.ts'
import type { Producer } from '../client/producer.ts'
import type { ReceivedMessage } from '../client/received-message.ts'
import { isRequest, replyDueMs, replyTo } from '../client/request-reply.ts'
import type { Clock } from '../world/clock.ts'
import {
  type ExecCommand,
  type ExecResult,
  OUTPUT_BYTES_MAX,
  failureOfExec,
} from './exec-command.ts'
import type { Handled } from './group-consumer.ts'

export interface ReplyingOptions {
  readonly clock: Clock
  readonly exec: ExecCommand
  readonly execTimeoutMs: number | null
  readonly producer: Pick<Producer, 'send'>
  readonly remark: (text: string) => void
}

export class Replying {
  readonly counts = { answered: 0, failed: 0, leftOut: 0 }
  readonly #options: ReplyingOptions

  constructor(options: ReplyingOptions) {
    this.#options = options
  }

  /**
   * A request is never given back: by the time it came again nobody would wait for its answer. Rejects
   * when the command cannot be started at all.
   */
  async handle(message: ReceivedMessage): Promise<Handled> {
    const { clock, exec, execTimeoutMs, producer, remark } = this.#options
    const leftOut = reasonToLeaveOut(message, clock.wallMs())
    if (leftOut !== null) {
      this.counts.leftOut += 1
      remark(`${message.messageId} left out: ${leftOut}`)
      return 'done'
    }
    const result = await exec.run(message)
    const why = failureOfReply(result, execTimeoutMs)
    try {
      if (why !== null) throw new Error(why)
      await producer.send(replyTo(message, result.output))
      this.counts.answered += 1
    } catch (error) {
      this.counts.failed += 1
      remark(`${message.messageId} not answered: ${messageOf(error)}`)
    }
    return 'done'
  }
}

function reasonToLeaveOut(message: ReceivedMessage, nowMs: number): string | null {
  if (!isRequest(message)) return 'it is no request'
  const dueMs = replyDueMs(message)
  if (dueMs === null || nowMs <= dueMs) return null
  return `its sender stopped waiting ${formatDurationMs(nowMs - dueMs)} ago`
}

function failureOfReply(result: ExecResult, timeoutMs: number | null): string | null {
  const { output } = result
  if (output.length > OUTPUT_BYTES_MAX) return 'the command printed more than 4 MiB'
  const why = failureOfExec(result, timeoutMs)
  return why === null && output.length === 0 ? 'the command printed nothing' : why
}
