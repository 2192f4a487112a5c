/**
 * Ports of an instance. Defaults are Apache's: name server 9876, broker 10911; each broker also
 * keeps its neighbours (fast port −2, replication +1) free for itself, hence the step of 20.
 */
import { networkInterfaces } from 'node:os'
import { MqError, messageOf, systemCodeOf } from '../base/errors.ts'
import type { World } from '../world/world.ts'

export const defaultNameServerPort = 9_876
export const defaultBrokerPort = 10_911
const BROKER_PORT_STEP = 20

export function nameServerPort(first: number, index: number): number {
  return first + index
}

export function brokerPort(first: number, index: number): number {
  return first + BROKER_PORT_STEP * index
}

/** Throws PORT_TAKEN for the first port that cannot be had; 0 is always free. */
export async function checkPortsFree(
  world: World,
  host: string,
  ports: readonly { port: number; flag: string }[],
): Promise<void> {
  for (const { port, flag } of ports) {
    if (port === 0) continue
    try {
      const listener = await world.net.listen(host, port, (stream) => {
        stream.destroy()
      })
      await listener.close()
    } catch (error) {
      throw portError(error, host, port, flag)
    }
  }
}

function portError(error: unknown, host: string, port: number, flag: string): unknown {
  switch (systemCodeOf(error)) {
    case 'EADDRINUSE':
      return new MqError('PORT_TAKEN', { port, host, flag }, { cause: error })
    case 'EACCES':
      return new MqError('START_FAILED', {
        what: `listening on port ${port}`,
        why: 'ports below 1024 need privileges',
        hint: `choose a higher one with ${flag}`,
      })
    case 'EADDRNOTAVAIL':
      return new MqError('VALUE_INVALID', {
        what: `${host} is not an address of this machine`,
        hint: 'give --bind an address of this machine, or 0.0.0.0 for all; --advertise is what clients are told',
      })
    default:
      return new MqError('START_FAILED', {
        what: `listening on ${host}:${port}`,
        why: messageOf(error),
        hint: 'choose another address or port',
      })
  }
}

/**
 * Where a role reaches another on this machine: by the listening address. What clients are told may
 * be the far side of an address translation, and unreachable from here.
 */
export function localAddress(bind: string, port: number): string {
  const host = bind === '0.0.0.0' ? '127.0.0.1' : bind === '::' ? '::1' : bind
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** What clients are told when only the listening address is known: for a wildcard, the first outer IPv4. */
export function advertisedHost(bind: string): string {
  if (bind !== '0.0.0.0' && bind !== '::') return bind === 'localhost' ? '127.0.0.1' : bind
  const outer = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find((address) => address.family === 'IPv4' && !address.internal)
  return outer?.address ?? '127.0.0.1'
}
