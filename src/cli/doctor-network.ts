/** Whether the name servers answer, and each broker at the address that they tell. */
import { Admin } from '../client/admin.ts'
import type { BrokerStatus } from '../client/broker-admin.ts'
import { messageOf } from '../base/errors.ts'
import { isLoopback } from '../base/loopback.ts'
import type { World } from '../world/world.ts'
import type { NameServerChoice } from './connection.ts'

export interface NetworkRow {
  readonly id: string
  readonly status: 'ok' | 'warn' | 'fail' | 'skip'
  readonly text: string
  readonly hint: string
}

/** One row a name server, one a broker address. Never throws. */
export async function networkRows(
  world: World,
  choice: NameServerChoice,
  timeoutMs: number,
): Promise<NetworkRow[]> {
  const rows: NetworkRow[] = []
  const brokers = new Map<string, BrokerStatus>()
  const outer = choice.addresses.some((address) => !isLoopback(hostOf(address)))
  for (const address of choice.addresses) {
    const id = `name server ${address}`
    const admin = Admin.open(world, { nameServers: [address], requestTimeoutMs: timeoutMs })
    try {
      const found = await admin.brokers.list()
      for (const broker of found) brokers.set(broker.address, broker)
      const count = `${found.length} broker ${found.length === 1 ? 'address' : 'addresses'}`
      rows.push(
        found.length === 0
          ? {
              id,
              status: 'warn',
              text: 'answers; no broker has registered',
              hint: 'does namesrvAddr of the broker name it?',
            }
          : { id, status: 'ok', text: `answers, knows ${count} (${choice.source})`, hint: '' },
      )
    } catch (error) {
      const nobody = choice.source === 'default'
      rows.push({
        id,
        status: nobody ? 'skip' : 'fail',
        text: nobody ? 'nothing is configured and nothing runs here' : reasonIn(messageOf(error)),
        hint: nobody
          ? 'mqctl start runs a broker; --namesrv names another'
          : `from ${choice.source}: is it running, is the port open?`,
      })
    } finally {
      admin.close()
    }
  }
  for (const broker of brokers.values()) rows.push(brokerRow(broker, outer))
  return rows
}

function brokerRow(broker: BrokerStatus, outer: boolean): NetworkRow {
  const { address, version, error } = broker
  const id = `broker ${broker.broker}:${broker.id}`
  const host = hostOf(address)
  if (error !== null) {
    const hint = isLoopback(host)
      ? 'it tells a loopback address: clients look for it on their own machine; set brokerIP1 (or mqctl start --advertise)'
      : /^(172\.(1[6-9]|2\d|3[01])\.|10\.|192\.168\.)/.test(host)
        ? 'a private address, perhaps of a container or another network: set brokerIP1 (mqctl start --advertise) to one that clients reach'
        : 'is it running, is the port open? brokerIP1 (mqctl start --advertise) decides what it tells'
    return { id, status: 'fail', text: `${address} does not answer: ${reasonIn(error)}`, hint }
  }
  if (isLoopback(host) && outer) {
    return {
      id,
      status: 'warn',
      text: `${address} answers from here only: it is a loopback address behind a name server that others use`,
      hint: 'set brokerIP1 (or mqctl start --advertise) to an address that clients reach',
    }
  }
  const known = version === null || /^V[45]_/.test(version)
  return known
    ? { id, status: 'ok', text: `${address} answers, ${version ?? 'version not told'}`, hint: '' }
    : {
        id,
        status: 'warn',
        text: `${address} answers, ${version}`,
        hint: 'mqctl is made for RocketMQ 4 and 5',
      }
}

/** What an error of the client means to somebody who looks for a wrong address. */
function reasonIn(message: string): string {
  if (message.includes('malformed frame')) {
    return 'what listens there does not speak RocketMQ’s protocol'
  }
  const waited = / within (\d+) ms$/.exec(message)?.[1]
  if (waited !== undefined) {
    return `the connection is accepted, and nothing is said within ${Number(waited) / 1_000} s`
  }
  if (message.includes('ECONNREFUSED')) return 'nothing listens there (connection refused)'
  if (/ENOTFOUND|EAI_AGAIN/.test(message)) return 'its name cannot be resolved'
  if (/EHOSTUNREACH|ENETUNREACH/.test(message)) return 'no route leads there'
  return message
}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '')
}
