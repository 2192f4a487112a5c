import { describe, expect, it } from 'vitest'
import { Pauses } from '../../src/client/pause.ts'
import { ManualClock } from '../world/manual-clock.ts'

const settled = async (promise: Promise<void>) => {
  let done = false
  void promise.then(() => {
    done = true
  })
  await new Promise(setImmediate)
  return () => done
}

describe('a pause', () => {
  it('ends after its time', async () => {
    const clock = new ManualClock()
    const isDone = await settled(new Pauses(clock).pause(100))
    clock.advance(99)
    await new Promise(setImmediate)
    expect(isDone()).toBe(false)
    clock.advance(1)
    await new Promise(setImmediate)
    expect(isDone()).toBe(true)
  })

  it('ends at once when all end, and there are none after that', async () => {
    const pauses = new Pauses(new ManualClock())
    const waiting = [pauses.pause(1e9), pauses.pause(1e9)]
    pauses.end()
    await Promise.all(waiting)
    await pauses.pause(1e9)
    expect(waiting).toHaveLength(2)
  })
})
