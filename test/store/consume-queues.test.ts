import { readdir, readFile, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { decodeRecord } from '../../src/protocol/record.ts'
import { ManualClock } from '../world/manual-clock.ts'
import { type Given, type Sent, Subject, tempDir } from './a-store.ts'
import { FailingDisk, worldWith } from './failing-disk.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** Room for thousands of records without a roll-over of the log. */
const roomy: Given = { segmentBytes: 4 << 20, chunkBytes: 1 << 20, tailBytes: 8 << 20 }

async function opened(given: Given = {}, dir?: string) {
  const at = dir ?? (await tempDir(cleanups))
  const disk = new FailingDisk()
  const clock = new ManualClock()
  const subject = await Subject.open(at, given, worldWith(disk, clock))
  cleanups.push(() => subject.store.close())
  return { subject, disk, clock, dir: at }
}

/** Java's String.hashCode, the slow way. */
function hashOf(text: string): bigint {
  let hash = 0n
  for (const char of text) hash = BigInt.asIntN(32, hash * 31n + BigInt(char.charCodeAt(0)))
  return hash
}

function unit(physicalOffset: number, size: number, tagsCode: bigint): Buffer {
  const bytes = Buffer.alloc(20)
  bytes.writeBigInt64BE(BigInt(physicalOffset), 0)
  bytes.writeInt32BE(size, 8)
  bytes.writeBigInt64BE(tagsCode, 12)
  return bytes
}

const unitOf = (one: Sent, tag: string | null = null) =>
  unit(one.physicalOffset, one.end - one.physicalOffset, tag === null ? 0n : hashOf(tag))
const hole = unit(0, 0x7fffffff, 0n)

const filesOf = (dir: string, topic = 'T', queueId = 0) =>
  readdir(path.join(dir, 'consumequeue', topic, String(queueId)))

async function bytesOf(dir: string, topic = 'T', queueId = 0): Promise<Buffer> {
  const all: Buffer[] = []
  for (const name of await filesOf(dir, topic, queueId)) {
    all.push(await readFile(path.join(dir, 'consumequeue', topic, String(queueId), name)))
  }
  return Buffer.concat(all)
}

const bodiesOf = async (subject: Subject, topic = 'T', queueId = 0) =>
  (await subject.readAll(topic, queueId)).map((one) => one.body.toString())

describe('the files of a consume queue', () => {
  it('roll over every 1,000 units at 20,000 bytes, and hold the units byte for byte', async () => {
    const { subject, dir } = await opened({ ...roomy, queueFileBytes: 20_000 })
    const tags = ['a', 'order-created', 'a tag whose hash is negative', null]
    const tagOf = (n: number) => tags[n % tags.length] ?? null
    const sent = await subject.bulk(
      'T',
      2_500,
      () => 0,
      (n) => {
        const tag = tagOf(n)
        return tag === null ? { body: `T-${n}` } : { body: `T-${n}`, tag }
      },
    )
    await subject.store.close()
    expect(await filesOf(dir)).toEqual([
      '00000000000000000000',
      '00000000000000020000',
      '00000000000000040000',
    ])
    expect(tags.some((tag) => tag !== null && hashOf(tag) < 0n)).toBe(true)
    const expected = Buffer.alloc(60_000)
    for (const [n, one] of sent.entries()) unitOf(one, tagOf(n)).copy(expected, n * 20)
    expect((await bytesOf(dir)).equals(expected)).toBe(true)
  })

  it('have a length that is a multiple of a unit, whatever was asked for', async () => {
    const { subject, dir } = await opened({ queueFileBytes: 205 })
    await subject.bulk('T', 12)
    await subject.store.close()
    expect(await filesOf(dir)).toEqual(['00000000000000000000', '00000000000000000220'])
    const file = path.join(dir, 'consumequeue', 'T', '0', '00000000000000000000')
    expect((await stat(file)).size).toBe(220)
  })

  it('lead from unit n to the record with queue offset n, for interleaved queues', async () => {
    const { subject, dir } = await opened()
    await subject.bulk('T', 90, (n) => (n * 7) % 4)
    await subject.store.checkpointNow()
    for (let queueId = 0; queueId < 4; queueId++) {
      const bytes = await bytesOf(dir, 'T', queueId)
      const { maxOffset } = subject.store.queue('T', queueId)
      expect(maxOffset).toBeGreaterThan(20)
      for (let n = 0; n < maxOffset; n++) {
        const record = await subject.store.recordAt(Number(bytes.readBigInt64BE(n * 20)))
        const message = record && decodeRecord(record, 0, record.length)
        expect([message?.queueId, message?.queueOffset]).toEqual([queueId, n])
        expect(record?.length).toBe(bytes.readInt32BE(n * 20 + 8))
      }
      expect(bytes.subarray(maxOffset * 20).every((byte) => byte === 0)).toBe(true)
    }
  })

  it('begin with holes when the queue starts in the middle of a file', async () => {
    const first = await opened()
    const sent = await first.subject.bulk('T', 70)
    await first.subject.store.close()
    const { dir } = first
    const segments = await readdir(path.join(dir, 'commitlog'))
    await rm(path.join(dir, 'commitlog', segments[0] ?? ''))
    await rm(path.join(dir, 'consumequeue'), { recursive: true })
    const left = sent.filter((one) => one.physicalOffset >= 4096)
    const start = left[0]?.queueOffset ?? 0
    expect(start % 10).not.toBe(0)

    const { subject } = await opened({}, dir)
    expect(subject.store.queue('T', 0)).toMatchObject({ minOffset: start, maxOffset: 70 })
    expect((await subject.pull('T', 0, start - 1)).outcome).toMatchObject({
      status: 'OFFSET_TOO_SMALL',
      nextBeginOffset: start,
    })
    expect(await bodiesOf(subject)).toEqual(left.map((one) => one.body))
    await subject.store.close()
    const bytes = await bytesOf(dir)
    const fileStart = start - (start % 10)
    expect((await filesOf(dir))[0]).toBe(String(fileStart * 20).padStart(20, '0'))
    const expected = [
      ...Array.from({ length: start % 10 }, () => hole),
      ...left.map((one) => unitOf(one)),
    ]
    expect(bytes.subarray(0, expected.length * 20).equals(Buffer.concat(expected))).toBe(true)

    const again = await opened({}, dir)
    expect(again.subject.store.queue('T', 0).minOffset).toBe(start)
    expect((await again.subject.send('T', 0)).queueOffset).toBe(70)
  })
})

describe('writing behind', () => {
  it('waits for the interval, and then writes what is there', async () => {
    const { subject, disk, clock, dir } = await opened({ queueFlushIntervalMs: 1_000 })
    const sent = await subject.bulk('T', 3)
    clock.advance(900)
    expect(disk.callsOf('write', 'consumequeue')).toEqual([])
    clock.advance(200)
    await subject.until(() => subject.store.queue('T', 0).writtenOffset === 3)
    expect(disk.callsOf('write', 'consumequeue').map((call) => call.bytes)).toEqual([60])
    expect((await bytesOf(dir)).subarray(0, 60)).toEqual(
      Buffer.concat(sent.map((one) => unitOf(one))),
    )
  })

  it('does not wait when a page is full', async () => {
    const { subject, disk } = await opened({ queueFlushIntervalMs: 60_000 })
    await subject.bulk('T', 12)
    await subject.until(() => subject.store.queue('T', 0).writtenOffset === 10)
    expect(disk.callsOf('write', 'consumequeue').map((call) => call.bytes)).toEqual([200])
  })

  it('shows units long before they are written', async () => {
    const { subject, disk } = await opened({ queueFlushIntervalMs: 60_000 })
    const sent = await subject.bulk('T', 5)
    expect(await bodiesOf(subject)).toEqual(sent.map((one) => one.body))
    expect(disk.callsOf('write', 'consumequeue')).toEqual([])
  })

  it('keeps few files open, however many queues there are', async () => {
    const { subject, disk, clock } = await opened({ ...roomy, openFilesMax: 8 })
    await subject.bulk('T', 300, (n) => n % 150)
    clock.advance(1_000)
    expect(await subject.store.checkpointNow()).toBe(true)
    const open = [...disk.openPaths.values()].filter((at) => at.includes('consumequeue'))
    expect(open.length).toBeLessThanOrEqual(8)
    expect(new Set(disk.callsOf('write', 'consumequeue').map((call) => call.path)).size).toBe(150)
    for (const queueId of [0, 77, 149]) {
      expect(await bodiesOf(subject, 'T', queueId)).toEqual([`T-${queueId}`, `T-${queueId + 150}`])
    }
  })
})

describe('units that are no longer in memory', () => {
  it('are read from the files', async () => {
    const { subject, disk } = await opened({ ...roomy, queueFileBytes: 2_000, queuePagesBytes: 0 })
    const sent = await subject.bulk('T', 1_000)
    await subject.until(() => subject.store.queue('T', 0).writtenOffset === 1_000)
    await subject.until(() => subject.store.queue('T', 0).pages.length === 0)
    const before = disk.calls.length
    for (const offset of [0, 99, 100, 555, 999]) {
      const { messages } = await subject.pull('T', 0, offset, 1)
      expect(messages[0]?.body.toString()).toBe(sent[offset]?.body)
    }
    expect(disk.callsOf('read', 'consumequeue', before).length).toBeGreaterThan(0)
    expect(await bodiesOf(subject)).toEqual(sent.map((one) => one.body))
  })

  it('are read while newer ones are still being written', async () => {
    const { subject, disk } = await opened({ ...roomy, queuePagesBytes: 0 })
    const sent = await subject.bulk('T', 40)
    await subject.until(() => subject.store.queue('T', 0).writtenOffset === 40)
    const lift = disk.hold('write', 'consumequeue')
    sent.push(...(await subject.bulk('T', 25, undefined, (n) => ({ body: `late-${n}` }))))
    expect(await bodiesOf(subject)).toEqual(sent.map((one) => one.body))
    lift()
  })
})

describe('a consume queue that cannot be written', () => {
  it.each([
    ['write', 'EIO'],
    ['write', 'ENOSPC'],
    ['truncate', 'ENOSPC'],
    ['open', 'EMFILE'],
    ['makeDirectory', 'ENOSPC'],
  ] as const)('stays in memory when %s fails with %s, and is written later', async (what, code) => {
    const { subject, disk, clock, dir } = await opened({ queuePagesBytes: 0 })
    const lift = disk.fail(what, path.join('consumequeue', 'T'), code)
    const sent = await subject.bulk('T', 25)
    clock.advance(200)
    await subject.until(() => subject.log.said('it stays in memory'))
    expect(await bodiesOf(subject)).toEqual(sent.map((one) => one.body))
    expect(subject.store.state).toBe('writable')
    expect(await subject.store.checkpointNow()).toBe(false)
    sent.push(...(await subject.bulk('T', 10, undefined, (n) => ({ body: `more-${n}` }))))
    lift()
    expect(await subject.store.checkpointNow()).toBe(true)
    expect(subject.store.queue('T', 0).writtenOffset).toBe(35)
    const bytes = await bytesOf(dir)
    expect(bytes.subarray(0, 35 * 20)).toEqual(Buffer.concat(sent.map((one) => unitOf(one))))
    expect(await bodiesOf(subject)).toEqual(sent.map((one) => one.body))
  })
})
