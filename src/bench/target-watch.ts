/**
 * The brokers of a run as seen from beside them: which processes of this host they are, what they
 * say of themselves, and, for a JVM, what its counters show.
 */
import type { BrokerFacts, Driver } from '../drivers/driver.ts'
import { type JvmGc, readJvmGc } from '../host/jvm-perfdata.ts'
import { hasOwnNetwork } from '../host/network-namespace.ts'
import type { Link } from './prediction.ts'
import { isLocalHost, processBehind, processName } from '../host/listener-process.ts'

/** A process that the caller has started and knows. */
export interface KnownProcess {
  readonly name: string
  readonly role: 'broker' | 'nameserver'
  readonly pid: number
  /** HOST:PORT that it serves. */
  readonly address: string
}

export interface WatchedBroker {
  readonly name: string
  readonly address: string
  readonly isLocal: boolean
  readonly pid: number | null
  /** Why its process is not known; null when it is, or when it runs elsewhere. */
  readonly why: string | null
}

/** What a broker's inside was at one moment. */
export interface InsideMark {
  readonly facts: BrokerFacts
  readonly jvmGc: JvmGc | null
}

export class TargetWatch {
  readonly brokers: readonly WatchedBroker[]
  readonly #driver: Driver

  constructor(driver: Driver, facts: readonly BrokerFacts[], known: readonly KnownProcess[]) {
    this.#driver = driver
    this.brokers = facts.map(({ name, address, inside }) => {
      const colon = address.lastIndexOf(':')
      const started = known.find((process) => process.address === address)
      const isLocal = started !== undefined || isLocalHost(address.slice(0, colon))
      const found =
        started === undefined && isLocal
          ? processBehind(Number(address.slice(colon + 1)), inside.pid)
          : { pid: started?.pid ?? null, why: null }
      return { name, address, isLocal, ...found }
    })
  }

  get allLocal(): boolean {
    return this.brokers.length > 0 && this.brokers.every((broker) => broker.isLocal)
  }

  /** Addresses of brokers that are not on this host. */
  get elsewhere(): string[] {
    return this.brokers.flatMap(({ address, isLocal }) => (isLocal ? [] : [address]))
  }

  /** Processes of brokers on this host; null when none runs here. */
  get pidsHere(): readonly number[] | null {
    const here = this.brokers.filter(({ isLocal }) => isLocal)
    return here.length === 0 ? null : here.flatMap(({ pid }) => (pid === null ? [] : [pid]))
  }

  /** Hosts that brokers run on. */
  get machineCount(): number {
    const hosts = new Set(
      this.brokers.map(({ address }) => address.slice(0, address.lastIndexOf(':'))),
    )
    return this.allLocal ? 1 : Math.max(1, hosts.size)
  }

  /**
   * What lies between the load and the brokers.
   * @param linkBitsPerSecond what the scenario says of it
   */
  link(linkBitsPerSecond: number | null): Link {
    const isApart = this.networkOf !== null
    return {
      isLoopback: this.allLocal && !isApart,
      watchedAt: isApart ? 'broker' : 'load',
      bitsPerSecond: linkBitsPerSecond,
    }
  }

  /** A broker's process of this host that has a network of its own; null when all share ours. */
  get networkOf(): number | null {
    const apart = this.brokers.find(({ pid }) => pid !== null && hasOwnNetwork(pid))
    return apart?.pid ?? null
  }

  /** By address; empty when the brokers do not answer. */
  async mark(): Promise<ReadonlyMap<string, InsideMark>> {
    const marks = new Map<string, InsideMark>()
    let facts: BrokerFacts[]
    try {
      facts = await this.#driver.brokerFacts()
    } catch {
      // A broker that is gone or too busy says nothing; the result then has no figures of its inside.
      return marks
    }
    for (const broker of facts) {
      const pid = this.brokers.find(({ address }) => address === broker.address)?.pid ?? null
      const isJvm = pid !== null && broker.inside.gcCount === null && processName(pid) === 'java'
      marks.set(broker.address, { facts: broker, jvmGc: isJvm ? readJvmGc(pid) : null })
    }
    return marks
  }
}
