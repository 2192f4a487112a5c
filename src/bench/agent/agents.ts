/**
 * The agents of one run: some carry load, the others only have their hosts sampled. The run's load
 * processes are dealt out to those with load in turn, the producers first.
 */
import type { HostUsage } from '../../host/usage.ts'
import type { SecureNet } from '../../world/secure-net.ts'
import type { World } from '../../world/world.ts'
import type { CrewMember } from '../crew.ts'
import type { ConsumerSetup, ProducerClocks } from '../role-messages.ts'
import { type ClockReading, errorOver } from './clock-gauge.ts'
import { type AgentBroker, AgentLink, type AgentMark, type SampleRequest } from './link.ts'

export interface AgentsOptions {
  /** HOST:PORT of agents that carry the load. */
  readonly load: readonly string[]
  /** HOST:PORT of agents whose hosts are only sampled. */
  readonly watch: readonly string[]
  readonly token: Buffer
  /** PEM of the authority of their certificates; null for those that Node trusts. */
  readonly authority: Buffer | null
  readonly secureNet: SecureNet
}

/** An agent as a run saw it, from beginning to end. */
export interface AgentRecord {
  /** HOST:PORT. */
  readonly address: string
  readonly facts: Readonly<Record<string, unknown>> & { readonly name: string }
  readonly carriesLoad: boolean
  readonly brokers: readonly AgentBroker[]
  /** In the measured window; null when it went away before its end. */
  readonly usage: HostUsage | null
  readonly samplerCores: number
  readonly firstMark: AgentMark | null
  readonly lastMark: AgentMark | null
  readonly clock: AgentClock
  /** Why it went away; null when it did not. */
  readonly lost: string | null
}

export interface AgentClock {
  /** What it was ahead of the clock of the host that runs the bench, nanoseconds. */
  readonly offsetNs: number
  /** The offset was not farther away than this, from the beginning to the end of the run; null when it could not be read again. */
  readonly errorNs: number | null
  /** Of the first reading. */
  readonly uncertaintyNs: number
}

interface Agent {
  readonly link: AgentLink
  readonly carriesLoad: boolean
  readonly firstClock: ClockReading
  lastClock: ClockReading | null
  brokers: readonly AgentBroker[]
  firstMark: AgentMark | null
  lastMark: AgentMark | null
}

export class Agents {
  readonly #agents: readonly Agent[]
  readonly #load: readonly Agent[]

  /**
   * Reaches all of them, or none. Rejects with MqError AGENT_UNREACHABLE or AGENT_REFUSED.
   *
   * @param onLost called when one goes away
   */
  static async open(
    world: World,
    options: AgentsOptions,
    onLost: (address: string, why: string, carriesLoad: boolean) => void,
  ): Promise<Agents> {
    const { load, watch, token, authority, secureNet } = options
    const opened: Agent[] = []
    try {
      for (const address of new Set([...load, ...watch])) {
        const carriesLoad = load.includes(address)
        const link = await AgentLink.open({
          clock: world.clock,
          net: world.net,
          secureNet,
          address,
          token,
          authority,
          onLost: (why) => {
            onLost(address, why, carriesLoad)
          },
        })
        opened.push({
          link,
          carriesLoad,
          firstClock: link.clock,
          lastClock: null,
          brokers: [],
          firstMark: null,
          lastMark: null,
        })
      }
    } catch (error) {
      for (const { link } of opened) link.close()
      throw error
    }
    return new Agents(opened)
  }

  private constructor(agents: readonly Agent[]) {
    this.#agents = agents
    this.#load = agents.filter(({ carriesLoad }) => carriesLoad)
  }

  /** Whether the load runs at agents, and not on this host. */
  get carryLoad(): boolean {
    return this.#load.length > 0
  }

  /** Where each producer runs; empty when on this host. */
  placesOf(producers: number): readonly AgentLink[] {
    return Array.from({ length: producers }, (_, producer) => this.#at(producer)?.link).filter(
      (link) => link !== undefined,
    )
  }

  /** Members, producers first, with their places, and consumers with the clocks of their producers. */
  place(members: readonly CrewMember[]): CrewMember[] {
    return members.map((member, index): CrewMember => {
      const { setup } = member
      const agent = this.#at(index)
      if (agent === undefined) return member
      const placed = { ...member, place: agent.link }
      return setup.kind === 'producer'
        ? placed
        : { ...placed, setup: { ...setup, producerClocks: this.#clocksFor(agent, setup) } }
    })
  }

  /** Samples all hosts from now on. */
  async sample(
    asked: SampleRequest,
    onUsage: (address: string, atNs: number, usage: HostUsage) => void,
  ): Promise<void> {
    await this.#all(async (agent) => {
      agent.link.onUsage = (atNs, usage) => {
        onUsage(agent.link.host, atNs, usage)
      }
      agent.brokers = await agent.link.sample(asked)
    })
  }

  /** The window begins. */
  async markFirst(): Promise<void> {
    await this.#all(async (agent) => {
      agent.firstMark = await agent.link.mark()
    })
  }

  /** The window is over. */
  async markLast(): Promise<void> {
    await this.#all(async (agent) => {
      agent.lastMark = await agent.link.mark()
    })
  }

  /** Reads the clocks again: how far they have moved is known then. */
  async readClocks(): Promise<void> {
    await this.#all(async (agent) => {
      agent.lastClock = await agent.link.readClock()
    })
  }

  get records(): AgentRecord[] {
    return this.#agents.map(
      ({ link, carriesLoad, firstClock, lastClock, brokers, firstMark, lastMark }) => ({
        address: link.host,
        facts: link.facts,
        carriesLoad,
        brokers,
        usage: firstMark === null ? null : (lastMark?.usage ?? null),
        samplerCores: lastMark?.samplerCores ?? 0,
        firstMark,
        lastMark,
        clock: {
          offsetNs: firstClock.offsetNs,
          uncertaintyNs: firstClock.uncertaintyNs,
          errorNs: lastClock === null ? null : errorOver(firstClock, lastClock),
        },
        lost: link.lost,
      }),
    )
  }

  close(): void {
    for (const { link } of this.#agents) link.close()
  }

  #at(index: number): Agent | undefined {
    return this.#load[index % Math.max(1, this.#load.length)]
  }

  /** Null when all producers are beside the consumer. */
  #clocksFor(consumer: Agent, { producers }: ConsumerSetup): ProducerClocks | null {
    const aheadNs: number[] = []
    const toleranceNs: number[] = []
    for (let index = 0; index < producers; index += 1) {
      const producer = this.#at(index) ?? consumer
      const isBeside = producer === consumer
      aheadNs.push(isBeside ? 0 : consumer.firstClock.offsetNs - producer.firstClock.offsetNs)
      toleranceNs.push(
        isBeside ? 0 : consumer.firstClock.uncertaintyNs + producer.firstClock.uncertaintyNs,
      )
    }
    return toleranceNs.every((one) => one === 0) ? null : { aheadNs, toleranceNs }
  }

  async #all(work: (agent: Agent) => Promise<void>): Promise<void> {
    await Promise.all(this.#agents.map(work))
  }
}
