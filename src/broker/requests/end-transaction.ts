/**
 * END_TRANSACTION: a producer says what becomes of a half message, by itself or because it was
 * asked. Official clients send it one-way; whoever waits is answered once the outcome is stored.
 * Source: apache/rocketmq broker/…/processor/EndTransactionProcessor.java.
 */
import { ResponseCode } from '../../protocol/codes.ts'
import { type Command, respond, SerializeType } from '../../protocol/command.ts'
import type { EndRequest } from '../../protocol/end-request.ts'
import { SUCCESS_BYTES_MAX, writeSuccess } from '../../protocol/send-answer.ts'
import { SysFlag } from '../../protocol/sys-flag.ts'
import type { Connection } from '../../remoting/connection.ts'
import { CONFIRMATIONS_MAX } from '../confirmations.ts'
import type { BrokerContext, RequestHandler } from '../context.ts'
import { Refusal } from '../refusal.ts'
import { flagField, integerField, textField } from './fields.ts'

export const endTransaction: RequestHandler = (context, connection, command) => {
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
  const end = { producerGroup, queueOffset, physicalOffset, decision, isAnswer }
  const isFound = context.transactions.endNow(end)
  if (isFound === null) {
    return context.transactions.end(end).then((found) => {
      onceStored(context, connection, command, found)
      return null
    })
  }
  onceStored(context, connection, command, isFound)
  return null
}

/**
 * The same for one that was read as bytes, where it ends at once. False: nothing was done, it has to be
 * read the other way. Throws a Refusal.
 */
export function endAtOnce(
  context: BrokerContext,
  connection: Connection,
  end: EndRequest,
): boolean {
  if (context.confirmations.count >= CONFIRMATIONS_MAX) return false
  const isFound = context.transactions.endNow(end)
  if (isFound === null) return false
  onceStored(context, connection, end, isFound)
  return true
}

/** Answers who waits, once what was decided is confirmed. */
function onceStored(
  { transactions, confirmations, store }: BrokerContext,
  connection: Connection,
  asked: Pick<Command, 'isOneway' | 'opaque' | 'serializeType'>,
  isFound: boolean,
): void {
  if (asked.isOneway) return
  const { opaque, serializeType } = asked
  // One operation record tells of all that end within some milliseconds, unless somebody waits for it.
  if (!isFound) transactions.ops.flush()
  confirmations.tell(store.watermarks.appended, (fault) => {
    if (connection.isClosed) return
    if (fault !== null) {
      const why = `the message was not stored: ${fault}`
      connection.reply(respond({ opaque, serializeType }, ResponseCode.SYSTEM_ERROR, why))
    } else if (serializeType !== SerializeType.json) {
      connection.reply(respond({ opaque, serializeType }, ResponseCode.SUCCESS))
    } else {
      const { out } = connection
      const at = out.reserve(SUCCESS_BYTES_MAX)
      out.length = writeSuccess(out.bytes, at, opaque)
      connection.touch()
    }
  })
}

/** Null: unknown; with Apache also bits that mean nothing. */
function decisionOf(bits: number): 'commit' | 'rollback' | null {
  if (bits === SysFlag.transactionCommit) return 'commit'
  return bits === SysFlag.transactionRollback ? 'rollback' : null
}
