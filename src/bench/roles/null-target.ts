/** Main of the null target's process: listens, tells the port, acknowledges until its parent is gone. */
import { startNullTarget } from '../../drivers/null-target.ts'
import { nodeWorld } from '../../world/node-world.ts'
import { takeOrders, tell } from './role.ts'

takeOrders(() => undefined)
const listener = await startNullTarget(nodeWorld)
tell({ kind: 'listening', port: listener.port })
