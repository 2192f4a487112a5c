import { cp, mkdir, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { AppendStatus } from '../../src/store/append.ts'
import { type Given, PlainReply, type Sent, Subject, tempDir } from './a-store.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** A store in which topics that begin with B have batch queues; `null`: it does not know. */
async function open(dir: string, given: Given = {}, knows = true): Promise<Subject> {
  const isBatchTopic = (topic: string) => (knows ? topic.startsWith('B') : null)
  const subject = await Subject.open(dir, given, undefined, { isBatchTopic })
  cleanups.push(() => subject.store.close())
  return subject
}

async function fresh(given: Given = {}): Promise<{ subject: Subject; dir: string }> {
  const dir = await tempDir(cleanups)
  return { subject: await open(dir, given), dir }
}

const inner = 0xc0

/** Records of the given numbers of messages; one of 1 is no inner batch. */
async function send(subject: Subject, sizes: readonly number[], topic = 'B'): Promise<Sent[]> {
  const all: Sent[] = []
  for (const messages of sizes) {
    const body = `${topic}-${messages}`
    all.push(await subject.send(topic, 0, { body, messages, sysFlag: messages > 1 ? inner : 0 }))
  }
  return all
}

async function unitsIn(dir: string, name = '0'.repeat(20)): Promise<Buffer> {
  return readFile(path.join(dir, 'batchconsumequeue', 'B', '0', name))
}

/** What the queue hands out from `offset` on, as `offset:body` of each record. */
async function readFrom(subject: Subject, offset: number, messages = 32) {
  const { outcome, messages: found } = await subject.pull('B', 0, offset, messages)
  return {
    found: found.map(({ queueOffset, body }) => `${queueOffset}:${body.toString()}`),
    next: outcome.nextBeginOffset,
    count: outcome.count,
  }
}

/** As kill -9 leaves it. */
async function copied(dir: string): Promise<string> {
  const copy = await tempDir(cleanups)
  await cp(dir, copy, { recursive: true })
  return copy
}

describe('a batch queue', () => {
  it('counts messages, and hands out whole records', async () => {
    const { subject } = await fresh()
    const sent = await send(subject, [3, 1, 5])
    expect(sent.map(({ queueOffset }) => queueOffset)).toEqual([0, 3, 4])
    expect(subject.store.queue('B', 0)).toMatchObject({ minOffset: 0, maxOffset: 9 })
    const all = { found: ['0:B-3', '3:B-1', '4:B-5'], next: 9, count: 9 }
    expect(await readFrom(subject, 0)).toEqual(all)
    // From the middle of a record on, the whole record comes.
    expect(await readFrom(subject, 2)).toEqual(all)
    expect(await readFrom(subject, 8)).toEqual({ found: ['4:B-5'], next: 9, count: 5 })
    expect((await subject.pull('B', 0, 9)).outcome.status).toBe('OFFSET_OVERFLOW_ONE')
  })

  it('gives no more messages than are asked for, but always one record', async () => {
    const { subject } = await fresh()
    await send(subject, [3, 3, 3])
    expect(await readFrom(subject, 0, 1)).toEqual({ found: ['0:B-3'], next: 3, count: 3 })
    expect(await readFrom(subject, 3, 5)).toEqual({ found: ['3:B-3'], next: 6, count: 3 })
    expect((await readFrom(subject, 0, 6)).next).toBe(6)
  })

  it('says in each record how many messages it holds and where they are', async () => {
    const { subject } = await fresh()
    await send(subject, [3, 1])
    const { messages } = await subject.pull('B', 0, 0)
    expect(
      messages.map(({ sysFlag, properties }) => [
        sysFlag,
        properties['INNER_NUM'],
        properties['INNER_BASE'],
      ]),
    ).toEqual([
      [inner, '3', '0'],
      [0, '1', '3'],
    ])
  })

  it('writes units of 46 bytes beside the other queues', async () => {
    const { subject, dir } = await fresh()
    const [first, second] = await send(subject, [3, 2])
    const time = (await subject.pull('B', 0, 0)).messages[0]?.storeTimestamp ?? 0
    expect(await subject.store.checkpointNow()).toBe(true)
    const bytes = await unitsIn(dir)
    expect(bytes.length).toBe(460)
    const expected = Buffer.alloc(46)
    expected.writeInt32BE(second?.physicalOffset ?? 0, 8)
    expected.writeBigInt64BE(BigInt(time), 20)
    expected.writeInt16BE(3, 36)
    expected.writeInt32BE(-1, 38)
    expect(bytes.subarray(0, 46)).toEqual(expected)
    expect(first?.physicalOffset).toBe(0)
    expect(bytes.readBigInt64BE(46 + 28)).toBe(3n)
    expect(bytes.subarray(92).every((byte) => byte === 0)).toBe(true)
    expect(await readdir(path.join(dir, 'consumequeue'))).toEqual([])
  })

  it('refuses more messages in a record than a unit can say', async () => {
    const { subject } = await fresh()
    expect(subject.try('B', 0, { messages: 32_768, sysFlag: inner })).toBe(AppendStatus.illegal)
    expect(subject.try('B', 0, { messages: 32_767, sysFlag: inner })).toMatchObject({
      queueOffset: 0,
    })
  })

  it('is the only one that takes batches that stay one record', async () => {
    const { subject } = await fresh()
    expect(subject.try('T', 0, { messages: 2, sysFlag: inner })).toBe(AppendStatus.illegal)
    expect(await subject.send('T', 0)).toMatchObject({ physicalOffset: 0, queueOffset: 0 })
  })

  it('gets on where units have to be read, also for one who wants none of them', async () => {
    const { subject, dir } = await fresh()
    await subject.bulk('B', 700)
    await subject.store.close()
    const again = await open(dir)
    let steps = 0
    for (let offset = 0; offset < 700; steps++) {
      const { outcome } = await again.pull('B', 0, offset, 32, 1e6, () => false)
      expect(outcome.status).toBe('NO_MATCHED_MESSAGE')
      expect(outcome.nextBeginOffset).toBeGreaterThan(offset)
      offset = outcome.nextBeginOffset
    }
    expect(steps).toBeGreaterThan(1)
  })

  it('chooses records by the tag that they have themselves', async () => {
    const { subject } = await fresh()
    await subject.send('B', 0, { body: 'tagged', messages: 2, sysFlag: inner, tag: 'a' })
    await send(subject, [4])
    const { outcome, messages } = await subject.pull('B', 0, 0, 32, 262_144, (code) => code === 97)
    expect(messages.map(({ body }) => body.toString())).toEqual(['tagged'])
    expect(outcome.nextBeginOffset).toBe(6)
  })

  it('looks into few records for a filter that has much to do, and goes on there', async () => {
    const { subject } = await fresh()
    await send(
      subject,
      Array.from({ length: 20 }, () => 3),
    )
    let calls = 0
    const test = () => {
      calls++
      return false
    }
    const select = Object.assign(test, { steps: 25_000 })
    const queue = subject.store.queue('B', 0)
    const outcome = await subject.store.pull(queue, 0, 32, 1e6, null, new PlainReply(), select)
    expect([calls, outcome]).toMatchObject([
      4,
      { status: 'NO_MATCHED_MESSAGE', nextBeginOffset: 12 },
    ])
  })

  it('is found again through many files, wherever a reader begins', async () => {
    const { subject, dir } = await fresh()
    await send(
      subject,
      Array.from({ length: 45 }, () => 3),
    )
    await subject.store.close()
    expect((await readdir(path.join(dir, 'batchconsumequeue', 'B', '0'))).sort()).toEqual(
      [0, 460, 920, 1380, 1840].map((first) => String(first).padStart(20, '0')),
    )
    const again = await open(dir)
    expect(await readFrom(again, 0, 3)).toMatchObject({ next: 3 })
    for (const offset of [134, 77, 30, 29, 0]) {
      const base = offset - (offset % 3)
      expect(await readFrom(again, offset, 1)).toMatchObject({ found: [`${base}:B-3`] })
    }
    expect(await again.store.unitAt(again.store.queue('B', 0), 100)).toMatchObject({
      base: 99,
      messages: 3,
    })
  })

  it('finds offsets by time, a record at a time', async () => {
    const { subject } = await fresh()
    const times: number[] = []
    for (const size of [2, 3, 4]) {
      await send(subject, [size])
      times.push(await subject.store.storeTimeOf(subject.store.queue('B', 0), times.length))
      const now = Date.now()
      await subject.until(() => Date.now() > now + 1)
    }
    const queue = subject.store.queue('B', 0)
    const lastOf = (await subject.pull('B', 0, 5)).messages[0]?.storeTimestamp ?? 0
    expect(await subject.store.offsetByTime(queue, 0, 'LOWER')).toBe(0)
    expect(await subject.store.offsetByTime(queue, (times[0] ?? 0) + 1, 'LOWER')).toBe(2)
    expect(await subject.store.offsetByTime(queue, lastOf, 'LOWER')).toBe(5)
    // Behind the last record Apache answers with that record, not with the end.
    expect(await subject.store.offsetByTime(queue, lastOf + 1000, 'LOWER')).toBe(5)
  })

  it('does not change the queues of other topics', async () => {
    const { subject, dir } = await fresh()
    await send(subject, [3, 1], 'B')
    await subject.sendMany('T', 5)
    await subject.store.close()
    expect(await readdir(path.join(dir, 'consumequeue'))).toEqual(['T'])
    expect(await readdir(path.join(dir, 'batchconsumequeue'))).toEqual(['B'])
  })

  it('goes with its topic, and begins anew', async () => {
    const { subject, dir } = await fresh()
    await send(subject, [3, 1])
    await subject.store.checkpointNow()
    await subject.store.deleteTopic('B')
    expect(await readdir(path.join(dir, 'batchconsumequeue'))).toEqual([])
    const [sent] = await send(subject, [2])
    expect(sent?.queueOffset).toBe(0)
    expect((await readFrom(subject, 0)).found).toEqual(['0:B-2'])
  })
})

describe('recovery of a batch queue', () => {
  const expected = ['0:B-3', '3:B-1', '4:B-5', '9:B-2']

  it('goes on after a clean stop, also when only the directory says what kind of topic it is', async () => {
    const { subject, dir } = await fresh()
    await send(subject, [3, 1, 5, 2])
    await subject.store.close()
    const again = await open(dir, {}, false)
    expect((await readFrom(again, 0)).found).toEqual(expected)
    const [sent] = await send(again, [4])
    expect(sent?.queueOffset).toBe(11)
  })

  it.each([
    ['no checkpoint', false],
    ['a checkpoint', true],
  ])('puts what was appended behind %s, after kill -9', async (_, checkpoint) => {
    const { subject, dir } = await fresh()
    await send(subject, [3, 1])
    if (checkpoint) await subject.store.checkpointNow()
    await send(subject, [5, 2])
    const again = await open(await copied(dir))
    expect((await readFrom(again, 0)).found).toEqual(expected)
    expect(again.store.queue('B', 0)).toMatchObject({ minOffset: 0, maxOffset: 11, nextOffset: 11 })
    const [sent] = await send(again, [1])
    expect(sent?.queueOffset).toBe(11)
    await again.store.close()
    expect(again.log.said('damaged')).toBe(false)
  })

  it('builds a queue again of which files are missing or unreadable', async () => {
    const { subject, dir } = await fresh()
    await send(subject, [3, 1, 5, 2])
    await subject.store.close()
    const units = path.join(dir, 'batchconsumequeue', 'B', '0')
    const good = await unitsIn(dir)
    await rm(units, { recursive: true })
    const again = await open(dir)
    expect((await readFrom(again, 0)).found).toEqual(expected)
    await again.store.close()
    expect(await unitsIn(dir)).toEqual(good)
    await writeFile(path.join(units, 'what'), 'is this')
    const once = await open(dir)
    expect((await readFrom(once, 0)).found).toEqual(expected)
    await once.store.close()
    expect(await readdir(units)).toEqual(['0'.repeat(20)])
    expect(await unitsIn(dir)).toEqual(good)
  })

  it('reads the log as another broker left it', async () => {
    const { subject, dir } = await fresh()
    await send(subject, [3, 1, 5, 2])
    await subject.store.close()
    await rm(path.join(dir, 'mqctl.durable'))
    const again = await open(dir)
    expect((await readFrom(again, 0)).found).toEqual(expected)
  })

  it('has no unit for a record that does not say what it holds, as Apache has none', async () => {
    const dir = await tempDir(cleanups)
    const simple = await open(dir, {}, false)
    await send(simple, [1, 1])
    await simple.store.close()
    for (const name of ['consumequeue', 'mqctl.durable']) {
      await rm(path.join(dir, name), { recursive: true })
    }
    const again = await open(dir)
    expect(again.store.queue('B', 0).maxOffset).toBe(0)
    await send(again, [3, 1])
    await again.store.close()
    await rm(path.join(dir, 'batchconsumequeue'), { recursive: true })
    const built = await open(dir)
    expect((await readFrom(built, 0)).found).toEqual(['0:B-3', '3:B-1'])
    expect(built.log.said('damaged')).toBe(false)
  })

  /** The log alone, as a rebuild finds it: nothing else says what kind of topic there was. */
  async function onlyTheLogOf(subject: Subject, dir: string): Promise<void> {
    await subject.store.close()
    for (const name of ['consumequeue', 'batchconsumequeue']) {
      await rm(path.join(dir, name), { recursive: true, force: true })
    }
  }

  it('is made of what the records say when nobody else knows the topic', async () => {
    const { subject, dir } = await fresh()
    await send(subject, [1, 3, 5, 2])
    await onlyTheLogOf(subject, dir)
    const again = await open(dir, {}, false)
    expect((await readFrom(again, 0)).found).toEqual(['0:B-1', '1:B-3', '4:B-5', '9:B-2'])
    expect(again.log.said('damaged')).toBe(false)
  })

  it('finds no damage in batches of a topic that was made again without batch queues', async () => {
    const { subject, dir } = await fresh()
    await send(subject, [1, 200, 1, 300, 300])
    await send(subject, [1], 'T')
    await onlyTheLogOf(subject, dir)
    const again = await Subject.open(dir, {}, undefined, { isBatchTopic: () => false })
    cleanups.push(() => again.store.close())
    expect(again.store.facts().badRecords).toBe(0)
    expect(again.log.said('damaged') || again.log.said('was cut')).toBe(false)
    expect((await again.readAll('B', 0)).map(({ queueOffset }) => queueOffset)).toEqual([0, 201])
    expect((await again.readAll('T', 0)).length).toBe(1)
  })

  it.each([
    ['with', false],
    ['without', true],
  ])('holds only messages of the topic that was made last, %s batch queues', async (_, first) => {
    const dir = await tempDir(cleanups)
    let areBatch = first
    const subject = await Subject.open(dir, {}, undefined, { isBatchTopic: () => areBatch })
    cleanups.push(() => subject.store.close())
    await send(subject, areBatch ? [3, 1] : [1, 1])
    await subject.store.deleteTopic('B')
    areBatch = !first
    await send(subject, areBatch ? [4, 1] : [1])
    await onlyTheLogOf(subject, dir)
    const again = await open(dir, {}, false)
    expect((await readFrom(again, 0)).found).toEqual(areBatch ? ['0:B-4', '4:B-1'] : ['0:B-1'])
    expect(again.store.queue('B', 0).units === null).toBe(!areBatch)
  })

  it('leaves files of a form that the topic does not have as they are', async () => {
    const { subject, dir } = await fresh()
    await subject.sendMany('T', 3)
    await subject.store.close()
    await mkdir(path.join(dir, 'batchconsumequeue', 'T', '0'), { recursive: true })
    const file = path.join(dir, 'batchconsumequeue', 'T', '0', '0'.repeat(20))
    await writeFile(file, Buffer.alloc(460))
    const again = await open(dir)
    expect((await again.readAll('T', 0)).length).toBe(3)
    await again.store.close()
    expect((await readFile(file)).length).toBe(460)
  })
})

it('what expires takes its units with it, a whole file at a time', async () => {
  const { subject, dir } = await fresh()
  await send(
    subject,
    Array.from({ length: 80 }, () => 3),
  )
  await subject.store.checkpointNow()
  for (const name of (await readdir(path.join(dir, 'commitlog'))).sort().slice(0, 2)) {
    const old = new Date(Date.now() - 100 * 3_600_000)
    await utimes(path.join(dir, 'commitlog', name), old, old)
  }
  await subject.store.cleanNow()
  const queue = subject.store.queue('B', 0)
  expect(queue.minOffset).toBeGreaterThan(0)
  expect(queue.minOffset % 3).toBe(0)
  const { messages } = await subject.pull('B', 0, queue.minOffset)
  expect(messages[0]?.physicalOffset).toBeGreaterThanOrEqual(8192)
  expect((await readdir(path.join(dir, 'batchconsumequeue', 'B', '0'))).sort()[0]).not.toBe(
    '0'.repeat(20),
  )
  const { minOffset, maxOffset } = queue
  await subject.store.close()
  const again = await open(dir)
  expect(again.store.queue('B', 0)).toMatchObject({ minOffset, maxOffset })
})
