/**
 * Tells every name server which topics this broker serves: all of them at the start and every 30 s,
 * the changed ones at once. Each name server is on its own: one that is slow, dead, or not yet
 * started delays nobody, and the broker serves its clients when all of them are down.
 *
 * A name server drops the broker when their connection closes; so a lost connection is made again
 * within a second.
 * Source: apache/rocketmq broker/…/out/BrokerOuterAPI.java, BrokerController.registerBrokerAll.
 */
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { bodyCrc32 } from '../protocol/bodies/register-broker-body.ts'
import { RequestCode, ResponseCode, responseCodeName } from '../protocol/codes.ts'
import { request } from '../protocol/command.ts'
import { RemotingClient } from '../remoting/client.ts'
import type { Clock, Stop } from '../world/clock.ts'
import type { World } from '../world/world.ts'
import type { BrokerSettings } from './options.ts'
import type { Topic, TopicChange, TopicTable } from './topics.ts'

const TICK_MS = 500
/** The broker serves while a name server does not answer. */
const START_MS_MAX = 1_500
const RETRY_MS_MIN = 1_000
const RETRY_MS_MAX = 10_000
const UNREGISTER_TIMEOUT_MS = 1_000
const PERMISSION_ALL = 6

/** One name server, as seen from here. */
interface NameServer {
  readonly address: string
  /** It has our whole table on the connection that is open now. */
  registered: boolean
  /** A request is under way; whatever changes meanwhile follows it. */
  busy: boolean
  /** It must get the whole table again. */
  wantsAll: boolean
  /** Topics that changed since it was last told. */
  readonly changed: Set<Topic>
  nextAtMs: number
  failures: number
}

export interface RegistrationParts {
  readonly world: World
  readonly settings: BrokerSettings
  readonly topics: TopicTable
  readonly logger: Logger
}

export class Registration {
  readonly #parts: RegistrationParts
  readonly #clock: Clock
  readonly #client: RemotingClient
  readonly #servers: NameServer[]
  #stopTick: Stop = () => undefined
  #closed = false
  #armed = false

  constructor(parts: RegistrationParts) {
    const { world, settings } = parts
    this.#parts = parts
    this.#clock = world.clock
    this.#client = new RemotingClient(world, {
      onClose: (address) => {
        this.#onLost(address)
      },
    })
    this.#servers = settings.namesrvAddresses.map((address) => ({
      address,
      registered: false,
      busy: false,
      wantsAll: true,
      changed: new Set(),
      nextAtMs: 0,
      failures: 0,
    }))
  }

  /**
   * Resolves when each name server has answered once or failed once, but soon in any case; goes on
   * with all of them.
   */
  start(): Promise<void> {
    this.#stopTick = this.#clock.every(TICK_MS, () => {
      this.#tick()
    })
    const all = Promise.all(this.#servers.map((server) => this.#register(server)))
    return new Promise((resolve) => {
      const stop = this.#clock.after(START_MS_MAX, resolve)
      void all.then(() => {
        stop()
        resolve()
      })
    })
  }

  /** Addresses of the name servers that know this broker now. */
  registeredWith(): string[] {
    return this.#servers.filter((server) => server.registered).map((server) => server.address)
  }

  /** Topics changed: every name server hears of it at the end of the turn. */
  onTopicChange(change: TopicChange): void {
    for (const server of this.#servers) {
      // Only the whole table says that a topic is gone.
      if (change.deleted.length > 0) server.wantsAll = true
      for (const topic of change.changed) server.changed.add(topic)
    }
    if (this.#armed || this.#closed) return
    this.#armed = true
    this.#clock.atEndOfTurn(() => {
      this.#armed = false
      for (const server of this.#servers) this.#pump(server)
    })
  }

  /** What clients may do with the broker changed: registers everything anew. */
  registerAll(): void {
    for (const server of this.#servers) {
      server.wantsAll = true
      this.#pump(server)
    }
  }

  /** Says goodbye to the name servers, so that clients look elsewhere at once. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#stopTick()
    const { settings } = this.#parts
    await Promise.all(
      this.#servers
        .filter((server) => server.registered)
        .map((server) =>
          this.#client
            .invoke(
              server.address,
              request(RequestCode.UNREGISTER_BROKER, {
                brokerName: settings.brokerName,
                brokerAddr: settings.advertisedAddress,
                clusterName: settings.clusterName,
                brokerId: settings.brokerId,
              }),
              UNREGISTER_TIMEOUT_MS,
            )
            .catch(() => undefined),
        ),
    )
    this.#client.close()
  }

  #tick(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const server of this.#servers) {
      if (nowMs >= server.nextAtMs) server.wantsAll = true
      if (nowMs >= server.nextAtMs || server.registered) this.#pump(server)
    }
  }

  #onLost(address: string): void {
    const server = this.#servers.find((one) => one.address === address)
    if (server === undefined || !server.registered || this.#closed) return
    server.registered = false
    server.wantsAll = true
    server.nextAtMs = this.#clock.monotonicMs() + RETRY_MS_MIN
    this.#parts.logger.warn('name server lost', { namesrv: address })
  }

  /** Sends what this name server does not know yet, unless a request is under way. */
  #pump(server: NameServer): void {
    if (server.busy || this.#closed) return
    if (!server.wantsAll && server.changed.size === 0) return
    // One that does not answer is asked when its time has come, not on every change.
    if (!server.registered && this.#clock.monotonicMs() < server.nextAtMs) return
    void this.#register(server)
  }

  /** Never rejects. */
  async #register(server: NameServer): Promise<void> {
    const { settings, topics, logger } = this.#parts
    server.busy = true
    const all = server.wantsAll || !server.registered
    const changed = [...server.changed].filter((topic) => !topic.deleted)
    server.wantsAll = false
    server.changed.clear()
    try {
      const { brokerPermission } = settings
      const mask = brokerPermission === PERMISSION_ALL ? -1 : brokerPermission
      const wrapper = await topics.wrapperJson(all ? null : changed, mask)
      const body = Buffer.from(`{"filterServerList":[],"topicConfigSerializeWrapper":${wrapper}}`)
      const answer = await this.#client.invoke(
        server.address,
        request(
          RequestCode.REGISTER_BROKER,
          {
            brokerName: settings.brokerName,
            brokerAddr: settings.advertisedAddress,
            clusterName: settings.clusterName,
            haServerAddr: settings.haAddress,
            brokerId: settings.brokerId,
            enableActingMaster: false,
            compressed: false,
            bodyCrc32: bodyCrc32(body),
          },
          body,
        ),
        settings.registerTimeoutMs,
      )
      if (answer.code !== ResponseCode.SUCCESS) {
        throw new Error(`${responseCodeName(answer.code)} ${answer.remark ?? ''}`)
      }
      if (!server.registered) {
        logger.info('registered with name server', { namesrv: server.address, topics: topics.size })
      }
      server.registered = true
      server.failures = 0
      if (all) server.nextAtMs = this.#clock.monotonicMs() + settings.registerPeriodMs
    } catch (error) {
      this.#failed(server, messageOf(error))
    } finally {
      server.busy = false
    }
    if (server.registered) this.#pump(server)
  }

  #failed(server: NameServer, why: string): void {
    if (this.#closed) return
    if (server.registered || server.failures === 0) {
      this.#parts.logger.warn('name server does not take our registration', {
        namesrv: server.address,
        why,
      })
    }
    server.registered = false
    server.wantsAll = true
    server.failures++
    const waitMs = Math.min(RETRY_MS_MIN * 2 ** (server.failures - 1), RETRY_MS_MAX)
    server.nextAtMs = this.#clock.monotonicMs() + waitMs
  }
}
