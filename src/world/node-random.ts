import { randomFillSync } from 'node:crypto'
import type { Random } from './random.ts'

/** Randomness of this machine: fast for choices, cryptographic for bytes. */
export const nodeRandom: Random = {
  below: (bound) => Math.floor(Math.random() * bound),
  float: () => Math.random(),
  fill: (target) => randomFillSync(target),
}
