/**
 * Requests for what this broker does not do yet. They are refused with a remark that says so; none
 * of them is answered as if it had been done.
 */
import { ResponseCode } from '../../protocol/codes.ts'
import { requestCodeName } from '../../protocol/codes.ts'
import { respond } from '../../protocol/command.ts'
import type { RequestHandler } from '../context.ts'

function notBuilt(what: string): RequestHandler {
  return (_context, _connection, command) =>
    respond(
      command,
      ResponseCode.REQUEST_CODE_NOT_SUPPORTED,
      `${requestCodeName(command.code)}: ${what}`,
    )
}

export const followers = notBuilt('followers are not available on this broker yet')

export const accessControl = notBuilt('access control is not available on this broker yet')

export const staticTopics = notBuilt('static topics are not available on this broker yet')
