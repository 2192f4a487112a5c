/**
 * The part that producers, consumers and administration share: connections, routes, heart-beats,
 * and what brokers ask of a client. Close it and its connections close.
 * Source: apache/rocketmq client/…/impl/factory/MQClientInstance.java.
 */
import { MqError, messageOf } from '../base/errors.ts'
import { type Logger, silentLogger } from '../base/logger.ts'
import type { ConsumerData } from '../protocol/bodies/consumer-data.ts'
import { encodeHeartbeatData } from '../protocol/bodies/heartbeat-data.ts'
import { RequestCode, ResponseCode } from '../protocol/codes.ts'
import { type Command, type ExtValues, request, respond } from '../protocol/command.ts'
import { RemotingClient } from '../remoting/client.ts'
import type { Connection } from '../remoting/connection.ts'
import type { Stop } from '../world/clock.ts'
import type { World } from '../world/world.ts'
import { parseNameServers } from './addresses.ts'
import { type AskedFor, expectSuccess, refusalOf } from './answers.ts'
import { makeClientId } from './client-id.ts'
import { NameServers } from './name-servers.ts'
import { RouteCache } from './routes.ts'

export interface ClientOptions {
  /** `host:port`, several separated by `;` or as a list. */
  readonly nameServers: string | readonly string[]
  /** Unique within its groups; made up when not given. */
  readonly clientId?: string
  /** For requests that say nothing else; default 5,000 ms. */
  readonly requestTimeoutMs?: number
  readonly logger?: Logger
}

/** A producer or consumer that brokers must know of. */
export interface GroupMember {
  /** Group of a producer, else null. */
  readonly producerGroup: string | null
  /** Part of the heart-beat of a consumer, else null. */
  consumerData(): ConsumerData | null
  /**
   * A request of a broker; the response, or null when it is for another member or has none.
   * @param address where it came from
   */
  onRequest(command: Command, address: string): Promise<Command | null> | Command | null
  /** Queues or addresses of a topic changed. */
  onRouteChange(topic: string): void
}

const REQUEST_TIMEOUT_MS = 5_000
const ROUTE_PERIOD_MS = 30_000
const HEARTBEAT_PERIOD_MS = 30_000
/** A broker that restarted has forgotten its clients: it hears from them this soon, then after 1 s, 2 s … 16 s. */
const LOOK_AFTER_LOSS_MS = 500
const LOOKS_AFTER_LOSS = 6

export class MqClient {
  readonly world: World
  readonly clientId: string
  readonly logger: Logger
  readonly requestTimeoutMs: number
  readonly nameServers: NameServers
  readonly routes: RouteCache
  readonly remoting: RemotingClient
  /** Protocol versions that brokers reported in their answers to heart-beats, by address. */
  readonly brokerVersions = new Map<string, number>()
  readonly #members = new Set<GroupMember>()
  readonly #stops: Stop[] = []
  #stopLooking: Stop | null = null
  #closed = false

  constructor(world: World, options: ClientOptions) {
    this.world = world
    this.clientId = options.clientId ?? makeClientId(world.random)
    this.logger = options.logger ?? silentLogger
    this.requestTimeoutMs = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS
    const addresses = parseNameServers(options.nameServers)
    this.remoting = new RemotingClient(world, {
      onRequest: (connection, command) => {
        void this.#answer(connection, command)
      },
      onClose: (address) => {
        this.#onConnectionLost(address)
      },
    })
    this.nameServers = new NameServers(addresses, this.remoting, world.random)
    this.routes = new RouteCache(world.clock, this.nameServers, this.requestTimeoutMs)
    this.routes.onChange = (topic) => {
      for (const member of this.#members) member.onRouteChange(topic)
    }
    this.#stops.push(
      world.clock.every(ROUTE_PERIOD_MS, () => {
        void this.routes.refreshAll()
      }),
      world.clock.every(HEARTBEAT_PERIOD_MS, () => {
        void this.heartbeat()
      }),
    )
  }

  get isClosed(): boolean {
    return this.#closed
  }

  /** Asks one process; its response when that is a success, else throws what `expectSuccess` says. */
  async ask(
    address: string,
    code: number,
    ext: ExtValues = {},
    body: Buffer | null = null,
    asked: AskedFor = {},
    timeoutMs: number = this.requestTimeoutMs,
  ): Promise<Command> {
    const response = await this.remoting.invoke(address, request(code, ext, body), timeoutMs)
    if (response.code === ResponseCode.SUCCESS) return response
    throw this.refusal(address, code, response, asked)
  }

  /** See `refusalOf`. What a broker says of a topic is remembered. */
  refusal(address: string, code: number, response: Command, asked: AskedFor): MqError {
    const { topic } = asked
    if (response.code === ResponseCode.TOPIC_NOT_EXIST && topic !== undefined) {
      this.routes.denied(topic)
    }
    return refusalOf(address, code, response, asked)
  }

  /** The same question to the name servers. */
  async askNameServer(
    code: number,
    ext: ExtValues = {},
    body: Buffer | null = null,
    asked: AskedFor = {},
  ): Promise<Command> {
    const make = () => request(code, ext, body)
    const response = await this.nameServers.ask(make, this.requestTimeoutMs)
    return expectSuccess(this.nameServers.active, code, response, asked)
  }

  /** The address of a broker's master. Throws BROKER_UNREACHABLE when no route has it. */
  masterOf(brokerName: string): string {
    const address = this.routes.brokerAddress(brokerName)
    if (address !== null) return address
    throw new MqError('BROKER_UNREACHABLE', {
      address: brokerName,
      why: 'no name server knows its master',
    })
  }

  join(member: GroupMember): void {
    this.#members.add(member)
  }

  leave(member: GroupMember): void {
    this.#members.delete(member)
  }

  /**
   * Tells brokers who is here: every broker when there is a consumer, else the masters. Never
   * throws: a broker that does not answer hears the next one.
   */
  async heartbeat(onlyAddress: string | null = null): Promise<void> {
    const members = [...this.#members]
    const consumers = members.map((member) => member.consumerData()).filter((data) => data !== null)
    const producerGroups = members
      .map((member) => member.producerGroup)
      .filter((group) => group !== null)
    if (consumers.length === 0 && producerGroups.length === 0) return
    const body = encodeHeartbeatData({
      clientId: this.clientId,
      producerGroups: [...new Set(producerGroups)],
      consumers,
      heartbeatFingerprint: 0,
      withoutSub: false,
    })
    const addresses =
      onlyAddress === null ? this.routes.brokerAddresses(consumers.length === 0) : [onlyAddress]
    await Promise.all(
      addresses.map(async (address) => {
        try {
          const response = await this.ask(address, RequestCode.HEART_BEAT, {}, body)
          this.brokerVersions.set(address, response.version)
        } catch (error) {
          this.logger.warn('heart-beat failed', { address, why: messageOf(error) })
        }
      }),
    )
  }

  /** Tells every broker that a group has lost this client. Never throws. */
  async unregister(groups: { producerGroup?: string; consumerGroup?: string }): Promise<void> {
    const ext = { clientID: this.clientId, ...groups }
    await Promise.allSettled(
      this.routes
        .brokerAddresses(false)
        .map((address) => this.ask(address, RequestCode.UNREGISTER_CLIENT, ext, null, {}, 1_000)),
    )
  }

  /** Closes every connection. What is in flight fails. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#stopLooking?.()
    for (const stop of this.#stops) stop()
    this.remoting.close()
  }

  #onConnectionLost(address: string): void {
    this.brokerVersions.delete(address)
    if (this.#closed || this.#members.size === 0 || this.nameServers.addresses.includes(address)) {
      return
    }
    this.#stopLooking?.()
    this.#lookAgain(0)
  }

  /** After a loss, routes change and brokers come back: look soon, and then less and less often. */
  #lookAgain(round: number): void {
    if (round === LOOKS_AFTER_LOSS) {
      this.#stopLooking = null
      return
    }
    const delayMs = LOOK_AFTER_LOSS_MS * 2 ** round
    this.#stopLooking = this.world.clock.after(delayMs, () => {
      this.#lookAgain(round + 1)
      void this.routes.refreshAll().then(() => this.heartbeat())
    })
  }

  async #answer(connection: Connection, command: Command): Promise<void> {
    let response: Command | null = null
    try {
      for (const member of this.#members) {
        response = await member.onRequest(command, connection.remoteAddress)
        if (response !== null) break
      }
    } catch (error) {
      this.logger.warn('request of a broker failed', { code: command.code, why: messageOf(error) })
      response = respond(command, ResponseCode.SYSTEM_ERROR, messageOf(error))
    }
    if (command.isOneway || silentRequests.has(command.code)) return
    // An answer that nobody waits for any more has arrived all the same.
    const isLate = command.code === RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT
    if (response === null && isLate) response = respond(command, ResponseCode.SUCCESS)
    connection.reply(
      response ??
        respond(
          command,
          ResponseCode.REQUEST_CODE_NOT_SUPPORTED,
          ` request type ${command.code} not supported`,
        ),
    )
  }
}

/** Requests that Java's clients do not answer either. */
const silentRequests: ReadonlySet<number> = new Set([
  RequestCode.CHECK_TRANSACTION_STATE,
  RequestCode.NOTIFY_CONSUMER_IDS_CHANGED,
  RequestCode.RESET_CONSUMER_CLIENT_OFFSET,
])
