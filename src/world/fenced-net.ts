/** A network that reaches only what somebody has allowed; everything else is refused before a packet leaves. */
import { MqError } from '../base/errors.ts'
import type { Net } from './net.ts'

/** HOST:PORT, or HOST for every port of it. */
export type AllowedTarget = string

/** Whether one of the targets covers HOST:PORT. Names are compared as they are written; nothing is looked up. */
export function isAllowed(
  targets: readonly AllowedTarget[],
  host: string,
  port: number | string,
): boolean {
  const plain = host.replace(/^\[(.*)\]$/, '$1').toLowerCase()
  const written = plain.includes(':') ? `[${plain}]` : plain
  return targets.some((target) => {
    const allowed = target.toLowerCase()
    return allowed === written || allowed === plain || allowed === `${written}:${port}`
  })
}

/** Rejects `connect` to anything else with MqError TARGET_NOT_ALLOWED, and never listens. */
export function fencedNet(net: Net, targets: readonly AllowedTarget[]): Net {
  return {
    connect: async (host, port, timeoutMs) => {
      if (!isAllowed(targets, host, port)) {
        throw new MqError('TARGET_NOT_ALLOWED', { agent: 'this agent', address: `${host}:${port}` })
      }
      return net.connect(host, port, timeoutMs)
    },
    listen: async (host, port) => {
      throw new MqError('TARGET_NOT_ALLOWED', { agent: 'this agent', address: `${host}:${port}` })
    },
  }
}
