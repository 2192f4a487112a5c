import { describe, expect, it } from 'vitest'
import {
  type KeyMix,
  MessageDeal,
  type MessageMix,
  laneOfKey,
  plainMix,
} from '../../src/bench/message-mix.ts'

const lanes = ['A', 'B'].flatMap((topic) =>
  [0, 1].map((queueId) => ({ topic, queueId, broker: 'b', address: 'x:1' })),
)
const keys: KeyMix = {
  distribution: 'uniform',
  cardinality: 1000,
  exponent: 1,
  hotKeys: 10,
  hotShare: 0.8,
  chooseQueue: false,
}

/** How often each value came, by a look at every message. */
function count(
  mix: Partial<MessageMix>,
  of: (deal: MessageDeal) => number,
  messages = 65_536,
  producer = 0,
): number[] {
  const deal = new MessageDeal(lanes, { ...plainMix, topics: ['A', 'B'], ...mix }, producer)
  const counts: number[] = []
  for (let index = 0; index < messages; index += 1) {
    deal.takeLane()
    deal.takeMessage()
    const at = of(deal)
    counts[at] = (counts.at(at) ?? 0) + 1
  }
  return Array.from({ length: counts.length }, (_, index) => counts.at(index) ?? 0)
}

describe('where messages go', () => {
  it('takes lanes in turn when nothing else is said, each producer beginning at another', () => {
    const deal = new MessageDeal(lanes, plainMix, 3)
    const taken = Array.from({ length: 6 }, () => {
      deal.takeLane()
      return deal.lane
    })
    expect(taken).toEqual([3, 0, 1, 2, 3, 0])
  })

  it('follows the weights of topics and of queues', () => {
    const counts = count({ topicWeights: [3, 1], queueWeights: [1, 3] }, ({ lane }) => lane)
    expect(counts.map((one) => one / 65_536)).toEqual([3 / 16, 9 / 16, 1 / 16, 3 / 16])
  })

  it('sends nothing to what has no weight', () => {
    expect(count({ topicWeights: [1, 0] }, ({ lane }) => lane)).toHaveLength(2)
  })

  it('gives every message of one key the same lane, whoever sends it', () => {
    const mix = { ...plainMix, keys: { ...keys, chooseQueue: true } }
    for (const producer of [0, 1]) {
      const deal = new MessageDeal(lanes, mix, producer)
      for (let index = 0; index < 500; index += 1) {
        deal.takeLane()
        deal.takeMessage()
        expect(deal.lane).toBe(laneOfKey(deal.key, lanes.length))
      }
    }
    const used = Array.from({ length: 1000 }, (_, key) => laneOfKey(key, lanes.length))
    for (const lane of [0, 1, 2, 3]) {
      expect(used.filter((one) => one === lane).length).toBeGreaterThan(200)
    }
  })
})

describe('kinds of message', () => {
  it('come as often as their weights say', () => {
    expect(count({ kindWeights: [1, 2, 5] }, ({ kind }) => kind, 4_096 * 2)).toEqual([
      1_024, 2_048, 5_120,
    ])
  })
})

describe('keys', () => {
  it.each([
    { distribution: 'uniform', shares: [0.001, 0.001] },
    // The first of a thousand: 1 / H(1000) = 1 / 7.4855.
    { distribution: 'zipf', shares: [0.1336, 0.0668] },
    { distribution: 'hot', shares: [0.08, 0.08] },
  ] as const)('$distribution: the most frequent come as often as they should', (one) => {
    const { distribution, shares } = one
    const messages = 400_000
    const counts = count({ keys: { ...keys, distribution } }, ({ key }) => key, messages)
    for (const [key, share] of shares.entries()) {
      // Five standard deviations of a count with this expectation.
      const expected = share * messages
      expect(Math.abs(Number(counts[key]) - expected)).toBeLessThan(5 * Math.sqrt(expected))
    }
    expect(counts.length).toBeLessThanOrEqual(keys.cardinality)
  })

  it('leave the rest to the others when some are hot', () => {
    const counts = count({ keys: { ...keys, distribution: 'hot' } }, ({ key }) => key, 100_000)
    const hot = counts.slice(0, keys.hotKeys).reduce((sum, one) => sum + one, 0)
    expect(Math.abs(hot - 80_000)).toBeLessThan(1_000)
    expect(counts.slice(keys.hotKeys).filter((one) => one > 0).length).toBeGreaterThan(900)
  })

  it('are the same for the same seed, and others for another producer', () => {
    const draw = (seed: number, producer: number) =>
      count({ keys, seed }, ({ key }) => key, 2_000, producer).join()
    expect(draw(1, 0)).toBe(draw(1, 0))
    expect(draw(1, 0)).not.toBe(draw(2, 0))
    expect(draw(1, 0)).not.toBe(draw(1, 1))
  })
})
