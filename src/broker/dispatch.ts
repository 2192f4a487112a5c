/**
 * Which request goes where. Sends and pulls have paths of their own; everything else is one row of
 * `requests/table.ts`. A request that cannot be answered is refused, never dropped: silence makes an
 * official client wait and then close its connection.
 */
import { messageOf } from '../base/errors.ts'
import { RequestCode, ResponseCode, requestCodeName } from '../protocol/codes.ts'
import { type Command, respond } from '../protocol/command.ts'
import type { Connection, ConnectionHandler } from '../remoting/connection.ts'
import type { BrokerContext } from './context.ts'
import type { ReadPath } from './read-path.ts'
import { Refusal } from './refusal.ts'
import { requestTable } from './requests/table.ts'
import type { WritePath } from './write-path.ts'

export class Dispatch implements ConnectionHandler {
  readonly #context: BrokerContext
  readonly #writePath: WritePath
  readonly #readPath: ReadPath

  constructor(context: BrokerContext, writePath: WritePath, readPath: ReadPath) {
    this.#context = context
    this.#writePath = writePath
    this.#readPath = readPath
  }

  onFrame(connection: Connection, bytes: Buffer, start: number, end: number): boolean {
    return (
      this.#writePath.onFrame(connection, bytes, start, end) ||
      this.#readPath.onFrame(connection, bytes, start, end)
    )
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

  #answer(connection: Connection, command: Command, answer: Command | null): void {
    if (answer !== null && !command.isOneway) connection.reply(answer)
  }

  #refuse(connection: Connection, command: Command, error: unknown): void {
    if (error instanceof Refusal) {
      this.#answer(connection, command, respond(command, error.code, error.message))
      return
    }
    this.#context.logger.error('a request failed', {
      request: requestCodeName(command.code),
      peer: connection.remoteAddress,
      error: messageOf(error),
    })
    this.#answer(connection, command, respond(command, ResponseCode.SYSTEM_ERROR, messageOf(error)))
  }
}
