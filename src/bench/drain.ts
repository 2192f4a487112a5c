/**
 * The end of a run: nothing is sent any more, and the consumers read on until they have everything.
 *
 * A consumer knows the end of a queue from the last answer to it. One whose requests are refused, or
 * whose connection stands still, believes for ever that it is at the end: so before its silence is
 * taken for "there is no more", the broker is asked where its queues end.
 */
import type { LaneOffsets } from '../drivers/driver.ts'
import type { Clock } from '../world/clock.ts'
import { sleep } from '../world/node-clock.ts'
import type { Series } from './series.ts'

const POLL_MS = 50

export interface DrainOptions {
  readonly clock: Clock
  readonly series: Pick<Series, 'totalReceived' | 'leastReceived' | 'lag' | 'onEnds'>
  /** Messages that each group should receive. */
  readonly acked: number
  /** It is over at the latest after this time. */
  readonly timeoutMs: number
  /** Consumers at the end of their queues that receive nothing for so long have everything there is. */
  readonly idleMs: number
  /** Asks the consumers where they are. */
  readonly poll: () => void
  /** Asks the broker where its queues end. */
  readonly ends: () => Promise<readonly LaneOffsets[]>
  /** A load process is gone: nobody can tell any more. */
  readonly isCut: () => boolean
}

/** Resolves to true when the consumers have reached the end of every lane. */
export async function drain(options: DrainOptions): Promise<boolean> {
  const { clock, series, acked, timeoutMs, idleMs } = options
  const endMs = clock.monotonicMs() + timeoutMs
  let received = -1
  let movedMs = clock.monotonicMs()
  let asked = false
  for (;;) {
    options.poll()
    await sleep(clock, POLL_MS)
    const nowMs = clock.monotonicMs()
    if (series.totalReceived > received) {
      movedMs = nowMs
      asked = false
    }
    received = series.totalReceived
    if (series.lag === 0) {
      if (series.leastReceived >= acked || asked) return true
      if (nowMs - movedMs >= idleMs) asked = await askEnds(options)
    }
    if (nowMs >= endMs || options.isCut()) return false
  }
}

async function askEnds({ ends, series, clock }: DrainOptions): Promise<boolean> {
  try {
    series.onEnds(await ends(), Number(clock.monotonicNs()))
    return true
  } catch {
    // A broker that does not answer now may do so a moment later.
    return false
  }
}
