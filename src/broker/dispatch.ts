/**
 * Which request goes where. Sends and pulls have paths of their own, and so has the usual end of a
 * transaction; everything else is one row of `requests/table.ts`. A request that cannot be answered is
 * refused, never dropped: silence makes an official client wait and then close its connection.
 */
import { messageOf } from '../base/errors.ts'
import { RequestCode, ResponseCode, requestCodeName } from '../protocol/codes.ts'
import { type Command, respond } from '../protocol/command.ts'
import { EndRequest } from '../protocol/end-request.ts'
import type { Connection, ConnectionHandler } from '../remoting/connection.ts'
import type { BrokerContext } from './context.ts'
import type { ReadPath } from './read-path.ts'
import { Refusal } from './refusal.ts'
import { endAtOnce } from './requests/end-transaction.ts'
import { requestTable } from './requests/table.ts'
import type { WritePath } from './write-path.ts'

/** Of a request, what an answer to it needs. */
type Asked = Pick<Command, 'code' | 'opaque' | 'serializeType' | 'isOneway'>

export class Dispatch implements ConnectionHandler {
  readonly #context: BrokerContext
  readonly #writePath: WritePath
  readonly #readPath: ReadPath
  readonly #end = new EndRequest()

  constructor(context: BrokerContext, writePath: WritePath, readPath: ReadPath) {
    this.#context = context
    this.#writePath = writePath
    this.#readPath = readPath
  }

  onFrame(connection: Connection, bytes: Buffer, start: number, end: number): boolean {
    return (
      this.#writePath.onFrame(connection, bytes, start, end) ||
      this.#readPath.onFrame(connection, bytes, start, end) ||
      this.#onEnd(connection, bytes, start, end)
    )
  }

  /** The end of a transaction; true when it was in its usual form and is taken care of. */
  #onEnd(connection: Connection, bytes: Buffer, start: number, stop: number): boolean {
    const end = this.#end
    if (!EndRequest.mayBe(bytes, start, stop) || !end.scan(bytes, start, stop)) return false
    try {
      return endAtOnce(this.#context, connection, end)
    } catch (error) {
      this.#refuse(connection, end, error)
      return true
    }
  }

  onCommand(connection: Connection, command: Command): void {
    switch (command.code) {
      case RequestCode.SEND_MESSAGE:
      case RequestCode.SEND_MESSAGE_V2:
      case RequestCode.SEND_BATCH_MESSAGE:
        this.#writePath.onCommand(connection, command)
        return
      case RequestCode.PULL_MESSAGE:
      case RequestCode.LITE_PULL_MESSAGE:
        this.#readPath.onCommand(connection, command)
        return
      default:
        this.#onColdCommand(connection, command)
    }
  }

  onClose(connection: Connection): void {
    this.#writePath.onClose(connection)
    this.#readPath.onClose(connection)
    this.#context.pops.waiting.onClose(connection)
    this.#context.clients.onClose(connection)
  }

  #onColdCommand(connection: Connection, command: Command): void {
    const handler = requestTable.get(command.code)
    if (handler === undefined) {
      this.#answer(
        connection,
        command,
        respond(
          command,
          ResponseCode.REQUEST_CODE_NOT_SUPPORTED,
          ` request type ${command.code} not supported`,
        ),
      )
      return
    }
    try {
      const answer = handler(this.#context, connection, command)
      if (answer instanceof Promise) {
        answer.then(
          (later) => {
            this.#answer(connection, command, later)
          },
          (error: unknown) => {
            this.#refuse(connection, command, error)
          },
        )
      } else this.#answer(connection, command, answer)
    } catch (error) {
      this.#refuse(connection, command, error)
    }
  }

  #answer(connection: Connection, asked: Asked, answer: Command | null): void {
    if (answer !== null && !asked.isOneway) connection.reply(answer)
  }

  #refuse(connection: Connection, asked: Asked, error: unknown): void {
    if (error instanceof Refusal) {
      this.#answer(connection, asked, respond(asked, error.code, error.message))
      return
    }
    this.#context.logger.error('a request failed', {
      request: requestCodeName(asked.code),
      peer: connection.remoteAddress,
      error: messageOf(error),
    })
    this.#answer(connection, asked, respond(asked, ResponseCode.SYSTEM_ERROR, messageOf(error)))
  }
}
