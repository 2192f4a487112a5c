import { readFile } from 'node:fs/promises'
import path from 'node:path'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { BatchReader, encodeBatch } from '../../src/protocol/batch-body.ts'
import { AppendStatus } from '../../src/store/append.ts'
import { fileNameOf } from '../../src/store/segments.ts'
import { ManualClock } from '../world/manual-clock.ts'
import { type Given, type Sent, Subject, tempDir } from './a-store.ts'
import { FailingDisk, worldWith } from './failing-disk.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const roomy: Given = { segmentBytes: 1 << 20, chunkBytes: 1 << 18, tailBytes: 1 << 20 }

async function opened(given: Given = {}) {
  const dir = await tempDir(cleanups)
  const disk = new FailingDisk()
  const clock = new ManualClock()
  const subject = await Subject.open(dir, given, worldWith(disk, clock))
  cleanups.push(() => subject.store.close())
  return { subject, disk, clock, dir, calls: disk.calls.length }
}

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

const segmentOf = (dir: string, from: number) =>
  readFile(path.join(dir, 'commitlog', fileNameOf(from)))

/** Appends all bodies as one batch, waiting while the store is busy. */
async function appendBatch(subject: Subject, bodies: readonly number[]): Promise<AppendStatus> {
  const body = encodeBatch(
    bodies.map((bytes) => ({
      flag: 0,
      body: Buffer.alloc(bytes, 'b'),
      properties: Buffer.alloc(0),
    })),
  )
  const request = subject.fill('T', 0, {})
  for (;;) {
    const status = subject.store.appendBatch(request, new BatchReader(), body, 0, body.length)
    if (status !== AppendStatus.busy) return status
    await nextTurn()
  }
}

describe('the end of a segment', () => {
  // A record of topic T without properties and body has 92 bytes, on top of two of them here.
  const fixedBytes = 92
  const bodyLeaving = (left: number) => 1024 - fixedBytes * 2 - left

  it.each([8, 9, 50, fixedBytes + 7])(
    'is a blank record of the %i bytes that are left',
    async (left) => {
      const { subject, dir } = await opened({ segmentBytes: 1024 })
      await subject.send('T', 0, { body: '' })
      const last = await subject.send('T', 0, { body: 'x'.repeat(bodyLeaving(left)) })
      expect(last.end).toBe(1024 - left)
      const next = await subject.send('T', 0, { body: '' })
      expect(next.physicalOffset).toBe(1024)
      const segment = await segmentOf(dir, 0)
      expect(segment.length).toBe(1024)
      expect(segment.readInt32BE(last.end)).toBe(left)
      expect(segment.readInt32BE(last.end + 4)).toBe(-875_286_124)
      expect(segment.subarray(last.end + 8).every((byte) => byte === 0)).toBe(true)
    },
  )

  it('comes before a record that would leave no room for the blank', async () => {
    const { subject } = await opened({ segmentBytes: 1024 })
    const first = await subject.send('T', 0, { body: '' })
    expect(first.end).toBe(fixedBytes)
    const tooLong = await subject.send('T', 0, { body: 'x'.repeat(bodyLeaving(7)) })
    expect(tooLong.physicalOffset).toBe(1024)
    expect((await subject.readAll('T', 0)).map((one) => one.queueOffset)).toEqual([0, 1])
  })

  it('leaves room for a record that fits just so', async () => {
    const { subject } = await opened({ segmentBytes: 1024 })
    await subject.send('T', 0, { body: '' })
    const exact = await subject.send('T', 0, { body: 'x'.repeat(bodyLeaving(fixedBytes + 8)) })
    const last = await subject.send('T', 0, { body: '' })
    expect([last.physicalOffset, last.end]).toEqual([exact.end, 1024 - 8])
  })

  it('never splits a batch', async () => {
    const { subject } = await opened()
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 700 }), { minLength: 1, maxLength: 5 }),
        async (bodies) => {
          expect(await appendBatch(subject, bodies)).toBe(AppendStatus.ok)
          const { physicalOffset, physicalOffsets, count, end } = subject.store.lastAppend
          expect(count).toBe(bodies.length)
          expect(Math.floor(physicalOffset / 4096)).toBe(Math.floor((end - 1) / 4096))
          // One behind the other, without a gap.
          const expected = bodies.map((_body, i) =>
            bodies.slice(0, i).reduce((at, bytes) => at + bytes + fixedBytes, physicalOffset),
          )
          expect(physicalOffsets.slice(0, count)).toEqual(expected)
        },
      ),
      { numRuns: 60 },
    )
    await subject.confirmed(subject.store.lastAppend.end)
    const queue = subject.store.queue('T', 0)
    expect(await subject.readAll('T', 0)).toHaveLength(queue.maxOffset)
  })

  it('refuses a batch longer than a segment, and stores nothing of it', async () => {
    const { subject } = await opened()
    await subject.send('T', 0)
    const { appended } = subject.store.watermarks
    expect(await appendBatch(subject, [1500, 1500, 1500])).toBe(AppendStatus.illegal)
    expect(subject.store.watermarks.appended).toBe(appended)
    expect(subject.store.queue('T', 0).nextOffset).toBe(1)
  })

  it('waits for a next segment that is not made yet, saying busy', async () => {
    const { subject, disk } = await opened()
    const lift = disk.hold('open', fileNameOf(4096))
    let status = subject.try('T', 0, { body: 'x'.repeat(900) })
    while (typeof status === 'object') {
      await subject.confirmed(status.end)
      status = subject.try('T', 0, { body: 'x'.repeat(900) })
    }
    expect(status).toBe(AppendStatus.busy)
    lift()
    const sent = await subject.send('T', 0, { body: 'x'.repeat(900) })
    expect(sent.physicalOffset).toBe(4096)
  })
})

describe('writing', () => {
  it('takes all records of a turn in one write', async () => {
    const { subject, disk, calls } = await opened(roomy)
    for (let n = 0; n < 40; n++) subject.try('T', n % 3, { body: `body ${n}` })
    expect(disk.callsOf('write', 'commitlog', calls)).toEqual([])
    const end = subject.store.watermarks.appended
    await subject.confirmed(end)
    expect(disk.callsOf('write', 'commitlog', calls).map((call) => call.bytes)).toEqual([end])
  })

  it('gathers the turns that pass while a write is in flight', async () => {
    const { subject, disk, calls } = await opened(roomy)
    const lift = disk.hold('write', 'commitlog')
    const first = subject.try('T', 0)
    await nextTurn()
    for (let turn = 0; turn < 5; turn++) {
      subject.try('T', 0)
      subject.try('T', 0)
      await nextTurn()
    }
    expect(disk.callsOf('write', 'commitlog', calls)).toHaveLength(1)
    expect(subject.store.watermarks.confirmed).toBe(0)
    lift()
    const end = subject.store.watermarks.appended
    await subject.confirmed(end)
    const firstEnd = typeof first === 'object' ? first.end : 0
    expect(disk.callsOf('write', 'commitlog', calls).map((call) => call.bytes)).toEqual([
      firstEnd,
      end - firstEnd,
    ])
  })

  it('says busy when the staged bytes reach the limit, and ok after the write', async () => {
    const { subject, disk } = await opened({ ...roomy, stagedBytesMax: 4096 })
    const lift = disk.hold('write', 'commitlog')
    let taken = 0
    while (typeof subject.try('T', 0, { body: 'x'.repeat(908) }) === 'object') taken++
    expect(taken).toBe(4)
    expect(subject.try('T', 0, { body: 'x'.repeat(908) })).toBe(AppendStatus.busy)
    const { appended } = subject.store.watermarks
    expect(appended).toBeLessThanOrEqual(4096)
    expect(subject.store.queue('T', 0).nextOffset).toBe(4)
    lift()
    await subject.confirmed(appended)
    const sent = subject.try('T', 0, { body: 'x'.repeat(908) })
    expect(sent).toMatchObject({ queueOffset: 4, physicalOffset: appended })
  })

  it('takes a record longer than that limit when nothing else waits', async () => {
    const { subject } = await opened({ ...roomy, stagedBytesMax: 4096 })
    const long = await subject.send('T', 0, { body: 'x'.repeat(10_000) })
    expect(long.physicalOffset).toBe(0)
    expect((await subject.readAll('T', 0))[0]?.body.length).toBe(10_000)
  })

  it('says busy when too many records wait to be confirmed', async () => {
    const { subject, disk } = await opened({ ...roomy, pendingRecordsMax: 16 })
    const lift = disk.hold('write', 'commitlog')
    for (let n = 0; n < 16; n++) expect(subject.try('T', 0)).toBeTypeOf('object')
    expect(subject.try('T', 0)).toBe(AppendStatus.busy)
    lift()
    await subject.confirmed(subject.store.watermarks.appended)
    expect(subject.try('T', 0)).toBeTypeOf('object')
  })

  it('gives a record longer than a chunk a write of its own', async () => {
    const { subject, disk, calls } = await opened({ ...roomy, chunkBytes: 2048 })
    const bodies = ['before', 'l'.repeat(10_000), 'between', 'm'.repeat(50_000), 'behind']
    const sent = bodies.map((body) => subject.try('T', 0, { body }))
    await subject.confirmed(subject.store.watermarks.appended)
    const ends = sent.map((one) => (typeof one === 'object' ? one.end : -1))
    const writes = disk.callsOf('write', 'commitlog', calls).map((call) => call.bytes)
    expect(writes).toContain((ends[1] ?? 0) - (ends[0] ?? 0))
    expect(writes).toContain((ends[3] ?? 0) - (ends[2] ?? 0))
    expect(writes.reduce((sum, bytes) => sum + bytes, 0)).toBe(ends[4])
    expect((await subject.readAll('T', 0)).map((one) => one.body.toString())).toEqual(bodies)
  })

  it('keeps no more memory for its tail than it may, and reads what fell out of it', async () => {
    const { subject } = await opened({ ...roomy, chunkBytes: 2048, tailBytes: 8192 })
    const sent: Sent[] = []
    for (let n = 0; n < 300; n++) sent.push(await subject.send('T', 0, { body: `body ${n}` }))
    expect(subject.store.facts().tailBytes).toBeLessThanOrEqual(8192)
    expect((await subject.readAll('T', 0)).map((one) => one.body.toString())).toEqual(
      sent.map((one) => one.body),
    )
  })
})

describe('flushing', () => {
  it('covers all appends of the turns in which one fdatasync is in flight with the next one', async () => {
    const { subject, disk, calls } = await opened({ ...roomy, flush: 'sync' })
    const lift = disk.hold('sync', 'commitlog')
    const first = subject.try('T', 0)
    await subject.until(() => disk.callsOf('sync', 'commitlog', calls).length === 1)
    for (let turn = 0; turn < 10; turn++) {
      subject.try('T', 0)
      await nextTurn()
    }
    await subject.until(
      () => subject.store.watermarks.written === subject.store.watermarks.appended,
    )
    expect(subject.store.watermarks.confirmed).toBe(0)
    expect((await subject.pull('T', 0, 0)).outcome.status).toBe('NO_MESSAGE_IN_QUEUE')
    lift()
    expect(typeof first).toBe('object')
    await subject.confirmed(subject.store.watermarks.appended)
    expect(disk.callsOf('sync', 'commitlog', calls)).toHaveLength(2)
    expect(await subject.readAll('T', 0)).toHaveLength(11)
  })

  it('confirms only what was written before the fdatasync began', async () => {
    const { subject, disk, calls } = await opened({ ...roomy, flush: 'sync' })
    const first = disk.hold('sync', 'commitlog')
    const early = subject.try('T', 0)
    await subject.until(() => disk.callsOf('sync', 'commitlog', calls).length === 1)
    subject.try('T', 0)
    await subject.until(
      () => subject.store.watermarks.written === subject.store.watermarks.appended,
    )
    // The first goes on, the second waits.
    first()
    const second = disk.hold('sync', 'commitlog')
    await subject.until(() => disk.callsOf('sync', 'commitlog', calls).length === 2)
    const { confirmed, flushed, written } = subject.store.watermarks
    expect(typeof early === 'object' && early.end).toBe(confirmed)
    expect(flushed).toBe(confirmed)
    expect(confirmed).toBeLessThan(written)
    second()
    await subject.confirmed(subject.store.watermarks.appended)
  })

  it('confirms before any fdatasync in async mode', async () => {
    const { subject, disk, calls } = await opened(roomy)
    const sent = await subject.send('T', 0)
    expect(subject.store.watermarks.confirmed).toBe(sent.end)
    expect(disk.callsOf('sync', 'commitlog', calls)).toEqual([])
  })

  it('follows within the interval in async mode once four pages wait', async () => {
    const { subject, disk, clock, calls } = await opened(roomy)
    await subject.send('T', 0, { body: 'x'.repeat(4 * 4096) })
    clock.advance(400)
    expect(disk.callsOf('sync', 'commitlog', calls)).toEqual([])
    clock.advance(100)
    expect(disk.callsOf('sync', 'commitlog', calls)).toHaveLength(1)
    await subject.until(() => subject.store.facts().flushBehindBytes === 0)
  })

  it('follows within ten seconds in async mode when less waits', async () => {
    const { subject, disk, clock, calls } = await opened(roomy)
    await subject.send('T', 0)
    clock.advance(9_900)
    expect(disk.callsOf('sync', 'commitlog', calls)).toEqual([])
    clock.advance(600)
    expect(disk.callsOf('sync', 'commitlog', calls)).toHaveLength(1)
    await subject.until(() => subject.store.facts().flushBehindBytes === 0)
  })

  it('syncs every segment that has unflushed bytes', async () => {
    const { subject, disk } = await opened({ flush: 'async' })
    await subject.sendMany('T', 60)
    const { written } = subject.store.watermarks
    const before = disk.calls.length
    expect(await subject.store.checkpointNow()).toBe(true)
    const synced = disk.callsOf('sync', 'commitlog', before).map((call) => path.basename(call.path))
    const expected: string[] = []
    for (let from = 0; from < written; from += 4096) expected.push(fileNameOf(from))
    expect(expected.length).toBeGreaterThan(2)
    expect(synced).toEqual(expected)
  })
})
