/** Which dead letters a command means: `--from`, `--to`, `--id`. */
import { Flags } from '@oclif/core'
import type { DeadLetterSpan } from '../client/dead-letters.ts'
import type { ReceivedMessage } from '../client/received-message.ts'
import { originalIdOf } from '../client/resent-message.ts'
import { parsePosition } from './position.ts'

export const deadLetterFlags = {
  from: Flags.string({
    summary: 'Where to begin; default start. See mqctl help time.',
    helpValue: '<position>',
  }),
  to: Flags.string({ summary: 'Where to stop; default end.', helpValue: '<position>' }),
  id: Flags.string({
    summary: 'Only the message with this id; repeatable.',
    multiple: true,
    multipleNonGreedy: true,
  }),
} as const

/** From the first to the last one when nothing is said. Throws VALUE_INVALID. */
export function spanOfFlags(
  flags: { readonly from?: string | undefined; readonly to?: string | undefined },
  nowMs: number,
): DeadLetterSpan {
  return {
    from: flags.from === undefined ? { kind: 'start' } : parsePosition(flags.from, nowMs),
    to: flags.to === undefined ? { kind: 'end' } : parsePosition(flags.to, nowMs),
  }
}

/** Whether a message is meant by `--id`: by its own id, its place, or the place of its first copy. */
export function isMeant(message: ReceivedMessage, ids: readonly string[] | undefined): boolean {
  if (ids === undefined) return true
  const wanted = ids.map((id) => id.toUpperCase())
  return [message.messageId, message.offsetMessageId, originalIdOf(message)].some((id) =>
    wanted.includes(id.toUpperCase()),
  )
}
