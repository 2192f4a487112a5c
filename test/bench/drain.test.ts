import { describe, expect, it } from 'vitest'
import { drain } from '../../src/bench/drain.ts'
import type { ConsumerTick } from '../../src/bench/role-messages.ts'
import { Series } from '../../src/bench/series.ts'
import { ManualClock } from '../world/manual-clock.ts'

/** Ten messages were acknowledged; the queue ends at 10. */
const ACKED = 10

interface Scene {
  /** What the consumer tells when it is asked for the nth time: its position, and where it believes the end to be. */
  readonly told: (nth: number) => readonly [position: number, end: number]
  /** What the broker says; null when it does not answer. */
  readonly end: number | null
}

/** How a drain of at most 10 s ends, and after how long. */
async function drained({ told, end }: Scene): Promise<{ done: boolean; ms: number }> {
  const clock = new ManualClock()
  const series = new Series(Number.POSITIVE_INFINITY)
  let polls = 0
  const ended: { done: boolean; ms: number }[] = []
  const poll = () => {
    const [position, believed] = told(polls++)
    const tick: ConsumerTick = {
      kind: 'consumer-tick',
      groupIndex: 0,
      atNs: Number(clock.monotonicNs()),
      polled: true,
      receipts: [],
      totalReceived: position,
      lanes: [[0, position, believed, 0]],
      broken: null,
    }
    series.onConsumerTick('consumer-1', tick)
  }
  void drain({
    clock,
    series,
    acked: ACKED,
    timeoutMs: 10_000,
    idleMs: 2_000,
    poll,
    ends: () =>
      end === null
        ? Promise.reject(new Error('no answer'))
        : Promise.resolve([{ lane: 0, minOffset: 0, endOffset: end }]),
    isCut: () => false,
  }).then((done) => {
    ended.push({ done, ms: clock.monotonicMs() })
  })
  for (let step = 0; step < 1_000 && ended.length === 0; step += 1) {
    clock.advance(50)
    await new Promise((resolve) => setImmediate(resolve))
  }
  const [outcome] = ended
  if (outcome === undefined) throw new Error('the drain never ends')
  return outcome
}

describe('the drain', () => {
  it('is over as soon as everything was received', async () => {
    expect(await drained({ told: () => [10, 10], end: 10 })).toEqual({ done: true, ms: 50 })
  })

  it('does not believe a consumer that knows of no end because none of its requests is answered', async () => {
    expect(await drained({ told: () => [0, 0], end: 10 })).toEqual({ done: false, ms: 10_000 })
  })

  it('waits for a consumer whose connection goes on after a stall', async () => {
    const { done, ms } = await drained({ told: (nth) => (nth < 80 ? [4, 4] : [10, 10]), end: 10 })
    expect([done, ms < 5_000]).toEqual([true, true])
  })

  it('is over when the broker has no more than what was read: the rest is lost', async () => {
    expect(await drained({ told: () => [7, 7], end: 7 })).toMatchObject({ done: true })
  })

  it('proves nothing when the broker does not say where its queues end', async () => {
    expect(await drained({ told: () => [7, 7], end: null })).toMatchObject({ done: false })
  })
})
