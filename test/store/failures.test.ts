import { cp, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { AppendStatus } from '../../src/store/append.ts'
import { fileNameOf } from '../../src/store/segments.ts'
import { ManualClock } from '../world/manual-clock.ts'
import { type Given, type Sent, Subject, tempDir } from './a-store.ts'
import { FailingDisk, worldWith } from './failing-disk.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const PROBE_MS = 1_000
const roomy: Given = { segmentBytes: 1 << 20, chunkBytes: 1 << 18, tailBytes: 1 << 20 }

async function opened(given: Given = {}, dir?: string) {
  const at = dir ?? (await tempDir(cleanups))
  const disk = new FailingDisk()
  const clock = new ManualClock()
  const subject = await Subject.open(
    at,
    { ...roomy, probeIntervalMs: PROBE_MS, ...given },
    worldWith(disk, clock),
  )
  cleanups.push(() => subject.store.close())
  return { subject, disk, clock, dir: at }
}

const bodies = (sent: readonly Sent[]) => sent.map((one) => one.body)
const bodiesOf = async (subject: Subject, queueId = 0) =>
  (await subject.readAll('T', queueId)).map((one) => one.body.toString())
const thereIs = (at: string) =>
  stat(at).then(
    () => true,
    () => false,
  )

describe('a failed write of the log', () => {
  const kinds = [
    ['EIO', 'write-failed', AppendStatus.failed],
    ['ENOSPC', 'full', AppendStatus.full],
  ] as const

  /** Three messages are stored, then a write with three more fails. */
  async function failed(code: string, tears = false) {
    const parts = await opened()
    const { subject, disk } = parts
    const sent = await subject.bulk('T', 3)
    const lift = disk.fail('write', 'commitlog', code, tears)
    for (const queueId of [0, 0, 1]) subject.try('T', queueId, { body: 'l'.repeat(300) })
    const lostEnd = subject.store.watermarks.appended
    await subject.until(() => subject.store.state !== 'writable')
    return { ...parts, sent, lift, end: sent[2]?.end ?? -1, lostEnd }
  }

  it.each(kinds)('with %s makes the store %s until the disk takes bytes', async (...kind) => {
    const [code, state, status] = kind
    const { subject, clock, lift } = await failed(code)
    expect(subject.store.state).toBe(state)
    expect(subject.store.writable).toBe(false)
    expect(subject.try('T', 0)).toBe(status)
    clock.advance(PROBE_MS)
    expect(subject.try('T', 0)).toBe(status)
    lift()
    await subject.until(() => {
      clock.advance(PROBE_MS)
      return subject.store.state === 'writable'
    })
    expect(subject.log.said('the log takes messages again')).toBe(true)
    expect(subject.try('T', 0)).toBeTypeOf('object')
  })

  it.each(kinds)('with %s is told once, and nothing of it is ever confirmed', async (code) => {
    const { subject, clock, end } = await failed(code)
    clock.advance(PROBE_MS * 3)
    expect(subject.lost).toEqual([end])
    expect(subject.store.watermarks).toMatchObject({ appended: end, written: end, confirmed: end })
    expect(await subject.store.recordAt(end)).toBeNull()
    expect((await subject.pull('T', 0, 3)).outcome.status).toBe('OFFSET_OVERFLOW_ONE')
    expect((await subject.pull('T', 1, 0)).outcome.status).toBe('NO_MESSAGE_IN_QUEUE')
  })

  it('gives the queue offsets and the place in the log to the messages that come later', async () => {
    const { subject, clock, lift, sent, end, dir } = await failed('EIO')
    expect([0, 1].map((queueId) => subject.store.queue('T', queueId).nextOffset)).toEqual([3, 0])
    lift()
    clock.advance(PROBE_MS)
    await subject.until(() => subject.store.writable)
    const late = await subject.send('T', 0, { body: 'late' })
    expect(late).toMatchObject({ queueOffset: 3, physicalOffset: end })
    expect((await subject.send('T', 1, { body: 'other' })).queueOffset).toBe(0)
    expect(await bodiesOf(subject)).toEqual([...bodies(sent), 'late'])
    await subject.store.close()
    const again = await opened({}, dir)
    expect(again.subject.store.facts().recovery.clean).toBe(true)
    expect(await bodiesOf(again.subject)).toEqual([...bodies(sent), 'late'])
    expect(await bodiesOf(again.subject, 1)).toEqual(['other'])
  })

  it('leaves nothing behind of bytes that reached the disk all the same', async () => {
    const { subject, clock, lift, sent, end, lostEnd, dir } = await failed('EIO', true)
    const segment = path.join(dir, 'commitlog', fileNameOf(0))
    expect((await readFile(segment)).subarray(end, lostEnd).some((byte) => byte !== 0)).toBe(true)
    lift()
    clock.advance(PROBE_MS)
    await subject.until(() => subject.store.writable)
    expect((await readFile(segment)).subarray(end).every((byte) => byte === 0)).toBe(true)
    // Shorter than what failed: a stale record behind it must not come back after kill -9.
    const late = await subject.send('T', 0, { body: 'late' })
    const copy = await tempDir(cleanups)
    await cp(dir, copy, { recursive: true })
    const again = await opened({}, copy)
    expect(again.subject.store.facts().recovery).toMatchObject({ logEnd: late.end, cutBytes: 0 })
    expect(await bodiesOf(again.subject)).toEqual([...bodies(sent), 'late'])
    expect(await bodiesOf(again.subject, 1)).toEqual([])
  })

  it('is recovered from when the process dies before the disk takes bytes again', async () => {
    const { subject, sent, end, dir } = await failed('EIO', true)
    expect(subject.store.watermarks.confirmed).toBe(end)
    const copy = await tempDir(cleanups)
    await cp(dir, copy, { recursive: true })
    const again = await opened({}, copy)
    // What was never acknowledged may be there after a crash; what was acknowledged must be.
    expect((await bodiesOf(again.subject)).slice(0, 3)).toEqual(bodies(sent))
  })

  it('takes back a roll-over that was not written yet', async () => {
    const { subject, disk, clock, dir } = await opened({
      segmentBytes: 4096,
      chunkBytes: 2048,
      tailBytes: 16_384,
    })
    const sent = await subject.bulk('T', 20, undefined, (n) => ({ body: `${n}`.padEnd(30, 'x') }))
    const end = sent[19]?.end ?? -1
    expect(end).toBeLessThan(4096)
    // The segment behind is made ahead when half of this one is used.
    const next = path.join(dir, 'commitlog', fileNameOf(4096))
    await subject.until(() => disk.callsOf('syncDirectory', 'commitlog').length > 1)
    expect(await thereIs(next)).toBe(true)
    const hold = disk.hold('write', 'commitlog')
    while (subject.store.watermarks.appended < 4096 + 1000) {
      const status = subject.try('T', 1, { body: 'y'.repeat(500) })
      if (typeof status !== 'object') await new Promise((resolve) => setImmediate(resolve))
    }
    const lift = disk.fail('write', 'commitlog', 'EIO')
    hold()
    await subject.until(() => subject.store.state === 'write-failed')
    expect(subject.lost).toEqual([end])
    lift()
    clock.advance(PROBE_MS)
    await subject.until(() => subject.store.writable)
    const more: Sent[] = []
    for (let n = 0; n < 20; n++) {
      more.push(await subject.send('T', 1, { body: `more-${n}`.padEnd(300, 'z') }))
    }
    expect(more[0]).toMatchObject({ queueOffset: 0, physicalOffset: end })
    expect(more.some((one) => one.physicalOffset === 4096)).toBe(true)
    expect(await bodiesOf(subject, 1)).toEqual(bodies(more))
    await subject.store.close()
    const again = await opened({ segmentBytes: 4096 }, dir)
    expect(again.subject.store.facts().recovery.clean).toBe(true)
    expect(await bodiesOf(again.subject, 0)).toEqual(bodies(sent))
    expect(await bodiesOf(again.subject, 1)).toEqual(bodies(more))
  })

  it('closes cleanly when the disk is still full', async () => {
    const { subject, sent, lift, dir } = await failed('ENOSPC')
    await subject.store.close()
    lift()
    const again = await opened({}, dir)
    expect(await bodiesOf(again.subject)).toEqual(bodies(sent))
    expect((await again.subject.send('T', 0)).queueOffset).toBe(3)
  })
})

describe('a failed fdatasync of the log', () => {
  it('in sync mode: nothing is confirmed any more, whatever the disk does later', async () => {
    const { subject, disk, clock, dir } = await opened({ flush: 'sync' })
    const sent = await subject.bulk('T', 3)
    const { confirmed } = subject.store.watermarks
    const lift = disk.fail('sync', 'commitlog', 'EIO')
    const owed = subject.try('T', 0, { body: 'owed' })
    await subject.until(() => subject.store.state === 'flush-failed')
    lift()
    clock.advance(30_000)
    subject.store.advance()
    expect(subject.store.state).toBe('flush-failed')
    expect(subject.store.watermarks.confirmed).toBe(confirmed)
    expect(owed).toMatchObject({ queueOffset: 3 })
    expect(subject.try('T', 0)).toBe(AppendStatus.failed)
    expect(await subject.store.checkpointNow()).toBe(false)
    // Reads go on, of what was confirmed.
    expect(await bodiesOf(subject)).toEqual(bodies(sent))
    expect((await subject.pull('T', 0, 3)).outcome.status).toBe('OFFSET_OVERFLOW_ONE')
    await subject.store.close()
    expect(await thereIs(path.join(dir, 'abort'))).toBe(true)
  })

  it('is over after a restart, which reads what is really there', async () => {
    const { subject, disk, dir } = await opened({ flush: 'sync' })
    const sent = await subject.bulk('T', 3)
    disk.fail('sync', 'commitlog', 'EIO')
    subject.try('T', 0, { body: 'owed' })
    await subject.until(() => subject.store.state === 'flush-failed')
    await subject.store.close()
    const again = await opened({ flush: 'sync' }, dir)
    expect(again.subject.store.facts().recovery.clean).toBe(false)
    expect((await bodiesOf(again.subject)).slice(0, 3)).toEqual(bodies(sent))
    const more = await again.subject.send('T', 0, { body: 'more' })
    expect(more.queueOffset).toBe(again.subject.store.queue('T', 0).maxOffset - 1)
  })

  it('in async mode: what comes later is not confirmed, also what was on its way', async () => {
    const { subject, disk, clock } = await opened({ flushThoroughMs: 1_000 })
    const sent = await subject.bulk('T', 3)
    const { confirmed } = subject.store.watermarks
    const holdWrite = disk.hold('write', 'commitlog')
    disk.fail('sync', 'commitlog', 'EIO')
    const owed = subject.try('T', 0, { body: 'owed' })
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(1_500)
    await subject.until(() => subject.store.state === 'flush-failed')
    holdWrite()
    const owedEnd = typeof owed === 'object' ? owed.end : -1
    await subject.until(() => subject.store.watermarks.written === owedEnd)
    subject.store.advance()
    expect(subject.store.watermarks.confirmed).toBe(confirmed)
    expect(subject.try('T', 0)).toBe(AppendStatus.failed)
    expect(await bodiesOf(subject)).toEqual(bodies(sent))
    expect(await subject.store.recordAt(confirmed)).toBeNull()
  })

  it('serves older messages from the disk as before', async () => {
    const { subject, disk, clock } = await opened({
      chunkBytes: 2048,
      tailBytes: 8192,
      flushThoroughMs: 1_000,
    })
    const sent: Sent[] = []
    for (let n = 0; n < 150; n++) sent.push(await subject.send('T', 0, { body: `body ${n}` }))
    disk.fail('sync', 'commitlog', 'EIO')
    clock.advance(1_500)
    await subject.until(() => subject.store.state === 'flush-failed')
    const before = disk.calls.length
    expect(await bodiesOf(subject)).toEqual(bodies(sent))
    expect(disk.callsOf('read', 'commitlog', before).length).toBeGreaterThan(0)
  })
})

describe('a next segment that cannot be made', () => {
  it.each([
    ['open', 'EIO', AppendStatus.failed],
    ['truncate', 'ENOSPC', AppendStatus.full],
    ['sync', 'EIO', AppendStatus.failed],
  ] as const)('(%s, %s) stops appends at the roll-over until it can', async (...kind) => {
    const [operation, code, refusal] = kind
    const { subject, disk, clock, dir } = await opened({ segmentBytes: 4096, tailBytes: 16_384 })
    const lift = disk.fail(operation, fileNameOf(4096), code)
    const sent: Sent[] = []
    let status: Sent | AppendStatus = subject.try('T', 0, { body: '0'.padEnd(500, 'x') })
    while (typeof status === 'object') {
      sent.push(status)
      await subject.confirmed(status.end)
      status = subject.try('T', 0, { body: `${sent.length}`.padEnd(500, 'x') })
    }
    await subject.until(() => subject.log.said('the next segment could not be made'))
    expect(subject.try('T', 0, { body: 'x'.repeat(500) })).toBe(refusal)
    // A shorter one still fits.
    expect(subject.store.state).toBe('writable')
    sent.push(await subject.send('T', 0, { body: 'short' }))
    lift()
    clock.advance(PROBE_MS)
    expect(subject.try('T', 0, { body: 'x'.repeat(500) })).toBe(AppendStatus.busy)
    const late = await subject.send('T', 0, { body: 'late'.padEnd(500, 'x') })
    expect(late.physicalOffset).toBe(4096)
    expect(await bodiesOf(subject)).toEqual(bodies([...sent, late]))
    await subject.store.close()
    const again = await opened({ segmentBytes: 4096 }, dir)
    expect(await bodiesOf(again.subject)).toEqual(bodies([...sent, late]))
  })
})

describe('a failed fdatasync of queues or index', () => {
  it.each(['consumequeue', 'index'])('(%s) ends checkpoints, and nothing else', async (part) => {
    const { subject, disk, dir } = await opened()
    const sent = await subject.bulk('T', 5, undefined, (n) => ({ body: `b${n}`, keys: `k${n}` }))
    const lift = disk.fail('sync', path.join(dir, part), 'EIO')
    expect(await subject.store.checkpointNow()).toBe(false)
    lift()
    expect(await subject.store.checkpointNow()).toBe(false)
    sent.push(await subject.send('T', 0, { body: 'more', keys: 'more' }))
    expect(await bodiesOf(subject)).toEqual(bodies(sent))
    await subject.store.close()
    const again = await opened({}, dir)
    expect(again.subject.store.facts().recovery).toMatchObject({ clean: false, records: 6 })
    expect(await bodiesOf(again.subject)).toEqual(bodies(sent))
    expect((await again.subject.store.queryKey('T', 'more', 9, 0, Infinity)).records.length).toBe(1)
  })
})

describe('a checkpoint', () => {
  it.each([
    ['syncDirectory', path.join('consumequeue', 'T', '0')],
    ['sync', path.join('consumequeue', 'T', '0')],
    ['open', path.join('consumequeue', 'T', '0')],
  ] as const)('that waits in %s of a topic which is deleted goes on', async (operation, part) => {
    const { subject, disk, dir } = await opened()
    await subject.bulk('T', 5)
    const sent = await subject.bulk('U', 5)
    await subject.until(
      () => subject.store.watermarks.dispatched >= subject.store.watermarks.appended,
    )
    const lift = disk.hold(operation, part)
    const checkpoint = subject.store.checkpointNow()
    await expect.poll(() => disk.callsOf(operation, part).length).toBeGreaterThan(0)
    const deleted = subject.store.deleteTopic('T')
    lift()
    await deleted
    expect(await checkpoint).toBe(true)
    expect(await subject.store.checkpointNow()).toBe(true)
    await subject.store.close()
    const again = await opened({}, dir)
    expect(again.subject.store.facts().recovery).toMatchObject({ clean: true, rebuilt: null })
    const kept = await again.subject.readAll('U', 0)
    expect(kept.map((one) => one.body.toString())).toEqual(bodies(sent))
  })

  it.each([
    ['open', 'consumequeue', 'EMFILE'],
    ['syncDirectory', 'consumequeue', 'EMFILE'],
    ['write', 'consumequeue', 'ENOSPC'],
    ['write', 'index', 'ENOSPC'],
    ['open', 'index', 'EMFILE'],
  ] as const)('that met a failed %s of %s (%s) is made later', async (operation, part, code) => {
    const { subject, disk, dir } = await opened()
    await subject.bulk('T', 5, undefined, (n) => ({ keys: `k${n}` }))
    const lift = disk.fail(operation, path.join(dir, part), code)
    expect(await subject.store.checkpointNow()).toBe(false)
    lift()
    const skip = disk.calls.length
    expect(await subject.store.checkpointNow()).toBe(true)
    const names = disk.callsOf('syncDirectory', path.join('consumequeue', 'T', '0'), skip)
    if (operation === 'syncDirectory') expect(names.length).toBe(1)
  })
})

describe('a read that fails', () => {
  it('fails the pull that needs it, and no other', async () => {
    const { subject, disk } = await opened({ chunkBytes: 2048, tailBytes: 8192 })
    for (let n = 0; n < 150; n++) await subject.send('T', 0, { body: `body ${n}` })
    const lift = disk.fail('read', 'commitlog', 'EIO')
    await expect(subject.pull('T', 0, 0)).rejects.toMatchObject({ code: 'EIO' })
    expect((await subject.pull('T', 0, 149)).messages.map((one) => one.body.toString())).toEqual([
      'body 149',
    ])
    lift()
    expect((await subject.pull('T', 0, 0)).messages[0]?.body.toString()).toBe('body 0')
    expect(subject.store.facts().badRecords).toBe(0)
  })
})
