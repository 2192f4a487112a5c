/**
 * What was full in a part of a run, when nothing was over all of it: a peak that fills the link for a
 * third of the window leaves its mean low, and a search spends most of its time at rates that hold.
 */
import type { Bottleneck } from './result.ts'

/** One phase, judged by itself. */
export interface JudgedPhase {
  readonly name: string
  /** A rate of a search that did not hold. */
  readonly failed: boolean
  readonly ackedPerSecond: number
  readonly found: Bottleneck
}

function isFull({ resource }: Bottleneck): boolean {
  return resource !== 'none' && resource !== 'latency-bound'
}

/**
 * The limit of the whole when it had one. Otherwise that of the lowest rate of a search that failed,
 * or of the strongest phase, with the phase's name; and the verdict on the whole when none was full.
 */
export function limitOf(whole: Bottleneck, phases: readonly JudgedPhase[]): Bottleneck {
  if (isFull(whole)) return whole
  const full = phases.filter(({ found }) => isFull(found))
  const [failed] = full
    .filter((phase) => phase.failed)
    .sort((a, b) => a.ackedPerSecond - b.ackedPerSecond)
  const [strongest] = full.sort((a, b) => b.ackedPerSecond - a.ackedPerSecond)
  const phase = failed ?? strongest
  if (phase === undefined) return whole
  return { ...phase.found, text: `in phase ${phase.name}: ${phase.found.text}` }
}
