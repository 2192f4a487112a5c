import { cp } from 'node:fs/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { nodeWorld } from '../../src/world/node-world.ts'
import { JumpClock } from '../world/jump-clock.ts'
import { Subject, tempDir } from './a-store.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const HOURS_8 = 8 * 3_600_000
const MINUTE = 60_000

async function aStore(clock: JumpClock, dir?: string) {
  const at = dir ?? (await tempDir(cleanups))
  const subject = await Subject.open(at, {}, { ...nodeWorld, clock })
  cleanups.push(() => subject.store.close())
  /** How far the message's store time is from the clock, ms; positive when it is ahead. */
  const send = async () => {
    await new Promise((resolve) => setImmediate(resolve))
    await subject.send('T', 0)
    return subject.store.lastAppend.storeTimestamp - clock.wallMs()
  }
  return { subject, dir: at, send }
}

describe('the store time of a message', () => {
  it('follows a clock that is set back by hours, whose moment ahead stays its own', async () => {
    const clock = new JumpClock()
    const { send } = await aStore(clock)
    clock.setWall(HOURS_8)
    await send()
    clock.setWall(-HOURS_8)
    expect(Math.abs(await send())).toBeLessThan(MINUTE)
  })

  it.each(['closed', 'killed'])(
    'is that of the clock again in a store that was %s while its clock was ahead',
    async (how) => {
      const clock = new JumpClock()
      const { subject, dir, send } = await aStore(clock)
      clock.setWall(HOURS_8)
      await send()
      const copy = how === 'killed' ? await tempDir(cleanups) : dir
      if (how === 'killed') await cp(dir, copy, { recursive: true })
      await subject.store.close()
      clock.setWall(-HOURS_8)
      const again = await aStore(clock, copy)
      expect(Math.abs(await again.send())).toBeLessThan(MINUTE)
    },
  )

  it('is the same for a while when the clock is set back a little', async () => {
    const clock = new JumpClock()
    const { subject, send } = await aStore(clock)
    // So far ahead of the clock that no time of this test catches up with it.
    clock.setWall(HOURS_8)
    await send()
    const before = subject.store.lastAppend.storeTimestamp
    clock.setWall(before - Math.floor(clock.wallMs()) - 2_000)
    await send()
    const after = subject.store.lastAppend.storeTimestamp
    expect(after).toBeGreaterThanOrEqual(before)
  })

  it('is found by a search in each part of a queue that the clock was set back in', async () => {
    const clock = new JumpClock()
    const { subject, send } = await aStore(clock)
    clock.setWall(HOURS_8)
    await send()
    clock.setWall(-HOURS_8)
    await send()
    await send()
    const queue = subject.store.queue('T', 0)
    expect(await subject.store.offsetByTime(queue, clock.wallMs() - MINUTE, 'LOWER')).toBe(0)
    expect(await subject.store.offsetByTime(queue, clock.wallMs() + MINUTE, 'LOWER')).toBe(3)
  })
})
