import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { shareOf } from '../../src/client/rebalance.ts'

const queues = (count: number, brokerName = 'a') =>
  Array.from({ length: count }, (_, queueId) => ({ topic: 'T', brokerName, queueId }))

const ids = (share: { queueId: number }[]) => share.map((queue) => queue.queueId)

describe('the share of a member', () => {
  // Worked out by hand from AllocateMessageQueueAveragely.
  it.each([
    [4, ['c1'], 'c1', [0, 1, 2, 3]],
    [4, ['c1', 'c2'], 'c1', [0, 1]],
    [4, ['c1', 'c2'], 'c2', [2, 3]],
    [5, ['c1', 'c2'], 'c1', [0, 1, 2]],
    [5, ['c1', 'c2'], 'c2', [3, 4]],
    [8, ['c1', 'c2', 'c3'], 'c2', [3, 4, 5]],
    [8, ['c1', 'c2', 'c3'], 'c3', [6, 7]],
    [2, ['c1', 'c2', 'c3'], 'c2', [1]],
    [2, ['c1', 'c2', 'c3'], 'c3', []],
    [4, ['c1'], 'stranger', []],
    [0, ['c1'], 'c1', []],
  ])('of %i queues among %j is, for %s, %j', (count, members, me, expected) => {
    expect(ids(shareOf(me, members, queues(count)))).toEqual(expected)
  })

  it('goes by names in order, whatever the order of the lists', () => {
    const mixed = [...queues(2, 'b'), ...queues(2, 'a')].reverse()
    const share = shareOf('c1', ['c2', 'c10', 'c1'], mixed)
    expect(share.map((queue) => `${queue.brokerName}${queue.queueId}`)).toEqual(['a0', 'a1'])
  })

  it('gives every queue to exactly one member, and none has two more than another', () => {
    const member = fc.string({ minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(
        fc.nat(40),
        fc.uniqueArray(member, { minLength: 1, maxLength: 12 }),
        (count, members) => {
          const shares = members.map((one) => shareOf(one, members, queues(count)))
          expect(ids(shares.flat()).sort((a, b) => a - b)).toEqual(ids(queues(count)))
          const sizes = shares.map((share) => share.length)
          expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
        },
      ),
    )
  })
})
