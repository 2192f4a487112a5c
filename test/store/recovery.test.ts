import { cp, open, readdir, readFile, rm, truncate, unlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { encodeRecord, RecordParts } from '../../src/protocol/record.ts'
import { fileNameOf } from '../../src/store/segments.ts'
import { type Given, type Sent, Subject, tempDir } from './a-store.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

interface Left {
  dir: string
  sent: Sent[]
}

async function reopened(dir: string, given: Given = {}): Promise<Subject> {
  const subject = await Subject.open(dir, given)
  cleanups.push(() => subject.store.close())
  return subject
}

/** A directory as kill -9 leaves it: a copy taken while its store runs, after `durable` messages of a checkpoint. */
async function killed(
  durable: number,
  more: number,
  given: Given = {},
  bodyBytes = 0,
): Promise<Left> {
  const dir = await tempDir(cleanups)
  const subject = await Subject.open(dir, given)
  cleanups.push(() => subject.store.close())
  const sent = await subject.sendMany('T', durable, 2)
  if (durable > 0) await subject.store.checkpointNow()
  for (let i = 0; i < more; i++)
    sent.push(await subject.send('T', i % 2, { body: `more-${i}`.padEnd(bodyBytes, '.') }))
  const copy = await tempDir(cleanups)
  await cp(dir, copy, { recursive: true })
  return { dir: copy, sent }
}

/** A directory as a clean stop leaves it. */
async function stopped(count: number, given: Given = {}): Promise<Left> {
  const dir = await tempDir(cleanups)
  const subject = await Subject.open(dir, given)
  const sent = await subject.sendMany('T', count, 2)
  await subject.store.close()
  return { dir, sent }
}

async function patch(file: string, at: number, change: (byte: number) => number): Promise<void> {
  const handle = await open(file, 'r+')
  const byte = Buffer.alloc(1)
  await handle.read(byte, 0, 1, at)
  byte.writeUInt8(change(byte.readUInt8(0)) & 0xff, 0)
  await handle.write(byte, 0, 1, at)
  await handle.close()
}

/** Flips one bit of the log, `offset` bytes into the record. */
function flip(dir: string, record: Sent | undefined, offset: number): Promise<void> {
  const at = (record?.physicalOffset ?? 0) + offset
  const segment = at - (at % 4096)
  return patch(path.join(dir, 'commitlog', fileNameOf(segment)), at - segment, (byte) => byte ^ 4)
}

async function write(file: string, bytes: Buffer, at: number): Promise<void> {
  const handle = await open(file, 'r+')
  await handle.write(bytes, 0, bytes.length, at)
  await handle.close()
}

/** Overwrites [from, to) of the log, which is in one segment. */
function fill(dir: string, from: number, to: number, byte: number): Promise<void> {
  const segment = from - (from % 4096)
  const file = path.join(dir, 'commitlog', fileNameOf(segment))
  return write(file, Buffer.alloc(to - from, byte), from - segment)
}

async function bodiesOf(subject: Subject): Promise<string[]> {
  const all = [...(await subject.readAll('T', 0)), ...(await subject.readAll('T', 1))]
  return all.sort((a, b) => a.physicalOffset - b.physicalOffset).map((one) => one.body.toString())
}

const bodies = (sent: readonly Sent[]) => sent.map((one) => one.body)
const BODY_AT = 90

describe('recovery', () => {
  it('cuts a torn tail beyond the durable end and says so', async () => {
    const { dir, sent } = await killed(20, 5)
    await flip(dir, sent[24], BODY_AT)
    const subject = await reopened(dir)
    const { recovery } = subject.store.facts()
    expect(recovery.cutFrom).toBe(sent[24]?.physicalOffset)
    // Up to the last byte that is not zero; a record without properties ends with two zeros.
    expect(recovery.cutBytes).toBe((sent[24]?.end ?? 0) - (sent[24]?.physicalOffset ?? 0) - 2)
    expect(recovery.badCount).toBe(0)
    expect(subject.log.said('torn tail of the log was cut')).toBe(true)
    expect(await bodiesOf(subject)).toEqual(bodies(sent.slice(0, 24)))
  })

  it('leaves only zeros behind a tail that it cut', async () => {
    const { dir, sent } = await killed(20, 5)
    for (const record of sent.slice(21)) await flip(dir, record, BODY_AT)
    const subject = await reopened(dir)
    await subject.store.close()
    const end = sent[20]?.end ?? 0
    const segment = await readFile(path.join(dir, 'commitlog', fileNameOf(end - (end % 4096))))
    expect(segment.subarray(end % 4096).every((byte) => byte === 0)).toBe(true)
  })

  // Size, magic, checksum, queue id, queue offset (low and high), position, body.
  it.each([1, 5, 10, 15, 27, 22, 34, BODY_AT])(
    'keeps what stands behind a record beyond the durable end whose byte %i is wrong',
    async (at) => {
      const { dir, sent } = await killed(20, 60)
      await flip(dir, sent[30], at)
      const subject = await reopened(dir)
      const { recovery } = subject.store.facts()
      expect(await bodiesOf(subject)).toEqual(bodies(sent.filter((_one, i) => i !== 30)))
      expect(recovery.bad).toMatchObject([{ physicalOffset: sent[30]?.physicalOffset }])
      expect(recovery.cutBytes).toBe(0)
      expect(subject.log.said('a damaged place in the log is skipped')).toBe(true)
      expect((await subject.send('T', 0, { body: 'goes on' })).queueOffset).toBe(40)
    },
  )

  it('keeps what stands behind several bad places, and cuts a torn tail behind them', async () => {
    const { dir, sent } = await killed(20, 60)
    for (const i of [25, 26, 50, 79]) await flip(dir, sent[i], BODY_AT)
    const subject = await reopened(dir)
    const { recovery } = subject.store.facts()
    expect(await bodiesOf(subject)).toEqual(
      bodies(sent.filter((_one, i) => ![25, 26, 50, 79].includes(i))),
    )
    expect(recovery.bad.map((one) => one.physicalOffset)).toEqual(
      [25, 50].map((i) => sent[i]?.physicalOffset),
    )
    expect(recovery.cutFrom).toBe(sent[79]?.physicalOffset)
  })

  it('keeps what stands in the next segment when the end of one is gone', async () => {
    const { dir, sent } = await killed(20, 60)
    const first = sent.findIndex((one) => one.physicalOffset >= 8192)
    // The last record of the segment, and the blank behind it.
    await fill(dir, sent[first - 1]?.physicalOffset ?? 0, 8192, 0)
    const subject = await reopened(dir)
    expect(await bodiesOf(subject)).toEqual(bodies(sent.filter((_one, i) => i !== first - 1)))
    expect(subject.store.facts().recovery.badCount).toBe(1)
  })

  it('takes no garbage for records: neither noise nor records that stood elsewhere', async () => {
    const { dir, sent } = await killed(20, 5)
    const end = sent[24]?.end ?? 0
    const segment = end - (end % 4096)
    const file = path.join(dir, 'commitlog', fileNameOf(segment))
    const bytes = await readFile(file)
    const from = (sent[21]?.physicalOffset ?? 0) - segment
    // Three whole records once more, further behind, and some noise between.
    await write(file, bytes.subarray(from, from + 300), end - segment + 200)
    await write(file, Buffer.alloc(60, 0xda), end - segment + 20)
    const subject = await reopened(dir)
    expect(await bodiesOf(subject)).toEqual(bodies(sent))
    expect(subject.store.facts().recovery).toMatchObject({ badCount: 0, cutFrom: end })
  })

  it.each([
    { where: 'in it', bad: [30] },
    { where: 'in it and the one before', bad: [29, 30] },
  ])(
    'takes nothing that a bad record carries in its body for a record: $where',
    async ({ bad }) => {
      const { dir, sent } = await killed(20, 20, {}, 700)
      const outer = sent[30]
      if (bad.includes(29)) await flip(dir, sent[29], BODY_AT)
      const at = (outer?.physicalOffset ?? 0) + 200
      const parts = new RecordParts()
      parts.topic = Buffer.from('T')
      parts.body = Buffer.from('planted')
      parts.bodyEnd = parts.body.length
      const planted = Buffer.alloc(200)
      const size = encodeRecord(planted, 0, parts, Buffer.alloc(8), 15, at, 1)
      const segment = at - (at % 4096)
      const file = path.join(dir, 'commitlog', fileNameOf(segment))
      await write(file, planted.subarray(0, size), at - segment)
      const subject = await reopened(dir)
      expect(await bodiesOf(subject)).toEqual(bodies(sent.filter((_one, i) => !bad.includes(i))))
    },
  )

  it('ends the log of another broker at its first bad record, as that broker does', async () => {
    const { dir, sent } = await killed(20, 5)
    for (const name of ['mqctl.durable', 'checkpoint']) await rm(path.join(dir, name))
    await flip(dir, sent[22], BODY_AT)
    const subject = await reopened(dir)
    expect(await bodiesOf(subject)).toEqual(bodies(sent.slice(0, 22)))
    expect(subject.store.facts().recovery.cutFrom).toBe(sent[22]?.physicalOffset)
  })

  it('never cuts below the durable end: a bad record there is named and all others are served', async () => {
    const { dir, sent } = await killed(60, 5)
    // The checkpoint is taken away, so that the whole log is read again.
    await rm(path.join(dir, 'consumequeue'), { recursive: true })
    await flip(dir, sent[30], BODY_AT)
    const subject = await reopened(dir)
    const { recovery } = subject.store.facts()
    expect(recovery.bad).toEqual([
      {
        physicalOffset: sent[30]?.physicalOffset,
        bytes: (sent[30]?.end ?? 0) - (sent[30]?.physicalOffset ?? 0),
        why: 'body checksum',
      },
    ])
    expect(recovery.cutBytes).toBe(0)
    expect(subject.log.said('a damaged place in the log is skipped')).toBe(true)
    expect(await bodiesOf(subject)).toEqual(bodies(sent.filter((_one, i) => i !== 30)))
  })

  it.each([0, 5, 30, 50, 85])(
    'finds its way behind a record whose byte %i is wrong',
    async (at) => {
      const { dir, sent } = await killed(60, 0)
      await rm(path.join(dir, 'consumequeue'), { recursive: true })
      await flip(dir, sent[10], at)
      const subject = await reopened(dir)
      const found = await bodiesOf(subject)
      expect(found).toEqual(expect.arrayContaining(bodies(sent.filter((_one, i) => i !== 10))))
      const more = await subject.send('T', 0, { body: 'goes on' })
      expect(more.queueOffset).toBe(30)
    },
  )

  it('skips a record that rotted after a clean stop when it is read, and serves all others', async () => {
    const { dir, sent } = await stopped(60)
    await flip(dir, sent[20], BODY_AT)
    const subject = await reopened(dir)
    expect(subject.store.facts().recovery.clean).toBe(true)
    expect(await bodiesOf(subject)).toEqual(bodies(sent.filter((_one, i) => i !== 20)))
    expect(subject.store.facts()).toMatchObject({
      badRecords: 1,
      lastBadOffset: sent[20]?.physicalOffset,
    })
    expect(await subject.store.recordAt(sent[20]?.physicalOffset ?? 0)).toBeNull()
  })

  it('builds consume queues again when they are gone, with the same offsets', async () => {
    const { dir, sent } = await stopped(50)
    await rm(path.join(dir, 'consumequeue'), { recursive: true })
    const subject = await reopened(dir)
    expect(subject.store.facts().recovery.rebuilt).toContain('consume queues')
    expect(await bodiesOf(subject)).toEqual(bodies(sent))
  })

  it.each(['truncated', 'one missing', 'zeroed', 'alien file'])(
    'builds consume queues again when they are damaged: %s',
    async (how) => {
      const { dir, sent } = await stopped(60)
      const queue = path.join(dir, 'consumequeue', 'T', '0')
      const files = await readdir(queue)
      const first = path.join(queue, files[0] ?? '')
      if (how === 'truncated') await truncate(first, 60)
      else if (how === 'one missing') await unlink(path.join(queue, files[1] ?? ''))
      else if (how === 'zeroed')
        await writeFile(path.join(queue, files.at(-1) ?? ''), Buffer.alloc(200))
      else await writeFile(path.join(queue, 'x.tmp'), 'x')
      const subject = await reopened(dir)
      expect(subject.store.facts().recovery.rebuilt).not.toBeNull()
      expect(await bodiesOf(subject)).toEqual(bodies(sent))
    },
  )

  it.each(['U', ''])(
    'builds consume queues (%s) again of a topic that was deleted and made anew: with the new messages',
    async (lost) => {
      const dir = await tempDir(cleanups)
      const first = await Subject.open(dir)
      await first.sendMany('T', 60, 2)
      await first.sendMany('U', 20, 1)
      await first.store.deleteTopic('T')
      const sent = await first.sendMany('T', 9, 2)
      await first.store.close()
      await rm(path.join(dir, 'consumequeue', lost), { recursive: true })
      const subject = await reopened(dir)
      expect(subject.store.facts().recovery.rebuilt).toContain('consume queues')
      expect(await bodiesOf(subject)).toEqual(bodies(sent))
      expect((await subject.readAll('U', 0)).length).toBe(20)
      const next = await subject.send('T', 0)
      expect(next.queueOffset).toBe(5)
    },
  )

  /** What a store had in memory and on the disk when it was killed, with its queues gone. */
  async function killedWithout(part: string, fill: (subject: Subject) => Promise<Sent[]>) {
    const dir = await tempDir(cleanups)
    const subject = await Subject.open(dir)
    cleanups.push(() => subject.store.close())
    const sent = await fill(subject)
    const copy = await tempDir(cleanups)
    await cp(dir, copy, { recursive: true })
    await rm(path.join(copy, part), { recursive: true })
    return { dir: copy, sent }
  }

  it('keeps what came last to a topic that was made anew when all queues are built again', async () => {
    const { dir, sent } = await killedWithout('consumequeue', async (first) => {
      await first.sendMany('T', 60, 2)
      await first.sendMany('U', 5)
      await first.store.deleteTopic('T')
      return first.sendMany('T', 9, 2)
    })
    const subject = await reopened(dir)
    const { recovery } = subject.store.facts()
    expect(recovery).toMatchObject({ cutBytes: 0, badCount: 0 })
    expect(recovery.rebuilt).toContain('consume queues')
    expect(await bodiesOf(subject)).toEqual(bodies(sent))
  })

  it.each(['consumequeue', 'index'])(
    'brings no topic back that was deleted when %s is gone, and loses none that is new',
    async (part) => {
      const { dir, sent } = await killedWithout(part, async (first) => {
        await first.sendMany('Gone', 20)
        const kept = await first.sendMany('T', 9, 2)
        await first.store.deleteTopic('Gone')
        await first.send('New', 0, { body: 'made just before' })
        return kept
      })
      const hooks = { isKnownTopic: (topic: string) => topic === 'T' }
      const subject = await Subject.open(dir, {}, undefined, hooks)
      cleanups.push(() => subject.store.close())
      expect(subject.store.facts().recovery.rebuilt).not.toBeNull()
      expect(subject.store.topics().sort()).toEqual(['New', 'T'])
      expect(await bodiesOf(subject)).toEqual(bodies(sent))
      expect(await subject.readAll('New', 0)).toHaveLength(1)
    },
  )

  it.each(['gone', 'emptied', 'cut', 'header'])(
    'builds the index again when it is damaged: %s',
    async (how) => {
      const { dir, sent } = await stopped(60)
      const index = path.join(dir, 'index')
      const files = await readdir(index)
      const last = path.join(index, files.at(-1) ?? '')
      if (how === 'gone') await rm(index, { recursive: true })
      else if (how === 'emptied') await unlink(last)
      else if (how === 'cut') await truncate(last, 100)
      else await patch(last, 36, () => 0x7f)
      const subject = await reopened(dir)
      for (const n of [0, 30, 59]) {
        const { records } = await subject.store.queryKey('T', `k${n}`, 32, 0, Infinity)
        expect([how, n, records.length]).toEqual([how, n, 1])
      }
      expect(await bodiesOf(subject)).toEqual(bodies(sent))
    },
  )

  it('finds its way without its own file and without checkpoint, as after an Apache broker', async () => {
    for (const gone of [['mqctl.durable'], ['checkpoint'], ['mqctl.durable', 'checkpoint']]) {
      for (const left of [await stopped(60), await killed(40, 20)]) {
        for (const name of gone) await rm(path.join(left.dir, name), { force: true })
        const subject = await reopened(left.dir)
        expect(await bodiesOf(subject)).toEqual(bodies(left.sent))
        const { records } = await subject.store.queryKey('T', 'k39', 32, 0, Infinity)
        expect(records).toHaveLength(1)
      }
    }
  })

  it('knows when somebody else had the directory', async () => {
    const { dir, sent } = await stopped(30)
    await patch(path.join(dir, 'checkpoint'), 7, (byte) => byte + 1)
    const subject = await reopened(dir)
    expect(subject.store.facts().recovery.foreign).toBe(true)
    expect(await bodiesOf(subject)).toEqual(bodies(sent))
  })

  it('starts from the other slot when the newer one of its own file is torn', async () => {
    const { dir, sent } = await killed(40, 10)
    const bytes = await readFile(path.join(dir, 'mqctl.durable'))
    const newer = bytes.readUInt32BE(20) > bytes.readUInt32BE(512 + 20) ? 0 : 512
    await patch(path.join(dir, 'mqctl.durable'), newer + 100, (byte) => byte ^ 1)
    const subject = await reopened(dir)
    expect(await bodiesOf(subject)).toEqual(bodies(sent))
  })

  it('says that its own file is damaged, and serves everything all the same', async () => {
    const { dir, sent } = await killed(40, 10)
    await writeFile(path.join(dir, 'mqctl.durable'), Buffer.alloc(1024, 0x5a))
    const subject = await reopened(dir)
    expect(subject.log.said('mqctl.durable is damaged')).toBe(true)
    expect(await bodiesOf(subject)).toEqual(bodies(sent))
  })

  it('takes its own file for a new one while it holds only zeros', async () => {
    const { dir } = await stopped(5)
    await writeFile(path.join(dir, 'mqctl.durable'), Buffer.alloc(1024))
    expect((await reopened(dir)).log.said('mqctl.durable is damaged')).toBe(false)
  })

  it('refuses a store of a newer format', async () => {
    const { dir } = await stopped(5)
    const { crc32 } = await import('node:zlib')
    const file = path.join(dir, 'mqctl.durable')
    const bytes = await readFile(file)
    for (const at of [0, 512]) {
      bytes.writeInt32BE(2, at + 8)
      bytes.writeInt32BE(crc32(bytes.subarray(at, at + 508)) | 0, at + 508)
    }
    await writeFile(file, bytes)
    await expect(Subject.open(dir)).rejects.toMatchObject({ code: 'STORE_FORMAT_UNKNOWN' })
  })

  it('refuses a log with files missing, in the middle or at the end, and another segment size', async () => {
    for (const [which, what] of [
      [1, 'does not follow'],
      [-1, 'its files end at'],
    ] as const) {
      const { dir } = await stopped(60)
      const names = await readdir(path.join(dir, 'commitlog'))
      await unlink(path.join(dir, 'commitlog', names.at(which) ?? ''))
      await expect(Subject.open(dir)).rejects.toThrow(what)
      await expect(Subject.open(dir)).rejects.toMatchObject({ code: 'STORE_DAMAGED' })
    }
    const { dir } = await stopped(60)
    await expect(Subject.open(dir, { segmentBytes: 8192 })).rejects.toThrow('expected 8192')
  })

  it('gives a last file its length back that was cut short when the machine died', async () => {
    const { dir, sent } = await killed(40, 3)
    const names = await readdir(path.join(dir, 'commitlog'))
    const used = names.findLast((name) => Number(name) < (sent.at(-1)?.end ?? 0)) ?? ''
    for (const name of names) if (name > used) await unlink(path.join(dir, 'commitlog', name))
    await truncate(path.join(dir, 'commitlog', used), (sent.at(-1)?.end ?? 0) - Number(used))
    const subject = await reopened(dir)
    expect(await bodiesOf(subject)).toEqual(bodies(sent))
  })

  it('says what is wrong with a place that cannot be a store', async () => {
    const dir = await tempDir(cleanups)
    const file = path.join(dir, 'file')
    await writeFile(file, 'x')
    await expect(Subject.open(file)).rejects.toMatchObject({ code: 'STORE_UNWRITABLE' })
    await expect(Subject.open(path.join(file, 'below'))).rejects.toMatchObject({
      code: 'STORE_UNWRITABLE',
    })
  })

  it('opens again and again what was never used', async () => {
    const dir = await tempDir(cleanups)
    for (let i = 0; i < 3; i++) {
      const subject = await Subject.open(dir)
      expect(subject.store.facts().watermarks.appended).toBe(0)
      await subject.store.close()
    }
  })

  it('survives random damage anywhere but in the log', async () => {
    const { dir, sent } = await killed(40, 10)
    let seed = 7
    const random = (bound: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff
      return seed % bound
    }
    for (let round = 0; round < 15; round++) {
      const copy = await tempDir(cleanups)
      await cp(dir, copy, { recursive: true })
      const files = (await readdir(copy, { recursive: true, withFileTypes: true })).filter(
        (entry) =>
          entry.isFile() && !entry.parentPath.endsWith('commitlog') && entry.name !== 'lock',
      )
      const victim = files[random(files.length)]
      const file = path.join(victim?.parentPath ?? '', victim?.name ?? '')
      const { length } = await readFile(file)
      for (let i = 0; i < 3; i++) await patch(file, random(Math.max(1, length)), () => random(256))
      const subject = await Subject.open(copy)
      const found = await bodiesOf(subject)
      await subject.store.close()
      expect([file.slice(copy.length), found.length]).toEqual([
        file.slice(copy.length),
        sent.length,
      ])
    }
  })
})
