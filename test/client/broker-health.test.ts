import { describe, expect, it } from 'vitest'
import { BrokerHealth } from '../../src/client/broker-health.ts'
import { RoundRobin, queueOfOrderKey } from '../../src/client/queue-choice.ts'
import { nodeRandom } from '../../src/world/node-random.ts'
import { ManualClock } from '../world/manual-clock.ts'

const queues = ['a', 'a', 'b', 'b'].map((brokerName, i) => ({
  topic: 'T',
  brokerName,
  queueId: i % 2,
}))

describe('broker health', () => {
  it.each([
    [99, 0],
    [549, 0],
    [550, 2_000],
    [1_800, 5_000],
    [3_000, 6_000],
    [5_000, 10_000],
    [20_000, 30_000],
  ])('leaves a broker that took %i ms aside for %i ms', (latencyMs, asideMs) => {
    const clock = new ManualClock()
    const health = new BrokerHealth(clock)
    health.answered('a', latencyMs)
    expect(health.isUsable('a')).toBe(asideMs === 0)
    clock.advance(Math.max(0, asideMs - 1))
    expect(health.isUsable('a')).toBe(asideMs === 0)
    clock.advance(1)
    expect(health.isUsable('a')).toBe(true)
  })

  it('takes a broker back that answers fast again', () => {
    const health = new BrokerHealth(new ManualClock())
    health.failed('a')
    expect(health.isUsable('a')).toBe(false)
    health.answered('a', 1)
    expect(health.isUsable('a')).toBe(true)
  })
})

describe('the choice of a queue', () => {
  const names = (count: number, health: BrokerHealth, tried = new Set<string>()) => {
    const turn = new RoundRobin(nodeRandom)
    return Array.from({ length: count }, () => turn.take(queues, health, tried)?.brokerName)
  }

  it('takes all in turn', () => {
    const turn = new RoundRobin(nodeRandom)
    const health = new BrokerHealth(new ManualClock())
    const taken = Array.from({ length: 8 }, () => turn.take(queues, health, new Set()))
    expect(new Set(taken).size).toBe(4)
    expect(taken.slice(0, 4)).toEqual(taken.slice(4))
  })

  it('leaves out brokers that were tried or are not well', () => {
    const health = new BrokerHealth(new ManualClock())
    expect(new Set(names(4, health, new Set(['a'])))).toEqual(new Set(['b']))
    health.failed('b')
    expect(new Set(names(4, health))).toEqual(new Set(['a']))
  })

  it('would rather take one that is not well than one that just failed, and any rather than none', () => {
    const health = new BrokerHealth(new ManualClock())
    health.failed('b')
    expect(new Set(names(4, health, new Set(['a'])))).toEqual(new Set(['b']))
    expect(names(1, health, new Set(['a', 'b']))[0]).toBeDefined()
    expect(new RoundRobin(nodeRandom).take([], health, new Set())).toBeNull()
  })

  it('follows the hash of an order key as Java does', () => {
    // "order-1".hashCode() = -1207111310, "order-2".hashCode() = -1207111309.
    expect(queueOfOrderKey(queues, 'order-1')).toBe(queues[2])
    expect(queueOfOrderKey(queues, 'order-2')).toBe(queues[1])
    expect(queueOfOrderKey([], 'order-1')).toBeNull()
  })
})
