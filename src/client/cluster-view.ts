/** The brokers behind the name servers, and one question to many of them at once. */
import { MqError } from '../base/errors.ts'
import { type ClusterInfo, decodeClusterInfo } from '../protocol/bodies/cluster-info.ts'
import { RequestCode } from '../protocol/codes.ts'
import { decodeAnswer, responseCodeOf } from './answers.ts'
import type { MqClient } from './client.ts'

export interface BrokerAddress {
  readonly cluster: string
  readonly broker: string
  /** 0 is the master. */
  readonly id: number
  readonly address: string
}

/** Which brokers are meant; everything when nothing is said. */
export interface BrokerFilter {
  readonly cluster?: string
  /** Broker name. */
  readonly broker?: string
}

const MASTER_ID = 0

export class ClusterView {
  readonly #client: MqClient

  constructor(client: MqClient) {
    this.#client = client
  }

  async info(): Promise<ClusterInfo> {
    const response = await this.#client.askNameServer(RequestCode.GET_BROKER_CLUSTER_INFO)
    return decodeAnswer(this.#client.nameServers.active, response, decodeClusterInfo)
  }

  /** Every broker that matches, by cluster, name and id. */
  async brokers(filter: BrokerFilter = {}): Promise<BrokerAddress[]> {
    const info = await this.info()
    const rows: BrokerAddress[] = []
    for (const [broker, data] of info.brokers) {
      if (filter.cluster !== undefined && data.cluster !== filter.cluster) continue
      if (filter.broker !== undefined && broker !== filter.broker) continue
      for (const [id, address] of data.brokerAddrs) {
        rows.push({ cluster: data.cluster, broker, id, address })
      }
    }
    return rows.sort(compareBrokers)
  }

  /** Masters that match. Throws BROKER_NOT_FOUND when what is named is not there, BROKER_UNREACHABLE when nobody is. */
  async masters(filter: BrokerFilter = {}): Promise<BrokerAddress[]> {
    const masters = (await this.brokers(filter)).filter((row) => row.id === MASTER_ID)
    if (masters.length > 0) return masters
    const { cluster, broker } = filter
    if (broker === undefined && cluster === undefined) {
      throw new MqError('BROKER_UNREACHABLE', {
        address: 'any',
        why: 'the name server knows no master',
      })
    }
    const of = cluster === undefined ? '' : ` of cluster ${cluster}`
    const what = `master ${broker ?? ''}`.trimEnd() + of
    throw new MqError('BROKER_NOT_FOUND', { what })
  }

  /** The master of that name, or of that address when it looks like one. Throws BROKER_NOT_FOUND. */
  async master(nameOrAddress: string): Promise<BrokerAddress> {
    const rows = await this.brokers()
    const found =
      rows.find((row) => row.broker === nameOrAddress && row.id === MASTER_ID) ??
      rows.find((row) => row.address === nameOrAddress)
    if (found !== undefined) return found
    throw new MqError('BROKER_NOT_FOUND', { what: `broker ${nameOrAddress}` })
  }
}

/** What one of several did: a value, or why there is none. */
export type Outcome<Value> =
  | { readonly ok: true; readonly broker: BrokerAddress; readonly value: Value }
  | {
      readonly ok: false
      readonly broker: BrokerAddress
      readonly error: MqError
    }

/** Asks all at once. Never throws: an error that is no MqError is a bug and does. */
export function askEach<Value>(
  brokers: readonly BrokerAddress[],
  ask: (broker: BrokerAddress) => Promise<Value>,
): Promise<Outcome<Value>[]> {
  return Promise.all(
    brokers.map(async (broker): Promise<Outcome<Value>> => {
      try {
        return { ok: true, broker, value: await ask(broker) }
      } catch (error) {
        if (!(error instanceof MqError)) throw error
        return { ok: false, broker, error }
      }
    }),
  )
}

/**
 * The values of those that have one. A broker that refuses has none; one that does not answer may have,
 * and without it the whole would look smaller than it is: throws its error, as when all refuse.
 */
export function valuesOf<Value>(outcomes: readonly Outcome<Value>[]): Value[] {
  const values = outcomes.filter((outcome) => outcome.ok).map((outcome) => outcome.value)
  const failed = outcomes.filter((outcome) => !outcome.ok).map(({ error }) => error)
  const silent = failed.find((error) => responseCodeOf(error) === null)
  if (silent !== undefined) throw silent
  const [refused] = failed
  if (values.length === 0 && refused !== undefined) throw refused
  return values
}

/** Throws the first error: for changes that must be made everywhere. What was done elsewhere stays done. */
export function allOf<Value>(outcomes: readonly Outcome<Value>[]): Value[] {
  const failed = outcomes.find((outcome) => !outcome.ok)
  if (failed !== undefined) throw failed.error
  return valuesOf(outcomes)
}

/** Runs `work` for each item, at most `width` at a time; results in the order of the items. */
export async function inParallel<Item, Result>(
  items: readonly Item[],
  width: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  let next = 0
  const runner = async () => {
    while (next < items.length) {
      const index = next
      next += 1
      const item = items[index]
      if (item !== undefined) results[index] = await work(item)
    }
  }
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, runner))
  return results
}

function compareBrokers(a: BrokerAddress, b: BrokerAddress): number {
  if (a.cluster !== b.cluster) return a.cluster < b.cluster ? -1 : 1
  if (a.broker !== b.broker) return a.broker < b.broker ? -1 : 1
  return a.id - b.id
}
