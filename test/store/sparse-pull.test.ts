/** A pull that wants few of many records reads those, and not all that lies between them. */
import { open } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { javaHash } from '../../src/protocol/java-hash.ts'
import { decodeRecords, type RecordView } from '../../src/protocol/record.ts'
import type { TagTest } from '../../src/store/pull.ts'
import { fileNameOf } from '../../src/store/segments.ts'
import { TagCodes } from '../../src/store/tag-codes.ts'
import { PlainReply, Subject, tempDir } from './a-store.ts'
import { FailingDisk, worldWith } from './failing-disk.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const every = 50
const count = 1_000
const rare = javaHash('rare')
const segmentBytes = 1 << 20

/** 1,000 messages of 2,000 bytes, every 50th with the tag `rare`, none of them in memory. */
async function stored(): Promise<{ dir: string; subject: Subject; disk: FailingDisk }> {
  const dir = await tempDir(cleanups)
  const given = { segmentBytes, queueFileBytes: 20 * 100_000, filterUnitsMax: 10_000 }
  const writer = await Subject.open(dir, given)
  await writer.bulk(
    'T',
    count,
    () => 0,
    (n) => ({ body: `${n}-`.padEnd(2_000, 'x'), tag: n % every === 0 ? 'rare' : 'usual' }),
  )
  await writer.store.close()
  const disk = new FailingDisk()
  const subject = await Subject.open(dir, given, worldWith(disk))
  cleanups.push(() => subject.store.close())
  return { dir, subject, disk }
}

const bytesOf = (disk: FailingDisk, skip: number) =>
  disk.callsOf('read', 'commitlog', skip).reduce((sum, call) => sum + call.bytes, 0)

/** Changes a byte of the log. */
async function spoil(dir: string, at: number): Promise<void> {
  const name = fileNameOf(at - (at % segmentBytes))
  const file = await open(path.join(dir, 'commitlog', name), 'r+')
  await file.write('?', at % segmentBytes)
  await file.close()
}

describe('a pull by a tag that few messages have', () => {
  it('gives each of them once, in order, across segments', async () => {
    const { subject } = await stored()
    const found: [number, string][] = []
    for (let offset = 0; offset < count;) {
      const { outcome, messages } = await subject.pull(
        'T',
        0,
        offset,
        8,
        1e6,
        (code) => code === rare,
      )
      for (const { queueOffset, body } of messages) found.push([queueOffset, body.toString()])
      expect(outcome.nextBeginOffset).toBeGreaterThan(offset)
      offset = outcome.nextBeginOffset
    }
    expect(found).toEqual(
      Array.from({ length: count / every }, (_, i) => [
        i * every,
        `${i * every}-`.padEnd(2_000, 'x'),
      ]),
    )
  })

  it('reads them, and little else', async () => {
    const { subject, disk } = await stored()
    const skip = disk.calls.length
    const { outcome } = await subject.pull('T', 0, 0, 8, 1e6, (code) => code === rare)
    expect(outcome.count).toBe(8)
    expect(bytesOf(disk, skip)).toBeLessThan(8 * 2_300)
  })

  it('gives the same when the codes are known, and to several that read at one time', async () => {
    const { subject } = await stored()
    const codes = new TagCodes([rare])
    const known = Object.assign((code: number) => codes.has(code), { codes })
    const from = [0, 1, 49, 50, 51, 300, 949, 950, 951, 999]
    const pulled = (accept: TagTest) =>
      Promise.all(from.map((offset) => subject.pull('T', 0, offset, 3, 1e6, accept)))
    const asked = await pulled((code) => code === rare)
    expect(await pulled(known)).toEqual(asked)
    expect(asked.map(({ messages }) => messages.map(({ queueOffset }) => queueOffset))).toEqual(
      from.map((offset) =>
        Array.from({ length: 3 }, (_, i) => (Math.ceil(offset / every) + i) * every).filter(
          (wanted) => wanted < count,
        ),
      ),
    )
  })

  it('reads whole blocks when most are wanted', async () => {
    const { subject, disk } = await stored()
    const skip = disk.calls.length
    const { outcome } = await subject.pull('T', 0, 1, 8, 1e6, (code) => code !== rare)
    expect(outcome.count).toBe(8)
    expect(bytesOf(disk, skip)).toBeGreaterThanOrEqual(256 * 1024)
  })

  it('says what the disk says, and gives them when it can be read again', async () => {
    const { subject, disk } = await stored()
    const lift = disk.fail('read', 'commitlog', 'EIO')
    await expect(subject.pull('T', 0, 0, 8, 1e6, (code) => code === rare)).rejects.toThrow(/EIO/)
    lift()
    const { outcome } = await subject.pull('T', 0, 0, 8, 1e6, (code) => code === rare)
    expect(outcome.count).toBe(8)
  })
})

describe('pulls by a tag from units that are not in memory', () => {
  /** Ten units a file, each of which is a block of the cache; it holds 131 of them. */
  const blockUnits = 10
  const units = 3_000

  async function cold(tagOf: (n: number) => string): Promise<Subject> {
    const dir = await tempDir(cleanups)
    const given = {
      segmentBytes,
      queueFileBytes: 20 * blockUnits,
      cacheBytes: 4 * segmentBytes,
      filterUnitsMax: 60 * blockUnits,
    }
    const writer = await Subject.open(dir, given)
    await writer.bulk(
      'T',
      units,
      () => 0,
      (n) => ({ body: `${n}`, tag: tagOf(n) }),
    )
    await writer.store.close()
    const subject = await Subject.open(dir, given)
    cleanups.push(() => subject.store.close())
    return subject
  }

  it('all get on, however many there are at one time and though their units do not fit into memory', async () => {
    const subject = await cold(() => 'usual')
    const from = Array.from({ length: 100 }, (_, i) => i * 3 * blockUnits + (i % blockUnits))
    const outcomes = await Promise.all(
      from.map((offset) => subject.pull('T', 0, offset, 8, 1e6, (code) => code === rare)),
    )
    for (const [i, { outcome }] of outcomes.entries()) {
      expect(outcome).toMatchObject({ status: 'NO_MATCHED_MESSAGE', count: 0 })
      expect(outcome.nextBeginOffset).toBeGreaterThan(from[i] ?? 0)
    }
  })

  it('answer with what they found when more units have to be read, and go on there', async () => {
    const subject = await cold((n) => (n % 45 === 2 ? 'rare' : 'usual'))
    const { outcome, messages } = await subject.pull('T', 0, 0, 8, 1e6, (code) => code === rare)
    expect(messages.map(({ queueOffset }) => queueOffset)).toEqual([2])
    expect(outcome).toMatchObject({ status: 'FOUND', nextBeginOffset: blockUnits })
    const found: number[] = []
    for (let offset = 0; offset < units;) {
      const next = await subject.pull('T', 0, offset, 8, 1e6, (code) => code === rare)
      found.push(...next.messages.map(({ queueOffset }) => queueOffset))
      offset = next.outcome.nextBeginOffset
    }
    expect(found).toEqual(Array.from({ length: units }, (_, n) => n).filter((n) => n % 45 === 2))
  })
})

it('a pull whose filter has much to do for a record looks into few, and goes on there', async () => {
  const { subject } = await stored()
  const queue = subject.store.queue('T', 0)
  const target = new PlainReply()
  let calls = 0
  const test = () => {
    calls++
    return false
  }
  const select = Object.assign(test, { steps: 10_000 })
  const outcome = await subject.store.pull(queue, 0, 32, 1e6, null, target, select)
  // Three times its steps each: a record has between 2 and 3 KiB.
  expect([calls, outcome]).toMatchObject([4, { status: 'NO_MATCHED_MESSAGE', nextBeginOffset: 4 }])
})

it('a pull that looks into records gives the wanted whole, whatever blocks they lie in, and passes a damaged one', async () => {
  const { dir, subject } = await stored()
  const queue = subject.store.queue('T', 0)
  const isWanted = (n: number) => n % 7 === 3
  const select = (bytes: Buffer, { bodyStart }: RecordView) =>
    isWanted(parseInt(bytes.toString('latin1', bodyStart, bodyStart + 4), 10))
  const damaged = [7 * 50 + 3, 7 * 50 + 4]
  for (const offset of damaged) {
    const unit = await subject.store.unitAt(queue, offset)
    await spoil(dir, (unit?.physicalOffset ?? 0) + 300)
  }
  const found: number[] = []
  for (let offset = 0; offset < count;) {
    const target = new PlainReply()
    const outcome = await subject.store.pull(queue, offset, 32, 1e6, null, target, select)
    for (const { queueOffset, body } of decodeRecords(target.bytes.subarray(0, target.length))
      .messages) {
      found.push(queueOffset)
      expect(body.toString()).toBe(`${queueOffset}-`.padEnd(2_000, 'x'))
    }
    expect(outcome.nextBeginOffset).toBeGreaterThan(offset)
    offset = outcome.nextBeginOffset
  }
  const wanted = Array.from({ length: count }, (_, n) => n).filter(isWanted)
  expect(found).toEqual(wanted.filter((n) => !damaged.includes(n)))
  expect(subject.store.facts().badRecords).toBe(1)
})
