/**
 * Why a message or a batch is not stored: with Apache's code where Apache has one, and a remark always.
 * Source of the checks: apache/rocketmq broker/…/processor/{AbstractSendMessageProcessor,SendMessageProcessor}.java.
 */
import type { BatchReader } from '../../protocol/batch-body.ts'
import { ResponseCode } from '../../protocol/codes.ts'
import { DELAY_LEVEL_MAX } from '../../protocol/delay-levels.ts'
import { PROPERTIES_BYTES_MAX } from '../../protocol/properties.ts'
import { SysFlag } from '../../protocol/sys-flag.ts'
import { type AppendRequest, AppendStatus } from '../../store/append.ts'
import { delayLevelIn } from '../delay/delayed-message.ts'

export interface SendFault {
  readonly code: number
  readonly remark: string
}

/**
 * What is wrong with a message, null when nothing is: it asks for what this broker cannot do, or is beyond
 * the limits. `suffixBytes`: what the broker adds to its properties.
 */
export function faultOfMessage(
  append: AppendRequest,
  bodyBytesMax: number,
  suffixBytes: number,
): SendFault | null {
  if (!append.scan.transaction && (append.sysFlag & SysFlag.transactionMask) !== 0) {
    return {
      code: ResponseCode.NO_PERMISSION,
      remark:
        'the message is marked as part of a transaction, but TRAN_MSG is missing from its properties',
    }
  }
  if ((append.sysFlag & (SysFlag.innerBatch | SysFlag.needUnwrap)) !== 0) {
    return illegal(
      'a sender does not make inner batches: the broker does, of a batch to a topic with queue.type=BatchCQ',
    )
  }
  const bodyBytes = append.bodyEnd - append.bodyStart
  if (bodyBytes > bodyBytesMax) {
    return illegal(`the body of ${bodyBytes} bytes is larger than maxMessageSize ${bodyBytesMax}`)
  }
  // One byte for the separator before what the broker adds.
  const propertiesBytes = append.propertiesEnd - append.propertiesStart + suffixBytes + 1
  return propertiesBytes > PROPERTIES_BYTES_MAX
    ? illegal(`the properties are longer than ${PROPERTIES_BYTES_MAX} bytes`)
    : null
}

/** What is wrong with one message only because it is one of a batch, or with what is asked for all of them. */
export function faultOfBatchItem(append: AppendRequest): SendFault | null {
  const { scan } = append
  const what =
    scan.delayStart >= 0 && delayLevelIn(append, DELAY_LEVEL_MAX) !== 0
      ? 'asks for a delay level'
      : scan.timer
        ? 'asks for a delivery time'
        : scan.transaction
          ? 'is half of a transaction'
          : null
  return what === null
    ? null
    : illegal(`the batch or one of its messages ${what}: send it by itself`)
}

/** @param count messages that were read from it */
export function faultOfBatch({ fault }: BatchReader, count: number): SendFault | null {
  if (fault === null && count > 0) return null
  return illegal(`not a batch: ${fault ?? 'it is empty'}`)
}

/** Why the store did not take it. */
export function faultOfAppend(status: AppendStatus): SendFault {
  switch (status) {
    case AppendStatus.busy:
      return {
        code: ResponseCode.SYSTEM_BUSY,
        remark: '[PC_SYNCHRONIZED]broker busy, start flow control for a while',
      }
    case AppendStatus.illegal:
      return illegal('the message is too large to be stored')
    case AppendStatus.full:
      return unavailable('the disk is full')
    case AppendStatus.failed:
      return unavailable('the disk failed, see the broker log')
    default:
      return unavailable('the broker is shutting down')
  }
}

function illegal(remark: string): SendFault {
  return { code: ResponseCode.MESSAGE_ILLEGAL, remark }
}

function unavailable(why: string): SendFault {
  return {
    code: ResponseCode.SERVICE_NOT_AVAILABLE,
    remark: `service not available now: ${why}`,
  }
}
