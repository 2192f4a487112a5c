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

/**
 * A parent that stands still ends nothing and takes nothing any more: whoever it worked for takes it for
 * lost after 10 s and removes its topics, and load that went on would make them again.
 */
const SILENCE_MS_MAX = 6_000
const LOOK_MS = 1_000

/** Takes orders until the process ends. What an order throws is told to the parent. */
export function takeOrders(
  onOrder: (order: Exclude<ToRole, { kind: 'alive' }>) => Promise<void> | void,
): void {
  const { clock } = nodeWorld
  /** Looks at the clock since the last word; null before the first word. */
  let looks: number | null = null
  const onAlive = () => {
    if (looks === null) {
      // Counted, not timed: a process that stood still itself hears first what was said meanwhile.
      clock.every(LOOK_MS, () => {
        looks = (looks ?? 0) + 1
        if (looks * LOOK_MS > SILENCE_MS_MAX) process.exit(0)
      })
    }
    looks = 0
  }
  process.on('SIGINT', () => undefined)
  process.on('SIGTERM', () => undefined)
  process.on('disconnect', () => {
    process.exit(0)
  })
  process.on('uncaughtException', fail)
  process.on('unhandledRejection', fail)
  process.on('message', (message) => {
    const order = message as ToRole
    if (order.kind === 'alive') {
      onAlive()
      return
    }
    Promise.resolve()
      .then(() => onOrder(order))
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
