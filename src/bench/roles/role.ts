/**
 * What every load process does the same: it takes orders over the channel to its parent, ignores
 * Ctrl-C (the parent decides when to end), and ends when the parent is gone.
 */
import { MqError, messageOf } from '../../base/errors.ts'
import { fencedNet } from '../../world/fenced-net.ts'
import { nodeWorld } from '../../world/node-world.ts'
import type { World } from '../../world/world.ts'
import type { FromRole, ToRole } from '../role-messages.ts'

export function tell(message: FromRole): void {
  // The parent may be gone; 'disconnect' ends this process then.
  if (process.connected) process.send?.(message, () => undefined)
}

/** The world of a load process; at an agent its network reaches the agent's targets alone. */
export function worldWithin(allowed: readonly string[] | undefined): World {
  if (allowed === undefined) return nodeWorld
  return { ...nodeWorld, net: fencedNet(nodeWorld.net, allowed) }
}

/** Takes orders until the process ends. What an order throws is told to the parent. */
export function takeOrders(onOrder: (order: ToRole) => Promise<void> | void): void {
  process.on('SIGINT', () => undefined)
  process.on('SIGTERM', () => undefined)
  process.on('disconnect', () => {
    process.exit(0)
  })
  process.on('uncaughtException', fail)
  process.on('unhandledRejection', fail)
  process.on('message', (message) => {
    Promise.resolve()
      .then(() => onOrder(message as ToRole))
      .catch(fail)
  })
}

function fail(error: unknown): void {
  tell({
    kind: 'failed',
    code: error instanceof MqError ? error.code : 'BUG',
    details: error instanceof MqError ? error.details : {},
    message:
      error instanceof Error && !(error instanceof MqError)
        ? (error.stack ?? error.message)
        : messageOf(error),
  })
}
