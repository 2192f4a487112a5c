/** Accepts connections that carry frames; name server and broker both stand on it. */
import { MqError, systemCodeOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Listener } from '../world/net.ts'
import type { World } from '../world/world.ts'
import { Connection, type ConnectionHandler, FlushList } from './connection.ts'

export interface RemotingServerOptions {
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
  /** Connections beyond this are closed at once. */
  readonly connectionsMax?: number
  /** A connection that sends nothing for this long is closed; Apache's figure by default. */
  readonly idleMsMax?: number
}

const CONNECTIONS_MAX = 20_000
const IDLE_MS_MAX = 120_000
/** Granularity of every time-out on these connections. */
const TICK_MS = 100

export class RemotingServer {
  readonly connections = new Set<Connection>()
  readonly flushList: FlushList
  readonly #world: World
  readonly #handler: ConnectionHandler
  readonly #logger: Logger
  readonly #connectionsMax: number
  readonly #idleMsMax: number
  #listener: Listener | null = null
  #stopTick: () => void = () => undefined
  #refusedCount = 0

  private constructor(
    world: World,
    options: RemotingServerOptions,
    handler: ConnectionHandler,
    logger: Logger,
  ) {
    this.#world = world
    this.#logger = logger
    this.#connectionsMax = options.connectionsMax ?? CONNECTIONS_MAX
    this.#idleMsMax = options.idleMsMax ?? IDLE_MS_MAX
    this.flushList = new FlushList(world.clock)
    const onFrame = handler.onFrame?.bind(handler)
    this.#handler = {
      ...(onFrame ? { onFrame } : {}),
      onCommand: (connection, command) => {
        handler.onCommand(connection, command)
      },
      onClose: (connection, reason) => {
        this.connections.delete(connection)
        if (reason !== 'closed by the peer' && reason !== 'shutting down') {
          this.#logger.info('connection closed', { peer: connection.remoteAddress, reason })
        }
        handler.onClose(connection, reason)
      },
    }
  }

  /** Rejects with MqError PORT_TAKEN when the port is in use. */
  static async listen(
    world: World,
    options: RemotingServerOptions,
    handler: ConnectionHandler,
    logger: Logger,
  ): Promise<RemotingServer> {
    const server = new RemotingServer(world, options, handler, logger)
    try {
      server.#listener = await world.net.listen(options.host, options.port, (stream) => {
        if (server.connections.size >= server.#connectionsMax) {
          server.#refusedCount++
          stream.destroy()
          return
        }
        server.connections.add(
          new Connection(stream, world.clock, server.#handler, server.flushList),
        )
      })
    } catch (error) {
      if (systemCodeOf(error) !== 'EADDRINUSE') throw error
      throw new MqError(
        'PORT_TAKEN',
        { port: options.port, host: options.host, flag: '--port' },
        { cause: error },
      )
    }
    server.#stopTick = world.clock.every(TICK_MS, () => {
      server.#tick()
    })
    return server
  }

  get port(): number {
    return this.#listener?.port ?? 0
  }

  /** Connections that were turned away because there were too many. */
  get refusedCount(): number {
    return this.#refusedCount
  }

  /** Stops accepting, sends what is collected, closes every connection. */
  async close(): Promise<void> {
    this.#stopTick()
    await this.#listener?.close()
    for (const connection of this.connections) connection.end('shutting down')
    // A peer that does not close its side must not keep us.
    await new Promise<void>((resolve) => {
      this.#world.clock.atEndOfTurn(resolve)
    })
    for (const connection of this.connections) connection.close('shutting down')
  }

  #tick(): void {
    const nowMs = this.#world.clock.monotonicMs()
    for (const connection of this.connections) connection.tick(nowMs, this.#idleMsMax)
  }
}
