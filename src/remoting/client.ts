/** Connections to other processes by address, opened on demand and reused. */
import { MqError, messageOf } from '../base/errors.ts'
import type { Command } from '../protocol/command.ts'
import { sleep } from '../world/node-clock.ts'
import type { World } from '../world/world.ts'
import { Connection, type ConnectionHandler, FlushList } from './connection.ts'

export interface RemotingClientOptions {
  readonly connectTimeoutMs?: number
  /** A request of the peer (a broker notifies its consumers). Unanswered ones are simply ignored. */
  readonly onRequest?: (connection: Connection, command: Command) => void
  /** See ConnectionHandler.onFrame. */
  readonly onFrame?: (connection: Connection, bytes: Buffer, start: number, end: number) => boolean
  readonly onClose?: (address: string, connection: Connection, reason: string) => void
}

const CONNECT_TIMEOUT_MS = 3_000
/** Apache's client closes a silent connection after two minutes; pulls and heart-beats keep ours busy. */
const IDLE_MS_MAX = 120_000
const TICK_MS = 100
const DRAIN_LOOK_MS = 10

/** `host:port`, `[v6]:port`. Throws MqError USAGE when it is neither. */
export function splitAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:\s]+)):(\d{1,5})$/.exec(address)
  const port = Number(match?.[3])
  const host = match?.[1] ?? match?.[2]
  if (host === undefined || !(port >= 1 && port <= 65_535)) {
    throw new MqError('USAGE', { what: `${address} is not an address of the form HOST:PORT` })
  }
  return { host, port }
}

export class RemotingClient {
  readonly flushList: FlushList
  readonly #world: World
  readonly #options: RemotingClientOptions
  readonly #connections = new Map<string, Promise<Connection>>()
  /** Those that are there already: who invokes them has nothing to wait for. */
  readonly #ready = new Map<string, Connection>()
  readonly #open = new Set<Connection>()
  readonly #stopTick: () => void
  #closed = false

  constructor(world: World, options: RemotingClientOptions = {}) {
    this.#world = world
    this.#options = options
    this.flushList = new FlushList(world.clock)
    this.#stopTick = world.clock.every(TICK_MS, () => {
      const nowMs = world.clock.monotonicMs()
      for (const connection of this.#open) connection.tick(nowMs, IDLE_MS_MAX)
    })
  }

  /** The connection to an address, made when there is none. Rejects with MqError BROKER_UNREACHABLE. */
  connect(address: string): Promise<Connection> {
    const known = this.#connections.get(address)
    if (known !== undefined) return known
    const opening = this.#connect(address)
    this.#connections.set(address, opening)
    // The first to hear of it: whoever waits for it goes on before those who come from now on.
    opening.then(
      (connection) => {
        if (!connection.isClosed) this.#ready.set(address, connection)
      },
      () => {
        this.#connections.delete(address)
      },
    )
    return opening
  }

  /** Sends a request; resolves with its response whatever its code. Rejects with MqError. */
  invoke(address: string, command: Command, timeoutMs: number): Promise<Command> {
    const ready = this.#ready.get(address)
    if (ready !== undefined) return ready.invoke(command, timeoutMs)
    return this.connect(address).then((connection) => connection.invoke(command, timeoutMs))
  }

  /**
   * Sends a request that gets no answer. Resolves when it is handed to its connection, which has a few
   * MiB unsent at most, however long its peer does not read; rejects with MqError.
   */
  async oneway(address: string, command: Command): Promise<void> {
    const connection = this.#ready.get(address) ?? (await this.connect(address))
    await connection.onewayInTurn(command)
  }

  /** Resolves when the kernel has all that was sent, or after `timeoutMs`: false then. */
  async drained(timeoutMs: number): Promise<boolean> {
    const { clock } = this.#world
    const untilMs = clock.monotonicMs() + timeoutMs
    while ([...this.#open].some((connection) => connection.unsentBytes > 0)) {
      if (clock.monotonicMs() >= untilMs) return false
      await sleep(clock, DRAIN_LOOK_MS)
    }
    return true
  }

  /** Sends what is collected, then closes every connection. */
  close(): void {
    this.#closed = true
    this.#stopTick()
    for (const connection of this.#open) connection.end('closed by this side')
    this.#connections.clear()
    this.#ready.clear()
  }

  async #connect(address: string): Promise<Connection> {
    const { host, port } = splitAddress(address)
    if (this.#closed) {
      throw new MqError('CONNECTION_LOST', { address, why: 'closed by this side' })
    }
    let connection: Connection
    try {
      const stream = await this.#world.net.connect(
        host,
        port,
        this.#options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      )
      connection = new Connection(
        stream,
        this.#world.clock,
        this.#handlerFor(address),
        this.flushList,
        'client',
      )
    } catch (error) {
      throw new MqError('BROKER_UNREACHABLE', { address, why: messageOf(error) }, { cause: error })
    }
    this.#open.add(connection)
    if (this.#closed as boolean) connection.close('closed by this side')
    return connection
  }

  #handlerFor(address: string): ConnectionHandler {
    const { onRequest, onFrame, onClose } = this.#options
    return {
      ...(onFrame ? { onFrame } : {}),
      onCommand: (connection, command) => {
        onRequest?.(connection, command)
      },
      onClose: (connection, reason) => {
        this.#open.delete(connection)
        this.#connections.delete(address)
        this.#ready.delete(address)
        onClose?.(address, connection, reason)
      },
    }
  }
}
