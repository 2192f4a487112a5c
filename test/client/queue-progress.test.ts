import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { QueueProgress } from '../../src/client/queue-progress.ts'

describe('progress in a queue', () => {
  it('stays at the lowest message that is not finished', () => {
    const progress = new QueueProgress(10)
    for (const offset of [10, 11, 12]) progress.add(offset, 100)
    progress.fetchedUpTo(13)
    progress.finish(11)
    progress.finish(12)
    expect(progress.position).toBe(10)
    progress.finish(10)
    expect(progress.position).toBe(13)
  })

  it('passes over messages that were filtered away', () => {
    const progress = new QueueProgress(0)
    progress.fetchedUpTo(50)
    expect(progress.position).toBe(50)
    progress.add(60, 1)
    progress.fetchedUpTo(70)
    expect(progress.position).toBe(60)
  })

  it('counts what is in work', () => {
    const progress = new QueueProgress(0)
    progress.add(5, 100)
    progress.add(9, 50)
    expect([progress.count, progress.bytes, progress.span]).toEqual([2, 150, 4])
    progress.finish(5)
    progress.finish(5)
    expect([progress.count, progress.bytes, progress.span]).toEqual([1, 50, 0])
  })

  it('takes no message twice', () => {
    const progress = new QueueProgress(0)
    expect([progress.add(5, 1), progress.add(5, 1), progress.add(4, 1)]).toEqual([
      true,
      false,
      false,
    ])
    progress.finish(99)
    expect(progress.count).toBe(1)
  })

  it('never passes an unfinished message, whatever the order in which they finish', () => {
    const steps = fc.array(fc.oneof(fc.constant('add' as const), fc.nat(3_000)), {
      maxLength: 5_000,
    })
    fc.assert(
      fc.property(steps, (script) => {
        const progress = new QueueProgress(0)
        const open = new Set<number>()
        let next = 0
        for (const step of script) {
          if (step === 'add') {
            progress.add(next, 1)
            open.add(next)
            next += 1
            progress.fetchedUpTo(next)
          } else {
            open.delete(step)
            progress.finish(step)
          }
          const lowest = open.size === 0 ? next : Math.min(...open)
          expect([progress.position, progress.count]).toEqual([lowest, open.size])
        }
      }),
      { numRuns: 30 },
    )
  })
})
