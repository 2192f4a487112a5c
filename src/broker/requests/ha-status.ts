/**
 * GET_BROKER_HA_STATUS: a leader without followers, told as it is.
 * Source: apache/rocketmq remoting/…/body/HARuntimeInfo.java.
 */
import { ResponseCode } from '../../protocol/codes.ts'
import { respond } from '../../protocol/command.ts'
import { jsonBody } from '../../protocol/lenient-json.ts'
import type { RequestHandler } from '../context.ts'

export const haStatus: RequestHandler = (context, _connection, command) => {
  const body = jsonBody({
    haClientRuntimeInfo: {},
    haConnectionInfo: [],
    inSyncSlaveNums: 0,
    master: true,
    masterCommitLogMaxOffset: context.store.watermarks.confirmed,
  })
  return respond(command, ResponseCode.SUCCESS, null, {}, body)
}
