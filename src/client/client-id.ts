/** Who a client says it is: unique within its group, opaque for servers. */
import { networkInterfaces } from 'node:os'
import { encodeIp } from '../protocol/host.ts'
import { UniqueIdMaker } from '../protocol/message-id.ts'
import type { Random } from '../world/random.ts'

/** The first outer IPv4 address of this machine, or loopback. */
function localIp(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const address of addresses ?? []) {
      if (address.family === 'IPv4' && !address.internal) return address.address
    }
  }
  return '127.0.0.1'
}

/** `ip@pid#random`, as Java's clients have `ip@pid#nanoTime`. */
export function makeClientId(random: Random): string {
  return `${localIp()}@${process.pid}#${random.below(2 ** 32).toString(16)}`
}

/** Ids for the messages of one producer. */
export function makeUniqueIds(random: Random): UniqueIdMaker {
  const ip = encodeIp(localIp()) ?? Buffer.from([127, 0, 0, 1])
  return new UniqueIdMaker(ip, process.pid, random.below(2 ** 31))
}
