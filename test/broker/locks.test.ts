import { describe, expect, test } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { QueueLocks } from '../../src/broker/locks.ts'
import { JumpClock } from '../world/jump-clock.ts'

const LIVE_MS = 60_000

function someLocks() {
  const clock = new JumpClock()
  const locks = new QueueLocks({ clock, logger: silentLogger, lockLiveMs: () => LIVE_MS })
  return { clock, locks }
}

const queue = (queueId: number, topic = 'T') => ({ topic, brokerName: 'broker-a', queueId })
const both = [queue(0), queue(1)]

describe('locks of queues', () => {
  test('give each queue of a group to one client, and to no other', () => {
    const { locks } = someLocks()
    expect(locks.lock('G', [queue(0)], 'first')).toEqual([queue(0)])
    expect(locks.lock('G', both, 'second')).toEqual([queue(1)])
    expect(locks.lock('G', both, 'first')).toEqual([queue(0)])
  })

  test('of one group are nothing to another', () => {
    const { locks } = someLocks()
    locks.lock('G', both, 'first')
    expect(locks.lock('H', both, 'second')).toEqual(both)
  })

  test('go to another client 60 s after they were last renewed, not before', () => {
    const { clock, locks } = someLocks()
    locks.lock('G', both, 'first')
    clock.jump(40_000)
    locks.lock('G', [queue(0)], 'first')
    clock.jump(25_000)
    expect(locks.lock('G', both, 'second')).toEqual([queue(1)])
    clock.jump(40_000)
    expect(locks.lock('G', both, 'second')).toEqual(both)
  })

  test('are free at once when their owner lets go, and only when their owner does', () => {
    const { locks } = someLocks()
    locks.lock('G', both, 'first')
    locks.unlock('G', both, 'second')
    expect(locks.lock('G', both, 'second')).toEqual([])
    locks.unlock('G', [queue(0)], 'first')
    expect(locks.lock('G', both, 'second')).toEqual([queue(0)])
  })

  test('tell whether a group consumes in order right now', () => {
    const { clock, locks } = someLocks()
    expect(locks.isHeldBy('G')).toBe(false)
    locks.lock('G', both, 'first')
    expect([locks.isHeldBy('G'), locks.isHeldBy('H')]).toEqual([true, false])
    clock.jump(LIVE_MS + 1_000)
    expect(locks.isHeldBy('G')).toBe(false)
  })

  test('that nobody renews are forgotten, so that clients that are gone cost nothing', () => {
    const { clock, locks } = someLocks()
    locks.lock('G', both, 'first')
    locks.lock('H', both, 'first')
    clock.jump(LIVE_MS + 1_000)
    locks.lock('H', [queue(1)], 'second')
    locks.sweep()
    expect(locks.count).toBe(1)
  })
})
