import { silentLogger } from '../../src/base/logger.ts'
import { encodeTopicRouteData } from '../../src/protocol/bodies/topic-route-data.ts'
import { RequestCode, ResponseCode } from '../../src/protocol/codes.ts'
import { type Command, type ExtValues, respond } from '../../src/protocol/command.ts'
import type { Connection } from '../../src/remoting/connection.ts'
import { RemotingServer } from '../../src/remoting/server.ts'
import { nodeWorld } from '../../src/world/node-world.ts'

/** Null: no answer at all. */
export type Script = (command: Command, connection: Connection) => Command | null

/** A server that answers as its script says and keeps what it was asked. */
export class ScriptedPeer {
  readonly asked: Command[] = []
  script: Script
  #server: RemotingServer | null = null

  private constructor(script: Script) {
    this.script = script
  }

  static async start(script: Script): Promise<ScriptedPeer> {
    const peer = new ScriptedPeer(script)
    peer.#server = await RemotingServer.listen(
      nodeWorld,
      { host: '127.0.0.1', port: 0 },
      {
        onCommand(connection, command) {
          peer.asked.push(command)
          const answer = peer.script(command, connection)
          if (answer !== null && !command.isOneway) connection.reply(answer)
        },
        onClose: () => undefined,
      },
      silentLogger,
    )
    return peer
  }

  get address(): string {
    return `127.0.0.1:${this.#server?.port ?? 0}`
  }

  countOf(code: number): number {
    return this.asked.filter((command) => command.code === code).length
  }

  of(code: number): Command[] {
    return this.asked.filter((command) => command.code === code)
  }

  async close(): Promise<void> {
    await this.#server?.close()
  }
}

/** The route of a topic over brokers `a`, `b` … at these addresses. */
export function routeBody(addresses: readonly string[], queues = 2, perm = 6): Buffer {
  const names = addresses.map((_, index) => String.fromCharCode(97 + index))
  return encodeTopicRouteData({
    brokerDatas: addresses.map((address, index) => ({
      cluster: 'C',
      brokerName: names[index] ?? '',
      brokerAddrs: new Map([[0, address]]),
      enableActingMaster: false,
    })),
    queueDatas: names.map((brokerName) => ({
      brokerName,
      readQueueNums: queues,
      writeQueueNums: queues,
      perm,
      topicSysFlag: 0,
    })),
    orderTopicConf: null,
    filterServerTable: {},
  })
}

/** A name server that knows these topics; the map may change while it runs. */
export function nameServerScript(routes: ReadonlyMap<string, Buffer>): Script {
  return (command) => {
    if (command.code !== RequestCode.GET_ROUTEINFO_BY_TOPIC) {
      return respond(command, ResponseCode.SUCCESS)
    }
    const body = routes.get(command.ext['topic'] ?? '')
    return body === undefined
      ? respond(command, ResponseCode.TOPIC_NOT_EXIST, 'no route')
      : respond(command, ResponseCode.SUCCESS, null, {}, body)
  }
}

/** Answers sends as stored; everything else with success. */
export function storing(given: ExtValues = {}): Script {
  let offset = 0
  return (command) => {
    const isSend = command.code === RequestCode.SEND_MESSAGE_V2
    const isBatch = command.code === RequestCode.SEND_BATCH_MESSAGE
    if (!isSend && !isBatch) return respond(command, ResponseCode.SUCCESS)
    const queueId = command.ext['e'] ?? '0'
    const fields = { msgId: '0'.repeat(32), queueId, queueOffset: offset, ...given }
    offset += 1
    return respond(command, ResponseCode.SUCCESS, null, fields)
  }
}

export function refusing(code: number, remark = 'no'): Script {
  return (command) =>
    command.code === RequestCode.HEART_BEAT
      ? respond(command, ResponseCode.SUCCESS)
      : respond(command, code, remark)
}
