/**
 * The agent of `mqctl bench agent`: it lets a bench on another host put load processes here and
 * have this host sampled. It takes numbers and names of what to send, and no command or path; the
 * targets are its own to allow, and it serves one run at a time.
 */
import { MqError, messageOf } from '../../base/errors.ts'
import { isLoopback } from '../../base/loopback.ts'
import type { ByteStream, Listener } from '../../world/net.ts'
import type { SecureNet, TlsIdentity } from '../../world/secure-net.ts'
import type { World } from '../../world/world.ts'
import { type AgentOptions, AgentSession } from './session.ts'

/** Connections at once, strangers included. */
const SESSIONS_MAX = 8
const TICK_MS = 1_000

export class AgentServer {
  readonly #world: World
  readonly #options: AgentOptions
  readonly #sessions = new Set<AgentSession>()
  /** Runs that it has begun to serve. */
  served = 0
  #listener: Listener | null = null
  #stopTicks: () => void = () => undefined

  /**
   * @param identity null for plain text, which is for the loopback alone
   * @throws MqError AGENT_NEEDS_TLS, PORT_TAKEN, START_FAILED
   */
  static async start(
    world: World,
    secureNet: SecureNet,
    where: { readonly host: string; readonly port: number },
    identity: TlsIdentity | null,
    options: AgentOptions,
  ): Promise<AgentServer> {
    const { host, port } = where
    if (identity === null && !isLoopback(host)) throw new MqError('AGENT_NEEDS_TLS', { host })
    const agent = new AgentServer(world, options)
    const accept = (stream: ByteStream) => {
      agent.#accept(stream)
    }
    try {
      agent.#listener =
        identity === null
          ? await world.net.listen(host, port, accept)
          : await secureNet.listen(host, port, identity, accept)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
        throw new MqError('PORT_TAKEN', { port, host, flag: '--listen' })
      }
      const hint = 'is the address one of this host, and do certificate and key belong together?'
      throw new MqError('START_FAILED', { what: 'the agent', why: messageOf(error), hint })
    }
    agent.#stopTicks = world.clock.every(TICK_MS, () => {
      const nowMs = world.clock.monotonicMs()
      for (const session of agent.#sessions) session.tick(nowMs)
    })
    return agent
  }

  private constructor(world: World, options: AgentOptions) {
    this.#world = world
    this.#options = options
  }

  get port(): number {
    return this.#listener?.port ?? 0
  }

  /** Ends the run that it serves, and listens no more. */
  async close(): Promise<void> {
    this.#stopTicks()
    await this.#listener?.close()
    for (const session of this.#sessions) session.end('the agent was stopped')
  }

  #accept(stream: ByteStream): void {
    if (this.#sessions.size >= SESSIONS_MAX) {
      stream.destroy()
      return
    }
    const session = new AgentSession(this.#world, stream, this.#options, {
      claim: () => {
        if ([...this.#sessions].some((other) => other.isProved)) return false
        this.served += 1
        return true
      },
      onEnd: () => {
        this.#sessions.delete(session)
      },
    })
    this.#sessions.add(session)
  }
}
