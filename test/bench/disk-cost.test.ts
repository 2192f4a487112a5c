import { describe, expect, it } from 'vitest'
import { diskBytesAt, type Writing } from '../../src/bench/disk-cost.ts'

/** The record of a 500-byte message with its units, in four queues of one broker. */
const writing: Writing = {
  recordBytes: 725,
  unitBytes: 40,
  keysPerMessage: 1,
  lanes: 4,
  brokers: 1,
  perFlush: null,
}

describe('what a message costs the disk', () => {
  // Measured as write_bytes of a broker under such a load: 909 and 790 bytes.
  it.each([
    [100, 909],
    [1_000, 790],
    [100_000, 765],
  ])('at %i a second is within a tenth of what was measured, %i bytes', (rate, measured) => {
    expect(Math.abs(diskBytesAt(writing, rate) / measured - 1)).toBeLessThan(0.1)
  })

  it('is little more than the message at high rates, and a page and more at very low ones', () => {
    expect(diskBytesAt(writing, 1e6)).toBeCloseTo(765, 0)
    expect(diskBytesAt(writing, 1)).toBeGreaterThan(2 * 4096)
  })

  it('is a page more where each message waits for a flush of its own', () => {
    const each = diskBytesAt({ ...writing, perFlush: 1 }, 100_000)
    const shared = diskBytesAt({ ...writing, perFlush: 64 }, 100_000)
    expect([each - 765, shared - 765].map(Math.round)).toEqual([4096, 64])
  })

  it('does not change when twice the brokers carry twice the load', () => {
    const twice = diskBytesAt({ ...writing, lanes: 8, brokers: 2 }, 400)
    expect(twice).toBeCloseTo(diskBytesAt(writing, 200))
  })

  it('has the slot table of the key index in it once a minute', () => {
    const at = (fromSeconds: number, seconds: number) =>
      diskBytesAt(writing, 1_000, { fromSeconds, seconds }) - diskBytesAt(writing, 1_000)
    expect(at(10, 30)).toBe(0)
    // All of its 20 MB in 20 seconds of 1,000 messages.
    expect(at(50, 20)).toBeCloseTo(1_000, -1)
    expect(at(0, 625)).toBeCloseTo(320, -1)
  })
})
