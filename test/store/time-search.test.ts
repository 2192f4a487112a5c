import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../world/manual-clock.ts'
import { Subject, tempDir } from './a-store.ts'
import { FailingDisk, worldWith } from './failing-disk.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function opened() {
  const clock = new ManualClock()
  const subject = await Subject.open(
    await tempDir(cleanups),
    { queuePagesBytes: 0, tailBytes: 8192 },
    worldWith(new FailingDisk(), clock),
  )
  cleanups.push(() => subject.store.close())
  return { subject, clock }
}

/** Sends a message after each step of time (0: the same millisecond); the store times. */
async function sendAt(
  subject: Subject,
  clock: ManualClock,
  topic: string,
  stepsMs: readonly number[],
): Promise<number[]> {
  const times: number[] = []
  for (const stepMs of stepsMs) {
    clock.advance(stepMs)
    await subject.send(topic, 0)
    times.push(subject.store.lastAppend.storeTimestamp)
    await new Promise((resolve) => setImmediate(resolve))
  }
  return times
}

/** First offset stored at or after the time; the end of the queue when there is none. */
function lower(times: readonly number[], ms: number): number {
  for (const [offset, time] of times.entries()) if (time >= ms) return offset
  return times.length
}

/** Last offset stored at or before the time; the start of the queue when there is none. */
function upper(times: readonly number[], ms: number): number {
  for (let offset = times.length - 1; offset >= 0; offset--) {
    if ((times[offset] ?? Infinity) <= ms) return offset
  }
  return 0
}

describe('an offset by time', () => {
  it('is what a walk through the queue finds, also among equal times and over several files', async () => {
    const { subject, clock } = await opened()
    let topics = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(0, 0, 0, 1, 2, 7), { minLength: 1, maxLength: 35 }),
        async (stepsMs) => {
          const topic = `T${topics++}`
          clock.advance(5)
          const times = await sendAt(subject, clock, topic, stepsMs)
          const queue = subject.store.queue(topic, 0)
          const first = times[0] ?? 0
          const last = times[times.length - 1] ?? 0
          for (let ms = first - 2; ms <= last + 2; ms++) {
            const found = [
              await subject.store.offsetByTime(queue, ms, 'LOWER'),
              await subject.store.offsetByTime(queue, ms, 'UPPER'),
            ]
            expect([ms - first, ...found]).toEqual([ms - first, lower(times, ms), upper(times, ms)])
          }
        },
      ),
      { numRuns: 25 },
    )
  })

  it('is the start before everything, and the end behind it', async () => {
    const { subject, clock } = await opened()
    await sendAt(subject, clock, 'T', Array<number>(25).fill(10))
    const queue = subject.store.queue('T', 0)
    const at = (ms: number, boundary: 'LOWER' | 'UPPER') =>
      subject.store.offsetByTime(queue, ms, boundary)
    expect([await at(0, 'LOWER'), await at(0, 'UPPER')]).toEqual([0, 0])
    const late = clock.wallMs() + 1
    expect([await at(late, 'LOWER'), await at(late, 'UPPER')]).toEqual([25, 24])
  })

  it('is 0 in a queue without messages', async () => {
    const { subject } = await opened()
    const queue = subject.store.queue('T', 0)
    expect(await subject.store.offsetByTime(queue, 1, 'LOWER')).toBe(0)
    expect(await subject.store.offsetByTime(queue, 1e15, 'UPPER')).toBe(0)
  })
})
