/**
 * The agents of one run: some carry load, the others only have their hosts sampled. The run's load
 * processes are dealt out to those with load in turn, the producers first.
 */
import type { HostUsage } from '../../host/usage.ts'
import type { SecureNet } from '../../world/secure-net.ts'
import type { World } from '../../world/world.ts'
import type { Clock, Stop } from '../../world/clock.ts'
import type { CrewMember } from '../crew.ts'
import type { AgentsLook } from '../host-look.ts'
import type { ProducerClocks } from '../role-messages.ts'
import type { ClockReading } from './clock-gauge.ts'
import { type AgentBroker, AgentLink, type AgentMark, type SampleRequest } from './link.ts'

export interface AgentsOptions {
  /** HOST:PORT of agents that carry the load. */
  readonly load: readonly string[]
  /** Agents whose hosts are only sampled, unless they carry load as well. */
  readonly watch: readonly WatchedHost[]
  readonly token: Buffer
  /** PEM of the authority of their certificates; null for those that Node trusts. */
  readonly authority: Buffer | null
  readonly secureNet: SecureNet
}

/** A host that is sampled, and what is said of it beforehand. */
export interface WatchedHost {
  /** HOST:PORT of its agent. */
  readonly address: string
  /** What it is called; null for its own name. */
  readonly name: string | null
  /** Brokers run there, whether their processes are seen or not. */
  readonly isBroker: boolean
}

/** An agent as a run saw it, from beginning to end. */
export interface AgentRecord {
  /** HOST:PORT. */
  readonly address: string
  readonly facts: Readonly<Record<string, unknown>> & { readonly name: string }
  readonly carriesLoad: boolean
  /** What the scenario calls its host; null when it says nothing. */
  readonly label: string | null
  /** Whether its resources are those of brokers. */
  readonly isBroker: boolean
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
  /** What it was ahead of the clock of the host that runs the bench when the run began, nanoseconds. */
  readonly offsetNs: number
  /** What was reckoned with was not farther off than this, up to now; null when it cannot be read any more. */
  readonly errorNs: number | null
  /** It was not farther than this from how it stood at first, up to now. */
  readonly movedNs: number
  /** Of the first reading. */
  readonly uncertaintyNs: number
}

interface Agent {
  readonly link: AgentLink
  readonly carriesLoad: boolean
  readonly watched: WatchedHost | null
  brokers: readonly AgentBroker[]
  firstMark: AgentMark | null
  lastMark: AgentMark | null
}

/** How often consumers learn how the clocks of their producers stand. */
const CLOCKS_MS = 1_000

export class Agents {
  readonly #clock: Clock
  readonly #agents: readonly Agent[]
  readonly #load: readonly Agent[]
  /** Consumers that were placed, with the number of their producers. */
  readonly #consumers: { readonly name: string; readonly at: Agent; readonly producers: number }[] =
    []
  #stopFollowing: Stop = () => undefined

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
      for (const address of new Set([...load, ...watch.map((one) => one.address)])) {
        const watched = watch.find((one) => one.address === address) ?? null
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
          watched,
          brokers: [],
          firstMark: null,
          lastMark: null,
        })
      }
    } catch (error) {
      for (const { link } of opened) link.close()
      throw error
    }
    return new Agents(world.clock, opened)
  }

  private constructor(clock: Clock, agents: readonly Agent[]) {
    this.#clock = clock
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
      if (setup.kind === 'producer') return placed
      this.#consumers.push({ name: member.name, at: agent, producers: setup.producers })
      const producerClocks = this.#clocksFor(agent, setup.producers)
      return { ...placed, setup: { ...setup, producerClocks } }
    })
  }

  /** Tells consumers from now on how the clocks of their producers drift. */
  followClocks(tell: (consumer: string, clocks: ProducerClocks) => void): void {
    this.#stopFollowing = this.#clock.every(CLOCKS_MS, () => {
      for (const { name, at, producers } of this.#consumers) {
        const clocks = this.#clocksFor(at, producers)
        if (clocks !== null) tell(name, clocks)
      }
    })
  }

  /**
   * Asks each whether it would take its part of the load, and which of the brokers run there.
   * Rejects with MqError TARGET_NOT_ALLOWED, LOAD_NOT_TAKEN or AGENT_UNREACHABLE.
   */
  async check(members: readonly CrewMember[], brokers: readonly string[]): Promise<void> {
    for (const agent of this.#agents) {
      const ours = members.filter((_, index) => this.#at(index) === agent)
      // Those of a kind differ in their numbers alone.
      const setups = (['producer', 'consumer'] as const).flatMap(
        (kind) => ours.find(({ setup }) => setup.kind === kind)?.setup ?? [],
      )
      agent.brokers = await agent.link.check(setups, ours.length, brokers)
    }
  }

  /** Whether brokers run on the host of any. */
  get seeBrokers(): boolean {
    return this.#agents.some(isOfBrokers)
  }

  /** What their hosts did since this was asked before: nothing at the first time, and of one that is lost. */
  async look(): Promise<AgentsLook> {
    const all = new Map<string, HostUsage>()
    await this.#all(async ({ link }) => {
      const usage = (await link.mark('phase'))?.usage ?? null
      if (usage !== null) all.set(link.host, usage)
    })
    const ofBrokers = this.#agents.filter(isOfBrokers)
    const brokers = ofBrokers.flatMap(({ link, brokers: here }) => {
      const usage = all.get(link.host)
      const pids = here.flatMap(({ pid }) => (pid === null ? [] : [pid]))
      return usage === undefined ? [] : [{ usage, brokers: pids }]
    })
    return { all, brokers: brokers.length === ofBrokers.length ? brokers : null }
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
      // The link of the brokers is not that of whoever loads them; an agent alone does not know what is said of it.
      const linkBitsPerSecond = isOfBrokers(agent) ? asked.linkBitsPerSecond : null
      const brokers = await agent.link.sample({ ...asked, linkBitsPerSecond })
      // One that was lost meanwhile tells nothing: its host is that of the brokers still.
      if (agent.link.lost === null) agent.brokers = brokers
    })
  }

  /** The window begins. */
  async markFirst(): Promise<void> {
    await this.#all(async (agent) => {
      agent.firstMark = await agent.link.mark('window')
    })
  }

  /** The window is over. */
  async markLast(): Promise<void> {
    await this.#all(async (agent) => {
      agent.lastMark = await agent.link.mark('window')
    })
  }

  /** Reads the clocks once more: how far they have moved is known then. */
  async readClocks(): Promise<void> {
    await this.#all(async (agent) => {
      await agent.link.readClock()
    })
  }

  get records(): AgentRecord[] {
    return this.#agents.map((agent) => {
      const { link, carriesLoad, watched, brokers, firstMark, lastMark } = agent
      return {
        address: link.host,
        facts: link.facts,
        carriesLoad,
        label: watched?.name ?? null,
        isBroker: isOfBrokers(agent),
        brokers,
        usage: firstMark === null ? null : (lastMark?.usage ?? null),
        samplerCores: lastMark?.samplerCores ?? 0,
        firstMark,
        lastMark,
        clock: {
          ...link.clock,
          errorNs: link.clockErrorNs,
          movedNs: link.clockMovedNs,
        },
        lost: link.lost,
      }
    })
  }

  close(): void {
    this.#stopFollowing()
    for (const { link } of this.#agents) link.close()
  }

  #at(index: number): Agent | undefined {
    return this.#load[index % Math.max(1, this.#load.length)]
  }

  /** Null when all producers are beside the consumer. */
  #clocksFor(consumer: Agent, producers: number): ProducerClocks | null {
    const here = readingOf(consumer)
    const aheadNs: number[] = []
    const toleranceNs: number[] = []
    for (let index = 0; index < producers; index += 1) {
      const producer = this.#at(index) ?? consumer
      const isBeside = producer === consumer
      const there = readingOf(producer)
      aheadNs.push(isBeside ? 0 : here.offsetNs - there.offsetNs)
      toleranceNs.push(isBeside ? 0 : here.uncertaintyNs + there.uncertaintyNs)
    }
    return toleranceNs.every((one) => one === 0) ? null : { aheadNs, toleranceNs }
  }

  async #all(work: (agent: Agent) => Promise<void>): Promise<void> {
    await Promise.all(this.#agents.map(work))
  }
}

/** Of one that is lost, how it stood at first: the run is over. */
function readingOf({ link }: Agent): ClockReading {
  return link.tellClock() ?? link.clock
}

/** Whether brokers run beside it, as it finds or as the scenario says. */
function isOfBrokers({ brokers, watched }: Agent): boolean {
  return brokers.length > 0 || watched?.isBroker === true
}
