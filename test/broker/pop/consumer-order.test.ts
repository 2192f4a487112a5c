import { expect, it, vi } from 'vitest'
import { silentLogger } from '../../../src/base/logger.ts'
import { ConsumerOrder } from '../../../src/broker/pop/consumer-order.ts'
import { ManualClock } from '../../world/manual-clock.ts'
import { MemoryFile } from '../memory-file.ts'

const HOUR_MS = 3_600_000

it('what is out of sight for longer than a day is not forgotten meanwhile', async () => {
  const clock = new ManualClock()
  const file = new MemoryFile()
  const parts = { clock, file, logger: silentLogger, flushMs: 5_000, isKnown: () => true }
  const order = await ConsumerOrder.load(parts)
  const popMs = Math.floor(clock.wallMs())
  const taken = { topic: 'T', group: 'G', attemptId: null, popMs, offsets: [0] }
  order.take({ ...taken, queueId: 0, invisibleMs: 48 * HOUR_MS })
  order.take({ ...taken, queueId: 1, invisibleMs: HOUR_MS })
  clock.advance(26 * HOUR_MS)
  await order.close()
  const again = await ConsumerOrder.load(parts)
  expect(again.blockedUntil('T', 'G', 0, null)).toBe(popMs + 48 * HOUR_MS)
  expect(again.ack('T', 'G', 1, 0, popMs)).toBe('unknown')
})

it('what was taken of a deleted topic blocks nobody in a new one of its name', async () => {
  const parts = { clock: new ManualClock(), file: new MemoryFile(), logger: silentLogger }
  const order = await ConsumerOrder.load({ ...parts, flushMs: 5_000, isKnown: () => true })
  const popMs = Math.floor(parts.clock.wallMs())
  const taken = { group: 'G', queueId: 0, attemptId: null, popMs, invisibleMs: HOUR_MS }
  for (const topic of ['T', 'TT']) order.take({ ...taken, topic, offsets: [8] })
  order.forgetTopic('T')
  expect(order.blockedUntil('T', 'G', 0, null)).toBe(0)
  expect(order.ack('T', 'G', 0, 8, popMs)).toBe('unknown')
  expect(order.blockedUntil('TT', 'G', 0, null)).toBe(popMs + HOUR_MS)
})

it('a long table is put together over several turns', async () => {
  const clock = new ManualClock()
  const file = new MemoryFile()
  const turns = vi.spyOn(clock, 'atEndOfTurn').mockImplementation((run) => {
    queueMicrotask(run)
  })
  // Time passes whenever somebody looks.
  const nowMs = clock.monotonicMs.bind(clock)
  let looks = 0
  vi.spyOn(clock, 'monotonicMs').mockImplementation(() => nowMs() + looks++)
  const parts = { clock, file, logger: silentLogger, flushMs: 5_000, isKnown: () => true }
  const order = await ConsumerOrder.load(parts)
  for (let i = 0; i < 100; i++) {
    const taken = { topic: `T${i}`, group: 'G', attemptId: null, popMs: 1, offsets: [i] }
    order.take({ ...taken, queueId: 0, invisibleMs: 1 })
  }
  await order.close()
  expect(turns.mock.calls.length).toBeGreaterThan(1)
  const again = await ConsumerOrder.load(parts)
  expect(again.ack('T99', 'G', 0, 99, 1)).toEqual({ next: 100 })
})
