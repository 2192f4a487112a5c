import { nodeClock } from './node-clock.ts'
import { nodeDisk } from './node-disk.ts'
import { nodeNet } from './node-net.ts'
import { nodeRandom } from './node-random.ts'
import type { World } from './world.ts'

/** The real world: this machine's clock, randomness, disk and network. */
export const nodeWorld: World = {
  clock: nodeClock,
  random: nodeRandom,
  disk: nodeDisk,
  net: nodeNet,
}
