/**
 * In which order the runs of a gate come. Pairs lie next to each other in time, and every second
 * pair is turned round, so that a machine that drifts favours neither side; which of two comes
 * first is drawn from the seed, so that nothing periodic can fall in step.
 */
import type { Side } from './gate-result.ts'
import { xorshift } from './payload.ts'

export interface PlannedPair {
  /** Both runs are of the base, to learn what equal runs differ by. */
  readonly same: boolean
  readonly first: Side
}

/** `pairs` compared pairs, as many in either order as can be, with `draws` pairs of equals spread between them. */
export function gateOrder(pairs: number, draws: number, seed: number): PlannedPair[] {
  const random = xorshift(seed)
  const compared = turned(pairs, random, false)
  const equal = turned(draws, random, true)
  const planned: PlannedPair[] = []
  let taken = 0
  for (const [index, pair] of compared.entries()) {
    const due = Math.ceil(((index + 1) * draws) / Math.max(1, pairs))
    planned.push(...equal.slice(taken, due), pair)
    taken = due
  }
  return planned
}

function turned(count: number, random: () => number, same: boolean): PlannedPair[] {
  const pairs: PlannedPair[] = []
  let first: Side = 'base'
  for (let index = 0; index < count; index += 1) {
    // Blocks of two: A B B A, or B A A B.
    if (index % 2 === 0) first = (random() & 0x100) === 0 ? 'base' : 'head'
    else first = first === 'base' ? 'head' : 'base'
    pairs.push({ same, first })
  }
  return pairs
}
