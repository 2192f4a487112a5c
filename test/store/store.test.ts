import { cp, readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { BatchReader, encodeBatch } from '../../src/protocol/batch-body.ts'
import { decodeRecord } from '../../src/protocol/record.ts'
import { javaHash } from '../../src/protocol/java-hash.ts'
import { AppendStatus } from '../../src/store/append.ts'
import { PlainReply, type Sent, Subject, tempDir } from './a-store.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function opened(given = {}, dir?: string): Promise<{ subject: Subject; dir: string }> {
  const at = dir ?? (await tempDir(cleanups))
  const subject = await Subject.open(at, given)
  cleanups.push(() => subject.store.close())
  return { subject, dir: at }
}

async function expectAllThere(subject: Subject, sent: readonly Sent[]): Promise<void> {
  const queues = new Map<string, Sent[]>()
  for (const one of sent) {
    const key = `${one.topic}/${one.queueId}`
    queues.set(key, [...(queues.get(key) ?? []), one])
  }
  for (const [key, expected] of queues) {
    const [topic = '', queueId] = key.split('/')
    const found = await subject.readAll(topic, Number(queueId))
    expect(found.map((message) => [message.queueOffset, message.body.toString()])).toEqual(
      expected.map((one) => [one.queueOffset, one.body]),
    )
  }
}

describe('the store', () => {
  it('gives back every message in order, across segments and queue files', async () => {
    const { subject } = await opened()
    const sent = await subject.sendMany('T', 100, 3)
    expect(subject.store.facts().maxPhysicalOffset).toBeGreaterThan(4096 * 3)
    await expectAllThere(subject, sent)
  })

  it('lays files out as Apache does', async () => {
    const { subject, dir } = await opened()
    await subject.sendMany('T', 60, 1)
    expect(await readdir(dir)).toEqual(expect.arrayContaining(['abort', 'lock', 'mqctl.durable']))
    await subject.store.close()
    expect((await readdir(dir)).sort()).toEqual([
      'checkpoint',
      'commitlog',
      'consumequeue',
      'index',
      'lock',
      'mqctl.durable',
    ])
    expect(await readFile(path.join(dir, 'lock'), 'utf8')).toBe('lock')
    const segments = await readdir(path.join(dir, 'commitlog'))
    expect(segments.slice(0, 2)).toEqual(['00000000000000000000', '00000000000000004096'])
    for (const name of segments) {
      expect((await stat(path.join(dir, 'commitlog', name))).size).toBe(4096)
    }
    const units = await readdir(path.join(dir, 'consumequeue', 'T', '0'))
    expect(units[1]).toBe('00000000000000000200')
    const first = await readFile(path.join(dir, 'consumequeue', 'T', '0', units[0] ?? ''))
    expect(first.length).toBe(200)
    const record = await readFile(path.join(dir, 'commitlog', segments[0] ?? ''))
    expect(first.readBigInt64BE(0)).toBe(0n)
    expect(first.readInt32BE(8)).toBe(record.readInt32BE(0))
    expect(first.readBigInt64BE(12)).toBe(BigInt(javaHash('even')))
    for (const name of await readdir(path.join(dir, 'index'))) {
      expect(name).toMatch(/^\d{17}$/)
      expect((await stat(path.join(dir, 'index', name))).size).toBe(40 + 64 * 4 + 50 * 20)
    }
  })

  it('ends a segment with a blank record of the rest', async () => {
    const { subject, dir } = await opened()
    const sent = await subject.sendMany('T', 40)
    await subject.store.close()
    const next = sent.findIndex((one) => one.physicalOffset === 4096)
    const blankAt = sent[next - 1]?.end ?? 0
    const segment = await readFile(path.join(dir, 'commitlog', '00000000000000000000'))
    expect(segment.readInt32BE(blankAt)).toBe(4096 - blankAt)
    expect(segment.readUInt32BE(blankAt + 4)).toBe(0xcbd43194)
    expect(segment.subarray(blankAt + 8).every((byte) => byte === 0)).toBe(true)
  })

  it('leaves exactly eight bytes when a record fits just so', async () => {
    const { subject } = await opened({ segmentBytes: 1024 })
    const probe = await subject.send('T', 0, { body: '' })
    const overhead = probe.end
    await subject.send('T', 0, { body: 'x'.repeat(1024 - 8 - 2 * overhead) })
    expect(subject.store.watermarks.appended).toBe(1024 - 8)
    const over = await subject.send('T', 0, { body: 'y' })
    expect(over.physicalOffset).toBe(1024)
    expect((await subject.readAll('T', 0)).length).toBe(3)
  })

  it('opens after a clean stop with everything there and goes on counting', async () => {
    const { subject, dir } = await opened()
    const sent = await subject.sendMany('T', 50, 2)
    await subject.store.close()
    const again = await opened({}, dir)
    expect(again.subject.store.facts().recovery).toMatchObject({
      clean: true,
      foreign: false,
      records: 0,
      cutBytes: 0,
      rebuilt: null,
    })
    const more = await again.subject.send('T', 0, { body: 'more' })
    expect(more.queueOffset).toBe(25)
    await expectAllThere(again.subject, [...sent, more])
  })

  it('opens a copy taken while it ran, as after kill -9, with everything confirmed there', async () => {
    const { subject, dir } = await opened()
    const sent = await subject.sendMany('T', 70, 2)
    const copy = await tempDir(cleanups)
    await cp(dir, copy, { recursive: true })
    const again = await opened({}, copy)
    expect(again.subject.store.facts().recovery).toMatchObject({
      clean: false,
      records: 70,
      cutBytes: 0,
      badCount: 0,
    })
    await expectAllThere(again.subject, sent)
    expect((await again.subject.store.queryKey('T', 'k69', 32, 0, Infinity)).records).toHaveLength(
      1,
    )
    expect((await again.subject.store.queryKey('T', 'k0', 32, 0, Infinity)).records).toHaveLength(1)
  })

  it('reads the log only from the last checkpoint on', async () => {
    const { subject, dir } = await opened()
    const sent = await subject.sendMany('T', 30)
    expect(await subject.store.checkpointNow()).toBe(true)
    sent.push(...(await subject.sendMany('U', 5)))
    const copy = await tempDir(cleanups)
    await cp(dir, copy, { recursive: true })
    const again = await opened({}, copy)
    expect(again.subject.store.facts().recovery.records).toBe(5)
    await expectAllThere(again.subject, sent)
    const found = await again.subject.store.queryKey('T', 'k29', 32, 0, Infinity)
    expect(found.records).toHaveLength(1)
  })

  it('refuses a directory that is in use, and takes it when its owner is gone', async () => {
    const { subject, dir } = await opened()
    await expect(Subject.open(dir)).rejects.toMatchObject({ code: 'STORE_IN_USE' })
    await subject.store.close()
    const again = await opened({}, dir)
    expect(again.subject.store.writable).toBe(true)
  })

  it('stores a batch as messages of their own, all in one segment', async () => {
    const { subject } = await opened()
    await subject.sendMany('T', 20)
    while (4096 - (subject.store.watermarks.appended % 4096) > 2000) await subject.send('T', 1)
    const item = (n: number) => ({
      flag: n,
      body: Buffer.from(`b${n}`.padEnd(500, 'x')),
      properties: Buffer.from(`TAGS\x01t${n}\x02`),
    })
    const body = encodeBatch([item(0), item(1), item(2), item(3)])
    const request = subject.fill('T', 0, {})
    let status: number
    do {
      status = subject.store.appendBatch(request, new BatchReader(), body, 0, body.length)
      await new Promise((resolve) => setImmediate(resolve))
    } while (status === AppendStatus.busy)
    expect(status).toBe(AppendStatus.ok)
    const { physicalOffset, queueOffset, end, count, physicalOffsets } = subject.store.lastAppend
    expect([queueOffset, count]).toEqual([20, 4])
    expect(physicalOffset % 4096).toBe(0)
    expect(physicalOffsets.slice(0, 4).map((at) => Math.floor(at / 4096))).toEqual(
      new Array(4).fill(physicalOffset / 4096),
    )
    await subject.confirmed(end)
    const { messages } = await subject.pull('T', 0, 20)
    expect(messages.map((message) => [message.flag, message.properties['TAGS']])).toEqual([
      [0, 't0'],
      [1, 't1'],
      [2, 't2'],
      [3, 't3'],
    ])
    expect(messages.map((message) => message.physicalOffset)).toEqual(physicalOffsets.slice(0, 4))
  })

  it('refuses what breaks a limit and stores nothing of it', async () => {
    const { subject } = await opened({ messageBytesMax: 1000 })
    expect(subject.try('T', 0, { body: 'x'.repeat(1001) })).toBe(AppendStatus.illegal)
    expect(subject.try('T', 0, { keys: 'x'.repeat(40_000) })).toBe(AppendStatus.illegal)
    const truncated = encodeBatch([
      { flag: 0, body: Buffer.from('x'), properties: Buffer.alloc(0) },
    ]).subarray(0, 20)
    const request = subject.fill('T', 0, {})
    expect(
      subject.store.appendBatch(request, new BatchReader(), truncated, 0, truncated.length),
    ).toBe(AppendStatus.illegal)
    expect(subject.store.watermarks.appended).toBe(0)
    expect(() => subject.store.queue('../etc', 0)).toThrow('illegal topic name')
  })

  it('says busy when too much waits for the disk', async () => {
    const { subject } = await opened({ stagedBytesMax: 1024 })
    const statuses = Array.from({ length: 20 }, () =>
      subject.try('T', 0, { body: 'x'.repeat(100) }),
    )
    expect(statuses.filter((status) => typeof status === 'object').length).toBeGreaterThan(2)
    expect(statuses.at(-1)).toBe(AppendStatus.busy)
    await subject.confirmed(subject.store.watermarks.appended)
    expect(typeof subject.try('T', 0, { body: 'x'.repeat(100) })).toBe('object')
  })

  it('writes once a turn, however many were appended in it', async () => {
    const { subject } = await opened({ segmentBytes: 1 << 20, chunkBytes: 1 << 20 })
    for (let i = 0; i < 50; i++) subject.try('T', 0)
    await subject.confirmed(subject.store.watermarks.appended)
    expect(subject.store.facts().writes).toBe(1)
  })

  it('keeps prepared and rolled-back messages out of the queue', async () => {
    const { subject } = await opened()
    await subject.send('T', 0, { body: 'plain' })
    await subject.send('T', 0, { body: 'prepared', sysFlag: 0x4 })
    await subject.send('T', 0, { body: 'rolled back', sysFlag: 0xc })
    await subject.send('T', 0, { body: 'committed', sysFlag: 0x8 })
    const bodies = (await subject.readAll('T', 0)).map((message) => message.body.toString())
    expect(bodies).toEqual(['plain', 'committed'])
  })

  it('wakes a queue once a round, after its units are there', async () => {
    const { subject } = await opened({ segmentBytes: 1 << 20, chunkBytes: 1 << 20 })
    for (let i = 0; i < 10; i++) subject.try('T', i % 2)
    await subject.confirmed(subject.store.watermarks.appended)
    expect(subject.woken.map((queue) => [queue.queueId, queue.maxOffset])).toEqual([
      [0, 5],
      [1, 5],
    ])
  })

  it('flushes before it confirms when asked to', async () => {
    const { subject } = await opened({ flush: 'sync' })
    const sent = await subject.send('T', 0)
    expect(subject.store.watermarks.flushed).toBeGreaterThanOrEqual(sent.end)
  })

  it('flushes in the background otherwise', async () => {
    const { subject } = await opened({ flushIntervalMs: 5, flushThoroughMs: 10 })
    const sent = await subject.send('T', 0)
    await subject.until(() => subject.store.watermarks.flushed >= sent.end)
    expect(subject.store.facts().flushBehindBytes).toBe(0)
  })

  it('finds records by position, and nothing where none starts', async () => {
    const { subject } = await opened()
    const sent = await subject.sendMany('T', 60)
    for (const one of [sent[0], sent[30], sent[59]]) {
      const record = await subject.store.recordAt(one?.physicalOffset ?? -1)
      expect(record && decodeRecord(record, 0, record.length)?.body.toString()).toBe(one?.body)
    }
    for (const at of [-1, 1, 50, 1e12, Number.NaN, sent[59]?.end ?? 0]) {
      expect(await subject.store.recordAt(at)).toBeNull()
    }
  })

  it('finds long records by position', async () => {
    const { subject } = await opened({ segmentBytes: 1 << 16, tailBytes: 4096 })
    const long = await subject.send('T', 0, { body: 'z'.repeat(20_000) })
    await subject.sendMany('T', 20)
    const record = await subject.store.recordAt(long.physicalOffset)
    expect(record?.length).toBe(long.end - long.physicalOffset)
  })

  it('deletes a topic with its files, and starts it afresh', async () => {
    const { subject, dir } = await opened()
    await subject.sendMany('T', 20)
    await subject.sendMany('U', 3)
    await subject.store.deleteTopic('T')
    expect(subject.store.topics()).toEqual(['U'])
    expect(await readdir(path.join(dir, 'consumequeue'))).toEqual(['U'])
    const fresh = await subject.send('T', 0, { body: 'fresh' })
    expect(fresh.queueOffset).toBe(0)
    await subject.store.close()
    const again = await opened({}, dir)
    expect((await again.subject.readAll('T', 0)).map((one) => one.body.toString())).toEqual([
      'fresh',
    ])
    expect(await again.subject.readAll('U', 0)).toHaveLength(3)
  })

  it('answers closed after close', async () => {
    const { subject } = await opened()
    await subject.store.close()
    expect(subject.try('T', 0)).toBe(AppendStatus.closed)
  })
})

describe('pulling', () => {
  it('has Apache’s answer for every offset outside of the queue', async () => {
    const { subject } = await opened()
    expect((await subject.pull('T', 0, 5)).outcome).toMatchObject({
      status: 'NO_MESSAGE_IN_QUEUE',
      nextBeginOffset: 0,
    })
    await subject.sendMany('T', 10)
    expect((await subject.pull('T', 0, 10)).outcome).toMatchObject({
      status: 'OFFSET_OVERFLOW_ONE',
      nextBeginOffset: 10,
      minOffset: 0,
      maxOffset: 10,
    })
    expect((await subject.pull('T', 0, 11)).outcome).toMatchObject({
      status: 'OFFSET_OVERFLOW_BADLY',
      nextBeginOffset: 10,
    })
    expect((await subject.pull('T', 0, -1)).outcome).toMatchObject({
      status: 'OFFSET_TOO_SMALL',
      nextBeginOffset: 0,
    })
  })

  it('stops at the number of messages and bytes, but always gives the first', async () => {
    const { subject } = await opened({ segmentBytes: 1 << 16 })
    await subject.sendMany('T', 10, 1, 1000)
    expect((await subject.pull('T', 0, 0, 3)).outcome).toMatchObject({
      count: 3,
      nextBeginOffset: 3,
    })
    const one = (await subject.pull('T', 0, 0, 32, 10)).outcome
    expect(one).toMatchObject({ count: 1, nextBeginOffset: 1 })
    expect((await subject.pull('T', 0, 0, 32, one.bytes * 2 + 50)).outcome.count).toBe(2)
  })

  it('filters by tag code, looking at a limited number of units', async () => {
    const { subject } = await opened({ segmentBytes: 1 << 20, filterUnitsMax: 20 })
    await subject.sendMany('T', 50)
    const odd = javaHash('odd')
    const { outcome, messages } = await subject.pull('T', 0, 0, 5, 1e6, (code) => code === odd)
    expect(messages.map((message) => message.queueOffset)).toEqual([1, 3, 5, 7, 9])
    expect(outcome.nextBeginOffset).toBe(11)
    const none = (await subject.pull('T', 0, 0, 5, 1e6, () => false)).outcome
    expect(none).toMatchObject({ status: 'NO_MATCHED_MESSAGE', nextBeginOffset: 20, count: 0 })
  })

  it('serves the tail without the disk and says when it needs it', async () => {
    const { subject } = await opened({ tailBytes: 4096 })
    await subject.sendMany('T', 100)
    const queue = subject.store.queue('T', 0)
    const target = new PlainReply()
    const now = subject.store.pullNow(queue, 95, 32, 1e6, null, target)
    expect(now).toMatchObject({ status: 'FOUND', count: 5 })
    const length = target.length
    expect(subject.store.pullNow(queue, 0, 32, 1e6, null, target)).toBeNull()
    expect(target.length).toBe(length)
    expect((await subject.pull('T', 0, 0)).outcome.count).toBeGreaterThan(0)
  })

  it('never shows what is not confirmed', async () => {
    const dir = await tempDir(cleanups)
    let confirmed = 0
    const subject = await Subject.open(dir, {}, undefined, { confirm: () => confirmed })
    cleanups.push(() => subject.store.close())
    const sent = subject.try('T', 0, { body: 'held' })
    await subject.until(() => subject.store.watermarks.written > 0)
    expect((await subject.pull('T', 0, 0)).outcome.status).toBe('NO_MESSAGE_IN_QUEUE')
    expect(await subject.store.recordAt(0)).toBeNull()
    confirmed = typeof sent === 'object' ? sent.end : 0
    subject.store.advance()
    expect((await subject.pull('T', 0, 0)).outcome.status).toBe('FOUND')
  })
})

describe('looking up', () => {
  it('finds every key, also across index files, newest time range only', async () => {
    const { subject } = await opened()
    const sent = await subject.sendMany('T', 120)
    for (const n of [0, 47, 48, 49, 50, 99, 119]) {
      const { records } = await subject.store.queryKey('T', `k${n}`, 32, 0, Infinity)
      expect(records.map((record) => decodeRecord(record, 0, record.length)?.queueOffset)).toEqual([
        n,
      ])
    }
    const all = await subject.store.queryKey('T', 'k5', 32, 0, Infinity)
    expect(all.lastUpdatePhysicalOffset).toBe(sent[119]?.physicalOffset)
    expect((await subject.store.queryKey('T', 'nothing', 32, 0, Infinity)).records).toEqual([])
    expect((await subject.store.queryKey('U', 'k5', 32, 0, Infinity)).records).toEqual([])
    expect((await subject.store.queryKey('T', 'k5', 32, 0, 1000)).records).toEqual([])
  })

  it('finds several keys of one message, its unique key, and many messages of one key', async () => {
    const { subject } = await opened()
    for (let i = 0; i < 60; i++)
      await subject.send('T', 0, { keys: 'same  other', uniqKey: `U${i}` })
    expect((await subject.store.queryKey('T', 'same', 100, 0, Infinity)).records).toHaveLength(60)
    expect((await subject.store.queryKey('T', 'other', 7, 0, Infinity)).records).toHaveLength(7)
    expect((await subject.store.queryKey('T', 'U33', 32, 0, Infinity)).records).toHaveLength(1)
  })

  it('survives a clean restart and goes on in the same file', async () => {
    const { subject, dir } = await opened()
    await subject.sendMany('T', 60)
    await subject.store.close()
    const files = await readdir(path.join(dir, 'index'))
    const again = (await opened({}, dir)).subject
    await again.send('T', 0, { keys: 'late' })
    expect((await again.store.queryKey('T', 'late', 32, 0, Infinity)).records).toHaveLength(1)
    expect((await again.store.queryKey('T', 'k3', 32, 0, Infinity)).records).toHaveLength(1)
    expect(await readdir(path.join(dir, 'index'))).toEqual(files)
  })
})
