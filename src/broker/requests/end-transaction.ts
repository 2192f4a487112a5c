/**
 * END_TRANSACTION: a producer says what becomes of a half message, by itself or because it was
 * asked. Official clients send it one-way; whoever waits is answered once the outcome is stored.
 * Source: apache/rocketmq broker/…/processor/EndTransactionProcessor.java.
 */
import { ResponseCode } from '../../protocol/codes.ts'
import { respond } from '../../protocol/command.ts'
import { SysFlag } from '../../protocol/sys-flag.ts'
import { CONFIRMATIONS_MAX } from '../confirmations.ts'
import type { RequestHandler } from '../context.ts'
import { Refusal } from '../refusal.ts'
import { flagField, integerField, textField } from './fields.ts'

export const endTransaction: RequestHandler = async (context, connection, command) => {
  const isAnswer = flagField(command, 'fromTransactionCheck')
  const producerGroup = textField(command, 'producerGroup')
  const queueOffset = integerField(command, 'tranStateTableOffset')
  const physicalOffset = integerField(command, 'commitLogOffset')
  const decision = decisionOf(integerField(command, 'commitOrRollback', 0, 0xff))
  if (context.confirmations.count >= CONFIRMATIONS_MAX) {
    throw new Refusal(ResponseCode.SYSTEM_BUSY, 'too many transactions end at once')
  }
  if (decision === null) {
    // The sender does not know yet: it will be asked.
    context.logger.info('transaction stays open', {
      group: producerGroup.slice(0, 200),
      peer: connection.remoteAddress,
      why: (command.remark ?? '').slice(0, 300),
    })
    return respond(command, ResponseCode.SUCCESS)
  }
  const isFound = await context.transactions.end({
    producerGroup,
    queueOffset,
    physicalOffset,
    decision,
    isAnswer,
  })
  if (command.isOneway) return null
  // One operation record tells of all that end in this turn, unless somebody waits for it.
  if (!isFound) context.transactions.ops.flush()
  const fault = await context.confirmations.wait(context.store.watermarks.appended)
  if (fault === null) return respond(command, ResponseCode.SUCCESS)
  throw new Refusal(ResponseCode.SYSTEM_ERROR, `the message was not stored: ${fault}`)
}

/** Null: unknown; with Apache also bits that mean nothing. */
function decisionOf(bits: number): 'commit' | 'rollback' | null {
  if (bits === SysFlag.transactionCommit) return 'commit'
  return bits === SysFlag.transactionRollback ? 'rollback' : null
}
