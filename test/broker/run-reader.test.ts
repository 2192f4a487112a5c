import { expect, test } from 'vitest'
import { type LogFields, type Logger, silentLogger } from '../../src/base/logger.ts'
import { RunBuffer } from '../../src/broker/run-buffer.ts'
import { RunReader } from '../../src/broker/run-reader.ts'
import type { Queue } from '../../src/store/queue.ts'
import type { Store } from '../../src/store/store.ts'
import { diskError } from '../store/failing-disk.ts'
import { ManualClock } from '../world/manual-clock.ts'

/** A reader of ten messages of one byte, their own offsets, of which some cannot be read. */
function aReader() {
  const clock = new ManualClock()
  const damaged = new Set<number>()
  const passed: unknown[] = []
  const queue = { topic: 'T', queueId: 0, maxOffset: 10 } as Queue
  let code = 'EIO'
  const readOne = (offset: number) =>
    damaged.has(offset)
      ? Promise.reject(diskError(code, 'log'))
      : Promise.resolve(Buffer.from([offset]))
  const store = {
    pullNow: () => null,
    pull: async (
      ...[, first, count, , , run]: [Queue, number, number, number, null, RunBuffer]
    ) => {
      for (let offset = first; offset < first + count; offset++) {
        const record = await readOne(offset)
        const at = run.reserve(1)
        record.copy(run.bytes, at)
        run.length++
      }
      return { nextBeginOffset: first + count }
    },
    unitAt: (_: Queue, offset: number) => Promise.resolve({ physicalOffset: offset, size: 1 }),
    recordAt: readOne,
  }
  const logger: Logger = {
    ...silentLogger,
    error: (_: string, fields?: LogFields) => passed.push(fields?.['queueOffset']),
  }
  const reader = new RunReader({ queue, store: store as unknown as Store, clock, logger })
  const run = new RunBuffer()
  let next = 0
  /** The next four; null when they cannot be read. */
  const read = async (): Promise<number[] | null> => {
    run.reuse(0)
    try {
      next = await reader.read(next, 4, 1_024, run)
      return [...run.bytes.subarray(0, run.length)]
    } catch {
      return null
    }
  }
  const fail = (as: string, ...offsets: number[]) => {
    code = as
    damaged.clear()
    for (const offset of offsets) damaged.add(offset)
  }
  return { clock, passed, read, fail }
}

test('a read error that is soon over loses nothing, however often the read is tried meanwhile', async () => {
  const { clock, passed, read, fail } = aReader()
  fail('EIO', 0, 1, 2, 3)
  for (let i = 0; i < 200; i++) {
    expect(await read()).toBeNull()
    clock.advance(100)
  }
  fail('EIO')
  expect(await read()).toEqual([0, 1, 2, 3])
  expect(passed).toEqual([])
})

test('what cannot be read for half a minute is passed over, and what lies behind it after three seconds', async () => {
  const { clock, passed, read, fail } = aReader()
  fail('EIO', 0, 1)
  for (let i = 0; i < 30; i++) {
    expect(await read()).toBeNull()
    clock.advance(1_000)
  }
  expect([await read(), passed]).toEqual([[], [0]])
  for (let i = 0; i < 3; i++) {
    expect(await read()).toBeNull()
    clock.advance(1_000)
  }
  expect([await read(), passed]).toEqual([
    [2, 3, 4],
    [0, 1],
  ])
})

test('a machine that stood still between two reads has not tried for long', async () => {
  const { clock, passed, read, fail } = aReader()
  fail('EIO', 0)
  expect(await read()).toBeNull()
  clock.advance(60_000)
  expect(await read()).toBeNull()
  expect(passed).toEqual([])
})

test('a machine that is short of files passes nothing over', async () => {
  const { clock, passed, read, fail } = aReader()
  fail('EMFILE', 0)
  for (let i = 0; i < 100; i++) {
    expect(await read()).toBeNull()
    clock.advance(1_000)
  }
  // Nor does that time count for another error.
  fail('EIO', 0)
  expect(await read()).toBeNull()
  expect(passed).toEqual([])
})
