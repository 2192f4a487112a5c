import { expect, test } from 'vitest'
import { OpLog, offsetsIn } from '../../../src/broker/transactions/op-log.ts'
import { type AppendRequest, AppendStatus } from '../../../src/store/append.ts'
import type { Queue } from '../../../src/store/queue.ts'
import type { Store } from '../../../src/store/store.ts'
import { ManualClock } from '../../world/manual-clock.ts'

/** An operation log over a store that only keeps the bodies it is given. */
function anOpLog() {
  const clock = new ManualClock()
  const bodies: string[] = []
  const store = {
    state: 'writable',
    status: AppendStatus.ok as AppendStatus,
    lastAppend: { queueOffset: 0 },
    append({ body, bodyStart, bodyEnd }: AppendRequest): AppendStatus {
      if (store.status !== AppendStatus.ok) return store.status
      store.lastAppend = { queueOffset: bodies.length }
      bodies.push(body.toString('latin1', bodyStart, bodyEnd))
      return AppendStatus.ok
    },
  }
  const ops = new OpLog({
    store: store as unknown as Store,
    clock,
    queue: { nextOffset: 77 } as Queue,
    bornHost: Buffer.alloc(8),
    nextUniqueId: () => 'ID',
  })
  return { clock, bodies, store, ops }
}

test('one record names all halves that ended within some milliseconds', () => {
  const { clock, bodies, ops } = anOpLog()
  for (const offset of [5, 7, 6]) ops.note(offset)
  expect([bodies, ops.pending]).toEqual([[], 3])
  clock.advance(100)
  expect([bodies, ops.pending]).toEqual([['5,7,6,'], 0])
  ops.note(8)
  clock.advance(100)
  expect(bodies).toEqual(['5,7,6,', '8,'])
})

test('many that are pending wait no longer', () => {
  const { bodies, ops } = anOpLog()
  const offsets = Array.from({ length: 1_000 }, (_, i) => 1_000_000_000 + i)
  for (const offset of offsets) ops.note(offset)
  expect(bodies.length).toBeGreaterThan(0)
  expect(bodies.every((body) => body.length <= 4_096)).toBe(true)
  ops.flush()
  expect(bodies.flatMap(offsetsIn)).toEqual(offsets)
})

test('who waits for the record gets it at once, and none comes after it for the same halves', () => {
  const { clock, bodies, ops } = anOpLog()
  ops.note(1)
  ops.flush()
  expect(bodies).toEqual(['1,'])
  clock.advance(100)
  expect(bodies).toEqual(['1,'])
})

test('what the log does not take is tried again, and named once', () => {
  const { clock, bodies, store, ops } = anOpLog()
  store.status = AppendStatus.busy
  ops.note(1)
  clock.advance(100)
  ops.note(2)
  clock.advance(100)
  expect([bodies, ops.pending]).toEqual([[], 2])
  store.status = AppendStatus.ok
  clock.advance(100)
  expect([bodies, ops.pending]).toEqual([['1,2,'], 0])
})

test('what was pending when the log lost its end is never written, and what was written stays needed', () => {
  const { clock, bodies, ops } = anOpLog()
  ops.note(1)
  ops.flush()
  ops.note(2)
  ops.onLost()
  clock.advance(100)
  expect([bodies, ops.pending, ops.doneBefore(0)]).toEqual([['1,'], 0, 0])
})

test('a record is needed until all that it names lie behind the progress', () => {
  const { bodies, ops } = anOpLog()
  ops.note(3)
  ops.note(9)
  ops.flush()
  ops.note(10)
  ops.flush()
  expect(bodies).toHaveLength(2)
  expect([ops.doneBefore(4), ops.doneBefore(10), ops.doneBefore(11)]).toEqual([0, 1, 77])
})
